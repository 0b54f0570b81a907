"""The contract ABI: readers compiled from the types of an event.

Tuples with names are dicts, others lists; addresses are lowercase text, every kind of bytes is
bytes. Values are checked as Solidity checks them; only the padding after dynamic bytes is free,
because old compilers left it dirty.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chains.errors import BadInterface
from chains.straight import (
    LONGEST_UNROLL,
    Fixed,
    Guard,
    Parts,
    compile_function,
    dict_of,
    guarding,
    list_of,
    refuse,
    unpacking,
)

WORD = 32
SMALL = {8: "B", 16: "H", 32: "I", 64: "Q"}
ARRAY = re.compile(r"(.*)\[(\d*)\]", re.DOTALL)
SCALAR = re.compile(r"(uint|int|bytes)(\d*)")

Parameter = Mapping[str, Any]
EventReader = Callable[[bytes], dict[str, object]]


@dataclass(frozen=True, slots=True)
class Shape:
    """A type taken apart: scalar (`word`), array (`element`, `length`) or tuple (`members`)."""

    word: str
    element: Shape | None = None
    length: int | None = None
    members: tuple[tuple[str, Shape], ...] = ()

    @property
    def dynamic(self) -> bool:
        if self.element is not None:
            return self.length is None or (self.length > 0 and self.element.dynamic)
        if self.word == "tuple":
            return any(member.dynamic for _, member in self.members)
        return self.word in ("bytes", "string")

    @property
    def signature(self) -> str:
        """The canonical text that goes into a topic."""
        if self.element is not None:
            return f"{self.element.signature}[{'' if self.length is None else self.length}]"
        if self.word == "tuple":
            return "(" + ",".join(member.signature for _, member in self.members) + ")"
        return self.word


def shape_of(parameter: Parameter) -> Shape:
    """The shape of an ABI parameter; types Solidity has not are refused."""
    word = parameter["type"]
    if match := ARRAY.fullmatch(word):
        element = shape_of({**parameter, "type": match[1]})
        return Shape("array", element, int(match[2]) if match[2] else None)
    if word == "tuple":
        members = parameter.get("components") or ()
        named = [(member.get("name", ""), shape_of(member)) for member in members]
        if not named:
            raise BadInterface("a tuple without components")
        return Shape("tuple", members=tuple(named))
    if word in ("address", "bool", "bytes", "string", "function"):
        return Shape(word)
    if word in ("uint", "int"):
        return Shape(f"{word}256")
    match = SCALAR.fullmatch(word)
    size = int(match[2]) if match and match[2] else 0
    if match and match[1] == "bytes" and 1 <= size <= WORD:
        return Shape(word)
    if match and match[1] != "bytes" and size % 8 == 0 and 8 <= size <= 256:
        return Shape(word)
    raise BadInterface(f"unknown type {word!r}")


def scalar(word: str) -> Fixed:
    """A value in one word."""
    if word == "address":
        return padded(20, "20s", lambda part: f"'0x' + {part}.hex()", word)
    if word == "bool":
        return Fixed(
            ("31s", "B"),
            lambda parts: f"{parts[1]} == 1",
            lambda parts: [(f"{parts[0]} != {bytes(31)!r} or {parts[1]} > 1", "no bool")],
        )
    if word == "function":
        word = "bytes24"
    match = SCALAR.fullmatch(word)
    assert match is not None
    kind, size = match[1], int(match[2])
    if kind == "uint":
        if size in SMALL:
            return padded(size // 8, SMALL[size], lambda part: part, word)
        return padded(size // 8, f"{size // 8}s", lambda part: f"from_bytes({part}, 'big')", word)
    if kind == "int":
        return signed(size, word)
    if size == WORD:
        return Fixed(("32s",), lambda parts: parts[0])
    zeros = bytes(WORD - size)
    return Fixed(
        (f"{size}s", f"{WORD - size}s"),
        lambda parts: parts[0],
        lambda parts: [(f"{parts[1]} != {zeros!r}", f"no {word}")],
    )


def padded(size: int, code: str, render: Callable[[str], str], word: str) -> Fixed:
    """A value at the right end of its word, zeros before it."""
    if size == WORD:
        return Fixed((code,), lambda parts: render(parts[0]))
    zeros = bytes(WORD - size)
    return Fixed(
        (f"{WORD - size}s", code),
        lambda parts: render(parts[1]),
        lambda parts: [(f"{parts[0]} != {zeros!r}", f"no {word}")],
    )


def signed(size: int, word: str) -> Fixed:
    def value(parts: Parts) -> str:
        return f"from_bytes({parts[0]}, 'big', signed=True)"

    def guards(parts: Parts) -> list[Guard]:
        bound = 1 << (size - 1)
        return [(f"not {-bound} <= {value(parts)} < {bound}", f"no {word}")]

    return Fixed(("32s",), value, guards if size < 256 else lambda parts: [])


class Codec:
    """Compiles events; one scope holds all its readers.

    In compiled code `b` is the body, `o` where offsets count from, and `left` how many words may
    still be read: honest data is read once, so nothing may unfold into more than itself.
    """

    def __init__(self) -> None:
        self._scope: dict[str, Any] = {
            "from_bytes": int.from_bytes,
            "refuse": refuse,
            "read_bytes": read_bytes,
            "read_string": read_string,
        }
        self._names: dict[Shape, str] = {}

    def compile(self, fields: Sequence[tuple[str, Shape, bool]]) -> EventReader:
        """A reader of a body: topic count, topics, data. Fields are (name, shape, indexed)."""
        indexed = [(name, self._topic(shape)) for name, shape, yes in fields if yes]
        others = [(name, self._piece(shape)) for name, shape, yes in fields if not yes]
        pieces = [*indexed, *others]
        start = 1 + WORD * (1 + len(indexed))
        end = start + sum(piece.size for _, piece in others)
        dynamic = any(shape.dynamic for _, shape, yes in fields if not yes)
        lines = ["def event(b):"]
        if dynamic:
            lines.append(f"    o = {start}; left = [len(b) // {WORD}]")
        else:
            lines.append(f"    if len(b) != {end}: refuse(length(len(b) - {start}, {end - start}))")
        parts = [f"v{i}" for i in range(sum(len(piece.codes) for _, piece in pieces))]
        codes = [code for _, piece in pieces for code in piece.codes]
        if parts:
            unpack = unpacking(self._scope, codes, ">")
            lines.append(f"    {', '.join(parts)}, = {unpack}(b, {1 + WORD})")
        values: dict[str, str] = {}
        for name, piece in pieces:
            mine, parts = parts[: len(piece.codes)], parts[len(piece.codes) :]
            guards = [(condition, f"{name}: {why}") for condition, why in piece.guards(mine)]
            lines.extend(guarding(guards, "    "))
            values[name] = piece.render(mine)
        inner = ", ".join(f"{name!r}: {values[name]}" for name, _, _ in fields)
        lines.append("    return {" + inner + "}")
        self._scope["length"] = length
        return compile_function("\n".join(lines), self._scope, "event")

    def _topic(self, shape: Shape) -> Fixed:
        """An indexed value; of anything longer than a word only the hash is there."""
        if shape.word in ("array", "tuple", "bytes", "string"):
            return Fixed(("32s",), lambda parts: parts[0])
        return scalar(shape.word)

    def _piece(self, shape: Shape) -> Fixed:
        """The part of a value that stands in the head."""
        if shape.dynamic:
            reader = self._reader(shape)
            return Fixed(
                ("24s", "Q"),
                lambda parts: f"{reader}(b, o + {parts[1]}, left)",
                lambda parts: [
                    (f"{parts[0]} != {bytes(24)!r} or {parts[1]} > len(b)", "no offset")
                ],
            )
        if shape.word == "tuple":
            members = [(name, self._piece(member)) for name, member in shape.members]
            named = all(name for name, _ in members)
            return dict_of(members) if named else list_of([piece for _, piece in members])
        if shape.element is None:
            return scalar(shape.word)
        piece = self._piece(shape.element)
        count = shape.length or 0
        if len(piece.codes) * count <= LONGEST_UNROLL:
            return list_of([piece] * count)
        reader = self._reader(shape)
        return Fixed((f"{piece.size * count}s",), lambda parts: f"{reader}({parts[0]}, 0, None)")

    def _reader(self, shape: Shape) -> str:
        """The name of a function (body, offset, words left) -> value."""
        if shape.word in ("bytes", "string"):
            return f"read_{shape.word}"
        if shape not in self._names:
            self._names[shape] = f"read{len(self._names)}"
            build = self._tuple if shape.word == "tuple" else self._array
            self._scope[self._names[shape]] = build(shape)
        return self._names[shape]

    def _tuple(self, shape: Shape) -> Callable[..., Any]:
        members = [(name, self._piece(member)) for name, member in shape.members]
        named = all(name for name, _ in members)
        whole = dict_of(members) if named else list_of([piece for _, piece in members])
        parts = [f"v{i}" for i in range(len(whole.codes))]
        lines = [
            "def record(b, o, left):",
            f"    {', '.join(parts)}, = {unpacking(self._scope, whole.codes, '>')}(b, o)",
            *guarding(whole.guards(parts), "    "),
            f"    return {whole.render(parts)}",
        ]
        return compile_function("\n".join(lines), self._scope, "record")

    def _array(self, shape: Shape) -> Callable[..., Any]:
        assert shape.element is not None
        piece = self._piece(shape.element)
        parts = [f"v{i}" for i in range(len(piece.codes))]
        lines = ["def array(b, o, left):"]
        if shape.length is None:
            lines.append("    n = count(b, o, left); o += 32")
        else:
            lines.append(f"    n = {shape.length}")
            lines.append("    if left is not None: spend(left, n)")
        if not parts:
            lines.append(f"    return [{piece.render(parts)} for _ in range(n)]")
        else:
            each = f"each{len(self._scope)}"
            self._scope[each] = struct.Struct(">" + "".join(piece.codes)).iter_unpack
            lines += [
                f"    end = o + n * {piece.size}",
                "    if end > len(b): refuse(f'{n} elements in {len(b) - o} bytes')",
                "    values = []",
                f"    for {', '.join(parts)}, in {each}(b[o:end]):",
                *guarding(piece.guards(parts), "        "),
                f"        values.append({piece.render(parts)})",
                "    return values",
            ]
        self._scope.update(count=count, spend=spend)
        return compile_function("\n".join(lines), self._scope, "array")


HEAD = struct.Struct(">24sQ").unpack_from


def length(found: int, expected: int) -> str:
    return f"{found} bytes of data where {expected} are expected"


def spend(left: list[int], words: int) -> None:
    left[0] -= words
    if left[0] < 0:
        refuse("the data unfolds into more than it holds")


def count(b: bytes, o: int, left: list[int]) -> int:
    """The length in front of a dynamic value, within what is there."""
    high, n = HEAD(b, o)
    if high != bytes(24) or n > len(b):
        refuse("a length beyond the data")
    spend(left, n)
    return int(n)


def read_bytes(b: bytes, o: int, left: list[int]) -> bytes:
    high, n = HEAD(b, o)
    end = o + WORD + n
    if high != bytes(24) or end > len(b):
        refuse("a length beyond the data")
    spend(left, (n + WORD - 1) // WORD)
    return b[o + WORD : end]


def read_string(b: bytes, o: int, left: list[int]) -> str:
    try:
        return read_bytes(b, o, left).decode()
    except UnicodeDecodeError:
        refuse("text that is not UTF-8")
