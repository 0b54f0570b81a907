"""Samples: assets and users to try wallets with, given once however often they are asked for."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from casino import players, wallets
from casino.commands import Answer
from casino.wallets import Move
from db.session import driver

# What each user begins with, from the treasury.
OPENING = {
    "GOLD_COINS": {"user_001": 1000, "user_002": 500},
    "DIAMONDS": {"user_001": 100, "user_002": 50},
    "LOYALTY_POINTS": {"user_001": 500, "user_002": 250},
}
USERS = ("user_001", "user_002")

CASINO = "INSERT INTO casinos (slug, name) VALUES (%(slug)s, %(slug)s) ON CONFLICT DO NOTHING"
FIND = "SELECT id FROM casinos WHERE slug = %(slug)s"
ASSETS = """
INSERT INTO assets (id, symbol, scale)
SELECT 'casino:' || %(slug)s::text || '/' || symbol, symbol, 0
FROM unnest(%(symbols)s::text[]) AS n(symbol) ORDER BY 1 ON CONFLICT DO NOTHING
"""


async def give(session: AsyncSession, slug: str) -> int:
    """Make what is missing in a casino; how many balances were opened."""
    connection = await driver(session)
    await connection.execute(CASINO.encode(), {"slug": slug})
    found = await (await connection.execute(FIND.encode(), {"slug": slug})).fetchone()
    if found is None:
        raise RuntimeError(f"the casino {slug} was there a moment ago")
    casino_id = found[0]
    await connection.execute(ASSETS.encode(), {"slug": slug, "symbols": list(OPENING)})
    ids = await players.ensure_named(connection, casino_id, USERS)
    answers = await wallets.move_many(
        session,
        [
            opening(casino_id, slug, ids[user], symbol, f"casino:{slug}/{symbol}", amount)
            for symbol, amounts in OPENING.items()
            for user, amount in amounts.items()
        ],
    )
    return sum(isinstance(one, Answer) and not one.replayed for one in answers)


def opening(casino_id: int, slug: str, player_id: int, name: str, asset: str, amount: int) -> Move:
    """What a user of the samples begins with in an asset, once for each `name` of it."""
    source, target = wallets.ends("top_up", player_id)
    return Move(
        casino_id=casino_id,
        casino=slug,
        scope=f"samples:{casino_id}",
        key=f"{player_id}:{name}",
        actor="samples",
        type="top_up",
        player_id=player_id,
        asset=asset,
        amount=amount,
        source=source,
        target=target,
        description="opening balance",
    )
