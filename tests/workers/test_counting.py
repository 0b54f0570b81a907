"""The worker that counts wagers and ends bonuses: sent by the sweeper, killed anywhere, exact."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

import queues
from db import session
from indexer import sweeper
from local import redis
from local.forks import fork
from local.process import Child
from settings import Settings
from tests.casino.wagering import USD, Player, conserved, hours_later, rows, run, value
from tests.indexer.conftest import leading
from workers.bonuses import count

_numbers = itertools.count(1)
Start = Callable[[], Child]
# Where a worker waits for a lock that somebody else holds: when it has counted, and converted, and
# only the rest of its transaction is missing.
STOPS = ("LOCK TABLE outbox IN SHARE MODE", "LOCK TABLE requests IN SHARE MODE")
WAITS = "SELECT count(*) FROM pg_locks WHERE NOT granted"
OPEN = "SELECT count(*) FROM grants WHERE ended_at IS NULL"


@pytest.fixture
async def players(database: str) -> list[Player]:
    """Three at a new casino who wagered their bonuses of 10, in bets that nobody has counted."""
    asset = f"INSERT INTO assets VALUES ('{USD}', 'USD', 2) ON CONFLICT DO NOTHING"
    async with session.transaction() as opened:
        await opened.execute(text(asset))
    slug = f"w-{next(_numbers)}"
    query = "INSERT INTO casinos (slug, name) VALUES (:slug, 'W') RETURNING id"
    casino_id = await value(query, slug=slug)
    players = [Player(casino_id, slug, next(_numbers)) for _ in range(3)]
    for player in players:
        await player.given(10, cash=4)
        await run(*(player.place(f"b{n}", 2) for n in range(5)))
        await run(*(player.settle(f"b{n}", 3) for n in range(5)))
    return players


@pytest.fixture
async def start(database: str, tmp_path: Path) -> AsyncIterator[Start]:
    """Begins a worker of bonuses; this process sends to it."""
    async with contextlib.AsyncExitStack() as stack:
        store = await stack.enter_async_context(redis.start(tmp_path / "redis"))
        queues.setup(Settings(redis_url=store.url))
        told = {"FAIRHOUSE_DATABASE_URL": database, "FAIRHOUSE_REDIS_URL": store.url}

        def begin() -> Child:
            words, log = ["run", "worker", "bonuses"], tmp_path / "bonuses.log"
            child = fork("bonuses", words, log=log, env={**os.environ, **told})
            stack.push_async_callback(child.stop)
            return child

        yield begin


async def sent(database: str) -> None:
    async with leading(database) as inbox:
        while not await inbox.lead():
            await asyncio.sleep(0.01)
        await sweeper.resend(inbox)


async def until(query: str, wanted: int) -> None:
    async with asyncio.timeout(60):
        while await value(query) != wanted:
            await asyncio.sleep(0.02)


async def test_a_worker_killed_anywhere_counts_and_converts_once(
    database: str, players: list[Player], start: Start
) -> None:
    for stop in STOPS:
        async with await psycopg.AsyncConnection.connect(database) as holding:
            await holding.execute(stop.encode())
            worker = start()
            await sent(database)
            await until(WAITS, 1)
            worker.process.kill()
            worker.process.wait()
            await holding.rollback()
        await until(WAITS, 0)
    assert await value(OPEN) == 3
    start()
    await sent(database)
    await until(OPEN, 0)
    for player in players:
        # 4 of the 10 staked were cash, and the bonus that was left brought its wins along.
        assert sum(await player.balances()) == 4 + 10 + 5
        assert (await player.balances())[1] == 0
        kinds = [type for type, _ in await player.told()]
        assert kinds == ["bonus.granted", "bonus.progress", "bonus.completed"]
    done = "SELECT count(*) FROM transfers WHERE type = 'bonus.completed'"
    assert await value(done) == 3
    await conserved()


async def test_the_job_expires_what_is_over_time_and_leaves_the_rest(
    database: str, players: list[Player]
) -> None:
    late, other = (replace(player, number=next(_numbers), splits={}) for player in players[:2])
    grants = [await player.given(100, cash=1) for player in (late, other)]
    await hours_later(grants[0])
    await count(late.casino_id)
    await count(late.casino_id)
    found = [await player.state(grant) for player, grant in zip((late, other), grants, strict=True)]
    assert found == [("expired", 0), ("active", 0)]
    assert await late.balances() == (1, 0)
    query = "SELECT state, count(*) FROM grants WHERE casino_id = :c GROUP BY 1 ORDER BY 1"
    found = await rows(query, c=late.casino_id)
    assert found == [("active", 1), ("completed", 3), ("expired", 1)]
    await conserved()
