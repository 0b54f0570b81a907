"""Following an EVM contract: every log once, whatever the node does."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from casino import finality
from casino.pages import apply as apply_page
from chains.chain import Fact
from chains.errors import RetryLater, RpcError, WrongChain
from chains.evm.ranges import RangeTooLarge
from chains.evm.rpc import Rpc
from indexer import evm
from indexer.evm import DeepReorg, EvmListener
from indexer.inbox import Inbox
from indexer.stride import Stride
from tests.indexer.conftest import evm_address, follow
from tests.indexer.nodes import EvmChain, FakeNode, serving

Rows = Callable[..., list[tuple[Any, ...]]]


@contextlib.asynccontextmanager
async def listening(
    inbox: Inbox, chain: EvmChain, *, start: int = 0, most: int = 500
) -> AsyncIterator[tuple[EvmListener, FakeNode]]:
    source = await follow(inbox, chain.address, "eip155:31337", start=start)
    async with serving(chain.node()) as node:
        rpc = Rpc([node.url], rate=10_000)
        try:
            yield EvmListener(source, rpc, inbox, start, most), node
        finally:
            await rpc.close()


async def work_off(listener: EvmListener) -> int:
    pages = 0
    while (found := await listener.backfill()) is not None:
        pages += len(found)
    return pages


def stored(rows: Rows, listener: EvmListener) -> list[tuple[Any, ...]]:
    return rows(
        "SELECT position, tx, index, block_hash FROM raw_events WHERE source_id = %s"
        " ORDER BY position, index",
        listener.source.id,
    )


def expected(chain: EvmChain) -> list[tuple[Any, ...]]:
    return [
        (int(log["blockNumber"], 16), log["transactionHash"], n, log["blockHash"])
        for block in chain.logs
        for n, log in enumerate(block)
    ]


def frontier(rows: Rows, listener: EvmListener) -> int:
    found: int = rows("SELECT frontier FROM sources WHERE id = %s", listener.source.id)[0][0]
    return found


async def test_history_and_head_are_read_once_each(inbox: Inbox, rows: Rows) -> None:
    chain = EvmChain(evm_address())
    for number in range(700):
        chain.add(number % 3)
    async with listening(inbox, chain, start=1, most=100) as (listener, _):
        assert (await listener.poll()).head == 700
        assert frontier(rows, listener) == 0
        for _ in range(3):
            chain.add(1)
            assert len((await listener.poll()).pages) == 1
        assert await work_off(listener) == 5
        assert stored(rows, listener) == expected(chain)
        assert frontier(rows, listener) == 703
        pages = rows(
            "SELECT fresh, state, count(*) FROM pages WHERE source_id = %s GROUP BY 1, 2",
            listener.source.id,
        )
        assert sorted(pages) == [(False, "stored", 5), (True, "stored", 4)]
        times = rows(
            "SELECT count(*) FROM raw_events WHERE source_id = %s AND extract(epoch FROM time)"
            " <> 1790000000 + position",
            listener.source.id,
        )
        assert times == [(0,)]
        assert (await listener.poll()).pages == []


async def test_empty_blocks_move_the_frontier(inbox: Inbox, rows: Rows) -> None:
    chain = EvmChain(evm_address())
    async with listening(inbox, chain) as (listener, _):
        for _ in range(3):
            chain.add()
            assert (await listener.poll()).pages == []
        assert frontier(rows, listener) == 3


async def test_a_fork_is_rewound_to_the_common_ancestor(inbox: Inbox, rows: Rows) -> None:
    chain = EvmChain(evm_address())
    for _ in range(10):
        chain.add(2)
    async with listening(inbox, chain) as (listener, _):
        await listener.poll()
        chain.reorg(4)
        for _ in range(6):
            chain.add(1, fork="b")
        assert len((await listener.poll()).pages) == 1
        assert stored(rows, listener) == expected(chain)


async def test_a_fork_of_the_same_or_a_smaller_height_is_seen(inbox: Inbox, rows: Rows) -> None:
    chain = EvmChain(evm_address())
    for _ in range(10):
        chain.add(2)
    async with listening(inbox, chain) as (listener, _):
        await listener.poll()
        chain.reorg(3)
        for _ in range(3):
            chain.add(1, fork="same")
        await listener.poll()
        await listener.poll()
        assert stored(rows, listener) == expected(chain)
        chain.reorg(4)
        chain.add(0, fork="shorter")
        await listener.poll()
        await listener.poll()
        assert stored(rows, listener) == expected(chain)
        assert frontier(rows, listener) == 7


async def test_a_node_that_falls_behind_takes_nothing_back(inbox: Inbox, rows: Rows) -> None:
    chain = EvmChain(evm_address())
    for _ in range(10):
        chain.add(2)
    async with listening(inbox, chain) as (listener, _):
        await listener.poll()
        whole = expected(chain)
        later = (chain.blocks[6:], chain.logs[6:])
        chain.reorg(5)
        for _ in range(3):
            await listener.poll()
        assert stored(rows, listener) == whole
        chain.blocks += later[0]
        chain.logs += later[1]
        chain.add(1)
        await listener.poll()
        assert stored(rows, listener) == expected(chain)


async def test_a_reorg_during_downtime_is_found_at_restart(inbox: Inbox, rows: Rows) -> None:
    chain = EvmChain(evm_address())
    for _ in range(10):
        chain.add(1)
    async with listening(inbox, chain) as (listener, _):
        await listener.poll()
    chain.reorg(3)
    for _ in range(3):
        chain.add(2, fork="while away")
    async with listening(inbox, chain) as (listener, _):
        await listener.poll()
        await listener.poll()
        assert stored(rows, listener) == expected(chain)


async def test_a_reorg_deeper_than_the_window_stops_loudly(
    inbox: Inbox, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evm, "WINDOW", 8)
    chain = EvmChain(evm_address())
    for _ in range(30):
        chain.add(1)
    async with listening(inbox, chain, start=1) as (listener, _):
        await listener.poll()
        await work_off(listener)
        before = stored(rows, listener)
        assert before == expected(chain)
        chain.reorg(15)
        for _ in range(16):
            chain.add(1, fork="deep")
        with pytest.raises(DeepReorg, match="deeper than the 8 blocks"):
            await listener.poll()
        assert stored(rows, listener) == before


async def test_a_long_pause_leaves_a_gap_that_is_worked_off(
    inbox: Inbox, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evm, "WINDOW", 8)
    chain = EvmChain(evm_address())
    chain.add(1)
    async with listening(inbox, chain) as (listener, _):
        await listener.poll()
        for _ in range(50):
            chain.add(1)
        await listener.poll()
        assert frontier(rows, listener) == 1
        await listener.poll()
        await work_off(listener)
        assert stored(rows, listener) == expected(chain)
        assert frontier(rows, listener) == 51


async def test_headers_of_two_forks_or_foreign_logs_are_asked_again(
    inbox: Inbox, rows: Rows
) -> None:
    chain = EvmChain(evm_address())
    for _ in range(5):
        chain.add(1)
    async with listening(inbox, chain) as (listener, _):
        right = chain.blocks[3]
        chain.blocks[3] = right | {"hash": "0x" + "ee" * 32}
        with pytest.raises(RetryLater, match="the chain changed"):
            await listener.poll()
        chain.blocks[3] = right
        chain.logs[5][0]["blockHash"] = "0x" + "ee" * 32
        with pytest.raises(RetryLater, match="not of its header"):
            await listener.poll()
        assert stored(rows, listener) == []
        chain.logs[5][0]["blockHash"] = chain.blocks[5]["hash"]
        await listener.poll()
        assert stored(rows, listener) == expected(chain)


async def test_logs_that_the_bloom_promises_are_asked_for_again(inbox: Inbox, rows: Rows) -> None:
    chain = EvmChain(evm_address())
    chain.add(2)
    async with listening(inbox, chain) as (listener, node):
        answers = [[], chain.methods()["eth_getLogs"]]

        def late(asked: dict[str, str]) -> Any:
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            return answer(asked) if callable(answer) else answer

        node.methods["eth_getLogs"] = late
        await listener.poll()
        assert stored(rows, listener) == expected(chain)


async def test_a_pool_whose_node_lags_is_asked_until_it_has_all(inbox: Inbox, rows: Rows) -> None:
    chain = EvmChain(evm_address())
    for _ in range(4):
        chain.add(1)
    async with listening(inbox, chain) as (listener, node):
        heads = iter([4, 3, 3, 3])
        node.methods["eth_blockNumber"] = lambda: hex(next(heads))
        with pytest.raises(RpcError, match="lags behind block 4"):
            await listener.poll()
        node.methods["eth_blockNumber"] = lambda: hex(chain.head)
        await listener.poll()
        assert stored(rows, listener) == expected(chain)


async def test_ranges_shrink_to_what_the_node_answers(inbox: Inbox, rows: Rows) -> None:
    chain = EvmChain(evm_address())
    for _ in range(600):
        chain.add(1)
    chain.most = 30
    async with listening(inbox, chain) as (listener, node):
        await listener.poll()
        await work_off(listener)
        assert stored(rows, listener) == expected(chain)
        refused = [
            asked
            for [asked] in node.asked("eth_getLogs")
            if int(asked["toBlock"], 16) - int(asked["fromBlock"], 16) >= 30
        ]
        assert len(refused) < 12


async def test_a_single_block_that_is_refused_says_so_and_is_not_asked_for_ever(
    inbox: Inbox, rows: Rows
) -> None:
    """E2."""
    chain = EvmChain(evm_address())
    for _ in range(300):
        chain.add(1)
    async with listening(inbox, chain, most=64) as (listener, node):
        await listener.poll()
        chain.most, before = 0, node.requests
        with pytest.raises(RangeTooLarge, match="more than 10000"):
            await listener.backfill()
        assert node.requests - before == 6  # 44, 22, 11, 5, 2, 1
        chain.most = 10_000
        await work_off(listener)
        assert stored(rows, listener) == expected(chain)


async def test_a_node_without_old_blocks_leaves_the_frontier_where_it_is(
    inbox: Inbox, rows: Rows
) -> None:
    """E10."""
    chain = EvmChain(evm_address())
    for _ in range(400):
        chain.add(1)
    async with listening(inbox, chain, start=1) as (listener, _):
        await listener.poll()
        chain.oldest = 100
        with pytest.raises(RpcError, match="does not have block 1"):
            await listener.backfill()
        assert frontier(rows, listener) == 0
        chain.oldest = 0
        await work_off(listener)
        assert stored(rows, listener) == expected(chain)


@pytest.mark.parametrize("length", [3, 40])
async def test_a_chain_that_began_again_is_no_reorg(inbox: Inbox, rows: Rows, length: int) -> None:
    """E36: the local node was started anew; behind our cursor or past it, nothing is taken back."""
    chain = EvmChain(evm_address())
    for _ in range(20):
        chain.add(1)
    async with listening(inbox, chain) as (listener, _):
        await listener.poll()
        before = stored(rows, listener)
        chain.reorg(21)
        for _ in range(length + 1):
            chain.add(1, fork="anew")
        for _ in range(2):
            with pytest.raises(WrongChain, match="the chain began again"):
                await listener.poll()
        assert stored(rows, listener) == before


async def test_logs_without_a_transaction_of_their_own_stand_side_by_side(
    inbox: Inbox, rows: Rows
) -> None:
    """E34: ZKsync and Polygon give logs of the system the hash zero; their place tells them."""
    chain = EvmChain(evm_address())
    for _ in range(2):
        chain.add(3)
    for log in (log for block in chain.logs for log in block):
        log["transactionHash"] = "0x" + "00" * 32
    async with listening(inbox, chain) as (listener, _):
        await listener.poll()
        assert stored(rows, listener) == expected(chain)
        assert len(expected(chain)) == 6


def test_a_stride_halves_grows_slowly_and_keeps_a_rule() -> None:
    stride = Stride.of(500)
    stride.refused(500, None)
    assert stride.size == 250
    for _ in range(50):
        stride.answered(stride.size, 7)
    assert stride.size == 499
    stride.refused(499, 100)
    for _ in range(500):
        stride.answered(stride.size, 7)
    assert stride.size == 100
    stride.refused(1, None)
    assert stride.size == 1


def test_dense_blocks_are_asked_for_in_smaller_ranges() -> None:
    stride = Stride.of(500)
    stride.answered(500, 100 * 500)
    assert stride.size == 100
    stride.answered(100, 100 * 100)
    assert stride.size == 100
    stride.answered(20, 3)  # a short range says nothing about long ones
    assert stride.size == 100
    stride.answered(100, 10)
    assert stride.size == 111
    stride.answered(1, 30_000)
    assert stride.size == 1


async def test_finality_waits_for_our_chain_to_be_the_final_one(inbox: Inbox, rows: Rows) -> None:
    chain = EvmChain(evm_address())
    for _ in range(4):
        chain.add(1)
    async with listening(inbox, chain) as (listener, _):
        await listener.poll()
        assert await listener.finalize(2) == 0
        chain.reorg(2)
        for _ in range(2):
            chain.add(1, fork="final")
        with pytest.raises(RetryLater, match="not the final one"):
            await listener.finalize(4)


def final_pages(rows: Rows, listener: EvmListener) -> list[tuple[Any, ...]]:
    return rows(
        "SELECT lower, upper, final FROM pages WHERE source_id = %s ORDER BY lower",
        listener.source.id,
    )


async def test_history_is_final_up_to_the_finalized_block_and_no_further(
    inbox: Inbox, rows: Rows
) -> None:
    chain = EvmChain(evm_address())
    for _ in range(700):
        chain.add(1)
    async with listening(inbox, chain, start=1, most=200) as (listener, _):
        listener.final = 300
        await listener.poll()
        await work_off(listener)
        assert stored(rows, listener) == expected(chain)
        assert final_pages(rows, listener) == [
            (1, 200, True),
            (201, 300, True),
            (301, 444, False),
            (445, 700, False),
        ]


async def deposits(inbox: Inbox, listener: EvmListener, *numbers: int) -> None:
    """Facts of these blocks, as a worker applies them."""
    facts = [
        Fact("deposited", n, f"{listener.source.id}-{n}", 0, None, {"player": "ada", "amount": 1})
        for n in numbers
    ]
    async with inbox.transaction() as session:
        await apply_page(session, listener.source, facts, fresh=False)


async def test_what_is_interpreted_late_is_promoted_though_the_chain_stands_still(
    inbox: Inbox, rows: Rows
) -> None:
    chain = EvmChain(evm_address())
    for _ in range(10):
        chain.add(1)
    async with listening(inbox, chain) as (listener, node):
        await listener.poll()
        await deposits(inbox, listener, 3, 9)
        assert await listener.finalize(8) == 1
        asked = len(node.asked("eth_getBlockByNumber"))
        assert await listener.finalize(8) == 0
        assert len(node.asked("eth_getBlockByNumber")) == asked  # nothing to promote, no question
        await deposits(inbox, listener, 4)
        assert await listener.finalize(8) == 1


async def test_a_backlog_is_promoted_in_small_transactions_newest_first(
    inbox: Inbox, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finality, "BATCH", 10)
    monkeypatch.setattr(evm, "ROUNDS", 3)
    chain = EvmChain(evm_address())
    for _ in range(100):
        chain.add(1)
    async with listening(inbox, chain) as (listener, _):
        await listener.poll()
        await deposits(inbox, listener, *range(1, 91))
        assert await listener.finalize(95) == 30
        left = "SELECT max(position) FROM chain_transfers WHERE finality = 'confirmed'"
        assert rows(left + " AND source_id = %s", listener.source.id) == [(60,)]
        assert await listener.finalize(95) == 30
        assert await listener.finalize(95) == 30
        assert await listener.finalize(95) == 0
