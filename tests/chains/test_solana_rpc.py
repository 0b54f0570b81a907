"""Asking Solana nodes that misbehave."""

from __future__ import annotations

import base64
import contextlib
import struct
from typing import Any

import pytest

from chains.errors import RpcError
from chains.http import Refused
from chains.solana import finality
from chains.solana.address import to_base58 as base58
from chains.solana.rpc import Rpc, Status
from tests.indexer.nodes import FakeNode, Oops, SolanaChain, html, serving


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


def recent(*txs: str) -> list[tuple[str, int]]:
    return [(tx, 1_000) for tx in txs]


def test_only_the_finalized_is_promoted_and_only_the_long_missing_falls() -> None:
    missing = finality.Missing(patience=4)

    def look(txs: list[str], statuses: list[Status | None]) -> finality.Verdicts:
        return missing.verdicts(recent(*txs), statuses, finalized=1_100)

    first = [status(1), status(2, at="confirmed"), status(3, err={"a": 1}), None, None]
    found = look(["final", "waits", "failed", "gone", "back"], first)
    assert (found.final, found.fallen) == (["final"], ["failed"])
    # A node that knows none of them may lag: that look hardly counts.
    assert look(["gone", "back"], [None, None]).fallen == []
    for _ in range(2):
        found = look(["gone", "back", "x"], [None, status(9), status(9)])
        assert found.fallen == []
        assert found.final == ["back", "x"]
    assert look(["gone", "x"], [None, status(9)]).fallen == ["gone"]


@pytest.mark.parametrize("others", [[], [status(1, at="confirmed")]])
def test_what_a_node_forgot_with_time_never_falls_by_silence(others: list[Status]) -> None:
    missing = finality.Missing(patience=4)
    asked = [("old", 1_000), ("other", 1_000)][: 1 + len(others)]
    assert missing.verdicts(asked, [None, *others], finalized=1_150).doubtful == []
    for finalized in range(1_151, 1_400):
        found = missing.verdicts(asked, [None, *others], finalized=finalized)
        assert (found.fallen, found.doubtful) == ([], [("old", 1_000)])


def chain_of(*slots: int, final: int = 900) -> tuple[SolanaChain, list[str]]:
    chain = SolanaChain(base58(b"\x07" * 32))
    signatures = [chain.add(slot=slot) for slot in slots]
    chain.slot, chain.final = final + 40, final
    return chain, signatures


async def verdict(*chains: SolanaChain, tx: str, slot: int) -> bool | None:
    """What the nodes of these chains, as providers of one network, prove together."""
    async with contextlib.AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(serving(chain.node())) for chain in chains]
        rpc = Rpc([node.url for node in nodes], rate=10_000)
        stack.push_async_callback(rpc.close)
        return await rpc.fell(tx, slot)


async def test_a_block_without_the_transaction_proves_that_it_fell() -> None:
    chain, (tx,) = chain_of(500)
    assert await verdict(chain, tx=tx, slot=500) is False
    chain.txs.clear()
    assert await verdict(chain, tx=tx, slot=500) is True


async def test_a_slot_that_the_chain_jumped_over_proves_that_it_fell() -> None:
    chain, (tx,) = chain_of(500)
    chain.dropped = {500, 501}
    assert await verdict(chain, tx=tx, slot=500) is True
    # What the node has begins further up, so that the next block it gives says nothing of the slot.
    chain.oldest = 600
    assert await verdict(chain, tx=tx, slot=500) is None


async def test_a_node_without_the_slot_proves_nothing() -> None:
    chain, (tx,) = chain_of(500)
    chain.oldest = 600
    assert await verdict(chain, tx=tx, slot=500) is None


async def test_one_provider_that_has_it_outweighs_all_that_do_not() -> None:
    (archive, (tx,)), (young, _) = chain_of(500), chain_of(500)
    young.txs.clear()
    assert await verdict(young, archive, tx=tx, slot=500) is False
    archive.txs.clear()
    young.oldest = 600
    assert await verdict(young, archive, tx=tx, slot=500) is True


@pytest.mark.parametrize("err", [None, {"InstructionError": [0, "Custom"]}])
async def test_a_transaction_that_is_there_fell_only_if_it_failed(err: Any) -> None:
    chain, (tx,) = chain_of(500)
    chain.txs[0]["meta"]["err"] = err
    node = chain.node()
    # Without its block there is only the transaction itself to go by.
    del node.methods["getBlock"]
    async with serving(node):
        rpc = Rpc([node.url], rate=10_000)
        assert await rpc.fell(tx, 500) is (err is not None)
        await rpc.close()


async def test_a_provider_that_does_not_answer_leaves_it_open() -> None:
    chain, (tx,) = chain_of(500)
    chain.txs.clear()
    async with serving(chain.node()) as node, serving(FakeNode()) as mute:
        rpc = Rpc([node.url, mute.url], rate=10_000)
        assert await rpc.fell(tx, 500) is None  # it refuses to say
        mute.troubles = [html(502)]
        with pytest.raises(RpcError, match="502"):
            await rpc.fell(tx, 500)
        await rpc.close()


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


async def test_a_slot_is_final_with_the_first_block_32_slots_on_that_is_final_itself() -> None:
    skipped = {232, 233}
    node = FakeNode(
        {
            "getSlot": lambda options: 300,
            "getBlocks": lambda lower, upper, options: [
                slot for slot in range(lower, upper + 1) if slot not in skipped
            ],
            "getBlockTime": lambda slot: 5_000 + slot,
        }
    )
    async with serving(node):
        rpc = Rpc([node.url], rate=1000)
        found = {at: await rpc.final_at(at) for at in (100, 199, 200, 201, 202, 268, 269, 10**6)}
        skipped.update(range(232, 301))
        with pytest.raises(RpcError, match="no block at slot 232 or soon after"):
            await rpc.final_at(200)
        await rpc.close()
    assert found == {
        100: 5_132,
        199: 5_231,
        200: 5_234,
        201: 5_234,
        202: 5_234,
        268: 5_300,
        269: None,
        10**6: None,
    }
    assert {asked[0]["commitment"] for asked in node.asked("getSlot")} == {"finalized"}
    assert {asked[2]["commitment"] for asked in node.asked("getBlocks")} == {"finalized"}


async def test_a_block_of_which_no_node_knows_the_time_is_not_said_to_be_final() -> None:
    node = FakeNode(
        {
            "getSlot": lambda options: 300,
            "getBlocks": lambda lower, upper, options: [lower],
            "getBlockTime": lambda slot: None,
        }
    )
    async with serving(node):
        rpc = Rpc([node.url], rate=1000)
        with pytest.raises(RpcError, match="no time of slot 132"):
            await rpc.final_at(100)
        await rpc.close()
