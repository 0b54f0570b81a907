"""Wagers: bets that are settled for good, counted once for the bonus they were placed under."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from casino import bonuses, outbox, rows
from casino.bonuses import Convert, Expire
from db.session import driver

BATCH = 1_000  # whoever bets under one of its bonuses waits for it
MOST_DUE = 500
LOCK = 7463  # first half of the advisory lock, the casino is the second

# Bets of a chain, as soon as both halves are final: only those placed while a bonus was active, and
# not those that win almost always, where its terms say so: of a range game the chance is known, a
# basis point for each face. The first condition is asked once.
FINAL = """
INSERT INTO waiting_wagers (casino_id, source, bet, grant_id, game, cash, bonus, settled_at)
SELECT b.casino_id, 'chain', b.id::text, g.id, b.game, b.stake, 0, b.settled_at
FROM {bets} JOIN grants g ON g.casino_id = b.casino_id AND g.player_id = b.player_id
    AND g.asset = b.asset AND g.state = 'active'
CROSS JOIN LATERAL (
    SELECT CASE WHEN b.game = 'range' AND b.choice->>'low' ~ '^[0-9]{{1,5}}$'
        AND b.choice->>'high' ~ '^[0-9]{{1,5}}$'
        THEN (b.choice->>'high')::int - (b.choice->>'low')::int END AS chance_bp
) s
WHERE EXISTS (SELECT FROM grants WHERE casino_id = %(casino_id)s AND state = 'active')
    AND b.status = 'settled' AND b.finality = 'finalized' AND b.settled_finality = 'finalized'
    AND b.stake > 0 AND b.placed_at >= g.activated_at AND coalesce(s.chance_bp <= (
        SELECT (terms->>'most_chance_bp')::int FROM campaigns c WHERE c.id = g.campaign_id), true)
ORDER BY b.id
"""
FINAL_MOVED = FINAL.format(bets="page_moved m JOIN bets b ON b.id = m.bet_id")
FINAL_PROMOTED = FINAL.format(bets="unnest(%(ids)s::bigint[]) AS m(id) JOIN bets b ON b.id = m.id")

HELD = b"""
SELECT id FROM grants WHERE id IN (
    SELECT grant_id FROM (
        SELECT grant_id FROM waiting_wagers WHERE casino_id = %s ORDER BY id LIMIT %s
    ) AS w)
ORDER BY id FOR NO KEY UPDATE
"""
# What `Terms.plays` and `Terms.weights` say: a game is weighed whole, else by its product. A bet
# that was counted before is gone without a word. A trigger on what is kept moves the grants.
COUNT = b"""
WITH taken AS MATERIALIZED (
    DELETE FROM waiting_wagers WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM waiting_wagers
        WHERE casino_id = %(casino)s AND grant_id = ANY(%(grants)s::bigint[])
        ORDER BY id LIMIT %(batch)s))
    RETURNING source, bet, grant_id, game, coalesce(game, '') AS played, cash, bonus, settled_at
), held AS MATERIALIZED (
    SELECT g.id, g.player_id, g.asset, g.required_bp, g.done_bp, g.expires_at,
        g.state = 'active' AS active, g.campaign_id
    FROM grants g WHERE g.id = ANY(%(grants)s::bigint[])
), games AS MATERIALIZED (
    SELECT p.campaign_id, p.played, CASE
        WHEN c.terms->'excluded' ?| ARRAY[p.played, n.product]
            OR c.terms->'products' <> '[]' AND NOT c.terms->'products' ? n.product THEN 0
        ELSE coalesce((c.terms->'weights'->>p.played)::int,
            (c.terms->'weights'->>n.product)::int, (c.terms->>'default_weight_bp')::int)
        END AS weight_bp
    FROM (
        SELECT DISTINCT h.campaign_id, w.played FROM taken w JOIN held h ON h.id = w.grant_id
    ) AS p JOIN campaigns c ON c.id = p.campaign_id
    CROSS JOIN LATERAL (SELECT split_part(p.played, '/', 1) AS product) AS n
), kept AS (
    INSERT INTO wagers
        (casino_id, source, bet, grant_id, game, cash, bonus, settled_at, counted_bp)
    SELECT %(casino)s, w.source, w.bet, w.grant_id, w.game, w.cash, w.bonus, w.settled_at,
        CASE WHEN h.active AND w.settled_at <= h.expires_at
            THEN (w.cash + w.bonus) * s.weight_bp ELSE 0 END
    FROM taken w JOIN held h ON h.id = w.grant_id
    JOIN games s ON s.campaign_id = h.campaign_id AND s.played = w.played
    ON CONFLICT DO NOTHING
    RETURNING grant_id, counted_bp
), moved AS (
    SELECT h.*, h.done_bp + s.counted_bp AS now_bp
    FROM (SELECT grant_id, sum(counted_bp) AS counted_bp FROM kept GROUP BY grant_id) AS s
    JOIN held h ON h.id = s.grant_id WHERE s.counted_bp <> 0
)
SELECT (SELECT count(*) FROM taken), m.id, c.code, m.player_id, m.asset, m.required_bp::text,
    m.now_bp::text, m.expires_at
FROM (SELECT 1) AS one LEFT JOIN (moved m JOIN campaigns c ON c.id = m.campaign_id) ON true
ORDER BY m.id
"""
SLUG = b"SELECT slug FROM casinos WHERE id = %s"
DUE = b"""
SELECT id, player_id, asset, done_bp >= required_bp,
    done_bp::text || ':' || to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD')
FROM grants
WHERE casino_id = %(casino)s AND state = 'active' AND id > %(after)s
    AND (done_bp >= required_bp OR expires_at <= clock_timestamp())
ORDER BY id LIMIT %(most)s
"""


@dataclass(frozen=True, slots=True)
class Counted:
    """What one batch did: wagers taken, grants that moved, and whether more may wait."""

    wagers: int
    grants: int
    more: bool


async def promoted(connection: rows.Connection, casino_id: int, bets: Sequence[int]) -> None:
    """Bets of a chain became final: those that count for a bonus wait to be counted."""
    if bets:
        await connection.execute(FINAL_PROMOTED, {"casino_id": casino_id, "ids": list(bets)})


async def born_final(connection: rows.Connection, casino_id: int) -> None:
    """The same for bets in `page_moved`, of a page that was final when it was listed."""
    await connection.execute(FINAL_MOVED, {"casino_id": casino_id})


async def count(session: AsyncSession, casino_id: int, *, batch: int = BATCH) -> Counted:
    """Count waiting wagers for their grants, and tell each player once how far theirs came.

    Grants are locked by their numbers, as by commands that may end them, and no accounts are.
    What settled after its grant's time was over, or after its end, counts for nothing.
    """
    connection = await driver(session)
    await connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", (LOCK, casino_id))
    held = await (await connection.execute(HELD, (casino_id, batch))).fetchall()
    if not held:
        return Counted(0, 0, more=False)
    keys = {"casino": casino_id, "grants": [row[0] for row in held], "batch": batch}
    found = await (await connection.execute(COUNT, keys)).fetchall()
    [(slug,)] = await (await connection.execute(SLUG, (casino_id,))).fetchall()
    messages = [_told(slug, *row[1:]) for row in found if row[1] is not None]
    await outbox.announce(session, messages)
    return Counted(found[0][0], len(messages), more=found[0][0] >= batch)


async def due(
    session: AsyncSession, casino_id: int, *, after: int = 0, most: int = MOST_DUE
) -> list[Convert | Expire]:
    """What is to be done with grants that are wagered, or whose time is over.

    A key holds how far the wagering was and the day: one that was refused is tried again tomorrow.
    """
    connection = await driver(session)
    keys: dict[str, Any] = {"casino": casino_id, "after": after, "most": most}
    found = await (await connection.execute(DUE, keys)).fetchall()
    return [
        (Convert if met else Expire)(
            casino_id=casino_id,
            scope="house:bonuses",
            key=f"{'convert' if met else 'expire'}:{id}:{attempt}",
            actor="worker",
            player_id=player_id,
            asset=asset,
            grant_id=id,
        )
        for id, player_id, asset, met, attempt in found
    ]


def _told(
    slug: str,
    id: int,
    campaign: str,
    player_id: int,
    asset: str,
    required_bp: str,
    done_bp: str,
    expires_at: datetime,
) -> outbox.Message:
    data: dict[str, Any] = {"grant": str(id), "campaign": campaign, "asset": asset}
    data |= bonuses.progress(int(required_bp), int(done_bp), expires_at)
    return outbox.Message("user", "bonus.progress", slug, data, player=str(player_id))
