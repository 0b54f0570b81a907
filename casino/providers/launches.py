"""Launches: a player opens a provider's game, which gets a token to make calls with."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import tuple_row

Connection = psycopg.AsyncConnection[Any]

LAUNCH = b"""
INSERT INTO casino_launches
    (digest, casino_id, provider, game, player_id, player, asset, expires_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, now() + make_interval(secs => %s)) RETURNING expires_at
"""
FIND = b"""
SELECT l.digest, l.casino_id, c.slug, l.provider, l.game, l.player_id, l.player, l.asset,
    a.symbol, a.scale, l.expires_at
FROM casino_launches l JOIN casinos c ON c.id = l.casino_id JOIN assets a ON a.id = l.asset
WHERE l.digest = %s
"""
PLAYER = b"""
SELECT player_id FROM player_identities
WHERE casino_id = %s AND kind = 'operator' AND scope = 'operator' AND external_id = %s
"""
GAME = b"""
SELECT code FROM casino_games
WHERE casino_id = %(casino)s AND provider = %(provider)s AND closed_at IS NULL
    AND code = coalesce(%(code)s::text, code)
ORDER BY length(code), code LIMIT 1
"""
# Without a currency, that of the player's first wallet.
ASSET = b"""
SELECT id FROM assets WHERE CASE WHEN %(currency)s::text IS NULL
    THEN id = (
        SELECT asset FROM accounts WHERE casino_id = %(casino)s AND name = %(cash)s
        ORDER BY asset LIKE 'iso4217:%%' DESC, id LIMIT 1)
    ELSE symbol = %(currency)s AND (
        id NOT LIKE 'casino:%%' OR starts_with(id, 'casino:' || %(slug)s::text || '/')) END
ORDER BY id LIKE 'iso4217:%%' DESC, id LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Launched:
    """A game as it was launched. It never changes; see `db.providers`."""

    digest: bytes
    casino_id: int
    casino: str
    provider: str
    game: str
    player_id: int
    player: str
    asset: str
    currency: str
    scale: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be launched; what is None is the first that there is."""

    casino_id: int
    casino: str
    provider: str
    player: str
    game: str | None = None
    currency: str | None = None


class Unlaunchable(Exception):
    """There is no such player, game or wallet; `code` says which."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


def digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


async def launch(connection: Connection, wanted: Wanted, *, seconds: int) -> tuple[str, Launched]:
    """A token, which is kept nowhere, and what it stands for. Raises `Unlaunchable`."""
    player_id = await _one(connection, PLAYER, (wanted.casino_id, wanted.player))
    if player_id is None:
        raise Unlaunchable("USER_NOT_FOUND", "there is no such user")
    named = {"casino": wanted.casino_id, "provider": wanted.provider, "code": wanted.game}
    game = await _one(connection, GAME, named)
    if game is None:
        raise Unlaunchable("GAME_NOT_FOUND", "there is no such game")
    meant = {"casino": wanted.casino_id, "slug": wanted.casino, "currency": wanted.currency}
    asset = await _one(connection, ASSET, {**meant, "cash": f"player:{player_id}:cash"})
    if asset is None:
        raise Unlaunchable("WALLET_NOT_FOUND", "the user has no wallet in this currency")
    token = secrets.token_urlsafe(32)
    one = (wanted.casino_id, wanted.provider, game, player_id, wanted.player, asset)
    await connection.execute(LAUNCH, (digest(token), *one, seconds))
    launched = await find(connection, token)
    if launched is None:
        raise RuntimeError("a launch is gone")
    return token, launched


async def find(connection: Connection, token: str) -> Launched | None:
    """What a token stands for, also when it has expired."""
    async with connection.cursor(row_factory=tuple_row) as cursor:
        row = await (await cursor.execute(FIND, (digest(token),))).fetchone()
        return None if row is None else Launched(*row)


async def _one(connection: Connection, query: bytes, values: Any) -> Any:
    async with connection.cursor(row_factory=tuple_row) as cursor:
        row = await (await cursor.execute(query, values)).fetchone()
        return None if row is None else row[0]
