"""A process that waits for Redis hears that it is to stop, at whatever moment it is told."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from redis.asyncio import Redis

from local import redis
from queues.client import client


async def test_no_moment_is_wrong_to_stop_who_asks_redis(tmp_path: Path) -> None:
    async def asking(store: Redis) -> None:
        while True:
            async with asyncio.timeout(5):
                await store.xlen("feed:bets")

    async with redis.start(tmp_path) as server:
        for _ in range(200):
            async with client(server.url) as store:
                task = asyncio.create_task(asking(store))
                await asyncio.sleep(random.uniform(0.003, 0.006))
                task.cancel()
                done, _ = await asyncio.wait([task], timeout=5)
                while not task.done():
                    task.cancel()
                    await asyncio.wait([task], timeout=0.01)
                assert done
