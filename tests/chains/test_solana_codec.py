"""Borsh: every type of an IDL, read back from an encoder that knows nothing of the reader."""

from __future__ import annotations

import contextlib
import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chains.chain import Undecodable
from chains.errors import BadInterface
from chains.solana.address import write
from chains.solana.decode import Decoder

BITS = {f"{s}{n}": (n, s == "i") for s in "ui" for n in (8, 16, 32, 64, 128, 256)}
TYPES: dict[str, Any] = {
    "Point": {
        "kind": "struct",
        "fields": [{"name": "x", "type": "i32"}, {"name": "y", "type": "u8"}],
    },
    "Pair": {"kind": "struct", "fields": ["u16", "string"]},
    "Weights": {"kind": "struct", "fields": [{"vec": {"array": ["f64", 2]}}]},
    "Unit": {"kind": "struct"},
    "Stake": {"kind": "type", "alias": "u128"},
    "Move": {
        "kind": "enum",
        "variants": [
            {"name": "Fold"},
            {
                "name": "Raise",
                "fields": [{"name": "by", "type": "u64"}, {"name": "why", "type": "string"}],
            },
            {"name": "Swap", "fields": ["u8", {"defined": {"name": "Point"}}]},
        ],
    },
    "Tree": {
        "kind": "struct",
        "fields": [
            {"name": "value", "type": "u8"},
            {"name": "twigs", "type": {"vec": {"defined": {"name": "Tree"}}}},
        ],
    },
}


def encode(type_: Any, value: Any) -> bytes:
    """Borsh by the book."""
    if isinstance(type_, str) and type_ in BITS:
        bits, signed = BITS[type_]
        return int(value).to_bytes(bits // 8, "little", signed=signed)
    if type_ == "bool":
        return bytes((value,))
    if type_ in ("f32", "f64"):
        return struct.pack("<f" if type_ == "f32" else "<d", value)
    if type_ == "pubkey":
        return bytes(value)
    if type_ in ("string", "bytes"):
        data: bytes = value.encode() if type_ == "string" else value
        return struct.pack("<I", len(data)) + data
    ((word, inner),) = type_.items()
    if word == "vec":
        return struct.pack("<I", len(value)) + b"".join(encode(inner, one) for one in value)
    if word == "array":
        return b"".join(encode(inner[0], one) for one in value)
    if word == "option":
        return b"\0" if value is None else b"\1" + encode(inner, value)
    if word == "coption":
        return bytes(4) + bytes(8) if value is None else b"\1\0\0\0" + encode(inner, value)
    body = TYPES[inner["name"]]
    if body["kind"] == "type":
        return encode(body["alias"], value)
    if body["kind"] == "enum":
        tag = [variant["name"] for variant in body["variants"]].index(value["variant"])
        return bytes((tag,)) + fields_of(body["variants"][tag].get("fields"), value)
    return fields_of(body.get("fields"), value)


def fields_of(fields: Any, value: Any) -> bytes:
    if not fields:
        return b""
    if isinstance(fields[0], dict) and "name" in fields[0]:
        return b"".join(encode(field["type"], value[field["name"]]) for field in fields)
    keys = range(len(fields)) if isinstance(value, list) else [str(i) for i in range(len(fields))]
    return b"".join(encode(type_, value[key]) for type_, key in zip(fields, keys, strict=True))


def named(name: str) -> dict[str, Any]:
    return {"defined": {"name": name}}


def ints(name: str) -> st.SearchStrategy[int]:
    bits, signed = BITS[name]
    return st.integers(-(1 << bits - 1) if signed else 0, (1 << bits - signed) - 1)


point = st.fixed_dictionaries({"x": ints("i32"), "y": ints("u8")})
move = st.one_of(
    st.just({"variant": "Fold"}),
    st.fixed_dictionaries({"variant": st.just("Raise"), "by": ints("u64"), "why": st.text()}),
    st.fixed_dictionaries({"variant": st.just("Swap"), "0": ints("u8"), "1": point}),
)
tree = st.recursive(
    st.fixed_dictionaries({"value": ints("u8"), "twigs": st.just([])}),
    lambda twigs: st.fixed_dictionaries(
        {"value": ints("u8"), "twigs": st.lists(twigs, max_size=3)}
    ),
)
double = st.floats(allow_nan=False, width=64)
leaves: list[tuple[Any, st.SearchStrategy[Any]]] = [
    *((name, ints(name)) for name in BITS),
    ("bool", st.booleans()),
    ("f32", st.floats(allow_nan=False, width=32)),
    ("f64", double),
    ("pubkey", st.binary(min_size=32, max_size=32)),
    ("string", st.text()),
    ("bytes", st.binary()),
    (named("Point"), point),
    (named("Pair"), st.tuples(ints("u16"), st.text()).map(list)),
    (named("Weights"), st.lists(st.tuples(double, double).map(list)).map(lambda rows: [rows])),
    (named("Unit"), st.just({})),
    (named("Stake"), ints("u128")),
    (named("Move"), move),
    (named("Tree"), tree),
    ({"coption": "u64"}, st.none() | ints("u64")),
]


def typed() -> st.SearchStrategy[tuple[Any, Any]]:
    """Pairs of a type and a value of it, nested a few times."""
    leaf = st.sampled_from(leaves)

    def wrap(inner: Any) -> Any:
        return st.one_of(
            inner.map(lambda p: ({"option": p[0]}, st.none() | p[1])),
            inner.map(lambda p: ({"vec": p[0]}, st.lists(p[1], max_size=4))),
            st.tuples(inner, st.sampled_from([0, 1, 3, 70])).map(
                lambda p: (
                    {"array": [p[0][0], p[1]]},
                    st.lists(p[0][1], min_size=p[1], max_size=p[1]),
                )
            ),
        )

    one = st.recursive(leaf, wrap, max_leaves=3)
    return one.flatmap(lambda p: st.tuples(st.just(p[0]), p[1]))


def shown(type_: Any, value: Any) -> Any:
    """The value as the decoder shows it: keys as base58, byte arrays as bytes."""
    if type_ == "pubkey":
        return write(value)
    if isinstance(type_, dict) and value is not None:
        ((word, inner),) = type_.items()
        if word in ("vec", "array"):
            element = inner if word == "vec" else inner[0]
            return bytes(value) if element == "u8" else [shown(element, one) for one in value]
        if word in ("option", "coption"):
            return shown(inner, value)
    return value


def decoder(*fields: Any) -> Decoder:
    return Decoder(
        {
            "events": [{"name": "E", "discriminator": [9, 9]}],
            "types": [
                {
                    "name": "E",
                    "type": {
                        "kind": "struct",
                        "fields": [
                            {"name": f"f{i}", "type": type_} for i, type_ in enumerate(fields)
                        ],
                    },
                },
                *({"name": name, "type": body} for name, body in TYPES.items()),
            ],
        },
        "11111111111111111111111111111111",
    )


@given(st.lists(typed(), max_size=5))
def test_every_type_is_read_as_it_was_written(pairs: list[tuple[Any, Any]]) -> None:
    body = b"\x09\x09" + b"".join(encode(type_, value) for type_, value in pairs)
    name, args = decoder(*(type_ for type_, _ in pairs)).decode("data", body)
    assert name == "E"
    assert list(args.values()) == [shown(type_, value) for type_, value in pairs]


@given(typed(), st.data())
def test_cut_or_lengthened_bytes_are_refused(pair: tuple[Any, Any], data: Any) -> None:
    body = b"\x09\x09" + encode(*pair)
    reader = decoder(pair[0])
    with pytest.raises(Undecodable):
        reader.decode("data", body + b"\0")
    if len(body) > 2:
        with pytest.raises(Undecodable):
            reader.decode("data", body[: data.draw(st.integers(2, len(body) - 1))])


@given(st.lists(st.sampled_from(leaves), min_size=1, max_size=4), st.binary(max_size=200))
def test_noise_is_read_or_refused_and_nothing_else(fields: Any, noise: bytes) -> None:
    reader = decoder(*({"vec": type_} for type_, _ in fields))
    with contextlib.suppress(Undecodable):
        reader.decode("data", b"\x09\x09" + noise)


@pytest.mark.parametrize(
    ("type_", "data"),
    [
        ("bool", b"\2"),
        ("f64", struct.pack("<d", math.nan)),
        ({"vec": "f32"}, b"\1\0\0\0" + struct.pack("<f", math.nan)),
        ({"option": "u8"}, b"\2\0"),
        ({"coption": "u64"}, b"\2\0\0\0" + bytes(8)),
        (named("Move"), b"\3"),
        ("string", b"\1\0\0\0\xff"),
        ("string", b"\3\0\0\0\xed\xa0\x80"),
        ("string", b"\xff\xff\xff\xffabc"),
        ({"vec": "u64"}, b"\xff\xff\xff\xff" + bytes(64)),
        ({"vec": named("Unit")}, b"\xff\xff\xff\xff"),
        ({"vec": {"vec": "u8"}}, b"\xff\xff\xff\x7f" + bytes(64)),
    ],
)
def test_hostile_values_are_refused(type_: Any, data: bytes) -> None:
    with pytest.raises(Undecodable):
        decoder(type_).decode("data", b"\x09\x09" + data)


def test_bottomless_nesting_is_refused() -> None:
    body = b"\x09\x09" + b"\0\1\0\0\0" * 100_000
    with pytest.raises(Undecodable, match="deep"):
        decoder(named("Tree")).decode("data", body)


@pytest.mark.parametrize(
    ("definition", "complaint"),
    [
        (
            {"name": "G", "generics": [{"kind": "type", "name": "T"}], "type": {"kind": "struct"}},
            "generic",
        ),
        ({"name": "G", "type": {"kind": "struct", "fields": [{"generic": "T"}]}}, "generic"),
        (
            {
                "name": "G",
                "type": {"kind": "struct", "fields": [{"array": ["u8", {"generic": "N"}]}]},
            },
            "generic",
        ),
        ({"name": "G", "type": {"kind": "struct", "fields": [named("G")]}}, "contains itself"),
        ({"name": "G", "type": {"kind": "struct", "fields": ["u7"]}}, "unknown type 'u7'"),
        ({"name": "G", "type": {"kind": "struct", "fields": [named("H")]}}, "not defined"),
        ({"name": "G", "serialization": "bytemuck", "type": {"kind": "struct"}}, "bytemuck"),
        ({"name": "G", "type": {"kind": "union"}}, "union"),
    ],
)
def test_types_without_a_layout_are_refused_by_name(definition: Any, complaint: str) -> None:
    event = {"name": "E", "fields": [{"name": "g", "type": named("G")}]}
    with pytest.raises(BadInterface, match=complaint):
        Decoder({"events": [event], "types": [definition]}, "x")
