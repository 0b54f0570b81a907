"""Bets over HTTP with signatures, against the same requests refused just before the ledger.

Run it alone: `python -m tests.bench.bench_providers --seconds 5`. One API process over a PostgreSQL
that writes to disk. The peer's amounts are negative, so its requests are read, verified, parsed and
answered like the others, and nothing is decided. Then bets come at 70 % of the most that went
through, on a clock and not one after the other, and are timed from when they were due. The most is
measured anew before every quarter of a minute, as a shared machine is not always as fast; there are
five, so that PostgreSQL counts its tables meanwhile, as often as it does by itself (the demo's does
so every ten seconds). Who asks collects no garbage: it would pass for the house's time.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import orjson
import psycopg

from api.server import collect_less
from casino.providers.samples import USD
from casino.providers.signatures import hmac_sha256
from casino.wallets import TREASURY, Move, move_many
from cli import samples
from db import migrate, session
from local import postgres, redis
from local.process import Child, free_port, spawn, until_ready
from settings import Settings

PLAYERS = 500
PACES, PACED_S = 5, 15.0
SECRET = "casino-secret-key"
FILL = f"""
WITH p AS (
    INSERT INTO players (casino_id) SELECT 1 FROM generate_series(1, {PLAYERS}) RETURNING id
), i AS (
    INSERT INTO player_identities (player_id, casino_id, kind, scope, external_id)
    SELECT id, 1, 'operator', 'operator', 'bench-' || id FROM p
)
INSERT INTO casino_launches (digest, casino_id, provider, game, player_id, player, asset,
    expires_at)
SELECT sha256(('token-' || n)::bytea), 1, 'jaqpot', '1', id, 'bench-' || id, '{USD}',
    now() + interval '1 day'
FROM (SELECT id, row_number() OVER () AS n FROM p) AS p
"""
_numbers = itertools.count(1)


def requests(amount: int) -> Iterator[bytes]:
    """Signed debits, each of the next player and in a round of its own."""
    for number in _numbers:
        body = orjson.dumps(
            {
                "sessionToken": f"token-{number % PLAYERS + 1}",
                "transactionId": f"bet-{number}",
                "roundId": f"round-{number}",
                "amount": amount,
            }
        )
        head = (
            f"POST /casino/debit HTTP/1.1\r\nhost: house\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n"
            f"x-casino-signature: {hmac_sha256(body, SECRET)}\r\n\r\n"
        )
        yield head.encode() + body


class Line:
    """A connection that is kept."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()

    async def ask(self, request: bytes) -> int:
        """The status of the answer."""
        if self._streams is None or self._streams[0].at_eof():  # the server ends idle ones
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length")
        )
        await reader.readexactly(length)
        return int(head.split()[1])


async def most(port: int, amount: int, seconds: float, callers: int, expected: int) -> float:
    """Answers a second, when every caller asks again as soon as it is answered."""
    given, end, count = requests(amount), time.perf_counter() + seconds, 0

    async def caller() -> None:
        nonlocal count
        line = Line(port)
        while time.perf_counter() < end:
            status = await line.ask(next(given))
            if status != expected:
                raise RuntimeError(f"answered {status}, not {expected}")
            count += 1
        line.close()

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return count / (time.perf_counter() - began)


async def paced(port: int, rate: float, seconds: float) -> list[float]:
    """How long each bet took from when it was due, in milliseconds."""
    took: list[float] = []
    given, idle = requests(1), [Line(port) for _ in range(64)]
    running: set[asyncio.Task[None]] = set()

    async def one(due: float) -> None:
        line = idle.pop() if idle else Line(port)
        status = await line.ask(next(given))
        if status != 200:
            raise RuntimeError(f"answered {status}")
        took.append((time.perf_counter() - due) * 1000)
        idle.append(line)

    began = time.perf_counter()
    for number in range(int(rate * seconds)):
        due = began + number / rate
        pause = due - time.perf_counter()
        if pause > 0:
            await asyncio.sleep(pause)
        task = asyncio.create_task(one(due))
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)
    return took


async def run(seconds: float) -> None:
    collect_less()
    folder = Path(tempfile.mkdtemp(prefix="fairhouse-bench-"))
    usual = {"autovacuum_naptime": "1min"}
    async with (
        postgres.start(folder / "postgres", settings=usual) as server,
        redis.start(folder / "redis") as told,
    ):
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("CREATE DATABASE bench")
        url, port = server.database("bench"), free_port()
        await asyncio.to_thread(migrate.upgrade, url)
        await samples.give(Settings(_env_file=None, database_url=url))
        await rich(url)
        environment = {
            **os.environ,
            "FAIRHOUSE_DATABASE_URL": url,
            "FAIRHOUSE_REDIS_URL": told.url,
            "FAIRHOUSE_API_PORT": str(port),
            "FAIRHOUSE_CASINO_SECRETS": SECRET,
        }
        command = [sys.executable, "-m", "cli.main", "run", "api"]
        child = spawn("api", command, log=folder / "api.log", env=environment)
        try:
            await until_ready(child, lambda: answers(port))
            await measured(port, seconds, child)
        finally:
            await child.stop()


async def rich(url: str) -> None:
    """Players with more than they can lose."""
    session.configure(url)
    try:
        async with session.transaction() as opened:
            connection = await session.driver(opened)
            await connection.execute(FILL.encode())
            cursor = await connection.execute(b"SELECT player_id FROM casino_launches")
            ids = [row[0] for row in await cursor.fetchall()]
            await move_many(opened, [gift(id) for id in ids])
    finally:
        await session.close()


def gift(player_id: int) -> Move:
    return Move(
        casino_id=1,
        casino="fairhouse",
        scope="bench",
        key=f"gift-{player_id}",
        actor="bench",
        type="top_up",
        player_id=player_id,
        asset=USD,
        amount=1_000_000_000,
        source=TREASURY,
        target=f"player:{player_id}:cash",
    )


async def answers(port: int) -> bool:
    async with httpx.AsyncClient() as client:
        try:
            return (await client.get(f"http://127.0.0.1:{port}/health")).status_code == 200
        except httpx.HTTPError:
            return False


async def measured(port: int, seconds: float, child: Child) -> None:
    await most(port, 1, 1.0, 32, 200)
    for callers in (1, 32, 128):
        bare = await most(port, -1, seconds, callers, 400)
        full = await most(port, 1, seconds, callers, 200)
        print(
            f"{callers:4d} callers: {full:6.0f} bets/s, {bare:6.0f} without the ledger,"
            f" {full / bare:.2f}x"
        )
    everything: list[float] = []
    for _ in range(PACES):
        rate = 0.7 * await most(port, 1, seconds, 128, 200)
        took = await paced(port, rate, PACED_S)
        print(f"at 70 %: {rate:6.0f} bets/s, {late(took)}")
        everything += took
    print(f"at 70 %, all of these: {late(everything)} (aim: 50)")


def late(took: list[float]) -> str:
    p99 = sorted(took)[int(len(took) * 0.99)]
    return f"p50 {statistics.median(took):.1f} ms, p99 {p99:.1f} ms"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    asyncio.run(run(parser.parse_args().seconds))
