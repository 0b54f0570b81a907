"""Deltas are folded by one at a time, and announced at most once per interval."""

from __future__ import annotations

import asyncio
from typing import Any

from casino import outbox, pages, stats
from casino.sources import Followed
from db.session import transaction


async def place(source: Followed, says: Any, *bets: int) -> None:
    async with transaction() as session:
        facts = [says.placed(bet) for bet in bets]
        await pages.apply(session, source, facts, fresh=False)


async def fold(source: Followed, interval_ms: int, batch: int = stats.BATCH) -> stats.Folded:
    async with transaction() as session:
        return await stats.fold(session, source.casino_id, interval_ms=interval_ms, batch=batch)


async def test_stats_are_announced_once_per_interval_and_not_forgotten(
    opened: Any, says: Any, messages: Any
) -> None:
    source = await opened()
    await place(source, says, 1)
    first = await fold(source, 300)
    assert (first.deltas, first.announced, first.again_ms) == (1, True, None)
    await place(source, says, 2)
    second = await fold(source, 300)
    assert (second.deltas, second.announced) == (1, False)
    assert second.again_ms is not None
    await asyncio.sleep(second.again_ms / 1000)
    third = await fold(source, 300)
    assert (third.deltas, third.announced, third.again_ms) == (0, True, None)
    assert not (await fold(source, 0)).announced
    told = [data["totals"][0]["bets"] for _, data in await messages(source)]
    assert told == [1, 2]


async def test_a_large_heap_is_folded_in_batches(opened: Any, says: Any, books: Any) -> None:
    source = await opened()
    for bet in range(5):
        await place(source, says, bet)
    folded = [await fold(source, 0, batch=2) for _ in range(3)]
    assert [(one.deltas, one.again_ms) for one in folded] == [(2, 0), (2, 0), (1, None)]
    assert next(row[3] for row in (await books(source))["casino_stats"]) == 5


async def test_many_folders_at_once_lose_and_double_nothing(
    opened: Any, says: Any, books: Any
) -> None:
    source = await opened()

    async def work(first: int) -> None:
        for bet in range(first, first + 10):
            await place(source, says, bet)
            await fold(source, 0)

    await asyncio.gather(*(work(100 * turn) for turn in range(5)))
    await fold(source, 0)
    assert {row[3] for row in (await books(source))["casino_stats"]} == {50}


async def test_messages_are_announced_in_their_order(opened: Any, messages: Any) -> None:
    source = await opened()
    async with transaction() as session:
        await outbox.announce(session, [])
        said = [
            outbox.Message("bets", f"t{n}", source.casino, {"n": n}, player="ada") for n in range(9)
        ]
        await outbox.announce(session, said)
    assert [data["n"] for _, data in await messages(source)] == list(range(9))
