"""Borsh, as Anchor writes it: readers compiled from the types of an IDL.

Byte arrays (`bytes`, `[u8; N]`, `Vec<u8>`) are bytes, tuple structs are lists, enums are dicts with
their variant's name under `variant`. NaN is refused, as Borsh itself refuses it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from chains.errors import BadInterface
from chains.solana.address import write
from chains.straight import (
    LONGEST_UNROLL,
    Fixed,
    compile_function,
    dict_of,
    guarding,
    list_of,
    plain,
    refuse,
    unpacking,
)

EMPTY_LIMIT = 4096
"""Elements without bytes cost a sender nothing, so a count of them is bounded here."""
CODES = {
    "u8": "B",
    "i8": "b",
    "u16": "H",
    "i16": "h",
    "u32": "I",
    "i32": "i",
    "u64": "Q",
    "i64": "q",
}
WIDE = {"u128": (16, False), "i128": (16, True), "u256": (32, False), "i256": (32, True)}
FLOATS = {"f32": "f", "f64": "d"}
FEWEST = {"string": 4, "bytes": 4}

Type = Any
T = TypeVar("T")
Reader = Callable[[bytes, int], tuple[Any, int]]


def integer(name: str) -> Fixed:
    if name in CODES:
        return plain(CODES[name])
    size, signed = WIDE[name]
    tail = ", signed=True" if signed else ""
    return Fixed((f"{size}s",), lambda parts: f"from_bytes({parts[0]}, 'little'{tail})")


PRIMITIVES: dict[str, Fixed] = {
    **{name: integer(name) for name in (*CODES, *WIDE)},
    **{
        name: Fixed(
            (code,), lambda parts: parts[0], lambda parts: [(f"{parts[0]} != {parts[0]}", "NaN")]
        )
        for name, code in FLOATS.items()
    },
    "bool": Fixed(
        ("B",),
        lambda parts: f"{parts[0]} == 1",
        lambda parts: [(f"{parts[0]} > 1", "neither true nor false")],
    ),
    "pubkey": Fixed(("32s",), lambda parts: f"write({parts[0]})"),
}
PRIMITIVES["publicKey"] = PRIMITIVES["pubkey"]


class Codec:
    """Compiles the types of one IDL."""

    def __init__(self, types: Mapping[str, Mapping[str, Any]]) -> None:
        self._types = types
        self._scope: dict[str, Any] = {
            "from_bytes": int.from_bytes,
            "write": write,
            "refuse": refuse,
            "read_string": read_string,
            "read_bytes": read_bytes,
        }
        self._names: dict[str, str] = {}
        self._fixed: dict[str, Fixed | None] = {}
        self._open: list[str] = []

    def compile(self, fields: Sequence[tuple[str, Type]]) -> Reader:
        """A reader of these fields, giving (dict, offset after them)."""
        return compile_function(*self._record(list(fields), named=True))

    # What a type is

    def fixed(self, type_: Type) -> Fixed | None:
        """The type as a piece of constant size, or None when its size varies."""
        if isinstance(type_, str):
            if type_ in PRIMITIVES:
                return PRIMITIVES[type_]
            if type_ in FEWEST:
                return None
            raise BadInterface(f"unknown type {type_!r}")
        word, inner = self._only(type_)
        if word == "array":
            element, length = self._array(inner)
            if element == "u8":
                return Fixed((f"{length}s",), lambda parts: parts[0])
            piece = self.fixed(element)
            if piece is None or len(piece.codes) * length > LONGEST_UNROLL:
                return None
            return list_of([piece] * length)
        if word == "defined":
            return self._defined_fixed(self._name(inner))
        if word not in ("vec", "option", "coption"):
            raise BadInterface(f"unknown type {type_!r}")
        return None

    def fewest(self, type_: Type) -> int:
        """The fewest bytes a value of this type takes."""
        piece = self.fixed(type_)
        if piece is not None:
            return piece.size
        if isinstance(type_, str):
            return FEWEST[type_]
        word, inner = self._only(type_)
        if word == "vec":
            return 4
        if word == "option":
            return 1
        if word == "coption":
            return 4 + self.fewest(inner)
        if word == "array":
            element, length = self._array(inner)
            return self.fewest(element) * length
        return self._inside(self._name(inner), self._defined_fewest)

    def _defined_fixed(self, name: str) -> Fixed | None:
        if name not in self._fixed:
            self._fixed[name] = self._inside(name, self._measure)
        return self._fixed[name]

    def _measure(self, name: str) -> Fixed | None:
        body = self._definition(name)
        if body["kind"] in ("type", "alias"):
            return self.fixed(alias_of(body))
        if body["kind"] == "enum":
            return None
        fields, named = members(body.get("fields"))
        pieces = [(field, self.fixed(type_)) for field, type_ in fields]
        whole = [(field, piece) for field, piece in pieces if piece is not None]
        if len(whole) < len(pieces):
            return None
        return dict_of(whole) if named else list_of([piece for _, piece in whole])

    def _defined_fewest(self, name: str) -> int:
        body = self._definition(name)
        if body["kind"] in ("type", "alias"):
            return self.fewest(alias_of(body))
        if body["kind"] == "enum":
            return 1
        return sum(self.fewest(type_) for _, type_ in members(body.get("fields"))[0])

    def _inside(self, name: str, measure: Callable[[str], T]) -> T:
        if name in self._open:
            raise BadInterface(f"type {name} contains itself without end")
        self._open.append(name)
        try:
            return measure(name)
        finally:
            self._open.pop()

    def _definition(self, name: str) -> Mapping[str, Any]:
        definition = self._types.get(name)
        if definition is None:
            raise BadInterface(f"type {name} is used but not defined")
        if definition.get("generics"):
            raise BadInterface(f"type {name} is generic; generics are not supported")
        if definition.get("serialization", "borsh") != "borsh":
            raise BadInterface(f"type {name} is written as {definition['serialization']}")
        body: Mapping[str, Any] = definition["type"]
        if body.get("kind") not in ("struct", "enum", "type", "alias"):
            raise BadInterface(f"type {name} is of unknown kind {body.get('kind')!r}")
        return body

    @staticmethod
    def _only(type_: Type) -> tuple[str, Any]:
        if not isinstance(type_, Mapping) or len(type_) != 1:
            raise BadInterface(f"unknown type {type_!r}")
        ((word, inner),) = type_.items()
        if word == "generic":
            raise BadInterface(f"type parameter {inner} is generic; generics are not supported")
        return word, inner

    @staticmethod
    def _array(inner: Any) -> tuple[Type, int]:
        element, length = inner
        if isinstance(length, Mapping):
            raise BadInterface("an array's length is generic; generics are not supported")
        if not isinstance(length, int) or length < 0:
            raise BadInterface(f"an array of length {length!r}")
        return element, length

    @staticmethod
    def _name(inner: Any) -> str:
        if isinstance(inner, str):
            return inner
        if inner.get("generics"):
            raise BadInterface(f"type {inner['name']} is generic; generics are not supported")
        return str(inner["name"])

    # How it is read

    def reader(self, type_: Type) -> str:
        """The name, in the scope, of a function (bytes, offset) -> (value, offset)."""
        key = repr(type_)
        if key not in self._names:
            if type_ in ("string", "bytes") or type_ == {"vec": "u8"}:
                self._names[key] = "read_string" if type_ == "string" else "read_bytes"
                return self._names[key]
            self._names[key] = f"read{len(self._names)}"
            self._scope[self._names[key]] = self._build(type_)
        return self._names[key]

    def _build(self, type_: Type) -> Reader:
        word, inner = ("", None) if isinstance(type_, str) else self._only(type_)
        if word == "vec":
            return self._vector(inner)
        if word in ("option", "coption"):
            return self._option(inner, word)
        if word == "array" and self.fixed(type_) is None:
            return self._long_array(*self._array(inner))
        if word != "defined" or self.fixed(type_) is not None:
            return compile_function(*self._record([("", type_)], named=None))
        body = self._definition(self._name(inner))
        if body["kind"] == "enum":
            return self._enum(body["variants"])
        if body["kind"] == "struct":
            fields, named = members(body.get("fields"))
            return compile_function(*self._record(fields, named))
        return compile_function(*self._record([("", alias_of(body))], named=None))

    def _record(
        self, fields: Sequence[tuple[str, Type]], named: bool | None
    ) -> tuple[str, dict[str, Any], str]:
        """Source of a reader: a dict (named), a list (not named) or one bare value (None)."""
        lines = ["def record(b, o):"]
        values: list[tuple[str, str]] = []
        run: list[tuple[str, Fixed]] = []
        parts = 0

        def flush() -> None:
            nonlocal parts
            codes = [code for _, piece in run for code in piece.codes]
            names = [f"v{parts + i}" for i in range(len(codes))]
            parts += len(codes)
            if names:
                unpack = unpacking(self._scope, codes, "<")
                size = sum(piece.size for _, piece in run)
                lines.append(f"    {', '.join(names)}, = {unpack}(b, o); o += {size}")
            for name, piece in run:
                mine, names = names[: len(piece.codes)], names[len(piece.codes) :]
                guards = [(c, f"{name}: {r}" if name else r) for c, r in piece.guards(mine)]
                lines.extend(guarding(guards, "    "))
                values.append((name, piece.render(mine)))
            run.clear()

        for name, type_ in fields:
            piece = self.fixed(type_)
            if piece is not None:
                run.append((name, piece))
                continue
            flush()
            lines.append(f"    v{parts}, o = {self.reader(type_)}(b, o)")
            values.append((name, f"v{parts}"))
            parts += 1
        flush()
        if named is None:
            result = values[0][1]
        elif named:
            result = "{" + ", ".join(f"{name!r}: {value}" for name, value in values) + "}"
        else:
            result = "[" + ", ".join(value for _, value in values) + "]"
        lines.append(f"    return {result}, o")
        return "\n".join(lines), self._scope, "record"

    def _vector(self, element: Type) -> Reader:
        fewest = self.fewest(element)
        many = self._many(element)

        def read(b: bytes, o: int) -> tuple[Any, int]:
            (count,) = U32(b, o)
            bounded(count, fewest, len(b) - o - 4)
            return many(b, o + 4, count)

        return read

    def _long_array(self, element: Type, length: int) -> Reader:
        fewest = self.fewest(element)
        many = self._many(element)

        def read(b: bytes, o: int) -> tuple[Any, int]:
            bounded(length, fewest, len(b) - o)
            return many(b, o, length)

        return read

    def _many(self, element: Type) -> Callable[[bytes, int, int], tuple[Any, int]]:
        """A loop over elements; over constant ones without guards, one comprehension."""
        piece = self.fixed(element)
        names = [f"v{i}" for i in range(len(piece.codes))] if piece is not None else []
        if piece is not None and piece.size and not piece.guards(names):
            size = piece.size
            unpack = f"each{len(self._scope)}"
            self._scope[unpack] = struct.Struct("<" + "".join(piece.codes)).iter_unpack
            return compile_function(
                "def many(b, o, n):\n"
                f"    end = o + n * {size}\n"
                f"    each = {unpack}(b[o:end])\n"
                f"    return [{piece.render(names)} for {', '.join(names)}, in each], end",
                self._scope,
                "many",
            )
        return compile_function(
            "def many(b, o, n):\n"
            "    values = []\n"
            "    for _ in range(n):\n"
            f"        v, o = {self.reader(element)}(b, o)\n"
            "        values.append(v)\n"
            "    return values, o",
            self._scope,
            "many",
        )

    def _option(self, inner: Type, word: str) -> Reader:
        size, code = (1, "B") if word == "option" else (4, "I")
        piece = self.fixed(inner)
        if word == "coption" and piece is None:
            raise BadInterface("a COption of a type without constant size")
        absent = piece.size if word == "coption" and piece is not None else 0
        return compile_function(
            "def option(b, o):\n"
            f"    some, = {unpacking(self._scope, code, '<')}(b, o); o += {size}\n"
            "    if some == 1:\n"
            f"        return {self.reader(inner)}(b, o)\n"
            "    if some: refuse('an option is neither there nor absent')\n"
            f"    if len(b) < o + {absent}: refuse('too short')\n"
            f"    return None, o + {absent}",
            self._scope,
            "option",
        )

    def _enum(self, variants: Sequence[Mapping[str, Any]]) -> Reader:
        if len(variants) > 256:
            raise BadInterface("an enum of more than 256 variants")
        table: list[tuple[str, Reader | None]] = []
        for variant in variants:
            fields, _named = members(variant.get("fields"))
            if any(name == "variant" for name, _ in fields):
                fields = [("variant_" if n == "variant" else n, type_) for n, type_ in fields]
            inner = compile_function(*self._record(fields, named=True)) if fields else None
            table.append((variant["name"], inner))

        def read(b: bytes, o: int) -> tuple[Any, int]:
            if o >= len(b):
                refuse("too short")
            tag = b[o]
            if tag >= len(table):
                refuse(f"variant {tag} of an enum of {len(table)}")
            name, inner = table[tag]
            if inner is None:
                return {"variant": name}, o + 1
            fields, o = inner(b, o + 1)
            return {"variant": name, **fields}, o

        return read


U32 = struct.Struct("<I").unpack_from


def bounded(count: int, fewest: int, room: int) -> None:
    """Refuse a count that the bytes left cannot hold, before anything is made of it."""
    if count > (room // fewest if fewest else EMPTY_LIMIT):
        refuse(f"{count} elements in {room} bytes")


def read_bytes(b: bytes, o: int) -> tuple[bytes, int]:
    (length,) = U32(b, o)
    end = o + 4 + length
    if end > len(b):
        refuse(f"{length} bytes announced, {len(b) - o - 4} there")
    return b[o + 4 : end], end


def read_string(b: bytes, o: int) -> tuple[str, int]:
    data, end = read_bytes(b, o)
    try:
        return data.decode(), end
    except UnicodeDecodeError:
        refuse("text that is not UTF-8")


def members(fields: Any) -> tuple[list[tuple[str, Type]], bool]:
    """Fields as (name, type) pairs, and whether the interface names them."""
    if not fields:
        return [], True
    if isinstance(fields[0], Mapping) and "name" in fields[0] and "type" in fields[0]:
        return [(field["name"], field["type"]) for field in fields], True
    return [(str(i), type_) for i, type_ in enumerate(fields)], False


def alias_of(body: Mapping[str, Any]) -> Type:
    return body["alias"] if "alias" in body else body["value"]
