"""Finality: facts are born confirmed, then promoted to finalized, or retracted.

A retraction is the reverse of `pages.apply`: it takes back what the bets counted, says so on the
feed, and forgets the raw events, so that a page still under way cannot bring the facts back. The
caller names either a position (everything above it fell) or the txs that fell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from casino import bets, outbox, rows, stats
from casino.sources import Followed
from db.session import driver

BESIDE = (
    "chain_transfers",
    "fees",
    "jackpots",
    "pools",
    "seed_commitments",
    "seed_reveals",
    "system_events",
)

UNFINAL = (
    "b.source_id = %(source)s AND (b.finality = 'confirmed' OR b.settled_finality = 'confirmed')"
)


@dataclass(frozen=True, slots=True)
class Reach:
    """Which facts are meant: those with these txs, or on one side of a position."""

    position: int | None = None
    txs: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if (self.position is None) == (self.txs is None):
            raise ValueError("name a position or txs, not both and not neither")

    def covers(self, tx: str, position: str, side: str) -> str:
        if self.txs is not None:
            return f"coalesce({tx} = ANY(%(txs)s), false)"
        return f"coalesce({position} {side} %(position)s, false)"

    def keys(self, source: Followed) -> dict[str, object]:
        named = None if self.txs is None else list(self.txs)
        return {"source": source.id, "position": self.position, "txs": named}


async def pending(
    session: AsyncSession, source: Followed, *, upto: int, limit: int = 256
) -> list[str]:
    """Txs not further up than `upto` that are only confirmed, oldest first."""
    connection = await driver(session)
    halves = [
        f"SELECT {half}_position AS position, {half}_tx AS tx FROM bets b"
        f" WHERE {UNFINAL} AND {column} = 'confirmed' AND {half}_position <= %(upto)s"
        for half, column in (("placed", "finality"), ("settled", "settled_finality"))
    ]
    others = [
        f"SELECT position, tx FROM {table} WHERE source_id = %(source)s"
        " AND finality = 'confirmed' AND position <= %(upto)s"
        for table in BESIDE
    ]
    statement = (
        f"SELECT tx FROM ({' UNION ALL '.join(halves + others)}) AS f"
        " GROUP BY tx ORDER BY min(position), tx LIMIT %(limit)s"
    )
    keys = {"source": source.id, "upto": upto, "limit": limit}
    cursor = await connection.execute(statement.encode(), keys)
    return [row[0] for row in await cursor.fetchall()]


async def promote(
    session: AsyncSession,
    source: Followed,
    *,
    upto: int | None = None,
    txs: Sequence[str] | None = None,
) -> int:
    """Call facts finalized: all up to a position, or those of some txs. Says how many rows."""
    connection = await driver(session)
    reach = Reach(upto, txs)
    placed = reach.covers("b.placed_tx", "b.placed_position", "<=")
    settled = reach.covers("b.settled_tx", "b.settled_position", "<=")
    keys = reach.keys(source)
    placed = f"(b.finality = 'confirmed' AND {placed})"
    settled = f"(b.settled_finality = 'confirmed' AND {settled})"
    statement = f"""
        WITH due AS (
            SELECT b.id FROM bets b WHERE {UNFINAL} AND ({placed} OR {settled})
            ORDER BY b.bet FOR UPDATE
        )
        UPDATE bets b SET
            finality = CASE WHEN {placed} THEN 'finalized' ELSE b.finality END,
            settled_finality = CASE WHEN {settled} THEN 'finalized' ELSE b.settled_finality END
        FROM due WHERE b.id = due.id
    """
    changed = (await connection.execute(statement.encode(), keys)).rowcount
    changed += await _mark(connection, reach, keys, "<=", "finalized")
    return changed


async def retract(
    session: AsyncSession,
    source: Followed,
    *,
    above: int | None = None,
    txs: Sequence[str] | None = None,
) -> int:
    """Take back what fell off the chain: all above a position, or some txs. Says how many bets."""
    connection = await driver(session)
    reach = Reach(above, txs)
    keys = reach.keys(source)
    await _forget(connection, reach, keys)
    for statement in (bets.STAGE, bets.MOVED, *bets.CLEAR):
        await connection.execute(statement)
    retracted = await _retract_bets(connection, reach, keys)
    if retracted:
        await stats.leave(connection, source)
        await outbox.announce_retractions(connection, source)
    await _mark(connection, reach, keys, ">", "retracted")
    return retracted


async def _forget(connection: rows.Connection, reach: Reach, keys: dict[str, object]) -> None:
    """Wait for pages being interpreted right now, then drop the raw events that fell."""
    where = (
        "upper > %(position)s"
        if reach.txs is None
        else (
            "id IN (SELECT page_id FROM raw_events WHERE source_id = %(source)s"
            " AND tx = ANY(%(txs)s))"
        )
    )
    pages = f"SELECT 1 FROM pages WHERE source_id = %(source)s AND {where} ORDER BY id FOR UPDATE"
    await connection.execute(pages.encode(), keys)
    for table in ("raw_events", "dead_letters"):
        fell = reach.covers("tx", "position", ">")
        statement = f"DELETE FROM {table} WHERE source_id = %(source)s AND {fell}"
        await connection.execute(statement.encode(), keys)


async def _retract_bets(connection: rows.Connection, reach: Reach, keys: dict[str, object]) -> int:
    placed = reach.covers("b.placed_tx", "b.placed_position", ">")
    settled = reach.covers("b.settled_tx", "b.settled_position", ">")
    placed = f"(b.placed_tx IS NOT NULL AND b.finality = 'confirmed' AND {placed})"
    settled = f"(coalesce(b.settled_finality = 'confirmed', false) AND {settled})"
    fallen = f"FROM bets b WHERE {UNFINAL} AND ({placed} OR {settled})"
    await connection.execute(f"SELECT 1 {fallen} ORDER BY b.bet FOR UPDATE".encode(), keys)
    statement = f"""
        WITH fell AS (
            SELECT b.*, {placed} AS p_fell, {settled} AS s_fell {fallen}
        ), left_over AS (
            SELECT id, counted AS counted_before, p_fell, s_fell, player_id, game, placed_at, stake,
                placed_tx IS NOT NULL AND finality <> 'retracted' AND NOT p_fell AS placed_live,
                CASE WHEN NOT s_fell AND settled_tx IS NOT NULL THEN status END AS ended,
                CASE WHEN NOT s_fell THEN payout END AS payout
            FROM fell
        ), counted AS (
            SELECT *, {bets.COUNTED} AS counted FROM left_over
        ), kept AS (
            UPDATE bets b SET
                finality = CASE WHEN c.p_fell THEN 'retracted' ELSE b.finality END,
                status = coalesce(c.ended,
                    CASE WHEN c.placed_live THEN 'placed' ELSE 'retracted' END),
                payout = c.payout,
                outcome = CASE WHEN NOT c.s_fell THEN b.outcome END,
                settled_tx = CASE WHEN NOT c.s_fell THEN b.settled_tx END,
                settled_index = CASE WHEN NOT c.s_fell THEN b.settled_index END,
                settled_position = CASE WHEN NOT c.s_fell THEN b.settled_position END,
                settled_at = CASE WHEN NOT c.s_fell THEN b.settled_at END,
                settled_finality = CASE WHEN NOT c.s_fell THEN b.settled_finality END,
                counted = c.counted, updated_at = now()
            FROM counted c WHERE b.id = c.id
            RETURNING b.id, c.counted_before, b.counted
        )
        INSERT INTO page_moved SELECT id, counted_before, counted, false, false FROM kept
    """
    return (await connection.execute(statement.encode(), keys)).rowcount


async def _mark(
    connection: rows.Connection, reach: Reach, keys: dict[str, object], side: str, finality: str
) -> int:
    changed = 0
    for table in BESIDE:
        statement = f"""
            WITH due AS (
                SELECT id FROM {table} WHERE source_id = %(source)s AND finality = 'confirmed'
                AND {reach.covers("tx", "position", side)} ORDER BY tx, index FOR UPDATE
            )
            UPDATE {table} t SET finality = '{finality}' FROM due WHERE t.id = due.id
        """
        changed += (await connection.execute(statement.encode(), keys)).rowcount
    return changed
