"""A house with two API processes, and a provider of each dialect that calls it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx
import psycopg
import pytest

from casino.commands import Answer
from casino.providers.samples import USD
from casino.wallets import TREASURY, Move, move_many
from cli import samples
from db import session as db_session
from db.session import transaction
from local import redis
from local.postgres import Postgres
from local.process import free_port, until_ready
from settings import Settings
from tests.api.conftest import running
from tests.api.providers.speakers import KEYS, NEXT_SECRET, SECRET, SPEAKERS, Seat, Speaker, fresh
from tests.conftest import copied

REPORTS_KEY = "a-key-that-reads-reports"
PROMOTER_SECRET = "a-secret-of-the-promoter"
SETUP = b"""
INSERT INTO casino_games (casino_id, provider, code, name, closed_at) VALUES
    (1, 'caleta', '1', 'One', NULL), (1, 'caleta', '2', 'Two', NULL),
    (1, 'caleta', 'over', 'Over', now()), (1, 'jaqpot', 'over', 'Over', now()),
    (1, 'valkyrie', '1', 'One', NULL), (1, 'valkyrie', '2', 'Two', NULL),
    (1, 'valkyrie', 'over', 'Over', now());
UPDATE casino_games SET product = CASE code WHEN '2' THEN 'live' ELSE 'slots' END;
INSERT INTO assets (id, symbol, scale) VALUES ('iso4217:EUR', 'EUR', 2);
"""
USER = """
WITH p AS (INSERT INTO players (casino_id) VALUES (1) RETURNING id)
INSERT INTO player_identities (player_id, casino_id, kind, scope, external_id)
SELECT id, 1, 'operator', 'operator', %s FROM p RETURNING player_id
"""


@dataclass(frozen=True, slots=True)
class House:
    """Where it listens, what is behind it, and how to look into it."""

    urls: list[str]
    database_url: str
    client: httpx.AsyncClient
    connection: psycopg.AsyncConnection[Any]

    async def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        cursor = await self.connection.execute(query.encode(), values or None)
        return await cursor.fetchall() if cursor.description else []

    async def cash(self, seat: Seat) -> int:
        """What the books say that a player has."""
        [(balance,)] = await self.rows(
            "SELECT balance FROM accounts WHERE name = %s", (f"player:{seat.player_id}:cash",)
        )
        return int(balance)

    async def move(self, player_id: int, amount: int, asset: str = USD) -> None:
        """Money from the treasury, or with a minus back to it."""
        mine = f"player:{player_id}:cash"
        source, target = (TREASURY, mine) if amount > 0 else (mine, TREASURY)
        move = Move(
            casino_id=1,
            casino="fairhouse",
            scope="tests",
            key=fresh("move"),
            actor="tests",
            type="top_up",
            player_id=player_id,
            asset=asset,
            amount=abs(amount),
            source=source,
            target=target,
        )
        async with transaction() as session:
            [answer] = await move_many(session, [move])
        assert isinstance(answer, Answer)
        assert answer.code is None

    async def seat(
        self, speaker: Speaker, *, balance: int = 1000, player: Seat | None = None
    ) -> Seat:
        """A new player with some cents, or one who is there, at a newly launched game."""
        name = player.player if player else fresh("user")
        if player is None:
            [(player_id,)] = await self.rows(USER, (name,))
            await self.move(player_id, balance)
        else:
            player_id = player.player_id
        body = {"userId": name, "gameId": "1", "currency": "USD", "provider": speaker.name}
        answer = await self.client.post(f"{self.urls[0]}/casino/launchGame", json=body)
        assert answer.status_code == 200, answer.text
        return Seat(name, player_id, answer.json()["sessionToken"], "1")

    async def expire(self, seat: Seat) -> Seat:
        """The same seat at a session that is over."""
        token = fresh("expired-token")
        await self.rows(
            "INSERT INTO casino_launches (digest, casino_id, provider, game, player_id, player,"
            " asset, expires_at) SELECT %s, casino_id, provider, game, player_id, player, asset,"
            " now() - interval '1 s' FROM casino_launches WHERE digest = %s",
            (hashlib.sha256(token.encode()).digest(), hashlib.sha256(seat.token.encode()).digest()),
        )
        return Seat(seat.player, seat.player_id, token, seat.game)


@pytest.fixture(scope="session")
async def house(
    postgres_server: Postgres,
    template_database: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[House]:
    """One for all tests of this folder: each has players of its own."""
    stack = contextlib.AsyncExitStack()
    database_url = stack.enter_context(copied(postgres_server, template_database))
    await samples.give(Settings(_env_file=None, database_url=database_url))
    folder = tmp_path_factory.mktemp("providers")
    ports = [free_port(), free_port()]
    async with stack:
        server = await stack.enter_async_context(redis.start(folder / "redis"))
        client = await stack.enter_async_context(httpx.AsyncClient(timeout=20))
        connection = await stack.enter_async_context(
            await psycopg.AsyncConnection.connect(database_url, autocommit=True)
        )
        await connection.execute(SETUP)
        children = []
        for port in ports:
            told = environment(database_url, server.url, port)
            up = running("api", told, folder / str(port))
            children.append(await stack.enter_async_context(up))
        urls = [f"http://127.0.0.1:{port}" for port in ports]
        for child, url in zip(children, urls, strict=True):
            await until_ready(child, partial(_answers, client, url))
        yield House(urls, database_url, client, connection)


def environment(database_url: str, redis_url: str, port: int) -> dict[str, str]:
    digest = hashlib.sha256(REPORTS_KEY.encode()).hexdigest()
    keys = [
        {"name": "backoffice", "digest": digest, "roles": ["reports:read"]},
        {"name": "promoter", "secrets": [PROMOTER_SECRET], "roles": ["bonuses:write"]},
    ]
    return {
        **os.environ,
        "FAIRHOUSE_DATABASE_URL": database_url,
        "FAIRHOUSE_REDIS_URL": redis_url,
        "FAIRHOUSE_API_PORT": str(port),
        "FAIRHOUSE_CASINO_SECRETS": json.dumps([SECRET, NEXT_SECRET]),
        "FAIRHOUSE_PROVIDER_KEYS": json.dumps(
            {"caleta": KEYS.public(), "valkyrie": [SECRET, NEXT_SECRET]}
        ),
        "FAIRHOUSE_API_KEYS": json.dumps(keys),
    }


@pytest.fixture(autouse=True, scope="module")
async def books(house: House) -> AsyncIterator[None]:
    """This process pointed at the house's database."""
    db_session.configure(house.database_url)
    yield
    await db_session.close()


async def _answers(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(f"{url}/health")).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture(params=sorted(SPEAKERS))
def speaker(request: pytest.FixtureRequest, house: House) -> Speaker:
    """A provider: every test that takes it runs once for each dialect."""
    return SPEAKERS[request.param](house.client, house.urls)


@pytest.fixture
async def seat(house: House, speaker: Speaker) -> Seat:
    """A new player with ten dollars at a launched game."""
    return await house.seat(speaker)
