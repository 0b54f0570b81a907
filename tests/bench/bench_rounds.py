"""Scheduled rounds: settling many bets, taking single ones over HTTP, closing on time.

Run it alone: `python -m tests.bench.bench_rounds --seconds 20`; `--long` deals 360 rounds. All over
one PostgreSQL that writes to disk, and each beside a peer that was measured in the same run:

    settle  10,000 bets of one round, from its close until all are settled and every second one is
            paid. The peer copies the same rows into a table of the same make and ends each of
            them, in one UPDATE
    accept  single bets at 500 a second, signed, timed from when they were due: at the door that
            gathers them, in this process, and then over HTTP, at that pace and at half of it. The
            peer are the same requests without a choice, refused before the ledger
    close   a dealer in a process of its own: how late its rounds close, and whether that grows. The
            peer asks the database for the time at the same moments, and does nothing else

Memory is bounded by what is in hand, not by how long it runs: a close reads 32 bytes for each bet
of its round, a settlement a part of 500 bets, and a beacon remembers its 1,024 newest draws.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import psycopg
import uvloop

from api.desk import gathered
from casino.commands import Answer
from casino.rounds import tables
from casino.rounds.bets import receipt
from casino.samples import opening
from casino.sealed import Sealer
from chains.beacons import Beacon, Drawn
from cli import keys
from db import migrate, session
from db.session import direct
from local import postgres, redis
from local.process import free_port, spawn, until_ready
from tests.bench.bench_providers import Line, answers
from tests.bench.usage import usage
from tests.casino.conftest import rows
from tests.casino.rounds.dealt import BEACON, SIGNER, Dealt, sign
from workers.beacons import Beacons
from workers.dealer import Dealer
from workers.tables import place

BETS, PLAYERS, RATE = 10_000, 500, 500
SIDES = ({"over": False, "face": 5_000}, {"over": True, "face": 4_999})
PERIOD_S = 2  # the shortest: a second of it is between the close and the next round
LONG = 360
SETTLE_S, P99_MS, DRIFT_MS = 6.0, 50.0, 50.0  # aims
SEALER = Sealer(b"\x01" * 32)
RICH, BACKED = 10**9, 10**30
OPEN: dict[str, Any] = {"most_player": 10**9}
SEATS = """
INSERT INTO players (casino_id, joined_at) SELECT %s, now() FROM generate_series(1, %s)
RETURNING id
"""
NAMED = """
INSERT INTO player_identities (player_id, casino_id, kind, scope, external_id)
SELECT id, casino_id, 'operator', 'operator', 'bench-' || id FROM players WHERE casino_id = %s
RETURNING player_id
"""
PEER = "CREATE TABLE peer (LIKE round_bets INCLUDING ALL)"
COPIED = "COPY round_bets TO STDOUT (FORMAT BINARY)"
COPY = "COPY peer FROM STDIN (FORMAT BINARY)"
ENDED = "UPDATE peer SET state = 'lost', payout = 0, paid_id = NULL, ended_at = now()"
LATE = """
SELECT number, extract(epoch FROM closed_at - closes_at)::float * 1000 FROM rounds
WHERE table_id = %s AND closed_at IS NOT NULL ORDER BY number
"""


class Known(Beacon):
    """A beacon that is there at once: how long one takes is no matter of the house."""

    kind = BEACON.kind

    def due(self, closes_at: float) -> int:
        return int(closes_at)

    def expected_at(self, closes_at: float) -> float:
        return 0.0

    async def look(self, closes_at: float) -> Drawn:
        return Drawn(self.kind, self.chain_hash, int(closes_at), BEACON.randomness, b"")


async def seated() -> tuple[Dealt, list[int]]:
    """A table whose limits do not matter, and its players."""
    dealt = await Dealt.at(**OPEN)
    table = dealt.table
    players = [row[0] for row in await rows(SEATS, (table.casino_id, PLAYERS))]
    await rows(NAMED, (table.casino_id,))
    known = (table.casino_id, table.casino)
    await dealt.run_all([opening(*known, one, "cash", table.asset, RICH) for one in players])
    return dealt, players


async def placed(dealt: Dealt, players: list[int], count: int) -> None:
    """Bets through the door for many, as many at once as it takes; every second one will win."""
    door = gathered()
    turn, sides = itertools.cycle(players), itertools.cycle(SIDES)
    asked = (dealt.bet(next(turn), choice=next(sides)) for _ in range(count))
    while many := list(itertools.islice(asked, 2_000)):
        answers = await asyncio.gather(*(door.ask(one) for one in many))
        assert all(isinstance(one, Answer) and one.code is None for one in answers)


async def settle(url: str) -> None:
    dealt, players = await seated()
    await dealt.batch(1, opens_in=-5, period=600, max_liability=BACKED)
    began = time.perf_counter()
    await placed(dealt, players, BETS)
    print(f"settle: {BETS:,} bets taken in {time.perf_counter() - began:.1f} s")
    await dealt.moved(0, 600)
    began = time.perf_counter()
    assert await dealt.close() is not None
    closed = time.perf_counter() - began
    assert await dealt.draw() is not None
    assert await dealt.settle() == "settled"
    took = time.perf_counter() - began
    peer = await asyncio.to_thread(copied, url)
    print(
        f"settle: {took:.2f} s from close to settled (aim: {SETTLE_S:.0f}), of it {closed:.2f} s to"
        f" close; COPY and UPDATE of the same rows {peer:.2f} s, {took / peer:.1f}x"
    )


def copied(url: str) -> float:
    """How long the same rows take when nobody is paid and nothing is decided."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(PEER)
        with connection.cursor() as cursor:
            with cursor.copy(COPIED) as out:
                data = b"".join(bytes(part) for part in out)
            began = time.perf_counter()
            with cursor.copy(COPY) as copy:
                copy.write(data)
            cursor.execute(ENDED)
            return time.perf_counter() - began


async def accept(url: str, seconds: float, folder: Path) -> None:
    dealt, players = await seated()
    await dealt.batch(1, opens_in=-5, period=3600, max_liability=BACKED)
    await paced(taken(dealt, players), 2.0, RATE)  # plans are made
    p50, p99 = await paced(taken(dealt, players), seconds, RATE)
    print(f"accept: at the door {RATE} bets/s, p50 {p50:.1f} ms, p99 {p99:.1f} ms (aim: {P99_MS})")
    port, (secret, known) = free_port(), keys.fresh("bench", ["rounds:bet"])
    async with redis.start(folder / "redis") as told:
        environment = {
            **os.environ,
            "FAIRHOUSE_DATABASE_URL": url,
            "FAIRHOUSE_REDIS_URL": told.url,
            "FAIRHOUSE_API_PORT": str(port),
            "FAIRHOUSE_API_KEYS": keys.written([known]),
            "FAIRHOUSE_SIGNER_KEY": SIGNER.to_hex(),
        }
        command = [sys.executable, "-m", "cli.main", "run", "api"]
        child = spawn("api", command, log=folder / "api.log", env=environment)
        try:
            await until_ready(child, lambda: answers(port))
            with lines(port) as idle:
                refused = said(idle, port, requests(dealt, players, secret, {}), 422)
                given = said(idle, port, requests(dealt, players, secret), 200)
                await paced(given, 2.0, RATE // 2)  # it wakes up
                for rate in (RATE // 2, RATE):
                    bare = await paced(refused, seconds, rate)
                    before = usage(child.process.pid).cpu_s
                    full = await paced(given, seconds, rate)
                    cpu_ms = (usage(child.process.pid).cpu_s - before) / (rate * seconds) * 1000
                    print(
                        f"accept: over HTTP {rate} bets/s, p50 {full[0]:.1f} ms, p99 {full[1]:.1f}"
                        f" ms; refused before the ledger p50 {bare[0]:.1f} ms, p99 {bare[1]:.1f}"
                        f" ms, {full[0] / bare[0]:.1f}x and {full[1] / bare[1]:.1f}x; a bet takes"
                        f" {cpu_ms:.2f} ms of the API, its signature {signed_us() / 1000:.2f} ms"
                    )
        finally:
            await child.stop()


Ask = Callable[[], Awaitable[bool]]


def taken(dealt: Dealt, players: list[int]) -> Ask:
    """One bet more through the gathering door, and the signature that it was taken."""
    door = gathered()
    turn = itertools.cycle(players)

    async def ask() -> bool:
        answer = await door.ask(dealt.bet(next(turn)))
        assert isinstance(answer, Answer)
        assert answer.code is None
        sign(receipt(dealt.table, answer.body).digest)
        return True

    return ask


@contextmanager
def lines(port: int) -> Iterator[list[Line]]:
    idle = [Line(port) for _ in range(64)]
    try:
        yield idle
    finally:
        for line in idle:
            line.close()


def said(idle: list[Line], port: int, given: Iterator[bytes], expected: int) -> Ask:
    """One request more; False for an answer that too much waits."""

    async def ask() -> bool:
        line = idle.pop() if idle else Line(port)
        status = await line.ask(next(given))
        if status not in (expected, 503):
            raise RuntimeError(f"answered {status}, not {expected}")
        idle.append(line)
        return status == expected

    return ask


def requests(
    dealt: Dealt, players: list[int], secret: str, choice: dict[str, Any] | None = None
) -> Iterator[bytes]:
    """Bets of one player after the other, each under a key of its own."""
    said = {"over": True, "face": 4_999} if choice is None else choice
    for number, player in enumerate(itertools.cycle(players)):
        body = orjson.dumps({"user": f"bench-{player}", "choice": said, "stake": "10"})
        head = (
            f"POST /api/tables/{dealt.table.name}/bets HTTP/1.1\r\nhost: house\r\n"
            f"authorization: Bearer {secret}\r\nx-casino-slug: {dealt.table.casino}\r\n"
            f"x-idempotency-key: {time.time_ns()}-{number}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        yield head.encode() + body


async def paced(ask: Ask, seconds: float, rate: int) -> tuple[float, float]:
    """The p50 and p99 of how long something took from when it was due, in milliseconds.

    A house that is overrun says so, and its answer is none: it took for ever.
    """
    took: list[float] = []
    running: set[asyncio.Task[None]] = set()

    async def one(due: float) -> None:
        answered = await ask()
        took.append((time.perf_counter() - due) * 1000 if answered else math.inf)

    began = time.perf_counter()
    for number in range(int(rate * seconds)):
        due = began + number / rate
        pause = due - time.perf_counter()
        if pause > 0:
            await asyncio.sleep(pause)
        running.add(asyncio.create_task(one(due)))
    await asyncio.gather(*running)
    took.sort()
    return statistics.median(took), took[int(len(took) * 0.99)]


def signed_us() -> float:
    """What one signature costs, in microseconds of the processor."""
    digests = [number.to_bytes(32, "big") for number in range(2_000)]
    began = time.process_time()
    for digest in digests:
        sign(digest)
    return (time.process_time() - began) / len(digests) * 1e6


async def close(url: str, count: int, folder: Path) -> None:
    dealt, players = await seated()
    await dealt.batch(count, opens_in=5, period=PERIOD_S, max_liability=BACKED)
    await dealt.sealed(lambda number, seed: SEALER.seal(place(dealt.table, number), seed))
    found = await rows(
        "SELECT closes_at FROM rounds WHERE table_id = %s ORDER BY number", (dealt.table.id,)
    )
    moments = [row[0] for row in found]
    command = [sys.executable, "-m", "tests.bench.bench_rounds", "--deal", url, dealt.table.name]
    child = spawn("dealer", command, log=folder / "dealer.log", env=dict(os.environ))
    sizes: list[float] = []
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(betting(dealt, players, count))
            clock = tasks.create_task(watched(moments, sizes, child.process.pid))
        await asyncio.sleep(PERIOD_S)
    finally:
        await child.stop()
    late = [float(row[1]) for row in await rows(LATE, (dealt.table.id,))]
    assert len(late) == count, f"{len(late)} of {count} rounds closed"
    peer, half = clock.result(), len(sizes) // 2
    slope = statistics.linear_regression(range(count), late).slope
    print(
        f"close: {count} rounds of {PERIOD_S} s, {statistics.median(late):.1f} ms late, the latest"
        f" {max(late):.1f} ms; a clock that only asks {statistics.median(peer):.1f} and"
        f" {max(peer):.1f} ms, {statistics.median(late) / statistics.median(peer):.1f}x;"
        f" {slope:+.3f} ms more each round, {slope * LONG:+.1f} over {LONG} (aim: {DRIFT_MS:.0f});"
        f" the dealer has {sizes[-1]:.0f} MB, {sizes[-1] - sizes[half]:+.1f} MB in the second half"
    )


async def betting(dealt: Dealt, players: list[int], count: int) -> None:
    """A few bets on every round."""
    for number in range(count):
        await until(dealt, number)
        wishes = [dealt.bet(player, number) for player in players[:20]]
        await dealt.run_all(wishes)  # on a busy machine they come too late, which is no matter


async def until(dealt: Dealt, number: int) -> None:
    """Wait until a round is open."""
    [(pause,)] = await rows(
        "SELECT extract(epoch FROM opens_at - clock_timestamp())::float FROM rounds"
        " WHERE table_id = %s AND number = %s",
        (dealt.table.id, number),
    )
    await asyncio.sleep(max(0.0, pause) + 0.05)


async def watched(moments: list[datetime], sizes: list[float], pid: int) -> list[float]:
    """How late the database is asked for the time at some moments, in milliseconds."""
    late = []
    async with asked() as connection:
        for moment in moments:
            [(pause,)] = await (await connection.execute(PAUSE, (moment,))).fetchall()
            await asyncio.sleep(max(0.0, pause))
            [(pause,)] = await (await connection.execute(PAUSE, (moment,))).fetchall()
            late.append(-float(pause) * 1000)
            sizes.append(usage(pid).resident_mb)
    return late


PAUSE = b"SELECT extract(epoch FROM %s - clock_timestamp())::float"


@asynccontextmanager
async def asked() -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    async with direct() as connection:
        await connection.set_autocommit(True)
        try:
            yield connection
        finally:
            await connection.set_autocommit(False)


async def deal(url: str, name: str) -> None:
    """Be the dealer of a table, until told to stop."""
    session.configure(url, pool_size=3)
    async with direct() as connection:
        [table] = [one for one in await tables.all_tables(connection) if one.name == name]
        pays = await tables.all_pays(connection)
    beacons = Beacons({table.beacon: Known(BEACON.chain_hash, patience_s=60)})
    await Dealer(table, pays, beacons, SEALER, sign).run()


async def run(seconds: float, rounds: int) -> None:
    folder = Path(tempfile.mkdtemp(prefix="fairhouse-bench-"))
    async with postgres.start(folder / "postgres") as server:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("CREATE DATABASE bench")
        url = server.database("bench")
        await asyncio.to_thread(migrate.upgrade, url)
        session.configure(url)
        try:
            await settle(url)
            await accept(url, seconds / 4, folder)
            await close(url, rounds, folder)
        finally:
            await session.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--long", action="store_true", help=f"{LONG} rounds, twelve minutes")
    parser.add_argument("--deal", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.deal:
        uvloop.run(deal(*given.deal))
    else:
        rounds = LONG if given.long else max(4, int(given.seconds / PERIOD_S))
        uvloop.run(run(given.seconds, rounds))
