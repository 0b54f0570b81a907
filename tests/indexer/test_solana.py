"""Following a Solana program: every signature once, whatever the node does."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from chains.errors import RpcError
from chains.solana.rpc import Rpc
from indexer.inbox import Inbox
from indexer.solana import SolanaListener
from tests.indexer.conftest import follow, solana_address
from tests.indexer.nodes import FakeNode, SolanaChain, serving

Rows = Callable[..., list[tuple[Any, ...]]]
NETWORK = f"solana:{'G' * 32}"


@contextlib.asynccontextmanager
async def listening(
    inbox: Inbox, chain: SolanaChain, *, start: int = 0
) -> AsyncIterator[tuple[SolanaListener, FakeNode]]:
    source = await follow(inbox, chain.address, NETWORK, start=start)
    async with serving(chain.node()) as node:
        rpc = Rpc([node.url], rate=10_000)
        try:
            yield SolanaListener(source, rpc, inbox, start, 100), node
        finally:
            await rpc.close()


async def work_off(listener: SolanaListener) -> int:
    pages = 0
    while (found := await listener.backfill()) is not None:
        pages += len(found)
    return pages


def listed(rows: Rows, listener: SolanaListener, *, fresh: bool | None = None) -> Counter[str]:
    found = rows(
        "SELECT s->>0 FROM pages, jsonb_array_elements(signatures) s WHERE source_id = %s"
        " AND (%s::bool IS NULL OR fresh = %s)",
        listener.source.id,
        fresh,
        fresh,
    )
    return Counter(row[0] for row in found)


def frontier(rows: Rows, listener: SolanaListener) -> int:
    found: int = rows("SELECT frontier FROM sources WHERE id = %s", listener.source.id)[0][0]
    return found


async def test_history_of_thousands_is_listed_once(inbox: Inbox, rows: Rows) -> None:
    chain = SolanaChain(solana_address())
    every = {chain.add() for _ in range(2_345)}
    async with listening(inbox, chain) as (listener, _):
        await listener.poll()
        assert frontier(rows, listener) == 0
        assert await work_off(listener) == 14
        assert listed(rows, listener) == Counter(every)
        assert frontier(rows, listener) == chain.slot - 1
        assert listed(rows, listener, fresh=True) == Counter()
        new = chain.add()
        assert len((await listener.poll()).pages) == 1
        assert listed(rows, listener, fresh=True) == Counter([new])
        assert (await listener.poll()).pages == []


async def test_thousands_between_two_polls_are_all_listed(inbox: Inbox, rows: Rows) -> None:
    chain = SolanaChain(solana_address())
    every = [chain.add() for _ in range(3)]
    async with listening(inbox, chain) as (listener, _):
        await listener.poll()
        cursor = frontier(rows, listener)
        every += [chain.add() for _ in range(2_500)]
        await listener.poll()
        # The frontier stays below the hole until the span is closed.
        assert frontier(rows, listener) == cursor
        every.append(chain.add())
        await listener.poll()
        await work_off(listener)
        assert listed(rows, listener) == Counter(every)
        assert frontier(rows, listener) > cursor + 2_490


async def test_a_listener_that_dies_in_mid_paging_goes_on_where_it_was(
    inbox: Inbox, rows: Rows
) -> None:
    chain = SolanaChain(solana_address())
    every = [chain.add() for _ in range(4_100)]
    async with listening(inbox, chain) as (listener, _):
        await listener.poll()
        await listener.backfill()
    async with listening(inbox, chain) as (listener, node):
        await listener.poll()
        await work_off(listener)
        assert set(listed(rows, listener)) == set(every)
        asked = [options for _, options in node.asked("getSignaturesForAddress")]
        # Two thousand had been listed before, and are not paged through again.
        assert sum("before" in options for options in asked) == 4


async def test_many_in_one_slot_lose_none_at_a_page_edge(inbox: Inbox, rows: Rows) -> None:
    chain = SolanaChain(solana_address())
    every = [chain.add(slot=200 + n // 300) for n in range(2_000)]
    async with listening(inbox, chain) as (listener, _):
        await listener.poll()
        await work_off(listener)
        assert set(listed(rows, listener)) == set(every)


async def test_a_late_signature_in_the_newest_slot_is_found(inbox: Inbox, rows: Rows) -> None:
    chain = SolanaChain(solana_address())
    every = [chain.add() for _ in range(5)]
    async with listening(inbox, chain) as (listener, _):
        await listener.poll()
        every.append(chain.add(slot=chain.slot))
        # The node puts it below the one that it listed first.
        chain.txs[-1], chain.txs[-2] = chain.txs[-2], chain.txs[-1]
        assert len((await listener.poll()).pages) == 1
        assert listed(rows, listener) == Counter(every)


async def test_a_cursor_that_the_node_forgot_brings_no_history_back(
    inbox: Inbox, rows: Rows
) -> None:
    chain = SolanaChain(solana_address())
    every = [chain.add() for _ in range(500)]
    async with listening(inbox, chain) as (listener, _):
        await listener.poll()
        chain.forgotten = set(every)
        every += [chain.add() for _ in range(3)]
        assert len((await listener.poll()).pages) == 1
        assert listed(rows, listener) == Counter(every)


async def test_a_node_that_gives_short_pages_hides_no_history(inbox: Inbox, rows: Rows) -> None:
    chain = SolanaChain(solana_address())
    every = [chain.add() for _ in range(2_200)]
    async with listening(inbox, chain) as (listener, _):
        await listener.poll()
        chain.most = 70
        await work_off(listener)
        assert listed(rows, listener) == Counter(every)


async def test_a_node_behind_the_cursor_is_not_believed(inbox: Inbox, rows: Rows) -> None:
    chain = SolanaChain(solana_address())
    for _ in range(5):
        chain.add()
    async with listening(inbox, chain) as (listener, _):
        await listener.poll()
        before = frontier(rows, listener)
        chain.slot -= 4
        with pytest.raises(RpcError, match="Minimum context slot"):
            await listener.poll()
        assert frontier(rows, listener) == before


async def test_a_node_that_lags_ends_no_history(inbox: Inbox, rows: Rows) -> None:
    chain = SolanaChain(solana_address())
    every = [chain.add() for _ in range(1_500)]
    async with listening(inbox, chain) as (listener, node):
        await listener.poll()
        # It knows nothing of the place to go down from, and says that there is nothing.
        whole = node.methods["getSignaturesForAddress"]
        node.methods["getSignaturesForAddress"] = lambda address, options: []
        slot, chain.slot = chain.slot, 200
        with pytest.raises(RpcError, match="lags behind slot"):
            await listener.backfill()
        chain.slot = slot
        node.methods["getSignaturesForAddress"] = whole
        await work_off(listener)
        assert listed(rows, listener) == Counter(every)


async def test_a_node_that_takes_the_context_for_a_limit_hides_no_history(
    inbox: Inbox, rows: Rows
) -> None:
    chain = SolanaChain(solana_address())
    every = [chain.add() for _ in range(2_200)]
    async with listening(inbox, chain) as (listener, node):
        whole = node.methods["getSignaturesForAddress"]

        def limited(address: str, options: dict[str, Any]) -> list[dict[str, Any]]:
            least = options.get("minContextSlot", 0)
            found: list[dict[str, Any]] = whole(address, options)
            return [one for one in found if one["slot"] >= least]

        node.methods["getSignaturesForAddress"] = limited
        await listener.poll()
        await work_off(listener)
        assert listed(rows, listener) == Counter(every)


async def test_failed_transactions_are_not_work_and_the_start_is_a_floor(
    inbox: Inbox, rows: Rows
) -> None:
    chain = SolanaChain(solana_address())
    for _ in range(10):
        chain.add()
    every = [chain.add() for _ in range(5)]
    chain.add(err={"InstructionError": [0, "Custom"]})
    async with listening(inbox, chain, start=111) as (listener, _):
        await listener.poll()
        await work_off(listener)
        assert listed(rows, listener) == Counter(every)


async def test_the_same_transaction_in_another_slot_is_listed_again(
    inbox: Inbox, rows: Rows
) -> None:
    chain = SolanaChain(solana_address())
    chain.add()
    landed = chain.add()
    async with listening(inbox, chain) as (listener, _):
        await listener.poll()
        chain.slot += 5
        chain.txs[-1]["slot"] = chain.slot
        await listener.poll()
        assert listed(rows, listener)[landed] == 2
