"""Columns as array literals for `unnest`: rendered at once, as dumping each value is what costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

PLAIN = str.maketrans({"\\": "\\\\", '"': '\\"', "\0": "\ufffd"})


def numbers(values: Iterable[int | None]) -> str:
    """Integers of any size."""
    return "{" + ",".join(["NULL" if one is None else str(one) for one in values]) + "}"


def texts(values: Iterable[str | None]) -> str:
    given = list(values)
    if "".join([one for one in given if one is not None]).isprintable():
        return _as_json(given)
    quoted = ["NULL" if one is None else f'"{one.translate(PLAIN)}"' for one in given]
    return "{" + ",".join(quoted) + "}"


def times(values: Iterable[datetime | None]) -> str:
    known: dict[datetime | None, str] = {None: "NULL"}
    said = [known.get(one) or known.setdefault(one, f'"{one}"') for one in values]
    return "{" + ",".join(said) + "}"


def documents(values: Iterable[Mapping[str, Any] | Sequence[Any] | None]) -> str:
    """JSON documents of plain values."""
    return _as_json([None if one is None else orjson.dumps(one).decode() for one in values])


def _as_json(values: list[str | None]) -> str:
    """Without control characters, JSON escapes a text just as an array literal does."""
    return "{" + orjson.dumps(values).decode()[1:-1] + "}"
