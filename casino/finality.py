"""Finality: facts are born confirmed, then promoted to finalized, or retracted.

A retraction is the reverse of `pages.apply`: it takes back what the bets counted, says so on the
feed, and forgets the raw events, so that a page still under way cannot bring the facts back. The
caller names either a position (everything above it fell) or the txs that fell.

What is not final yet is found by indexes of its own, so that no look costs more for a long history.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from casino import bets, outbox, rows, stats, wagers
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

HALVES = (("placed", "finality"), ("settled", "settled_finality"))
BATCH = 500  # promoted in one transaction: others wait for a tenth of a second or less


@dataclass(frozen=True, slots=True, order=True)
class Pending:
    """A tx whose facts are only confirmed, and where it stands."""

    position: int
    tx: str


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
            return f"{tx} = ANY(%(txs)s)"
        return f"{position} {side} %(position)s"

    def ids(self, table: str, half: str, finality: str, side: str, *, most: bool) -> str:
        """The ids of a table's unfinal rows that are meant.

        The planner is left no choice but the index, whatever it believes of the table: it thinks
        of unfinal rows as few, and reads the whole table when they are many.
        """
        unfinal = f"source_id = %(source)s AND {finality} = 'confirmed'"
        position, tx = f"{half}position", f"{half}tx"
        if self.txs is None:
            newest = f" ORDER BY {position} DESC LIMIT %(limit)s" if most else ""
            meant = self.covers(tx, position, side)
            return f"(SELECT id FROM {table} WHERE {unfinal} AND {meant}{newest})"
        key = "" if half else "network = %(network)s AND "
        return (
            f"(SELECT f.id FROM unnest(%(txs)s::text[]) AS t(tx) CROSS JOIN LATERAL ("
            f"SELECT id, source_id, {finality} FROM {table} WHERE {key}{tx} = t.tx OFFSET 0) AS f"
            f" WHERE f.{unfinal.replace(' AND ', ' AND f.')})"
        )

    def bets(self, side: str, *, most: bool = False) -> str:
        """The ids of unfinal bets that are meant, each half found by its own index."""
        return " UNION ".join(
            self.ids("bets", f"{half}_", column, side, most=most) for half, column in HALVES
        )

    def keys(self, source: Followed, limit: int | None = None) -> dict[str, object]:
        return {
            "source": source.id,
            "network": source.network,
            "position": self.position,
            "txs": None if self.txs is None else list(self.txs),
            "limit": BATCH if limit is None else limit,
        }


async def pending(
    session: AsyncSession,
    source: Followed,
    *,
    upto: int,
    below: Pending | None = None,
    limit: int = 256,
) -> list[Pending]:
    """Txs not further up than `upto` that are only confirmed, newest first.

    `below` is the last one of the look before: this one goes on under it.
    """
    connection = await driver(session)
    tables = [("bets", f"{half}_position", f"{half}_tx", column) for half, column in HALVES]
    tables += [(table, "position", "tx", "finality") for table in BESIDE]
    under = "" if below is None else " AND ({position}, {tx}) < (%(position)s, %(tx)s)"
    looks = [
        f"(SELECT DISTINCT {position} AS position, {tx} AS tx FROM {table}"
        f" WHERE source_id = %(source)s AND {column} = 'confirmed' AND {position} <= %(upto)s"
        f"{under.format(position=position, tx=tx)}"
        f" ORDER BY {position} DESC, {tx} DESC LIMIT %(limit)s)"
        for table, position, tx, column in tables
    ]
    statement = f"{' UNION '.join(looks)} ORDER BY position DESC, tx DESC LIMIT %(limit)s"
    keys = {
        "source": source.id,
        "upto": upto if below is None else min(upto, below.position),
        "position": None if below is None else below.position,
        "tx": None if below is None else below.tx,
        "limit": limit,
    }
    cursor = await connection.execute(statement.encode(), keys)
    return [Pending(*row) for row in await cursor.fetchall()]


async def promote(
    session: AsyncSession,
    source: Followed,
    *,
    upto: int | None = None,
    txs: Sequence[str] | None = None,
    limit: int | None = None,
) -> int:
    """Call facts finalized: all up to a position, or those of some txs. Says how many rows.

    Up to a position it takes the newest `limit` of each kind (`BATCH` if none is said): call again
    while it takes as many.
    """
    connection = await driver(session)
    reach = Reach(upto, txs)
    keys = reach.keys(source, limit)
    most = txs is None
    due = {
        column: f"b.{column} = 'confirmed'"
        f" AND {reach.covers(f'b.{half}_tx', f'b.{half}_position', '<=')}"
        for half, column in HALVES
    }
    changes = ", ".join(
        f"{column} = CASE WHEN {meant} THEN 'finalized' ELSE b.{column} END"
        for column, meant in due.items()
    )
    statement = f"""
        WITH due AS (
            SELECT b.id FROM bets b WHERE b.id = ANY(ARRAY({reach.bets("<=", most=most)}))
            ORDER BY b.bet FOR UPDATE
        )
        UPDATE bets b SET {changes} WHERE b.id = ANY(ARRAY(SELECT id FROM due)) RETURNING b.id
    """
    cursor = await connection.execute(statement.encode(), keys)
    promoted = [row[0] for row in await cursor.fetchall()]
    await wagers.promoted(connection, source.casino_id, promoted)
    changed = len(promoted)
    changed += await _mark(connection, reach, keys, "<=", "finalized", most=most)
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
    where, fell = "upper > %(position)s", "position > %(position)s"
    if reach.txs is not None:
        keys = keys | {"positions": await _positions(connection, keys)}
        fell = "position = ANY(%(positions)s) AND tx = ANY(%(txs)s)"
        where = f"id IN (SELECT page_id FROM raw_events WHERE network = %(network)s AND {fell})"
    pages = f"SELECT 1 FROM pages WHERE source_id = %(source)s AND {where} ORDER BY id FOR UPDATE"
    await connection.execute(pages.encode(), keys)
    for table in ("raw_events", "dead_letters"):
        statement = (
            f"DELETE FROM {table} WHERE network = %(network)s AND source_id = %(source)s AND {fell}"
        )
        await connection.execute(statement.encode(), keys)


async def _positions(connection: rows.Connection, keys: dict[str, object]) -> list[int]:
    """Where the facts of these txs stand: raw events are found by their position."""
    looks = [
        f"SELECT {half}_position FROM bets WHERE {half}_tx = ANY(%(txs)s)" for half, _ in HALVES
    ]
    looks += [
        f"SELECT position FROM {table} WHERE network = %(network)s AND tx = ANY(%(txs)s)"
        for table in BESIDE
    ]
    cursor = await connection.execute(" UNION ".join(looks).encode(), keys)
    return [row[0] for row in await cursor.fetchall()]


async def _retract_bets(connection: rows.Connection, reach: Reach, keys: dict[str, object]) -> int:
    placed = reach.covers("b.placed_tx", "b.placed_position", ">")
    settled = reach.covers("b.settled_tx", "b.settled_position", ">")
    placed = f"(coalesce(b.finality = 'confirmed' AND {placed}, false))"
    settled = f"(coalesce(b.settled_finality = 'confirmed' AND {settled}, false))"
    fallen = f"FROM bets b WHERE b.id = ANY(ARRAY({reach.bets('>')})) AND ({placed} OR {settled})"
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
    connection: rows.Connection,
    reach: Reach,
    keys: dict[str, object],
    side: str,
    finality: str,
    *,
    most: bool = False,
) -> int:
    changed = 0
    for table in BESIDE:
        statement = f"""
            WITH due AS (
                SELECT id FROM {table}
                WHERE id = ANY(ARRAY({reach.ids(table, "", "finality", side, most=most)}))
                ORDER BY tx, index FOR UPDATE
            )
            UPDATE {table} SET finality = '{finality}' WHERE id = ANY(ARRAY(SELECT id FROM due))
        """
        changed += (await connection.execute(statement.encode(), keys)).rowcount
    return changed
