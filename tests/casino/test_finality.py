"""Confirmed, finalized, retracted: and what a retraction takes back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncSession

from casino import finality, pages, stats
from casino.sources import Followed
from chains.chain import Fact
from db.session import driver, transaction


async def apply(source: Followed, *facts: Fact) -> None:
    async with transaction() as session:
        await pages.apply(session, source, facts, fresh=True)


async def fold(source: Followed) -> None:
    async with transaction() as session:
        await stats.fold(session, source.casino_id, interval_ms=10**9)


async def retract(source: Followed, **reach: Any) -> int:
    async with transaction() as session:
        return await finality.retract(session, source, **reach)


async def promote(source: Followed, **reach: Any) -> int:
    async with transaction() as session:
        return await finality.promote(session, source, **reach)


def total(book: dict[str, Any]) -> Any:
    return next((row[3:] for row in book["casino_stats"] if row[0] == "total"), None)


async def test_facts_up_to_a_position_are_promoted(opened: Any, says: Any, books: Any) -> None:
    source = await opened()
    await apply(source, says.placed(1, position=5), says.settled(1, position=9))
    async with transaction() as session:
        found = await finality.pending(session, source, upto=100)
        assert found == [finality.Pending(9, "s1"), finality.Pending(5, "p1")]
        assert await finality.pending(session, source, upto=8) == found[1:]
        assert await finality.pending(session, source, upto=100, below=found[0]) == found[1:]
    assert await promote(source, upto=8) == 1
    assert (await books(source))["bets"][0][20:22] == ("finalized", "confirmed")
    assert await promote(source, txs=["s1"]) == 1
    assert (await books(source))["bets"][0][20:22] == ("finalized", "finalized")
    assert await promote(source, upto=100) == 0
    async with transaction() as session:
        assert await finality.pending(session, source, upto=100) == []


@pytest.mark.parametrize("by", ["position", "txs"])
async def test_a_retracted_bet_is_uncounted_and_told(
    opened: Any, says: Any, books: Any, messages: Any, by: str
) -> None:
    source = await opened()
    await apply(source, says.placed(1, position=5), says.placed(2, position=6))
    await apply(source, says.settled(2, payout=7, position=7))
    await fold(source)
    reach: dict[str, Any] = {"above": 5} if by == "position" else {"txs": ["p2", "s2"]}
    assert await retract(source, **reach) == 1
    await fold(source)

    book = await books(source)
    assert [row[11] for row in book["bets"]] == ["placed", "retracted"]
    assert total(book) == (1, 0, 0, 0, 100, 0)
    kind, data = (await messages(source))[-1]
    assert (kind, data["bet"], data["status"]) == ("bet.retracted", "2", "retracted")
    assert await retract(source, **reach) == 0


async def test_a_lost_settlement_leaves_the_bet_placed(
    opened: Any, says: Any, books: Any, messages: Any
) -> None:
    source = await opened()
    await apply(source, says.placed(1, position=5), says.settled(1, payout=7, position=7))
    await fold(source)
    assert await retract(source, above=6) == 1
    await fold(source)
    book = await books(source)
    assert (book["bets"][0][5], book["bets"][0][11]) == (None, "placed")
    assert total(book) == (1, 0, 0, 0, 100, 0)
    assert (await messages(source))[-1][1]["status"] == "placed"


@pytest.mark.parametrize("landing", [4, 6, 9])
async def test_what_lands_again_counts_again(
    opened: Any, says: Any, books: Any, messages: Any, landing: int
) -> None:
    source = await opened()
    await apply(source, says.placed(1, position=6), says.settled(1, payout=7, position=7))
    await fold(source)
    await retract(source, above=5)
    await apply(source, says.settled(1, payout=9, position=10), says.placed(1, position=landing))
    await fold(source)
    book = await books(source)
    assert (book["bets"][0][11], book["bets"][0][20]) == ("settled", "confirmed")
    assert total(book) == (1, 1, 0, 1, 100, 9)
    kinds = [kind for kind, _ in await messages(source) if kind.startswith("bet.")]
    assert kinds == [
        "bet.placed",
        "bet.settled",
        "bet.retracted",
        "bet.placed",
        "bet.settled",
    ]


async def test_what_is_finalized_stays(opened: Any, says: Any, books: Any) -> None:
    source = await opened()
    await apply(source, says.placed(1, position=5))
    await promote(source, upto=5)
    assert await retract(source, above=0) == 0
    assert (await books(source))["bets"][0][11] == "placed"


async def test_other_facts_are_retracted_and_land_again(opened: Any, says: Any) -> None:
    source = await opened()

    async def state() -> Any:
        async with transaction() as session:
            cursor = await (await driver(session)).execute(
                "SELECT position, finality FROM chain_transfers WHERE source_id = %s", (source.id,)
            )
            return await cursor.fetchall()

    tx = 1000 + source.id
    await apply(source, says.other("deposited", tx, 5, player="ada", amount=1))
    await retract(source, above=4)
    assert await state() == [(5, "retracted")]
    await apply(source, says.other("deposited", tx, 4, player="ada", amount=1))
    assert await state() == [(4, "confirmed")]


async def apply_final(source: Followed, *facts: Fact) -> None:
    async with transaction() as session:
        await pages.apply(session, source, facts, fresh=False, final=True)


async def test_facts_of_a_final_page_are_born_finalized(opened: Any, says: Any, books: Any) -> None:
    source = await opened()
    tx = 10_000 + source.id
    moved = says.other("deposited", tx, 5, player="ada", amount=1)
    await apply_final(source, says.placed(1, position=5), moved)
    await apply(source, says.placed(2, position=8))
    await apply_final(source, says.settled(1, position=9), says.settled(2, position=9))
    book = await books(source)
    assert [row[20:22] for row in book["bets"]] == [
        ("finalized", "finalized"),
        ("confirmed", "finalized"),
    ]
    assert [row[-1] for row in book["others"]] == ["finalized"]
    async with transaction() as session:
        found = await finality.pending(session, source, upto=100)
    assert found == [finality.Pending(8, "p2")]
    # Only what is not final can be taken back.
    assert await retract(source, above=0) == 1
    assert [row[11] for row in (await books(source))["bets"]] == ["settled", "settled"]


async def test_what_was_retracted_may_come_back_final(opened: Any, says: Any, books: Any) -> None:
    source = await opened()
    await apply(source, says.placed(1, position=5), says.settled(1, position=6))
    await retract(source, above=0)
    await apply_final(source, says.placed(1, position=7), says.settled(1, position=8))
    assert (await books(source))["bets"][0][20:22] == ("finalized", "finalized")


async def test_promotion_takes_the_newest_first_and_only_so_many(opened: Any, says: Any) -> None:
    source = await opened()
    tx = 20_000 + source.id
    facts = [says.other("deposited", tx + n, 5 + n, player="ada", amount=1) for n in range(3)]
    await apply(source, *(says.placed(n, position=n) for n in range(5, 8)), *facts)
    assert await promote(source, upto=7, limit=2) == 4
    async with transaction() as session:
        left = await finality.pending(session, source, upto=100)
    assert {one.position for one in left} == {5}
    assert await promote(source, upto=7, limit=2) == 2


async def test_a_page_of_pending_txs_is_full_however_many_facts_a_tx_has(
    opened: Any, says: Any
) -> None:
    source = await opened()
    many = [replace(says.placed(n, position=9), tx="many") for n in range(100, 150)]
    await apply(source, says.placed(1, position=5), says.placed(2, position=6), *many)
    async with transaction() as session:
        found = await finality.pending(session, source, upto=100, limit=2)
        assert [one.tx for one in found] == ["many", "p2"]
        found = await finality.pending(session, source, upto=100, below=found[-1], limit=2)
        assert [one.tx for one in found] == ["p1"]


HISTORY = 120_000
# Facts of a long life: bets and the reveals of their seeds, the older half of them only confirmed.
FILL_BETS = """
INSERT INTO bets (casino_id, source_id, network, bet, asset, game, stake, status, placed_tx,
    placed_index, placed_position, settled_tx, settled_index, settled_position, finality,
    settled_finality)
SELECT %(casino)s, %(source)s, %(network)s, 'h' || n, 'a', 'range', 1, 'settled',
    'hp' || n || %(source)s, 0, n, 'hs' || n || %(source)s, 0, n + 1, f.is, f.is
FROM generate_series(1, %(history)s) AS n CROSS JOIN LATERAL (
    SELECT CASE WHEN n * 2 <= %(history)s THEN 'confirmed' ELSE 'finalized' END AS is) AS f
"""
FILL_REVEALS = """
INSERT INTO seed_reveals (casino_id, source_id, network, position, tx, index, finality, seed_index,
    seed)
SELECT casino_id, source_id, network, settled_position, settled_tx, 1, finality, 1, 's' FROM bets
WHERE source_id = %(source)s
"""
FILL_RAWS = """
INSERT INTO raw_events (network, position, tx, index, source_id, page_id, kind, body)
SELECT network, placed_position, placed_tx, 0, source_id, 0, 'log', '' FROM bets
WHERE source_id = %(source)s
"""
READ = """
SELECT coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::int
FROM pg_stat_xact_user_tables
"""


@pytest.fixture
async def old(opened: Any) -> Followed:
    """A source with a long history."""
    source: Followed = await opened()
    keys = {
        "casino": source.casino_id,
        "source": source.id,
        "network": source.network,
        "history": HISTORY,
    }
    async with transaction() as session:
        connection = await driver(session)
        for statement in (FILL_BETS, FILL_REVEALS, FILL_RAWS):
            await connection.execute(statement.encode(), keys)
        await connection.execute("ANALYZE bets, seed_reveals, raw_events")
    return source


async def rows_read(work: Callable[[AsyncSession], Awaitable[Any]]) -> int:
    """How many rows PostgreSQL fetched for this, from whatever table."""

    async def read(session: AsyncSession) -> int:
        row = await (await (await driver(session)).execute(READ)).fetchone()
        assert row is not None
        return int(row[0])

    async with transaction() as session:
        before = await read(session)
        await work(session)
        return await read(session) - before


async def test_no_look_reads_more_for_a_long_history_or_a_long_backlog(
    old: Followed, says: Any
) -> None:
    new = [says.placed(n, position=HISTORY + n) for n in range(8)]
    await apply(old, *new, says.settled(0, position=HISTORY + 9))
    found: list[finality.Pending] = []

    async def look(session: AsyncSession) -> None:
        below = found[-1] if found else None
        found[:] = await finality.pending(session, old, upto=10**9, below=below)
        assert len(found) == 256

    async def by_tx(session: AsyncSession) -> None:
        assert await finality.promote(session, old, txs=[one.tx for one in found]) > 256

    async def fell(session: AsyncSession) -> None:
        assert await finality.retract(session, old, txs=["p6"]) == 1

    async def rewound(session: AsyncSession) -> None:
        assert await finality.retract(session, old, above=HISTORY + 3) == 4

    async def by_position(session: AsyncSession) -> None:
        assert await finality.promote(session, old, upto=10**9, limit=256) > 512

    assert await rows_read(fell) < 50
    assert await rows_read(rewound) < 100
    for _ in range(3):
        assert await rows_read(look) < 1_600
        assert await rows_read(by_tx) < 1_600
    assert await rows_read(by_position) < 4_000


async def test_a_reach_is_a_position_or_txs() -> None:
    with pytest.raises(ValueError, match="a position or txs"):
        finality.Reach()
    with pytest.raises(ValueError, match="a position or txs"):
        finality.Reach(1, ["a"])
