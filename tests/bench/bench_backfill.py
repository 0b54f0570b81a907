"""A chain's whole history, from the node to folded stats, against a client that only downloads.

Run it alone: `python -m tests.bench.bench_backfill --events 20000`. Anvil holds blocks of a hundred
events of our contract, three for each bet. The processes are those of production on a PostgreSQL
that writes to disk; time counts from the start of the indexer, its own start included, until every
page is interpreted and every bet stands in the casino's stats. The peer asks for the very same
ranges with httpx and parses the answers with orjson, and does nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import orjson
import psycopg

from cli import grounds
from cli.household import Household
from db import migrate
from local import anvil, postgres, redis
from tests.bench import crowd
from tests.bench.usage import Usage, table, usages

AIM = 8.0
BOUND_MB = {"indexer": 400, "worker chain": 200, "worker interpretation": 500, "worker stats": 200}
WORKERS = ("worker chain", "worker interpretation", "worker stats")
ROUNDS = 3
PATIENCE_S = 1_800
STANDING = """
SELECT coalesce(sum(bets), 0)::int, coalesce(sum(settled), 0)::int FROM casino_stats
WHERE bucket = 'total'
"""
OPEN = "SELECT count(*) FROM pages WHERE state <> 'interpreted'"
STAGES = """
SELECT count(*), extract(epoch FROM max(found_at))::float8,
    extract(epoch FROM max(interpreted_at))::float8 FROM pages
"""
RANGES = "SELECT lower, upper FROM pages ORDER BY lower"
BEATS = "SELECT count(*) FROM heartbeats"


@dataclass(frozen=True, slots=True)
class Stand:
    """Servers and the chain."""

    database_url: str
    redis_url: str
    rpc_url: str
    pids: dict[str, int]


@dataclass(frozen=True, slots=True)
class Run:
    """A backfill: what it took, and when its last page was found and interpreted."""

    took_s: float
    found_s: float
    interpreted_s: float
    ranges: list[tuple[int, int]]
    before: dict[str, Usage]
    after: dict[str, Usage]


@contextlib.asynccontextmanager
async def stand(folder: Path) -> AsyncIterator[Stand]:
    async with (
        postgres.start(folder / "postgres") as books,
        redis.start(folder / "redis") as queue,
        anvil.start(folder / "anvil", block_time_s=None, extra=crowd.ANVIL) as chain,
    ):
        await asyncio.to_thread(migrate.upgrade, books.url)
        pids = {"postgres": books.pid, "redis": queue.pid, "anvil": chain.pid}
        yield Stand(books.url, queue.url, chain.rpc_url, pids)


def environment(on: Stand, address: str, span: int) -> dict[str, str]:
    source = {"program": "casino_evm", "address": address, "casino": "bench"}
    return grounds.inherited() | {
        "FAIRHOUSE_DATABASE_URL": on.database_url,
        "FAIRHOUSE_REDIS_URL": on.redis_url,
        "FAIRHOUSE_RPC": json.dumps({"evm-local": [on.rpc_url]}),
        "FAIRHOUSE_WS": "{}",
        "FAIRHOUSE_SOURCES": json.dumps([source]),
        "FAIRHOUSE_RPC_RATE": "1000",
        "FAIRHOUSE_EVM_RANGE": str(span),
        "FAIRHOUSE_LOG_LEVEL": "WARNING",
    }


async def backfill(on: Stand, folder: Path, played: crowd.Played, span: int) -> Run:
    """Our processes from the first block to the last bet in the stats."""
    house = Household(folder / "logs", environment(on, played.address, span))
    connect = psycopg.AsyncConnection.connect
    async with await connect(on.database_url, autocommit=True) as connection:
        try:
            for name in WORKERS:
                house.start(name)
            await until(connection, BEATS, (len(WORKERS),))
            before = usages(on.pids | house.pids())
            began, clock = time.perf_counter(), time.time()
            house.start("indexer")
            await until(connection, STANDING, (played.bets, played.settled))
            await until(connection, OPEN, (0,))
            took = time.perf_counter() - began
            after = usages(on.pids | house.pids())
        finally:
            await house.stop()
        row = await (await connection.execute(STAGES)).fetchone()
        assert row is not None
        ranges = await (await connection.execute(RANGES)).fetchall()
    return Run(took, row[1] - clock, row[2] - clock, ranges, before, after)


async def until(
    connection: psycopg.AsyncConnection[tuple[object, ...]], query: str, wanted: tuple[object, ...]
) -> None:
    """Raises `TimeoutError` with what the database says instead."""
    deadline = time.monotonic() + PATIENCE_S
    while (row := await (await connection.execute(query)).fetchone()) != wanted:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{query.strip()} is {row}, not {wanted}")
        await asyncio.sleep(0.05)


async def download(rpc_url: str, address: str, ranges: list[tuple[int, int]]) -> tuple[float, int]:
    """The peer: every log once, parsed. How long the best of several rounds took, and how many."""
    best, count = float("inf"), 0
    async with httpx.AsyncClient(timeout=600) as http:
        for _ in range(ROUNDS):
            began, count = time.perf_counter(), 0
            for n, (lower, upper) in enumerate(ranges):
                wish = {"address": address, "fromBlock": hex(lower), "toBlock": hex(upper)}
                call = {"jsonrpc": "2.0", "id": n, "method": "eth_getLogs", "params": [wish]}
                answer = await http.post(rpc_url, json=call)
                count += len(orjson.loads(answer.content)["result"])
            best = min(best, time.perf_counter() - began)
    return best, count


async def main(events: int, span: int) -> None:
    with tempfile.TemporaryDirectory(prefix="fairhouse-bench-") as name:
        os.chmod(name, 0o755)  # as root the database runs under another uid
        folder = Path(name)
        async with stand(folder) as on:
            began = time.perf_counter()
            played = await crowd.play(on.rpc_url, events)
            print(
                f"{played.events:,} events of {played.bets:,} bets in {played.blocks:,} blocks,"
                f" made in {time.perf_counter() - began:.0f} s; logged by tests/bench/Crowd.sol,"
                " with our contract's events, as Anvil is too slow to keep so many real bets"
            )
            run = await backfill(on, folder, played, span)
            peer_s, count = await download(on.rpc_url, played.address, run.ranges)
    if count != played.events:
        raise RuntimeError(f"the node gives {count} events, not {played.events}")
    say(run, played.events, peer_s)


def say(run: Run, events: int, peer_s: float) -> None:
    ratio = run.took_s / peer_s
    print(
        f"from the node to folded stats {run.took_s:.1f} s ({events / run.took_s:,.0f} events/s);"
        f" last page found after {run.found_s:.1f} s, interpreted after {run.interpreted_s:.1f} s\n"
        f"httpx + orjson, only downloading the same {len(run.ranges)} ranges {peer_s:.1f} s"
        f" ({events / peer_s:,.0f} events/s)\n"
        f"ratio {ratio:.1f} (aim: at most {AIM:.0f})\n"
        f"{table(run.before, run.after, run.took_s)}"
    )
    for name, bound in BOUND_MB.items():
        peak = run.after[name].peak_mb
        print(f"  memory of {name}: {peak:.0f} MB, bound {bound} MB")
        if peak > bound:
            raise SystemExit(f"{name} needs more memory than its bound")


if __name__ == "__main__":
    given = argparse.ArgumentParser(description="the backfill, against a bare download")
    given.add_argument("--events", type=int, default=200_000)
    given.add_argument("--range", type=int, default=500, help="FAIRHOUSE_EVM_RANGE")
    wanted = given.parse_args()
    asyncio.run(main(wanted.events, wanted.range))
