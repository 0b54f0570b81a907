"""What a demo needs to play: two users with dollars, and two games."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from casino.providers.jaqpot import Jaqpot
from casino.wallets import TREASURY, Move, move_many
from db.session import driver

USD = "iso4217:USD"
USERS = ("1", "2")
GAMES = {"1": "Lucky Lemons", "2": "Deep Dive"}
OPENING = 100_000  # cents

CASINO = b"""
WITH made AS (
    INSERT INTO casinos (slug, name) VALUES (%(slug)s, %(slug)s) ON CONFLICT DO NOTHING RETURNING id
)
SELECT id FROM made UNION ALL SELECT id FROM casinos WHERE slug = %(slug)s LIMIT 1
"""
ASSET = b"INSERT INTO assets (id, symbol, scale) VALUES (%s, 'USD', 2) ON CONFLICT DO NOTHING"
GAME = b"""
INSERT INTO casino_games (casino_id, provider, code, name) VALUES (%s, %s, %s, %s)
ON CONFLICT DO NOTHING
"""
USER = b"""
WITH named AS (
    INSERT INTO player_identities (player_id, casino_id, kind, scope, external_id)
    VALUES (nextval(pg_get_serial_sequence('players', 'id')), %(casino)s, 'operator', 'operator',
        %(name)s)
    ON CONFLICT DO NOTHING RETURNING player_id
), made AS (
    INSERT INTO players (id, casino_id, joined_at)
    SELECT player_id, %(casino)s, now() FROM named RETURNING id
)
SELECT id FROM made UNION ALL
SELECT player_id FROM player_identities WHERE casino_id = %(casino)s AND kind = 'operator'
    AND scope = 'operator' AND external_id = %(name)s LIMIT 1
"""


async def furnish(session: AsyncSession, slug: str) -> None:
    """Users 1 and 2, each with a thousand dollars from the treasury, and games 1 and 2."""
    connection = await driver(session)
    row = await (await connection.execute(CASINO, {"slug": slug})).fetchone()
    if row is None:
        raise RuntimeError(f"no casino {slug}")
    casino_id = row[0]
    await connection.execute(ASSET, (USD,))
    for code, name in GAMES.items():
        await connection.execute(GAME, (casino_id, Jaqpot.name, code, name))
    openings = []
    for name in USERS:
        found = await (
            await connection.execute(USER, {"casino": casino_id, "name": name})
        ).fetchone()
        if found is None:
            raise RuntimeError(f"no user {name}")
        openings.append(_opening(casino_id, slug, name, found[0]))
    await move_many(session, openings)


def _opening(casino_id: int, slug: str, name: str, player_id: int) -> Move:
    return Move(
        casino_id=casino_id,
        scope=f"demo:{casino_id}",
        key=f"opening of user {name}",
        actor="demo",
        type="top_up",
        player_id=player_id,
        asset=USD,
        amount=OPENING,
        source=TREASURY,
        target=f"player:{player_id}:cash",
        casino=slug,
    )
