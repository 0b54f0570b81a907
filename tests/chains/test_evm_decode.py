"""Logs of the EVM: held against eth_abi, and against what hostile contracts may emit."""

from __future__ import annotations

import struct
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from eth_abi import abi as eth_abi
from eth_abi.decoding import BaseArrayDecoder, ByteStringDecoder, TupleDecoder
from eth_abi.exceptions import DecodingError
from hypothesis import given, settings
from hypothesis import strategies as st

from chains.chain import RetryLater, Undecodable
from chains.errors import BadInterface
from chains.evm import address
from chains.evm.address import keccak256
from chains.evm.decode import Decoder, candidates
from chains.evm.interface import read_interface
from chains.evm.logs import Log

US = "0x" + "ab" * 20


def parameter(type_: str, name: str = "", indexed: bool = False) -> dict[str, Any]:
    """An ABI parameter from a type's canonical text; tuples become unnamed components."""
    if "(" not in type_:
        return {"name": name, "type": type_, "indexed": indexed}
    inside, tail = type_[1:].rsplit(")", 1)
    parts, depth, start = [], 0, 0
    for at, letter in enumerate(inside + ","):
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and not depth:
            parts.append(inside[start:at])
            start = at + 1
    return {
        "name": name,
        "type": "tuple" + tail,
        "components": [parameter(part) for part in parts],
        "indexed": indexed,
    }


def event(
    *types: str, indexed: tuple[str, ...] = (), name: str = "E", **more: Any
) -> dict[str, Any]:
    inputs = [parameter(t, f"i{at}", True) for at, t in enumerate(indexed)]
    inputs += [parameter(t, f"f{at}") for at, t in enumerate(types)]
    return {"type": "event", "name": name, "inputs": inputs, **more}


def body(entry: dict[str, Any], data: bytes, *topics: bytes) -> bytes:
    (shape,) = read_interface([entry])
    return bytes((1 + len(topics),)) + shape.topic + b"".join(topics) + data


scalars = st.one_of(
    st.sampled_from(["address", "bool", "bytes", "string", "function", "uint256", "bytes32"]),
    st.integers(1, 32).map(lambda n: f"uint{8 * n}"),
    st.integers(1, 32).map(lambda n: f"int{8 * n}"),
    st.integers(1, 32).map(lambda n: f"bytes{n}"),
)
types = st.recursive(
    scalars,
    lambda inner: st.one_of(
        inner.map(lambda t: f"{t}[]"),
        st.tuples(inner, st.integers(1, 3)).map(lambda p: f"{p[0]}[{p[1]}]"),
        st.lists(inner, min_size=1, max_size=3).map(lambda ts: f"({','.join(ts)})"),
    ),
    max_leaves=4,
)


def values(type_: str) -> st.SearchStrategy[Any]:
    if type_.endswith("]"):
        element, count = type_[:-1].rsplit("[", 1)
        size = {"min_size": int(count), "max_size": int(count)} if count else {"max_size": 3}
        return st.lists(values(element), **size).map(tuple)  # type: ignore[arg-type]
    if type_.startswith("("):
        return st.tuples(*(values(part["type_"]) for part in split(type_)))
    if type_ == "address":
        return st.binary(min_size=20, max_size=20).map(lambda b: "0x" + b.hex())
    if type_ == "bool":
        return st.booleans()
    if type_ == "string":
        return st.text(max_size=70)
    if type_ == "bytes":
        return st.binary(max_size=70)
    if type_ == "function":
        return st.binary(min_size=24, max_size=24)
    if type_.startswith("bytes"):
        size_ = int(type_[5:])
        return st.binary(min_size=size_, max_size=size_)
    bits = int(type_.lstrip("uint"))
    signed = type_.startswith("int")
    return st.integers(-(1 << bits - 1) if signed else 0, (1 << bits - signed) - 1)


def split(type_: str) -> list[dict[str, str]]:
    return [{"type_": canonical(part)} for part in parameter(type_)["components"]]


def canonical(part: dict[str, Any]) -> str:
    if "components" not in part:
        return str(part["type"])
    return f"({','.join(canonical(one) for one in part['components'])}){part['type'][5:]}"


def alike(value: Any) -> Any:
    """Lists and tuples are one to eth_abi."""
    return tuple(alike(one) for one in value) if isinstance(value, (list, tuple)) else value


def freely_padded(_self: Any, stream: Any) -> bytes:
    return bytes(stream.read(int.from_bytes(stream.read(32), "big")))


def unchecked(_self: Any, *_: Any) -> None:
    pass


typed = st.lists(types, min_size=1, max_size=4).flatmap(
    lambda ts: st.tuples(st.just(ts), st.tuples(*(values(t) for t in ts)))
)


@given(typed)
def test_every_type_is_read_as_eth_abi_wrote_it(pair: tuple[list[str], tuple[Any, ...]]) -> None:
    names, given_values = pair
    entry = event(*names)
    data = eth_abi.encode(names, given_values)
    name, args = Decoder([entry], US).decode("log", body(entry, data))
    assert name == "E"
    assert alike(list(args.values())) == alike(eth_abi.decode(names, data)) == alike(given_values)


@settings(max_examples=300)
@given(typed, st.data())
def test_damaged_data_is_refused_or_read_as_eth_abi_reads_it(
    pair: tuple[list[str], tuple[Any, ...]], draw: st.DataObject
) -> None:
    names, given_values = pair
    entry = event(*names)
    data = bytearray(eth_abi.encode(names, given_values))
    for _ in range(draw.draw(st.integers(1, 3))):
        at = draw.draw(st.integers(0, len(data) - 1))
        data[at] = draw.draw(st.sampled_from([0, 1, 31, 32, 64, 96, 255]))
    cut = bytes(data[: draw.draw(st.integers(0, len(data)))])
    for damaged in (bytes(data), cut):
        try:
            _, args = Decoder([entry], US).decode("log", body(entry, damaged))
        except Undecodable:
            continue
        # eth_abi forgets `strict` inside arrays and tuples, so its reading of bytes is replaced;
        # and it refuses offsets into the head, which Solidity's own decoder follows, as we do.
        with (
            patch.object(ByteStringDecoder, "read_data_from_stream", freely_padded),
            patch.object(TupleDecoder, "validate_pointers", unchecked),
            patch.object(BaseArrayDecoder, "validate_pointers", unchecked),
        ):
            expected = eth_abi.decode(names, damaged)
        assert alike(list(args.values())) == alike(expected)


@given(typed)
def test_cut_static_data_and_data_left_over_are_refused(
    pair: tuple[list[str], tuple[Any, ...]],
) -> None:
    names, given_values = pair
    entry = event(*names)
    data = eth_abi.encode(names, given_values)
    shapes = read_interface([entry])[0].fields
    if not any(shape.dynamic for _, shape, _ in shapes):
        for wrong in (data[:-1], data[:-32], data + bytes(32)):
            with pytest.raises(Undecodable):
                Decoder([entry], US).decode("log", body(entry, wrong))
    else:
        with pytest.raises(DecodingError):
            eth_abi.decode(names, data[:31])
        with pytest.raises(Undecodable):
            Decoder([entry], US).decode("log", body(entry, data[:31]))


@given(types, st.binary(min_size=32, max_size=32))
def test_an_indexed_value_longer_than_a_word_is_its_hash(type_: str, topic: bytes) -> None:
    entry = event(indexed=(type_,))
    long = type_ in ("bytes", "string") or type_[-1] in ")]"
    decoder = Decoder([entry], US)
    if long:
        assert decoder.decode("log", body(entry, b"", topic))[1] == {"i0": topic}
        return
    try:
        expected = eth_abi.decode([type_], topic)[0]
    except DecodingError:
        with pytest.raises(Undecodable):
            decoder.decode("log", body(entry, b"", topic))
    else:
        assert decoder.decode("log", body(entry, b"", topic))[1] == {"i0": expected}


def word(value: int) -> bytes:
    return value.to_bytes(32, "big")


@pytest.mark.parametrize(
    ("type_", "data"),
    [
        ("string", word(32) + word(1) + b"\xff".ljust(32, b"\0")),
        ("string", word(32) + word(2**64)),
        ("string", word(2**255)),
        ("string", word(2**63) + word(0)),
        ("bytes", word(32) + word(33) + bytes(32)),
        ("uint8[]", word(32) + word(2**63)),
        ("uint8[]", word(32) + word(2) + word(1)),
        ("uint8", word(256)),
        ("int8", word(128)),
        ("bool", word(2)),
        ("address", b"\1" + bytes(31)),
        ("bytes4", bytes(31) + b"\1"),
        ("(string,uint8)[2]", word(32) + word(64) + word(2**64 - 1)),
    ],
)
def test_hostile_data_is_refused(type_: str, data: bytes) -> None:
    entry = event(type_)
    with pytest.raises(Undecodable):
        Decoder([entry], US).decode("log", body(entry, data))


def test_data_that_unfolds_into_more_than_itself_is_refused() -> None:
    # Eight offsets to one array, which holds eight offsets to one array: 8^20 values in 6 kB.
    entry = event("uint256" + "[]" * 20)
    level = word(8) + word(8 * 32) * 8
    with pytest.raises(Undecodable, match="unfolds"):
        Decoder([entry], US).decode("log", body(entry, word(32) + level * 20))
    wide = event("uint256[][]")
    shared = word(32) + word(50) + word(50 * 32) * 50 + word(50) + word(1) * 50
    with pytest.raises(Undecodable, match="unfolds"):
        Decoder([wide], US).decode("log", body(wide, shared))


def test_dirty_padding_after_bytes_is_read_as_old_compilers_left_it() -> None:
    entry = event("bytes")
    data = word(32) + word(3) + b"abc" + b"\xff" * 29
    assert Decoder([entry], US).decode("log", body(entry, data))[1] == {"f0": b"abc"}
    assert Decoder([entry], US).decode("log", body(entry, data[:67]))[1] == {"f0": b"abc"}


def test_named_tuples_are_dicts() -> None:
    entry = event("uint8")
    entry["inputs"] = [
        {
            "name": "deal",
            "type": "tuple[]",
            "components": [{"name": "who", "type": "address"}, {"name": "note", "type": "string"}],
        },
        {"name": "", "type": "uint"},
    ]
    data = eth_abi.encode(["(address,string)[]", "uint256"], [[(US, "hi")], 7])
    assert Decoder([entry], US).decode("log", body(entry, data))[1] == {
        "deal": [{"who": US, "note": "hi"}],
        "arg1": 7,
    }


def test_one_topic_with_several_layouts_tries_them_all() -> None:
    def transfer(*indexed: bool) -> dict[str, Any]:
        names = zip(
            ("from", "to", "value"), ("address", "address", "uint256"), indexed, strict=True
        )
        return {"type": "event", "name": "T", "inputs": [parameter(t, n, i) for n, t, i in names]}

    abi = [transfer(True, True, False), transfer(True, True, True), transfer(False, True, True)]
    decoder = Decoder(abi, US)
    topic = keccak256(b"T(address,address,uint256)")
    who, amount = bytes(12) + bytes.fromhex(US[2:]), word(2**255)
    expected = {"from": US, "to": US, "value": 2**255}
    assert decoder.decode("log", b"\3" + topic + who + who + amount)[1] == expected
    assert decoder.decode("log", b"\4" + topic + who + who + amount)[1] == expected
    assert decoder.decode("log", b"\3" + topic + who + amount + who)[1] == expected
    with pytest.raises(Undecodable, match="indexed"):
        decoder.decode("log", b"\2" + topic + who + who + amount)


def test_overloads_go_by_their_signature() -> None:
    decoder = Decoder([event("uint8"), event("bool"), event("bool", name="Other")], US)
    assert set(decoder.fields()) == {"E(uint8)", "E(bool)", "Other"}
    assert decoder.instructions() == frozenset()


def test_anonymous_and_unknown_logs_are_refused() -> None:
    entry = event("uint8", anonymous=True)
    decoder = Decoder({"abi": [entry, {"type": "function", "name": "f"}]}, US)
    assert decoder.fields() == {}
    for raw in (b"", b"\0" + word(1), b"\1" + word(5) + word(1), struct.pack("B", 255)):
        with pytest.raises(Undecodable):
            decoder.decode("log", raw)


@pytest.mark.parametrize(
    ("abi", "complaint"),
    [
        ([event("fixed128x18")], "fixed128x18"),
        ([event("uint7")], "uint7"),
        ([event("bytes33")], "bytes33"),
        ([event(indexed=("uint8",) * 4)], "4 indexed"),
        ([{"type": "event"}], "no contract ABI"),
        ({"abi": None}, "no contract ABI"),
    ],
)
def test_interfaces_without_a_meaning_are_refused(abi: Any, complaint: str) -> None:
    with pytest.raises(BadInterface, match=complaint):
        Decoder(abi, US)


def log(**more: Any) -> dict[str, Any]:
    return {
        "address": US,
        "topics": ["0x" + "11" * 32, "0x" + "22" * 32],
        "data": "0x" + "33" * 32,
        "blockNumber": "0x10",
        "transactionHash": "0x" + "44" * 32,
        "transactionIndex": "0x2",
        "blockHash": "0x" + "55" * 32,
        "logIndex": "0x3",
        "removed": False,
        **more,
    }


def test_logs_become_raws() -> None:
    answer = [log(), log(logIndex="0x4", blockTimestamp="0x6553f100", data="0x", topics=[])]
    first, second = candidates(answer, US.upper().replace("0X", "0x"))
    assert (first.position, first.tx, first.index, first.kind) == (16, "0x" + "44" * 32, 3, "log")
    assert first.body == b"\2" + b"\x11" * 32 + b"\x22" * 32 + b"\x33" * 32
    assert (first.block_hash, first.tx_index, first.time) == ("0x" + "55" * 32, 2, None)
    assert second.body == b"\0"
    assert second.time is not None
    assert second.time.isoformat() == "2023-11-14T22:13:20+00:00"
    parsed = msgspec.json.decode(msgspec.json.encode(answer), type=list[Log])
    assert candidates(parsed, US) == [first, second]


def test_foreign_and_removed_logs_are_left_out() -> None:
    assert candidates([log(address="0x" + "00" * 20), log(removed=True)], US) == []


@pytest.mark.parametrize("answer", [[log(blockNumber=None)], [log(logIndex=None)], [log(), log()]])
def test_pending_and_doubled_logs_are_asked_for_again(answer: Any) -> None:
    with pytest.raises(RetryLater):
        candidates(answer, US)


@pytest.mark.parametrize(
    "damage",
    [{"data": "0xzz"}, {"data": "0x123"}, {"topics": ["0x11"]}, {"logIndex": "?"}, {"data": 5}],
)
def test_malformed_logs_are_refused(damage: dict[str, Any]) -> None:
    with pytest.raises(Undecodable):
        candidates([log(**damage)], US)


def test_addresses_are_checked() -> None:
    mixed = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
    assert address.canonical(mixed) == mixed.lower()
    assert address.checksummed(mixed.lower()) == mixed
    assert address.parse(mixed.lower()) == bytes.fromhex(mixed[2:])
    for bad in (mixed.replace("aA", "Aa"), mixed[:-1], mixed[2:], mixed + "\n", ""):
        assert not address.is_valid(bad)
