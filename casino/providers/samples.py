"""Samples for game providers: two users with dollars, and two games, given once."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from casino import players, wallets
from casino.commands import Answer
from casino.providers.jaqpot import Jaqpot
from casino.wallets import Move
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
    openings = [_opening(row[0], slug, player_id) for player_id in ids.values()]
    answers = await wallets.move_many(session, openings)
    return sum(isinstance(one, Answer) and not one.replayed for one in answers)


def _opening(casino_id: int, slug: str, player_id: int) -> Move:
    source, target = wallets.ends("top_up", player_id)
    return Move(
        casino_id=casino_id,
        casino=slug,
        scope=f"samples:{casino_id}",
        key=f"{player_id}:{USD}",
        actor="samples",
        type="top_up",
        player_id=player_id,
        asset=USD,
        amount=OPENING,
        source=source,
        target=target,
        description="opening balance",
    )
