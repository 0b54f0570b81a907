"""Straight-line readers: Python source written once per layout, so that reading needs no loops."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from chains.errors import Undecodable

Parts = Sequence[str]
Guard = tuple[str, str]
LONGEST_UNROLL = 64
"""Longer fixed arrays are looped over: unrolled they would only be long source."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """A piece of constant size.

    `codes` are struct codes, each giving one part; `render` turns the names of those parts
    into the expression of the value; `guards` gives (condition, reason) pairs that refuse it.
    """

    codes: tuple[str, ...]
    render: Callable[[Parts], str]
    guards: Callable[[Parts], list[Guard]] = field(default=lambda parts: [])

    @property
    def size(self) -> int:
        return struct.calcsize("<" + "".join(self.codes))


def refuse(reason: str) -> NoReturn:
    raise Undecodable(reason)


def plain(code: str) -> Fixed:
    """One part that is already the value."""
    return Fixed((code,), lambda parts: parts[0])


def dict_of(fields: Sequence[tuple[str, Fixed]]) -> Fixed:
    """Named pieces side by side, as one dict."""
    spans = _spans([piece for _, piece in fields])

    def render(parts: Parts) -> str:
        inner = ", ".join(
            f"{name!r}: {piece.render(parts[a:b])}"
            for (name, piece), (a, b) in zip(fields, spans, strict=True)
        )
        return "{" + inner + "}"

    return Fixed(_codes([piece for _, piece in fields]), render, _guards(fields, spans))


def list_of(pieces: Sequence[Fixed]) -> Fixed:
    """Pieces side by side, as one list."""
    spans = _spans(pieces)

    def render(parts: Parts) -> str:
        inner = [piece.render(parts[a:b]) for piece, (a, b) in zip(pieces, spans, strict=True)]
        return "[" + ", ".join(inner) + "]"

    named = [(str(i), piece) for i, piece in enumerate(pieces)]
    return Fixed(_codes(pieces), render, _guards(named, spans))


def compile_function(source: str, scope: dict[str, Any], name: str) -> Callable[..., Any]:
    """The function `name` that `source` defines, seeing `scope`."""
    exec(compile(source, f"<layout {name}>", "exec"), scope)
    function: Callable[..., Any] = scope[name]
    return function


def unpacking(scope: dict[str, Any], codes: Sequence[str], order: str) -> str:
    """Put a struct's `unpack_from` into the scope and return its name."""
    name = f"unpack{len(scope)}"
    scope[name] = struct.Struct(order + "".join(codes)).unpack_from
    return name


def guarding(guards: Sequence[Guard], indent: str) -> list[str]:
    """The lines that refuse a value."""
    return [f"{indent}if {condition}: refuse({reason!r})" for condition, reason in guards]


def _codes(pieces: Sequence[Fixed]) -> tuple[str, ...]:
    return tuple(code for piece in pieces for code in piece.codes)


def _spans(pieces: Sequence[Fixed]) -> list[tuple[int, int]]:
    spans, at = [], 0
    for piece in pieces:
        spans.append((at, at + len(piece.codes)))
        at += len(piece.codes)
    return spans


def _guards(
    fields: Sequence[tuple[str, Fixed]], spans: Sequence[tuple[int, int]]
) -> Callable[[Parts], list[Guard]]:
    def guards(parts: Parts) -> list[Guard]:
        return [
            (condition, f"{name}: {reason}")
            for (name, piece), (a, b) in zip(fields, spans, strict=True)
            for condition, reason in piece.guards(parts[a:b])
        ]

    return guards
