"""Following a Solana program: every signature once, whatever the node does."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from casino import pages
from chains.chain import Fact
from chains.errors import ChainError, RetryLater, RpcError, WrongChain
from chains.solana.finality import PATIENCE
from chains.solana.rpc import Rpc
from indexer.inbox import Inbox
from indexer.solana import SolanaListener
from tests.indexer.conftest import follow, solana_address
from tests.indexer.nodes import FakeNode, SolanaChain, html, serving

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


async def test_a_late_signature_is_found_after_a_crash_too(inbox: Inbox, rows: Rows) -> None:
    """S40: the newest slot lies above the cursor, so that it is read again whatever dies."""
    chain = SolanaChain(solana_address())
    every = [chain.add() for _ in range(5)]
    async with listening(inbox, chain) as (listener, _):
        await listener.poll()
    every.append(chain.add(slot=chain.slot))
    chain.txs[-1], chain.txs[-2] = chain.txs[-2], chain.txs[-1]
    async with listening(inbox, chain) as (listener, _):
        await listener.poll()
        assert set(listed(rows, listener)) == set(every)


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


async def test_history_that_the_node_forgot_is_a_hole_and_no_end(inbox: Inbox, rows: Rows) -> None:
    """S12."""
    chain = SolanaChain(solana_address())
    every = [chain.add() for _ in range(2_200)]
    async with listening(inbox, chain, start=50) as (listener, _):
        await listener.poll()
        chain.oldest = 1_000
        with pytest.raises(RetryLater, match="keeps nothing below slot 1000"):
            await work_off(listener)
        assert frontier(rows, listener) == 50
        chain.oldest = 0
        await work_off(listener)
        assert listed(rows, listener) == Counter(every)
        assert frontier(rows, listener) == chain.slot - 1


@pytest.mark.parametrize("since", [0, 2])
async def test_after_a_long_silence_a_node_that_forgot_is_not_believed(
    inbox: Inbox, rows: Rows, since: int
) -> None:
    """S12: whether it lists something newer or nothing at all."""
    chain = SolanaChain(solana_address())
    every = [chain.add() for _ in range(5)]
    async with listening(inbox, chain) as (listener, _):
        await listener.poll()
    cursor = chain.slot
    every += [chain.add() for _ in range(3)]
    chain.slot += 50_000
    every += [chain.add() for _ in range(since)]
    chain.oldest = cursor + 20_000
    async with listening(inbox, chain) as (listener, node):
        if not since:  # an empty first answer is judged by the head that comes with it
            await listener.poll()
        with pytest.raises(RetryLater, match=f"what follows {cursor - 1} is wanted"):
            await listener.poll()
        assert len(listed(rows, listener)) == 5
        chain.oldest = 0
        await listener.poll()
        assert set(listed(rows, listener)) == set(every)
        for _ in range(3):
            await listener.poll()
        assert len(node.asked("getFirstAvailableBlock")) <= 3


async def test_a_node_that_does_not_say_what_it_keeps_is_believed(inbox: Inbox, rows: Rows) -> None:
    chain = SolanaChain(solana_address())
    every = [chain.add() for _ in range(5)]
    async with listening(inbox, chain) as (listener, node):
        await listener.poll()
        del node.methods["getFirstAvailableBlock"]
        chain.slot += 50_000
        every.append(chain.add())
        await listener.poll()
        assert listed(rows, listener) == Counter(every)


async def test_two_programs_on_one_node_keep_cursors_of_their_own(inbox: Inbox, rows: Rows) -> None:
    """S10: where one is has nothing to do with where the other is."""
    busy, quiet = SolanaChain(solana_address()), SolanaChain(solana_address())
    for _ in range(1_500):
        busy.add()
    quiet.add(slot=300)
    quiet.slot = busy.slot
    async with listening(inbox, busy) as (first, node), listening(inbox, quiet) as (second, _):
        both = {busy.address: busy, quiet.address: quiet}
        node.methods["getSignaturesForAddress"] = lambda address, options: both[
            address
        ]._signatures(address, options)
        second.rpc = first.rpc
        for listener in (first, second):
            await listener.poll()
        await work_off(first)
        late = quiet.add(slot=400)  # far below where the other program's cursor is
        quiet.slot = busy.slot
        await second.poll()
        assert late in listed(rows, second)
        assert sum(listed(rows, first).values()) == 1_500
        assert sum(listed(rows, second).values()) == 2


async def test_a_signature_given_twice_is_listed_and_stored_once(inbox: Inbox, rows: Rows) -> None:
    """S5: a node joins its ledger and its archive, and what lies in both comes twice."""
    chain = SolanaChain(solana_address())
    every = [chain.add() for _ in range(1_300)]
    async with listening(inbox, chain) as (listener, node):
        whole = node.methods["getSignaturesForAddress"]

        def doubled(address: str, options: dict[str, Any]) -> Any:
            return [one for row in whole(address, options) for one in (row, row)]

        node.methods["getSignaturesForAddress"] = doubled
        await listener.poll()
        await work_off(listener)
        assert set(listed(rows, listener)) == set(every)
        once = rows(
            "SELECT s->>0 FROM pages, jsonb_array_elements(signatures) s WHERE source_id = %s",
            listener.source.id,
        )
        assert len(once) <= 2 * len(every)


async def test_work_is_listed_from_the_oldest_to_the_newest(inbox: Inbox, rows: Rows) -> None:
    """S3."""
    chain = SolanaChain(solana_address())
    every = [chain.add() for _ in range(250)]
    async with listening(inbox, chain) as (listener, _):
        await listener.poll()
        pages = rows(
            "SELECT s->>0 FROM pages, jsonb_array_elements(signatures) WITH ORDINALITY s(s, n)"
            " WHERE source_id = %s ORDER BY pages.id, n",
            listener.source.id,
        )
        assert [row[0] for row in pages] == every


@pytest.mark.parametrize("fate", ["final", "failed", "gone", "unasked"])
async def test_statuses_promote_and_take_back_what_was_confirmed(
    inbox: Inbox, rows: Rows, fate: str
) -> None:
    """S42: one look may promote; only many looks, or a failure on the final chain, take back."""
    chain = SolanaChain(solana_address())
    chain.add()
    other = chain.add()
    async with listening(inbox, chain) as (listener, node):
        for at in range(2):
            rows(
                "INSERT INTO system_events (casino_id, source_id, network, position, tx, index,"
                " name) VALUES (%s, %s, %s, %s, %s, 0, 'Seen') RETURNING 1",
                listener.source.casino_id,
                listener.source.id,
                NETWORK,
                101 + at,
                chain.signature(at),
            )
        said: dict[str, Any] = {
            "final": {"slot": 102, "err": None, "confirmationStatus": "finalized"},
            "failed": {"slot": 102, "err": {"Weird": [1]}, "confirmationStatus": "finalized"},
        }
        chain.status[other] = said.get(fate)
        if fate == "unasked":
            node.troubles = [html(502) for _ in range(3)]
            with pytest.raises(RpcError):
                await listener.finalize(200)
        else:
            assert await listener.finalize(100) == 0  # nothing of ours is that old
            assert await listener.finalize(200) == (2 if fate == "final" else 1)
        if fate == "gone":
            newest = chain.add()
            rows(
                "INSERT INTO system_events (casino_id, source_id, network, position, tx, index,"
                " name) VALUES (%s, %s, %s, 103, %s, 0, 'Seen') RETURNING 1",
                listener.source.casino_id,
                listener.source.id,
                NETWORK,
                newest,
            )
            chain.status[newest] = {"slot": 103, "err": None, "confirmationStatus": "confirmed"}
            for _ in range(15):
                await listener.finalize(200)
            assert finalities(rows, listener)[1] == "confirmed"
            for _ in range(10):
                await listener.finalize(200)
        assert (
            finalities(rows, listener)[:2]
            == {
                "final": ["finalized", "finalized"],
                "failed": ["finalized", "retracted"],
                "gone": ["finalized", "retracted"],
                "unasked": ["confirmed", "confirmed"],
            }[fate]
        )


def finalities(rows: Rows, listener: SolanaListener) -> list[str]:
    query = "SELECT finality FROM system_events WHERE source_id = %s ORDER BY position"
    return [row[0] for row in rows(query, listener.source.id)]


async def test_a_ledger_that_began_again_stops_its_source_loudly(inbox: Inbox, rows: Rows) -> None:
    """S45: another genesis, a lower tip: nothing is read of it, and nothing is taken back."""
    chain = SolanaChain(solana_address())
    every = [chain.add() for _ in range(5)]
    async with listening(inbox, chain) as (listener, _):
        assert await listener.rpc.network() == NETWORK
        await listener.poll()
        before = frontier(rows, listener)
        chain.genesis, chain.slot, chain.txs = "H" * 44, 1, []
        for _ in range(2):
            with pytest.raises(ChainError):
                await listener.poll()
        with pytest.raises(WrongChain, match="it serves solana:HHH"):
            await listener.poll()
        assert frontier(rows, listener) == before
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


def shares(rows: Rows, listener: SolanaListener, *, final: bool) -> Counter[str]:
    found = rows(
        "SELECT s->>0 FROM pages, jsonb_array_elements(signatures) s WHERE source_id = %s"
        " AND final = %s",
        listener.source.id,
        final,
    )
    return Counter(row[0] for row in found)


async def test_history_is_final_up_to_the_finalized_slot_and_no_further(
    inbox: Inbox, rows: Rows
) -> None:
    chain = SolanaChain(solana_address())
    every = [chain.add() for _ in range(3_300)]
    # Given that finality is in the midst of the first page that is not among the newest thousand
    chain.final = chain.slot - 1_200
    async with listening(inbox, chain) as (listener, node):
        listener.final = chain.final
        await listener.poll()
        await work_off(listener)
        assert listed(rows, listener) == Counter(every)
        # The page around it was listed as confirmed, what lies below it as finalized.
        assert shares(rows, listener, final=True) == Counter(every[:1_300])
        asked = node.asked("getSignaturesForAddress")
        assert [options["commitment"] for _, options in asked][2:] == ["finalized"] * 3


async def test_the_first_look_at_an_old_program_is_final_where_the_chain_is(
    inbox: Inbox, rows: Rows
) -> None:
    chain = SolanaChain(solana_address())
    every = [chain.add() for _ in range(500)]
    chain.final = chain.slot - 20
    async with listening(inbox, chain) as (listener, _):
        listener.final = chain.final
        await listener.poll()
        assert shares(rows, listener, final=True) == Counter(every[:-20])
        assert shares(rows, listener, final=False) == Counter(every[-20:])
        # What comes now is new, and what was seen before is not asked for again.
        chain.final = chain.slot
        listener.final = chain.final
        every.append(chain.add())
        await listener.poll()
        assert shares(rows, listener, final=False) == Counter(every[-21:])


async def test_a_node_that_lags_in_finality_gives_no_history(inbox: Inbox, rows: Rows) -> None:
    chain = SolanaChain(solana_address())
    every = [chain.add() for _ in range(1_500)]
    chain.final = 200
    async with listening(inbox, chain) as (listener, _):
        await listener.poll()
        listener.final = chain.slot  # as another provider said
        with pytest.raises(RpcError, match="lags behind slot"):
            await listener.backfill()
        chain.final = chain.slot
        await work_off(listener)
        assert listed(rows, listener) == Counter(every)


async def deposits(inbox: Inbox, listener: SolanaListener, chain: SolanaChain, *at: int) -> None:
    """What these transactions mean is in the books, and only confirmed."""
    facts = [
        Fact(
            "deposited",
            chain.txs[n]["slot"],
            chain.signature(n),
            0,
            None,
            {"player": "ada", "amount": 1},
        )
        for n in at
    ]
    async with inbox.transaction() as session:
        await pages.apply(session, listener.source, facts, fresh=False)


def finality(rows: Rows, listener: SolanaListener) -> dict[str, int]:
    found = rows(
        "SELECT finality, count(*) FROM chain_transfers WHERE source_id = %s GROUP BY 1",
        listener.source.id,
    )
    return dict(found)


async def test_the_newest_are_promoted_before_a_long_backlog_and_all_of_it_in_time(
    inbox: Inbox, rows: Rows
) -> None:
    chain = SolanaChain(solana_address())
    for _ in range(5_000):
        chain.add()
    async with listening(inbox, chain) as (listener, _):
        await deposits(inbox, listener, chain, *range(5_000))
        assert await listener.finalize(chain.slot) == 2_048
        new = chain.add()
        await deposits(inbox, listener, chain, 5_000)
        assert await listener.finalize(chain.slot) == 2_048
        assert rows("SELECT finality FROM chain_transfers WHERE tx = %s", new) == [("finalized",)]
        assert await listener.finalize(chain.slot) == 5_001 - 2 * 2_048
        assert finality(rows, listener) == {"finalized": 5_001}


async def test_what_nobody_knows_holds_up_nothing_below_it(inbox: Inbox, rows: Rows) -> None:
    chain = SolanaChain(solana_address())
    for _ in range(3_000):
        chain.add()
    chain.status = {chain.signature(n): None for n in range(700, 3_000)}
    async with listening(inbox, chain) as (listener, _):
        await deposits(inbox, listener, chain, *range(3_000))
        # They fell out of nothing: the slots are there, and they are in them.
        chain.oldest, finalized = chain.slot + 1, chain.slot + 1_000
        chain.slot = finalized
        chain.status |= {
            chain.signature(n): {"slot": 1, "err": None, "confirmationStatus": "finalized"}
            for n in range(700)
        }
        while listener.doubt is None:
            await listener.finalize(finalized)
        assert finality(rows, listener) == {"finalized": 700, "confirmed": 2_300}
        assert listener.doubt.startswith("no node knows 2300 transactions of slots 801 to 3100")


async def test_a_node_without_old_history_retracts_nothing_and_is_said(
    inbox: Inbox, rows: Rows
) -> None:
    chain = SolanaChain(solana_address())
    for _ in range(40):
        chain.add()
    async with listening(inbox, chain) as (listener, _):
        await deposits(inbox, listener, chain, *range(40))
        chain.slot += 1_000
        chain.oldest = chain.slot - 100
        for _ in range(250):
            await listener.finalize(chain.slot)
        assert finality(rows, listener) == {"confirmed": 40}
        assert listener.doubt is not None
        # With the history back, what is in it is final, and nothing is in doubt.
        chain.oldest = 0
        await listener.finalize(chain.slot)
        assert finality(rows, listener) == {"finalized": 40}
        assert listener.doubt is None


async def test_an_old_drop_falls_once_the_chain_shows_it(inbox: Inbox, rows: Rows) -> None:
    chain = SolanaChain(solana_address())
    for _ in range(5):
        chain.add()
    async with listening(inbox, chain) as (listener, _):
        await deposits(inbox, listener, chain, *range(5))
        chain.dropped = {chain.txs[1]["slot"]}
        chain.slot += 1_000
        await listener.finalize(chain.slot)
        assert finality(rows, listener) == {"finalized": 4, "retracted": 1}
        assert listener.doubt is None


async def test_a_provider_with_history_knows_what_the_first_forgot(
    inbox: Inbox, rows: Rows
) -> None:
    chain = SolanaChain(solana_address())
    for _ in range(20):
        chain.add()
    source = await follow(inbox, chain.address, NETWORK)
    young = SolanaChain(chain.address)
    async with serving(young.node()) as first, serving(chain.node()) as second:
        rpc = Rpc([first.url, second.url], rate=10_000)
        listener = SolanaListener(source, rpc, inbox, 0, 100)
        await deposits(inbox, listener, chain, *range(20))
        chain.slot = young.slot = young.oldest = 5_000
        await listener.finalize(5_000)
        assert finality(rows, listener) == {"finalized": 20}
        await rpc.close()


async def test_a_recent_drop_falls_after_patience(inbox: Inbox, rows: Rows) -> None:
    chain = SolanaChain(solana_address())
    for _ in range(3):
        chain.add()
    async with listening(inbox, chain) as (listener, _):
        await deposits(inbox, listener, chain, 0, 1, 2)
        chain.dropped, chain.final = {chain.txs[1]["slot"]}, chain.slot - 1
        chain.slot += 50
        for _ in range(PATIENCE):
            await listener.finalize(chain.slot)
        assert finality(rows, listener) == {"finalized": 1, "confirmed": 2}
        await listener.finalize(chain.slot)
        assert finality(rows, listener) == {"finalized": 1, "confirmed": 1, "retracted": 1}
