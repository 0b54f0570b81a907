"""Samples for game providers: two users with dollars, and two games, given once."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from casino import players, samples, wallets
from casino.commands import Answer
from casino.providers.jaqpot import Jaqpot
from db.session import driver

USD = "iso4217:USD"
USERS = ("1", "2")
GAMES = {"1": "Lucky Lemons", "2": "Deep Dive"}
OPENING = 100_000  # cents

FIND = b"SELECT id FROM casinos WHERE slug = %s"
ASSET = b"INSERT INTO assets (id, symbol, scale) VALUES (%s, 'USD', 2) ON CONFLICT DO NOTHING"
GAME = b"""
INSERT INTO casino_games (casino_id, provider, code, name, product)
VALUES (%s, %s, %s, %s, 'slots')
ON CONFLICT DO NOTHING
"""


async def give(session: AsyncSession, slug: str) -> int:
    """Make what is missing in a casino that is there; how many balances were opened."""
    connection = await driver(session)
    row = await (await connection.execute(FIND, (slug,))).fetchone()
    if row is None:
        raise RuntimeError(f"there is no casino {slug}")
    await connection.execute(ASSET, (USD,))
    for code, name in GAMES.items():
        await connection.execute(GAME, (row[0], Jaqpot.name, code, name))
    ids = await players.ensure_named(connection, row[0], USERS)
    openings = [samples.opening(row[0], slug, id, USD, USD, OPENING) for id in ids.values()]
    answers = await wallets.move_many(session, openings)
    return sum(isinstance(one, Answer) and not one.replayed for one in answers)
