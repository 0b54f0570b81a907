"""The whole line: real bets on two chains reach the database and the streams, whatever dies."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
from redis.asyncio import Redis

from tests.flow.conftest import PROCESSES, Line

SETTLED = "SELECT network LIKE 'eip155%', status, count(*) FROM bets GROUP BY 1, 2 ORDER BY 1, 2"


async def test_bets_of_both_chains_reach_database_and_streams(line: Line) -> None:
    line.start(*PROCESSES)
    for house in (line.evm, line.solana):
        await house.commit()
        for _ in range(3):
            await house.place()
        for index in range(2):
            await house.settle(index)
    await line.until(
        SETTLED,
        [(False, "placed", 1), (False, "settled", 2), (True, "placed", 1), (True, "settled", 2)],
    )
    await line.until("SELECT count(*) FROM outbox WHERE published_at IS NULL", [(0,)])
    async with Redis.from_url(line.redis_url) as client:
        kept: Any = await client.xrange("feed:bets")
    told = [json.loads(fields[b"m"]) for _, fields in kept]
    assert [message["seq"] for message in told] == list(range(1, len(told) + 1))
    placed = {m["data"]["tx"] for m in told if m["type"] == "bet.placed"}
    stored = {row[0] for row in await line.rows("SELECT placed_tx FROM bets")}
    assert placed <= stored
    await line.until(
        "SELECT sum(bets)::int, sum(settled)::int FROM casino_stats WHERE bucket = 'total'",
        [(6, 4)],
    )
    assert await line.rows("SELECT count(*) FROM dead_letters") == [(0,)]
    assert set((await line.stop()).values()) == {0}


async def test_an_emptied_redis_and_killed_processes_lose_and_double_nothing(line: Line) -> None:
    line.start(*PROCESSES, "indexer/standby")
    for house in (line.evm, line.solana):
        await house.commit()
        await house.place()
    async with Redis.from_url(line.redis_url) as client:
        await client.flushall()
    for name in ("indexer", "worker chain", "worker interpretation", "relay"):
        os.kill(line.children[name].pid, signal.SIGKILL)
        line.children[name].process.wait()
    for house in (line.evm, line.solana):
        await house.place()
    line.start("worker chain", "worker interpretation", "relay")
    for house in (line.evm, line.solana):
        await house.settle(0)
    await line.until(
        SETTLED,
        [(False, "placed", 1), (False, "settled", 1), (True, "placed", 1), (True, "settled", 1)],
    )
    await line.until(
        "SELECT sum(bets)::int, sum(settled)::int FROM casino_stats WHERE bucket = 'total'",
        [(4, 2)],
    )


@contextlib.contextmanager
def silent(pid: int) -> Iterator[None]:
    """A server that takes connections and answers none of them: the worst way to be away."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextlib.asynccontextmanager
async def closed(database_url: str) -> AsyncIterator[None]:
    """A database that throws everybody out and lets nobody in."""
    server, _, name = database_url.rpartition("/")
    async with await psycopg.AsyncConnection.connect(
        f"{server}/postgres", autocommit=True
    ) as connection:
        await connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
        )
        try:
            yield
        finally:
            await connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())


async def test_whatever_is_away_for_a_while_the_line_recovers_by_itself(line: Line) -> None:
    """Redis, then the database, then each chain's node; nothing is started again by hand."""
    line.start(*PROCESSES)
    for house in (line.evm, line.solana):
        await house.commit()
        await house.place()
    counted = "SELECT count(*)::int FROM bets"
    await line.until(counted, [(2,)])
    with silent(line.pids["redis"]):
        await line.evm.place()
        await asyncio.sleep(7)
    await line.until(counted, [(3,)], 60)
    async with closed(line.database_url):
        await line.evm.place()
        await line.solana.place()
        await asyncio.sleep(4)
    await line.until(counted, [(5,)], 60)
    with silent(line.pids["anvil"]):
        await line.solana.place()
        await line.until(counted, [(6,)])  # one chain does not hold back the other
        await line.until(
            "SELECT error IS NOT NULL FROM sources WHERE program = 'casino_evm'", [(True,)], 60
        )
    await line.evm.place()
    await line.until(counted, [(7,)], 60)
    await line.until("SELECT count(*)::int FROM sources WHERE error IS NOT NULL", [(0,)], 60)
    await line.until("SELECT count(*)::int FROM outbox WHERE published_at IS NULL", [(0,)], 60)
    assert {name: child.process.poll() for name, child in line.children.items()} == dict.fromkeys(
        PROCESSES
    )
    assert set((await line.stop()).values()) == {0}
