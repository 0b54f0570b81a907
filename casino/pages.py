"""A page of facts, applied whole: a handful of set-based statements, whatever its size.

Facts commute. Any order and any number of deliveries leave the same books, because every row is
merged by its key and stats move by the difference a row made. Rows are locked in one order
(players, bets, other facts; each by key), so that pages applied at once never wait in a circle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from casino import (
    bets,
    fees,
    jackpots,
    outbox,
    players,
    pools,
    rows,
    seeds,
    stats,
    system_events,
    transfers,
    wagers,
)
from casino.sources import Followed
from chains.chain import Fact
from db.session import driver

BETS = frozenset({"bet_placed", "bet_settled", "bet_refunded"})

STAGE = """
CREATE TEMP TABLE IF NOT EXISTS page_facts (
    kind text, position bigint, tx text, index bigint, at timestamptz,
    who text, amount numeric, pool text, bet text, words text,
    first bigint, count bigint, reveal_by bigint, document jsonb
) ON COMMIT DELETE ROWS
"""
FILL = "COPY page_facts FROM STDIN"

BESIDE: Mapping[str, rows.Beside] = {
    room.kind: room
    for room in (
        fees.CHARGED,
        jackpots.WON,
        pools.REGISTERED,
        seeds.COMMITTED,
        seeds.REVEALED,
        system_events.SEEN,
        transfers.DEPOSITED,
        transfers.WITHDRAWN,
    )
}


@dataclass(frozen=True, slots=True)
class Applied:
    """How many bets and other rows a page really changed."""

    bets: int
    others: int


async def apply(
    session: AsyncSession,
    source: Followed,
    facts: Sequence[Fact],
    *,
    fresh: bool,
    final: bool = False,
) -> Applied:
    """Put a page's facts into the books; announce what changed if the page is fresh.

    Facts of a `final` page are born finalized, all others confirmed.
    """
    finality = "finalized" if final else "confirmed"
    connection = await driver(session)
    gathered, beside = gather(facts)
    known = await players.ensure(connection, source, gathered.players, fresh=fresh)
    changed = await bets.apply(connection, source, gathered, known, finality=finality)
    if changed:
        await stats.leave(connection, source)
        if final:
            await wagers.born_final(connection, source.casino_id)
        if fresh:
            await outbox.announce_bets(connection, source)
    others = await _apply_beside(connection, source, beside, finality=finality, fresh=fresh)
    return Applied(changed, others)


def gather(facts: Sequence[Fact]) -> tuple[bets.Gathered, dict[str, dict[tuple[str, int], Fact]]]:
    """Bets merged in memory, and the other facts by kind, each event once: its latest landing."""
    gathered = bets.Gathered()
    beside: dict[str, dict[tuple[str, int], Fact]] = {}
    for fact in facts:
        if fact.kind in BETS:
            gathered.add(fact)
            continue
        landed = beside.setdefault(fact.kind, {})
        held = landed.get((fact.tx, fact.index))
        if held is None or fact.position > held.position:
            landed[fact.tx, fact.index] = fact
        player = fact.fields.get("player")
        if isinstance(player, str):
            bets.meet(gathered.players, player, fact.time)
    return gathered, beside


async def _apply_beside(
    connection: rows.Connection,
    source: Followed,
    beside: Mapping[str, Mapping[tuple[str, int], Fact]],
    *,
    finality: str,
    fresh: bool,
) -> int:
    if not beside:
        return 0
    await connection.execute(STAGE)
    await connection.execute("DELETE FROM page_facts")
    time = rows.Times()
    lines = [
        BESIDE[kind].line(fact, time) for kind, landed in beside.items() for fact in landed.values()
    ]
    await rows.fill(connection, FILL, lines)
    keys = {
        "casino_id": source.casino_id,
        "source_id": source.id,
        "network": source.network,
        "asset": source.asset,
        "casino": source.casino,
        "program": source.program,
        "finality": finality,
        "fresh": fresh,
    }
    changed = 0
    for kind in sorted(beside):
        changed += (await connection.execute(BESIDE[kind].insert, keys)).rowcount
    return changed
