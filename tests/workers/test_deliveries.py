"""Messages doubled, shuffled and worked on at once leave what one straight run leaves."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import queues
import settings as environment
from casino.sources import followed
from db import session as db_session
from indexer import sweeper
from indexer.inbox import Inbox
from local import redis
from local.forks import fork
from local.process import Child
from settings import Settings
from tests.casino.conftest import book, rows
from tests.indexer.conftest import leading
from tests.indexer.nodes import FakeNode, serving
from tests.workers.played import SOLANA, Page, table
from workers import store as storing
from workers.interpret import interpret
from workers.stats import fold
from workers.store import store

Books = dict[str, list[tuple[Any, ...]]]
WORK = {"chain": store, "interpretation": interpret, "stats": fold}
OTHERS = {
    "letters": "SELECT network, position, tx, index, attempts FROM dead_letters ORDER BY 1, 2, 3",
    "pages": "SELECT state, count(*) FROM pages GROUP BY 1",
    "deltas": "SELECT * FROM stat_deltas",
    "told": "SELECT type, player, data->>'network', data->>'bet', data->>'tx', data->>'stake',"
    " data->>'payout', data->>'status', data->>'outcome', count(*) FROM outbox"
    " WHERE namespace <> 'stats' GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9"
    " ORDER BY 1, 2, 3, 4, 5, 6, 7, 8, 9",
    "totals": "SELECT data->'totals' FROM outbox WHERE namespace = 'stats'"
    " ORDER BY id DESC LIMIT 1",
}


@dataclass
class Post:
    """Messages on their way; each is delivered so often, in an order of chance."""

    copies: int
    dice: random.Random
    waiting: list[Page] = field(default_factory=list)

    def send(self, queue: str, id: int, *, delay_ms: int = 0) -> bool:
        for _ in range(self.copies):
            self.waiting.insert(self.dice.randint(0, len(self.waiting)), (queue, id))
        return True

    async def deliver(self, together: int) -> None:
        while self.waiting:
            part, self.waiting = self.waiting[:together], self.waiting[together:]
            await asyncio.gather(*(WORK[queue](id) for queue, id in part))


async def state() -> Books:
    """All that the house says in the end, without what may differ: numbers of rows, write times."""
    async with db_session.transaction() as session:
        source = await followed(session, 1)
    found = await book(source)
    for name, query in OTHERS.items():
        found[name] = await rows(query, None)
    return {name: sorted(said, key=repr) for name, said in found.items()}


@contextlib.asynccontextmanager
async def housed(chosen: Settings) -> AsyncIterator[Inbox]:
    """This process as the indexer of a database of its own, and as its workers."""
    db_session.configure(chosen.database_url)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(environment, "load", lambda: chosen)
        try:
            async with leading(chosen.database_url) as inbox:
                assert await inbox.lead()
                yield inbox
        finally:
            if storing._rpc.cache_info().currsize:
                await storing._rpc("solana-local", SOLANA).close()
            storing._rpc.cache_clear()
            await db_session.close()


async def played_out(url: str, *, copies: int, together: int, seed: int = 0) -> Books:
    """The end of a game whose messages came so often, so many at once, in the order of a seed."""
    post = Post(copies, random.Random(seed))
    async with contextlib.AsyncExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(queues, "send", post.send)
        node = await stack.enter_async_context(serving(FakeNode()))
        inbox = await stack.enter_async_context(housed(settings(url, node)))
        played = await stack.enter_async_context(table(inbox, node))
        pages = await played.play()
        if copies == 1:  # straight: each page is through before the next one
            for page in pages:
                post.send(*page)
                await post.deliver(1)
            pages = []
        for page in pages + await played.land_again():
            post.send(*page)
        await post.deliver(together)
        return await state()


def settings(url: str, node: FakeNode, **more: Any) -> Settings:
    rpc = {"solana-local": [node.url]}
    return Settings(database_url=url, rpc=rpc, rpc_rate=10_000, stats_interval_ms=0, **more)


@pytest.fixture(scope="module")
async def straight(fresh_database: Callable[[], str]) -> Books:
    """What one run leaves in which every message comes once, and alone."""
    return await played_out(fresh_database(), copies=1, together=1)


def test_the_straight_run_is_what_was_played(straight: Books) -> None:
    assert Counter(row[11] for row in straight["bets"]) == {"settled": 104, "refunded": 16}
    assert [len(straight[name]) for name in ("letters", "deltas")] == [2, 0]
    told = Counter[str]()
    for row in straight["told"]:
        told[row[0]] += row[-1]
    assert told == {
        "player.joined": 10,
        "bet.placed": 120,
        "bet.settled": 104,
        "bet.refunded": 16,
    }


def same(found: Books, straight: Books) -> None:
    for name, said in straight.items():
        pairs = zip(said, found[name], strict=True)
        assert [pair for pair in pairs if pair[0] != pair[1]] == [], name


@pytest.mark.parametrize(("seed", "together"), [(1, 1), (2, 3), (3, 6), (4, 12)])
async def test_doubled_and_shuffled_messages_end_where_a_straight_run_ends(
    fresh_database: Callable[[], str], straight: Books, seed: int, together: int
) -> None:
    """Q2, Q4."""
    copies = 2 + seed % 2
    found = await played_out(fresh_database(), copies=copies, together=together, seed=seed)
    same(found, straight)


async def test_real_workers_killed_and_an_emptied_redis_end_there_too(
    fresh_database: Callable[[], str],
    straight: Books,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Q1, Q3, Q4: every message comes twice, workers die in the middle, Redis forgets."""
    monkeypatch.setattr(sweeper, "STILL_S", 1)
    monkeypatch.setattr(sweeper, "BURIED_S", 2)
    dice = random.Random(7)
    async with contextlib.AsyncExitStack() as stack:
        store_ = await stack.enter_async_context(redis.start(tmp_path / "redis"))
        node = await stack.enter_async_context(serving(FakeNode()))
        chosen = settings(fresh_database(), node, redis_url=store_.url, backoff_ms=50)
        inbox = await stack.enter_async_context(housed(chosen))
        played = await stack.enter_async_context(table(inbox, node))
        queues.setup(chosen)
        workers: dict[str, Child] = {}

        def start(queue: str) -> None:
            log = tmp_path / f"{queue}.log"
            workers[queue] = fork(queue, ["run", "worker", queue], log=log, env=environ(chosen))
            stack.push_async_callback(workers[queue].stop)

        def kill(queue: str) -> None:
            workers[queue].process.kill()
            workers[queue].process.wait()

        async def send(pages: list[Page]) -> None:
            messages = pages * 2
            dice.shuffle(messages)
            for queue, page in messages:
                await asyncio.to_thread(queues.send, queue, page)

        async def interpreted(least: int) -> None:
            count = "SELECT count(*) FROM pages WHERE state = 'interpreted'"
            while (await rows(count, None))[0][0] < least:
                await asyncio.sleep(0.05)

        for queue in queues.QUEUES:
            start(queue)
        pages = await played.play()
        await send(pages)
        await interpreted(3)
        for queue in ("interpretation", "chain"):
            kill(queue)
        await asyncio.to_thread(queues.broker().client.flushall)
        pages += await played.land_again()
        for queue in ("interpretation", "chain"):
            start(queue)
        sweeping = asyncio.create_task(sweeper.sweep(inbox, chosen))
        async with asyncio.timeout(60):
            await interpreted(len(pages))
            while await rows("SELECT 1 FROM stat_deltas LIMIT 1", None):
                await asyncio.sleep(0.05)
        sweeping.cancel()
        await asyncio.gather(sweeping, return_exceptions=True)
        for child in workers.values():
            assert await child.stop() == 0
        same(await state(), straight)


def environ(chosen: Settings) -> dict[str, str]:
    return {
        **os.environ,
        "FAIRHOUSE_DATABASE_URL": chosen.database_url,
        "FAIRHOUSE_REDIS_URL": chosen.redis_url,
        "FAIRHOUSE_RPC": json.dumps(chosen.rpc),
        "FAIRHOUSE_RPC_RATE": "10000",
        "FAIRHOUSE_STATS_INTERVAL_MS": "0",
        "FAIRHOUSE_BACKOFF_MS": "50",
    }
