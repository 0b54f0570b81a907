"""Columns as array literals for `unnest`: rendered at once, as dumping each value is what costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import orjson

PLAIN = str.maketrans({"\\": "\\\\", '"': '\\"', "\0": "\ufffd"})


def numbers(values: Iterable[int | None]) -> str:
    """Integers of any size."""
    return "{" + ",".join(["NULL" if one is None else str(one) for one in values]) + "}"


def texts(values: Iterable[str | None]) -> str:
    return "{" + ",".join(["NULL" if one is None else _quoted(one) for one in values]) + "}"


def times(values: Iterable[datetime | None]) -> str:
    return "{" + ",".join(["NULL" if one is None else f'"{one}"' for one in values]) + "}"


def documents(values: Iterable[Mapping[str, Any] | None]) -> str:
    """JSON documents of plain values."""
    return texts(None if one is None else orjson.dumps(one).decode() for one in values)


def _quoted(value: str) -> str:
    return f'"{value}"' if value.isalnum() else f'"{value.translate(PLAIN)}"'
