"""Interpretation from stored pages, against `COPY` of the very rows it made, in one run.

Run it alone: `python -m tests.bench.bench_interpretation [bets] [bets per page]`. A bet is three
events (placed, seed revealed, settled), and everything counts: reading the raw events, decoding,
facts, players, bets, stats deltas, marking the page, the commit.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

from loguru import logger

import queues
from db import migrate
from db import session as db_session
from db.session import driver, transaction
from local import postgres
from tests.bench.stored_pages import bet, house, store
from workers.interpret import interpret
from workers.stats import fold

TABLES = ("bets", "seed_reveals")
PLAYERS = 500


async def measure(bets: int, per_page: int, *, fresh: bool) -> dict[str, float]:
    """Store, interpret and fold; then COPY the same rows into empty tables of the same shape."""
    source = await house("fresh" if fresh else "backfill", "0x" + ("aa" if fresh else "bb") * 20)
    base = 10_000_000 if fresh else 0
    pages = []
    for first in range(base, base + bets, per_page):
        events = [one for n in range(first, first + per_page) for one in bet(n, players=PLAYERS)]
        pages.append(await store(source, events, fresh=fresh))
    async with transaction() as session:
        await (await driver(session)).execute("ANALYZE raw_events")
    gc.collect()
    sent: list[int] = []
    with patch.object(queues, "send", lambda queue, id, delay_ms=0: sent.append(id)):  # no Redis
        began = time.perf_counter()
        for page in pages:
            await interpret(page)
        interpreted = time.perf_counter() - began
        began = time.perf_counter()
        await fold(sent[0])
        folded = time.perf_counter() - began
    copied = sum([await copy_again(table, source) for table in TABLES])
    return {"interpreted": interpreted, "folded": folded, "copied": copied, "events": 3 * bets}


async def copy_again(table: str, source: int) -> float:
    """How long bare COPY takes to write a table's rows once more, indexes included."""
    async with transaction() as session:
        connection = await driver(session)
        await connection.execute(
            f"CREATE TABLE again (LIKE {table} INCLUDING ALL EXCLUDING IDENTITY)".encode()
        )
        query = f"COPY (SELECT * FROM {table} WHERE source_id = {source}) TO STDOUT (FORMAT binary)"
        async with connection.cursor().copy(query.encode()) as reading:
            data = [bytes(block) async for block in reading]
        began = time.perf_counter()
        async with connection.cursor().copy(b"COPY again FROM STDIN (FORMAT binary)") as copy:
            for block in data:
                await copy.write(block)
        took = time.perf_counter() - began
        await connection.execute("DROP TABLE again")
    return took


async def main(bets: int, per_page: int) -> dict[str, Any]:
    logger.remove()
    with tempfile.TemporaryDirectory(prefix="fairhouse-bench-") as folder:
        async with postgres.start(Path(folder) / "postgres") as server:
            await asyncio.to_thread(migrate.upgrade, server.url)
            db_session.configure(server.url)
            figures = {}
            for name, fresh in (("backfill", False), ("fresh", True)):
                got = await measure(bets, per_page, fresh=fresh)
                figures[name] = got
                rate, bare = got["events"] / got["interpreted"], got["events"] / got["copied"]
                print(
                    f"{name}: {got['events']:,.0f} events in pages of {3 * per_page}:"
                    f" {rate:,.0f} events/s interpreted;"
                    f" COPY of the same rows {bare:,.0f} events/s;"
                    f" ratio {got['interpreted'] / got['copied']:.2f};"
                    f" fold {got['folded'] * 1000:,.0f} ms"
                )
            await db_session.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"peak memory {peak} MiB")
    return figures


if __name__ == "__main__":
    numbers = [int(given) for given in sys.argv[1:3]]
    asyncio.run(main(*(numbers + [20_000, 1_000][len(numbers) :])))
