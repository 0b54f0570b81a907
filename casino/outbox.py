"""The outbox: what the feed will say, written in the transaction that made it true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from casino import rows
from casino.sources import Followed
from db.arrays import documents, texts
from db.session import driver

MOMENT = """'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'"""

MESSAGE = f"""
INSERT INTO outbox (namespace, type, casino, player, game, data)
SELECT 'bets', t.type, %(casino)s, b.player, b.game, jsonb_build_object(
    'id', b.id, 'network', b.network, 'program', %(program)s::text, 'casino', %(casino)s::text,
    'game', b.game, 'player', b.player, 'bet', b.bet, 'asset', b.asset, 'stake', b.stake::text,
    'choice', b.choice, 'index', b.seed_index,
    'tx', CASE WHEN t.ended THEN b.settled_tx ELSE b.placed_tx END,
    'status', CASE WHEN t.type = 'bet.placed' THEN 'placed' ELSE b.status END,
    'payout', CASE WHEN t.ended THEN b.payout::text END,
    'outcome', CASE WHEN t.ended THEN b.outcome END,
    'placed_at', to_char(b.placed_at AT TIME ZONE 'UTC', {MOMENT}),
    'settled_at', CASE WHEN t.ended THEN to_char(b.settled_at AT TIME ZONE 'UTC', {MOMENT}) END,
    'finality', CASE WHEN t.ended THEN b.settled_finality ELSE b.finality END)
FROM page_moved m JOIN bets b ON b.id = m.bet_id
"""

CHANGED = (
    MESSAGE
    + """
CROSS JOIN LATERAL (VALUES
    ('bet.placed', m.say_placed, false),
    ('bet.' || b.status, m.say_ended, true)
) AS t(type, said, ended)
WHERE t.said
ORDER BY CASE WHEN t.ended THEN greatest(b.settled_position, b.placed_position)
    ELSE b.placed_position END, t.ended, b.id
"""
)

# What is left of a bet: an ending that still stands is told with its payout.
RETRACTED = (
    MESSAGE
    + """
CROSS JOIN LATERAL (VALUES ('bet.retracted', b.settled_tx IS NOT NULL)) AS t(type, ended)
ORDER BY b.id
"""
)

ANNOUNCE = b"""
INSERT INTO outbox (namespace, type, casino, player, game, data)
SELECT namespace, type, casino, player, game, data
FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::jsonb[])
    WITH ORDINALITY AS m(namespace, type, casino, player, game, data, place)
ORDER BY place
"""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the feed; casino, player and game are what it can be filtered by."""

    namespace: str
    type: str
    casino: str
    data: dict[str, Any] = field(default_factory=dict)
    player: str | None = None
    game: str | None = None


async def announce(session: AsyncSession, messages: Sequence[Message]) -> None:
    """Put messages into the outbox, in their order."""
    if messages:
        connection = await driver(session)
        await connection.execute(*statement(messages))


def statement(messages: Sequence[Message]) -> tuple[bytes, tuple[str, ...]]:
    """What puts messages into the outbox, for whoever writes more in the same breath."""
    return ANNOUNCE, (
        texts(one.namespace for one in messages),
        texts(one.type for one in messages),
        texts(one.casino for one in messages),
        texts(one.player for one in messages),
        texts(one.game for one in messages),
        documents(one.data for one in messages),
    )


async def announce_bets(connection: rows.Connection, source: Followed) -> None:
    """Tell of every bet in `page_moved`: placed before ended, ended only once both are known."""
    await connection.execute(CHANGED, {"casino": source.casino, "program": source.program})


async def announce_retractions(connection: rows.Connection, source: Followed) -> None:
    """Tell of every bet in `page_moved` that the chain took back, wholly or its ending only."""
    await connection.execute(RETRACTED, {"casino": source.casino, "program": source.program})
