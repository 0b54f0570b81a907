"""Stats: deltas left by every change of a bet, and the one who folds them into sums."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from casino import outbox, rows
from casino.sources import Followed
from db.session import driver

BATCH = 50_000
LOCK = 7462  # first half of the advisory lock, the casino is the second
SUMS = ("bets", "settled", "refunded", "wins", "staked", "paid")

# What a bet counted before is taken back, what it counts now is added. One delta per player and
# hour of a page; `bet_id` names the first bet in it.
LEAVE = """
INSERT INTO stat_deltas
    (casino_id, player_id, bet_id, asset, game, hour, bets, settled, refunded, wins, staked, paid)
SELECT * FROM (
    SELECT %(casino_id)s, d.player, min(c.bet_id), %(asset)s, d.game, to_timestamp(d.hour),
        sum(c.sign) AS bets, sum(c.sign * d.settled) AS settled,
        sum(c.sign * d.refunded) AS refunded, sum(c.sign * d.wins) AS wins,
        sum(c.sign * d.staked) AS staked, sum(c.sign * d.paid) AS paid
    FROM (
        SELECT bet_id, -1 AS sign, counted_before AS counted FROM page_moved
        WHERE counted_before IS NOT NULL AND counted_before IS DISTINCT FROM counted_after
        UNION ALL
        SELECT bet_id, 1, counted_after FROM page_moved
        WHERE counted_after IS NOT NULL AND counted_before IS DISTINCT FROM counted_after
    ) AS c
    CROSS JOIN LATERAL jsonb_to_record(c.counted) AS d(player bigint, game text, hour bigint,
        settled int, refunded int, wins int, staked numeric, paid numeric)
    GROUP BY d.player, d.game, d.hour
) AS delta
WHERE (bets, settled, refunded, wins, staked, paid) <> (0, 0, 0, 0, 0, 0)
"""

FOLD = """
WITH taken AS (
    DELETE FROM stat_deltas WHERE id IN (
        SELECT id FROM stat_deltas WHERE casino_id = %(casino)s ORDER BY id LIMIT %(batch)s)
    RETURNING player_id, asset, hour, bets, settled, refunded, wins, staked, paid
), players AS (
    INSERT INTO player_stats AS s
        (player_id, asset, bets, settled, refunded, wins, staked, paid, updated_at)
    SELECT player_id, asset, sum(bets), sum(settled), sum(refunded), sum(wins), sum(staked),
        sum(paid), clock_timestamp()
    FROM taken WHERE player_id IS NOT NULL GROUP BY player_id, asset ORDER BY player_id, asset
    ON CONFLICT (player_id, asset) DO UPDATE SET
        bets = s.bets + excluded.bets, settled = s.settled + excluded.settled,
        refunded = s.refunded + excluded.refunded, wins = s.wins + excluded.wins,
        staked = s.staked + excluded.staked, paid = s.paid + excluded.paid,
        updated_at = excluded.updated_at
), casinos AS (
    INSERT INTO casino_stats AS s
        (casino_id, bucket, at, asset, bets, settled, refunded, wins, staked, paid, updated_at)
    SELECT %(casino)s, b.bucket, b.at, t.asset, sum(t.bets), sum(t.settled), sum(t.refunded),
        sum(t.wins), sum(t.staked), sum(t.paid), clock_timestamp()
    FROM taken t CROSS JOIN LATERAL (VALUES
        ('total', to_timestamp(0)), ('hour', t.hour), ('day', date_trunc('day', t.hour, 'UTC'))
    ) AS b(bucket, at)
    WHERE b.bucket = 'total' OR t.hour > to_timestamp(0)
    GROUP BY b.bucket, b.at, t.asset ORDER BY b.bucket, b.at, t.asset
    ON CONFLICT (casino_id, bucket, at, asset) DO UPDATE SET
        bets = s.bets + excluded.bets, settled = s.settled + excluded.settled,
        refunded = s.refunded + excluded.refunded, wins = s.wins + excluded.wins,
        staked = s.staked + excluded.staked, paid = s.paid + excluded.paid,
        updated_at = excluded.updated_at
)
SELECT count(*) FROM taken
"""

DUE = """
SELECT c.slug, (extract(epoch FROM a.announced_at + %(interval)s * interval '1 ms'
    - clock_timestamp()) * 1000)::float8
FROM casinos c LEFT JOIN stat_announcements a ON a.casino_id = c.id
WHERE c.id = %(casino)s AND EXISTS (
    SELECT 1 FROM casino_stats s WHERE s.casino_id = c.id AND s.bucket = 'total'
    AND (a.announced_at IS NULL OR s.updated_at > a.announced_at))
"""

TOTALS = """
SELECT asset, bets, settled, refunded, wins, staked::text, paid::text FROM casino_stats
WHERE casino_id = %s AND bucket = 'total' ORDER BY asset
"""

ANNOUNCED = """
INSERT INTO stat_announcements (casino_id, announced_at) VALUES (%s, clock_timestamp())
ON CONFLICT (casino_id) DO UPDATE SET announced_at = excluded.announced_at
"""


@dataclass(frozen=True, slots=True)
class Folded:
    """What a fold did. `again_ms` is when to come back: at once, later, or (None) not."""

    deltas: int
    announced: bool
    again_ms: int | None


async def leave(connection: rows.Connection, source: Followed) -> None:
    """Append the deltas of every bet in `page_moved`."""
    await connection.execute(LEAVE, {"casino_id": source.casino_id, "asset": source.asset})


async def fold(
    session: AsyncSession, casino_id: int, *, interval_ms: int = 1000, batch: int = BATCH
) -> Folded:
    """Fold waiting deltas into the sums, and announce them at most once per interval."""
    connection = await driver(session)
    await connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", (LOCK, casino_id))
    cursor = await connection.execute(FOLD, {"casino": casino_id, "batch": batch})
    deltas = _one(await cursor.fetchone())
    cursor = await connection.execute(DUE, {"casino": casino_id, "interval": interval_ms})
    due = await cursor.fetchone()
    more = 0 if deltas == batch else None
    if due is None:
        return Folded(deltas, False, more)
    slug, wait_ms = due
    if wait_ms is not None and wait_ms > 0:
        return Folded(deltas, False, more if more is not None else int(wait_ms) + 1)
    await connection.execute(ANNOUNCED, (casino_id,))
    await outbox.announce(session, [await _message(connection, casino_id, slug)])
    return Folded(deltas, True, more)


async def _message(connection: rows.Connection, casino_id: int, slug: str) -> outbox.Message:
    cursor = await connection.execute(TOTALS, (casino_id,))
    names = ("asset", *SUMS)
    totals = [dict(zip(names, row, strict=True)) for row in await cursor.fetchall()]
    return outbox.Message("stats", "stats.updated", slug, {"casino": slug, "totals": totals})


def _one(row: tuple[Any, ...] | None) -> int:
    return int(row[0]) if row else 0
