"""History asked for later: read once, without a hole, whoever asks and however often."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from loguru import logger

from casino import gaps
from casino.gaps import Stretch
from indexer import backfill, main, substitute
from indexer import inbox as inbox_room
from indexer import listener as loops
from indexer.evm import EvmListener
from indexer.inbox import Inbox
from indexer.solana import SolanaListener
from indexer.source import plan
from settings import SourceSetting
from tests.indexer.conftest import evm_address, leading, solana_address
from tests.indexer.nodes import EvmChain, SolanaChain, serving
from tests.indexer.test_evm import expected, stored
from tests.indexer.test_evm import frontier as evm_frontier
from tests.indexer.test_evm import listening as on_evm
from tests.indexer.test_evm import work_off as evm_work_off
from tests.indexer.test_process import Rows, settings, until
from tests.indexer.test_solana import frontier as solana_frontier
from tests.indexer.test_solana import listed
from tests.indexer.test_solana import listening as on_solana
from tests.indexer.test_solana import work_off as solana_work_off


async def widen(inbox: Inbox, listener: EvmListener | SolanaListener, first: int) -> list[Stretch]:
    async with inbox.transaction() as session:
        return await backfill.widen(session, listener.source, first)


async def test_older_blocks_are_read_once_and_the_frontier_waits_for_them(
    inbox: Inbox, rows: Rows
) -> None:
    chain = EvmChain(evm_address())
    for _ in range(60):
        chain.add(1)
    async with on_evm(inbox, chain, start=40, most=7) as (listener, node):
        assert await widen(inbox, listener, 0) == []  # nobody has looked yet
        await listener.poll()
        assert evm_frontier(rows, listener) == 60
        assert await widen(inbox, listener, 10) == [Stretch(10, 39)]
        assert evm_frontier(rows, listener) == 9
        assert await widen(inbox, listener, 10) == []
        await listener.backfill()
        assert evm_frontier(rows, listener) == 16
        assert await widen(inbox, listener, 0) == [Stretch(0, 9)]
        assert evm_frontier(rows, listener) == -1
        await evm_work_off(listener)
        assert stored(rows, listener) == expected(chain)
        assert evm_frontier(rows, listener) == 60
        asked = Counter(
            at
            for [one] in node.asked("eth_getLogs")
            for at in range(int(one["fromBlock"], 16), int(one["toBlock"], 16) + 1)
        )
        assert set(asked.values()) == {1}
        assert await widen(inbox, listener, 61) == []
    assert rows("SELECT start FROM sources WHERE id = %s", listener.source.id) == [(0,)]


async def test_a_hole_between_spans_is_found_and_filled(inbox: Inbox, rows: Rows) -> None:
    chain = EvmChain(evm_address())
    for _ in range(30):
        chain.add(1)
    async with on_evm(inbox, chain, start=20) as (listener, _):
        await listener.poll()
        rows(
            "INSERT INTO spans (source_id, lower, upper, reached, backfill, closed_at)"
            " VALUES (%s, 4, 9, 9, true, now()) RETURNING id",
            listener.source.id,
        )
        async with inbox.transaction() as session:
            found = await gaps.found(session, listener.source.id)
        assert [(gap.kind, gap.first, gap.last) for gap in found] == [
            ("unread", 31, None),
            ("hole", 10, 19),
            ("waiting", 20, 30),
        ]
        assert await widen(inbox, listener, 8) == [Stretch(10, 19)]
        await evm_work_off(listener)
        assert [row[0] for row in stored(rows, listener)] == list(range(10, 31))


async def test_older_slots_are_paged_from_below_what_is_known(inbox: Inbox, rows: Rows) -> None:
    chain = SolanaChain(solana_address())
    every = [chain.add(slot=100 + n // 2) for n in range(6_000)]
    async with on_solana(inbox, chain, start=2_600) as (listener, node):
        await listener.poll()
        await solana_work_off(listener)
        assert sum(listed(rows, listener).values()) == 1_000
        # A final event of a known slot is a place to page down from.
        rows(
            "WITH s AS (UPDATE sources SET finalized = 9999 WHERE id = %s RETURNING id, network)"
            " INSERT INTO raw_events (network, position, tx, index, source_id, page_id, kind, body)"
            " SELECT network, 2601, %s, 0, id, 0, 'data', '' FROM s RETURNING index",
            listener.source.id,
            every[5_003],
        )
        before = len(node.asked("getSignaturesForAddress"))
        assert await widen(inbox, listener, 1_100) == [Stretch(1_100, 2_599)]
        assert solana_frontier(rows, listener) == 1_100
        await solana_work_off(listener)
        assert listed(rows, listener) == Counter(every[2_000:])
        assert solana_frontier(rows, listener) == chain.slot - 1
        asked = [options for _, options in node.asked("getSignaturesForAddress")[before:]]
        assert asked[0]["before"] == every[5_003]
        assert len(asked) == 4


async def test_without_a_place_to_begin_known_slots_are_passed_and_not_listed_again(
    inbox: Inbox, rows: Rows
) -> None:
    chain = SolanaChain(solana_address())
    every = [chain.add() for _ in range(3_500)]
    async with on_solana(inbox, chain, start=2_101) as (listener, _):
        await listener.poll()
        await solana_work_off(listener)
        await widen(inbox, listener, 0)
        await listener.backfill()
        # Killed while it passes what is known; another goes on.
    async with on_solana(inbox, chain, start=2_101) as (listener, _):
        await solana_work_off(listener)
        assert listed(rows, listener) == Counter(every)
        async with inbox.transaction() as session:
            covered = await gaps.coverage(session, listener.source.id)
        assert covered.left == ()
        assert covered.known == (Stretch(0, chain.slot - 1),)


async def test_two_who_ask_at_once_open_one_span(inbox: Inbox, rows: Rows, database: str) -> None:
    chain = EvmChain(evm_address())
    for _ in range(20):
        chain.add(1)
    async with on_evm(inbox, chain, start=15) as (listener, _), leading(database) as other:
        await listener.poll()
        opened = await asyncio.gather(
            *(widen(one, listener, 0) for one in (inbox, other)),
        )
        assert sorted(map(len, opened)) == [0, 1]


async def test_a_frontier_moved_meanwhile_stays_below_what_was_just_asked_for(
    inbox: Inbox, rows: Rows, database: str
) -> None:
    chain = EvmChain(evm_address())
    for _ in range(20):
        chain.add(1)

    async def move() -> None:
        async with inbox.transaction() as session:
            await inbox_room.frontier(session, listener.source.id, upward=True)

    async with on_evm(inbox, chain, start=15) as (listener, _), leading(database) as other:
        await listener.poll()
        async with other.transaction() as session:
            await backfill.widen(session, listener.source, 0)
            moving = asyncio.create_task(move())
            # The leader waits for what is not committed yet, and must then see it.
            await until(
                rows,
                "SELECT count(*)::int FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                " AND datname = current_database()",
                1,
            )
        await moving
        assert evm_frontier(rows, listener) == -1


async def test_settings_that_ask_for_more_history_are_followed_at_the_start(
    database: str, rows: Rows
) -> None:
    chain = EvmChain(evm_address())
    for _ in range(30):
        chain.add(1)

    def asking(url: str, start: int) -> Any:
        source = SourceSetting(program="casino_evm", address=chain.address, start=start)
        return settings(database, {"evm-local": url}).model_copy(update={"sources": [source]})

    count = (
        "SELECT count(*)::int FROM raw_events r JOIN sources s ON s.id = r.source_id"
        f" WHERE s.address = '{chain.address}'"
    )
    async with serving(chain.node()) as node:
        for start, brought in ((25, 6), (5, 26), (28, 26)):
            async with running(main.run(asking(node.url, start))):
                await until(rows, count, brought)
    assert rows(
        "SELECT count(*) FROM spans p JOIN sources s ON s.id = p.source_id WHERE s.address = %s",
        chain.address,
    ) == [(2,)]


@contextlib.asynccontextmanager
async def running(work: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_stand_in_reads_alone_and_gives_way_to_an_indexer(
    database: str, rows: Rows
) -> None:
    chain = EvmChain(evm_address())
    head = f"SELECT head FROM sources WHERE address = '{chain.address}'"
    async with serving(chain.node()) as node:
        chosen = settings(database, {"evm-local": node.url}, chain)
        rows("WITH gone AS (DELETE FROM heartbeats) SELECT 1")
        async with running(substitute.stand_in(chosen, plan(chosen)[0])):
            await until(rows, head, 0)
            async with leading(database) as other:
                assert not await other.lead()
                rows(
                    "INSERT INTO heartbeats (process, host, pid) VALUES ('indexer', 'there', 1)"
                    " RETURNING 1"
                )
                while not await other.lead():
                    await asyncio.sleep(0.05)
            # It leads again when the indexer's sign of life has grown old.
            rows("UPDATE heartbeats SET at = now() - interval '6 s' RETURNING 1")
            await until(rows, head, chain.add(1))


async def test_history_says_how_far_it_is_while_it_is_read(
    database: str, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loops, "PROGRESS_S", 0.0)
    chain = EvmChain(evm_address())
    for _ in range(700):
        chain.add()
    chain.final = chain.head
    said: list[str] = []
    sink = logger.add(lambda message: said.append(message.record["message"]), level="INFO")
    try:
        async with serving(chain.node()) as node:
            chosen = settings(database, {"evm-local": node.url}, chain, evm_range=100)
            async with running(main.run(chosen)):
                await until(
                    rows, f"SELECT frontier FROM sources WHERE address = '{chain.address}'", 700
                )
                while not any("complete" in one for one in said):
                    await asyncio.sleep(0.01)
    finally:
        logger.remove(sink)
    lines = [one for one in said if one.startswith("history: ")]
    assert [one.split(",")[1] for one in lines] == [
        f" {left} of 345 blocks left" for left in (345, 245, 145, 45)
    ]
    assert all("blocks a second, done in" in one for one in lines[1:])
