"""Asking EVM nodes that misbehave."""

from __future__ import annotations

import time

import pytest
from aiohttp import web

from chains.errors import RpcError, WrongChain
from chains.evm import finality
from chains.evm.ranges import hinted, too_large
from chains.evm.rpc import RangeTooLarge, Rpc
from chains.http import Refused
from tests.indexer.nodes import EvmChain, FakeNode, Oops, html, said, serving

ADDRESS = "0x" + "ca" * 20

REFUSALS = [
    "query returned more than 10000 results",
    "query returned more than 10000 results. Try with this block range [0x0, 0x9].",
    "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range and"
    " no limit on the response size, or you can request any block range with a cap of 10K logs in"
    " the response. Based on your parameters and the response size limit, this block range should"
    " work: [0x0, 0x9]",
    "Under the Free tier plan, you can make eth_getLogs requests with up to a 10 block range. Based"
    " on your parameters, this block range should work: [0x0, 0x9].",
    "eth_getLogs is limited to a 10,000 range",
    "eth_getLogs and eth_newFilter are limited to a 10,000 blocks range",
    "block range is too wide",
    "Block range too large",
    "exceed maximum block range: 5000",
    "block range limit exceeded",
    "range must not exceed 1000 blocks",
    "exceeds the range allowed for your plan (5000 > 1000).",
    "Max range: 1024",
    "maximum RPC range limit is 500",
    "query exceeds max results 20000, retry with the range 0-9",
    "logs matched by query exceeds limit of 10000",
    "query timeout exceeded",
    "backend response too large",
    "response size should not greater than 150000000 bytes",
    "too many blocks: the maximum is 1000",
    "eth_getLogs block range too large, range: 20000, max: 10000",
    "requested too many blocks from 0 to 9999, maximum is set to 2048",
]
OTHERS = [
    "rate limit exceeded",
    "Your app has exceeded its compute units per second capacity.",
    "daily request limit reached",
    "invalid argument 0: hex string has length 3, want 40 for common.Address",
    "header not found",
    "method handler crashed",
    "execution reverted",
]


@pytest.mark.parametrize("said_", REFUSALS)
def test_every_wording_of_too_large_is_understood(said_: str) -> None:
    assert too_large(said_, 0, 19_999) is not None


@pytest.mark.parametrize("said_", OTHERS)
def test_no_other_refusal_is_taken_for_too_large(said_: str) -> None:
    assert too_large(said_, 0, 19_999) is None


@pytest.mark.parametrize(
    ("said_", "blocks"),
    [
        ("this block range should work: [0x0, 0x9]", 10),
        ("this block range should work: [0x9, 0x0]", None),
        ("this block range should work: [0x5, 0x9]", None),
        ("query exceeds max results 20000, retry with the range 0-9", 10),
        ("eth_getLogs is limited to a 10,000 range", 10_000),
        ("exceeds the range allowed for your plan (50000 > 1000).", 1000),
        ("exceed maximum block range: 5000", 5000),
        ("query returned more than 10000 results", None),
        ("maximum RPC range limit is 90000", None),
    ],
)
def test_a_hint_is_taken_when_it_makes_sense(said_: str, blocks: int | None) -> None:
    assert hinted(said_, 0, 19_999) == blocks


async def test_trouble_passes_and_the_answer_comes() -> None:
    chain = EvmChain(ADDRESS)
    troubles = [
        html(),
        html(502),
        web.Response(status=429, headers={"retry-after": "0"}),
        web.Response(text='{"jsonrpc":"2.0","id":0,"resu', content_type="application/json"),
        said({"id": 0, "error": {"code": -32005, "message": "rate limit exceeded"}}),
    ]
    async with serving(chain.node(troubles=troubles)) as node:
        rpc = Rpc([node.url, node.url], rate=1000)
        assert await rpc.head() == 0
        assert node.requests == 6
        await rpc.close()


async def test_a_refusal_is_not_asked_again() -> None:
    def no(*_: object) -> None:
        raise Oops(-32602, "invalid address")

    async with serving(FakeNode({"eth_blockNumber": no})) as node:
        rpc = Rpc([node.url], rate=1000)
        with pytest.raises(Refused, match="invalid address"):
            await rpc.head()
        assert node.requests == 1
        await rpc.close()


async def test_the_next_provider_answers_when_the_first_is_gone() -> None:
    chain = EvmChain(ADDRESS)
    async with serving(chain.node()) as node:
        rpc = Rpc(["http://127.0.0.1:9/", node.url], rate=1000)
        assert await rpc.network() == "eip155:31337"
        started = time.monotonic()
        assert await rpc.head() == 0
        assert time.monotonic() - started < 0.2
        await rpc.close()


async def test_a_provider_of_another_chain_is_not_asked() -> None:
    right, wrong = EvmChain(ADDRESS), EvmChain(ADDRESS, chain_id=1)
    right.add(1)
    async with serving(right.node()) as first, serving(wrong.node()) as second:
        rpc = Rpc([first.url, second.url], rate=1000)
        assert await rpc.network() == "eip155:31337"
        first.troubles = [html(500), html(500)]
        assert await rpc.head() == 1
        assert second.asked("eth_blockNumber") == []
        await rpc.close()
        rpc = Rpc([second.url], rate=1000)
        rpc.node.expected = "eip155:31337"
        with pytest.raises(WrongChain, match="eip155:1,"):
            await rpc.head()
        await rpc.close()


async def test_a_lagging_node_is_not_believed() -> None:
    ahead, behind = EvmChain(ADDRESS), EvmChain(ADDRESS)
    for _ in range(5):
        ahead.add(2)
    behind.blocks, behind.logs = ahead.blocks[:3], ahead.logs[:3]
    async with serving(behind.node()) as slow, serving(ahead.node()) as quick:
        rpc = Rpc([slow.url, quick.url], rate=1000)
        assert len(await rpc.logs(ADDRESS, 1, 5)) == 10
        assert [int(h.number, 16) for h in await rpc.headers([4, 5])] == [4, 5]
        await rpc.close()
        rpc = Rpc([slow.url], rate=1000)
        with pytest.raises(RpcError, match="lags behind block 5"):
            await rpc.logs(ADDRESS, 1, 5)
        await rpc.close()


async def test_a_provider_without_batches_is_asked_one_by_one() -> None:
    chain = EvmChain(ADDRESS)
    chain.add(3)
    async with serving(chain.node(batches=False)) as node:
        rpc = Rpc([node.url], rate=1000)
        assert len(await rpc.logs(ADDRESS, 0, 1)) == 3
        assert len(await rpc.logs(ADDRESS, 0, 1)) == 3
        assert node.requests == 1 + 2 + 2
        await rpc.close()


async def test_a_batch_that_lacks_an_answer_is_asked_again() -> None:
    chain = EvmChain(ADDRESS)
    chain.add(1)
    partial = said([{"id": 0, "result": "0x1"}])
    async with serving(chain.node(troubles=[partial])) as node:
        rpc = Rpc([node.url], rate=1000)
        assert len(await rpc.logs(ADDRESS, 0, 1)) == 1
        await rpc.close()


async def test_a_range_too_large_is_said_at_once_with_its_hint() -> None:
    chain = EvmChain(ADDRESS)
    for _ in range(20):
        chain.add()
    chain.most, chain.too_large = 10, "eth_getLogs is limited to a 10 range"
    async with serving(chain.node()) as node:
        rpc = Rpc([node.url], rate=1000)
        with pytest.raises(RangeTooLarge) as raised:
            await rpc.logs(ADDRESS, 0, 20)
        assert raised.value.hint == 10
        assert node.requests == 1
        with pytest.raises(ValueError, match="goes up"):
            await rpc.logs(ADDRESS, 5, 4)
        await rpc.close()


async def test_without_a_finalized_tag_depth_decides_and_a_busy_node_does_not() -> None:
    chain = EvmChain(ADDRESS)
    for _ in range(9):
        chain.add()
    chain.final = 3
    async with serving(chain.node()) as node:
        rpc = Rpc([node.url], rate=1000)
        assert await rpc.finalized(2) == 3

        def unknown(number: str, _: bool) -> None:
            raise Oops(-32000, "invalid block tag: finalized")

        node.methods["eth_getBlockByNumber"] = unknown
        fresh = Rpc([node.url], rate=1000)
        assert await fresh.finalized(2) == 7
        await fresh.close()

        def busy(number: str, _: bool) -> None:
            raise Oops(-32005, "rate limit exceeded")

        node.methods["eth_getBlockByNumber"] = busy
        with pytest.raises(RpcError, match="rate limit"):
            await rpc.finalized(2)
        await rpc.close()
    assert finality.height(1, 64) == 0


@pytest.mark.parametrize(
    ("final", "age", "expected"),
    [(3, 0, 84.0), (3, 80, 84.0), (3, 100, None), (10, 500, 0.0)],
)
async def test_finality_lags_by_time_unless_the_chain_stands_still(
    final: int, age: int, expected: float | None
) -> None:
    """Twelve seconds a block; the head is `age` seconds old."""
    chain = EvmChain(ADDRESS)
    for _ in range(10):
        chain.add()
    now = int(time.time())
    for block in chain.blocks:
        block["timestamp"] = hex(now - age - 12 * (chain.head - int(block["number"], 16)))
    chain.final = final
    node = chain.node()
    ask = node.methods["eth_getBlockByNumber"]
    node.methods["eth_getBlockByNumber"] = lambda number, full: ask(
        hex(chain.head) if number == "latest" else number, full
    )
    async with serving(node):
        rpc = Rpc([node.url], rate=1000)
        assert await rpc.lag(0) == expected
        await rpc.close()


async def test_a_final_block_once_named_and_then_not_is_waited_for() -> None:
    """E25: a pool's other node may not know the tag, and depth would say more than was said."""
    chain = EvmChain(ADDRESS)
    for _ in range(9):
        chain.add()
    chain.final = 3
    async with serving(chain.node()) as node:
        rpc = Rpc([node.url], rate=1000)
        assert await rpc.finalized(2) == 3

        def unknown(number: str, _: bool) -> None:
            raise Oops(-32000, "invalid block tag: finalized")

        for answer in (lambda *_: None, unknown):
            node.methods["eth_getBlockByNumber"] = answer
            with pytest.raises(RpcError, match="no final block"):
                await rpc.finalized(2)
        await rpc.close()


@pytest.mark.parametrize("code", [-32005, -32029, -32097, -32004, -32014, -32016, -32603])
async def test_errors_that_pass_with_time_are_asked_elsewhere(code: int) -> None:
    """S14, S46, E30: of these codes none says that there is nothing."""

    def busy() -> None:
        raise Oops(code, "?")

    chain = EvmChain(ADDRESS)
    chain.add()
    async with (
        serving(FakeNode({"eth_blockNumber": busy})) as first,
        serving(chain.node()) as second,
    ):
        rpc = Rpc([first.url, second.url], rate=1000)
        assert await rpc.head() == 1
        assert await rpc.head() == 1
        assert first.requests == 1  # it rests after a failure
        await rpc.close()


async def test_a_node_that_dropped_old_blocks_is_not_believed_about_them() -> None:
    """E10: it answers with nothing, and nothing would be a hole."""
    pruned, whole = EvmChain(ADDRESS), EvmChain(ADDRESS)
    for chain in (pruned, whole):
        for _ in range(9):
            chain.add(1)
    pruned.oldest = 6
    async with serving(pruned.node()) as short, serving(whole.node()) as long:
        rpc = Rpc([short.url, long.url], rate=1000)
        assert len(await rpc.logs(ADDRESS, 2, 5, old=True)) == 4
        await rpc.close()
        rpc = Rpc([short.url], rate=1000)
        assert len(await rpc.logs(ADDRESS, 6, 9, old=True)) == 4
        with pytest.raises(RpcError, match="does not have block 2"):
            await rpc.logs(ADDRESS, 2, 5, old=True)
        await rpc.close()


async def test_the_budget_holds_calls_back() -> None:
    chain = EvmChain(ADDRESS)
    async with serving(chain.node()) as node:
        rpc = Rpc([node.url], rate=20)
        started = time.monotonic()
        for _ in range(30):
            await rpc.head()
        # Twenty may go at once, ten wait for half a second.
        assert 0.4 < time.monotonic() - started < 3
        await rpc.close()
