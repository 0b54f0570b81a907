"""The whole line: real bets on two chains reach the database and the streams, whatever dies."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

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
