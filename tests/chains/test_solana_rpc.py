"""Asking Solana nodes that misbehave."""

from __future__ import annotations

import base64
import struct
from typing import Any

import pytest

from chains.errors import RpcError
from chains.http import Refused
from chains.solana import finality
from chains.solana.rpc import Rpc, Status
from tests.indexer.nodes import FakeNode, Oops, serving


async def test_every_call_names_its_commitment() -> None:
    node = FakeNode(
        {
            "getSlot": lambda options: 7,
            "getSignaturesForAddress": lambda address, options: [],
            "getTransaction": lambda signature, options: None,
        }
    )
    async with serving(node):
        rpc = Rpc([node.url], rate=1000)
        await rpc.head()
        await rpc.finalized()
        await rpc.signatures("A", before="b", until="u", floor=9)
        assert await rpc.transaction("s") is None
        await rpc.close()
    assert node.asked("getSlot") == [[{"commitment": "confirmed"}], [{"commitment": "finalized"}]]
    assert node.asked("getSignaturesForAddress") == [
        [
            "A",
            {
                "commitment": "confirmed",
                "limit": 1000,
                "before": "b",
                "until": "u",
                "minContextSlot": 9,
            },
        ]
    ]
    asked: dict[str, Any] = node.asked("getTransaction")[0][1]
    assert (asked["commitment"], asked["maxSupportedTransactionVersion"]) == ("confirmed", 1)


async def test_a_node_behind_the_floor_is_left_for_the_next() -> None:
    def behind(address: str, options: dict[str, Any]) -> None:
        raise Oops(-32016, "Minimum context slot has not been reached")

    row = {"signature": "s", "slot": 10, "err": None, "blockTime": 5, "memo": None}
    slow = FakeNode({"getSignaturesForAddress": behind})
    quick = FakeNode({"getSignaturesForAddress": lambda address, options: [row]})
    async with serving(slow), serving(quick):
        rpc = Rpc([slow.url, quick.url], rate=1000)
        found = await rpc.signatures("A", before=None, until=None, floor=9)
        assert [(one.signature, one.slot, one.block_time) for one in found] == [("s", 10, 5)]
        await rpc.close()


async def test_a_transaction_of_an_unknown_version_is_an_alarm_not_a_null() -> None:
    def newer(signature: str, options: dict[str, Any]) -> None:
        raise Oops(-32015, "Transaction version (2) is not supported by the requesting client")

    node = FakeNode({"getTransaction": newer})
    async with serving(node):
        rpc = Rpc([node.url], rate=1000)
        with pytest.raises(Refused, match="version"):
            await rpc.transaction("s")
        assert node.requests == 1
        await rpc.close()


async def test_an_answer_of_another_shape_is_an_error() -> None:
    async with serving(FakeNode({"getSlot": lambda options: {"slot": 1}})) as node:
        rpc = Rpc([node.url], rate=1000)
        with pytest.raises(RpcError, match="another shape"):
            await rpc.head()
        await rpc.close()


def status(slot: int, *, err: Any = None, at: str = "finalized") -> Status:
    return Status(slot, err, at)


def test_only_the_finalized_is_promoted_and_only_the_long_missing_falls() -> None:
    missing = finality.Missing(patience=4)
    txs = ["final", "waits", "failed", "gone", "back"]
    first = [status(1), status(2, at="confirmed"), status(3, err={"a": 1}), None, None]
    found = missing.verdicts(txs, first)
    assert (found.final, found.fallen) == (["final"], ["failed"])
    # A node that knows none of them may lag: that look hardly counts.
    assert missing.verdicts(["gone", "back"], [None, None]).fallen == []
    for _ in range(2):
        found = missing.verdicts(["gone", "back", "x"], [None, status(9), status(9)])
        assert found.fallen == []
        assert found.final == ["back", "x"]
    assert missing.verdicts(["gone", "x"], [None, status(9)]).fallen == ["gone"]


async def test_finality_lags_as_far_as_the_clocks_are_apart() -> None:
    times = {"confirmed": 1_790_000_013, "finalized": 1_790_000_000}

    def account(address: str, options: dict[str, str]) -> dict[str, Any]:
        assert address.startswith("SysvarC1ock")
        clock = struct.pack("<QqQQq", 7, 0, 1, 1, times[options["commitment"]])
        data = [base64.b64encode(clock).decode(), "base64"]
        return {"value": {"lamports": 1, "executable": False, "data": data}}

    async with serving(FakeNode({"getAccountInfo": account})) as node:
        rpc = Rpc([node.url], rate=1000)
        assert await rpc.lag() == 13.0
        times["finalized"] = times["confirmed"] + 1  # two nodes, of which one is ahead
        assert await rpc.lag() == 0.0
        await rpc.close()


@pytest.mark.parametrize("data", [["what!", "base64"], ["AAAA", "base64"], None])
async def test_a_clock_that_cannot_be_read_is_an_error_of_the_node(data: Any) -> None:
    value = None if data is None else {"lamports": 1, "data": data}
    node = FakeNode({"getAccountInfo": lambda address, options: {"value": value}})
    async with serving(node):
        rpc = Rpc([node.url], rate=1000)
        with pytest.raises(RpcError):
            await rpc.lag()
        await rpc.close()
