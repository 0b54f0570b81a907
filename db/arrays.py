"""Columns as array literals for `unnest`: rendered at once, as dumping each value is what costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import orjson

PLAIN = str.maketrans({"\\": "\\\\", '"': '\\"', "\0": "\ufffd"})


def numbers(values: Iterable[int | None]) -> str:
    """Integers of any size."""
    return "{" + str([*values])[1:-1].replace("None", "NULL") + "}"


def texts(values: Iterable[str | None]) -> str:
    given = [*values]
    said = orjson.dumps(given).decode()
    if "\\" not in said:  # nothing is escaped, by JSON or by an array literal
        return "{" + said[1:-1] + "}"
    quoted = ["NULL" if one is None else f'"{one.translate(PLAIN)}"' for one in given]
    return "{" + ",".join(quoted) + "}"


def times(values: Iterable[datetime | None]) -> str:
    return "{" + ",".join([_moment(one, one and one.fold) for one in values]) + "}"


@lru_cache(maxsize=4096)
def _moment(value: datetime | None, fold: int | None) -> str:
    """What happens in one batch happens at few moments, and each is written several times.

    Two moments of the hour that comes twice are equal but for their `fold`.
    """
    return "NULL" if value is None else f'"{value}"'


def documents(values: Iterable[Mapping[str, Any] | Sequence[Any] | None]) -> str:
    """JSON documents of plain values, as texts: JSON escapes them just as an array literal does."""
    said = [None if one is None else orjson.dumps(one).decode() for one in values]
    return "{" + orjson.dumps(said).decode()[1:-1] + "}"
