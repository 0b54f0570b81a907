"""What the house costs while nobody bets, against Dramatiq's own worker with as many idle queues.

Run it alone: `python -m tests.bench.bench_idle --seconds 5`. Workers, relay, feed and API run on
empty queues. Commands are what Redis itself counted, less those of the measuring connection; the
processor's share is of one core. The peer is `python -m dramatiq` as it comes: one process, eight
threads, three queues, a look at each once a second.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from redis.asyncio import Redis

from cli import grounds, processes
from cli.household import Household
from db import migrate
from local import postgres, redis
from local.process import accepts, free_port, running, spawn
from tests.bench.usage import Usage, table, usages

BUSY = ("indexer", "keeper")  # they ask the chains, which are not here
BOUND_MB = 150
SETTLING_S = 3.0
BEATS = "SELECT count(*) FROM heartbeats"
PEER = """
import dramatiq
from dramatiq.brokers.redis import RedisBroker
dramatiq.set_broker(RedisBroker(url={url!r}))
for queue in ("chain", "interpretation", "stats"):
    dramatiq.actor(lambda id: None, actor_name=queue, queue_name=queue)
"""


@dataclass(frozen=True, slots=True)
class Idle:
    """What processes and Redis did in some seconds without work."""

    seconds: float
    commands: dict[str, float]
    before: dict[str, Usage]
    after: dict[str, Usage]

    @property
    def per_second(self) -> float:
        return sum(self.commands.values())

    @property
    def cpu_percent(self) -> float:
        """Of the processes alone, without the servers."""
        spent = sum(end.cpu_s - self.before[name].cpu_s for name, end in self.after.items())
        return 100 * spent / self.seconds


async def watch(url: str, pids: Mapping[str, int], seconds: float) -> Idle:
    await asyncio.sleep(SETTLING_S)
    async with Redis.from_url(url, decode_responses=True) as client:
        await client.config_resetstat()
        before, began = usages(pids), time.perf_counter()
        await asyncio.sleep(seconds)
        took, after = time.perf_counter() - began, usages(pids)
        counted: dict[str, Any] = await client.info("commandstats")
    commands = {
        name.removeprefix("cmdstat_"): one["calls"] / took
        for name, one in counted.items()
        if not name.startswith(("cmdstat_config", "cmdstat_info"))
    }
    return Idle(took, commands, before, after)


async def ours(folder: Path, seconds: float) -> Idle:
    """All processes that need no chain."""
    async with postgres.start(folder / "postgres") as books, redis.start(folder / "redis") as queue:
        await asyncio.to_thread(migrate.upgrade, books.url)
        port = free_port()
        told = grounds.inherited() | {
            "FAIRHOUSE_DATABASE_URL": books.url,
            "FAIRHOUSE_REDIS_URL": queue.url,
            "FAIRHOUSE_API_PORT": str(free_port()),
            "FAIRHOUSE_FEED_PORT": str(port),
            "FAIRHOUSE_LOG_LEVEL": "WARNING",
        }
        house = Household(folder / "logs", told)
        names = [name for name in processes.everything() if name not in BUSY]
        async with stopped(house):
            for name in names:
                house.start(name)
            await ready(books.url, port, len(names))
            return await watch(queue.url, house.pids(), seconds)


async def ready(database_url: str, feed_port: int, processes: int) -> None:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        while True:
            row = await (await connection.execute(BEATS)).fetchone()
            with contextlib.suppress(OSError):
                if row is not None and row[0] >= processes and await accepts(feed_port):
                    return
            await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def stopped(house: Household) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await house.stop()


async def peer(folder: Path, seconds: float) -> Idle:
    """Dramatiq's own worker on empty queues."""
    async with redis.start(folder / "peer") as queue:
        (folder / "plain.py").write_text(PEER.format(url=queue.url))
        command = [sys.executable, "-m", "dramatiq", "plain", "--path", str(folder)]
        command += ["--processes", "1", "--threads", "8"]
        child = spawn("dramatiq", command, log=folder / "logs" / "dramatiq.log")
        async with running(child):
            return await watch(queue.url, {"dramatiq": child.pid}, seconds)


async def main(seconds: float) -> None:
    with tempfile.TemporaryDirectory(prefix="fairhouse-bench-") as name:
        os.chmod(name, 0o755)  # as root the database runs under another uid
        plain, house = await peer(Path(name), seconds), await ours(Path(name), seconds)
    for title, idle in (("dramatiq as it comes", plain), ("the house", house)):
        most = sorted(idle.commands.items(), key=lambda one: -one[1])[:6]
        named = ", ".join(f"{name} {rate:.1f}" for name, rate in most)
        print(f"{title}: {idle.per_second:.0f} Redis commands/s ({named})")
        print(table(idle.before, idle.after, idle.seconds))
    print(
        f"ratio of commands {house.per_second / plain.per_second:.1f},"
        f" of processor time {house.cpu_percent / max(plain.cpu_percent, 0.1):.1f}"
        f" ({house.cpu_percent:.1f} % of a core for {len(house.after)} processes)"
    )
    for name, used in house.after.items():
        if used.peak_mb > BOUND_MB:
            raise SystemExit(f"{name} needs {used.peak_mb:.0f} MB idle, more than {BOUND_MB}")
    print(f"no process above its bound of {BOUND_MB} MB")


if __name__ == "__main__":
    given = argparse.ArgumentParser(description="the cost of waiting")
    given.add_argument("--seconds", type=float, default=20)
    asyncio.run(main(given.parse_args().seconds))
