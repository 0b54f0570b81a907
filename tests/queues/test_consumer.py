"""An idle consumer waits inside Redis: it takes nothing, asks seldom and wakes at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import dramatiq
import pytest
from dramatiq.errors import ConnectionClosed
from redis import Redis

import queues
from local import redis
from queues.broker import HouseBroker
from settings import Settings

FOREVER_MS = 4_000  # below the client's own patience


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[HouseBroker]:
    async with redis.start(tmp_path / "redis") as store:
        made = queues.setup(Settings(redis_url=store.url))
        assert isinstance(made, HouseBroker)
        yield made
        made.close()


def message(number: int) -> dramatiq.Message[Any]:
    return dramatiq.Message("stats", "fold", (number,), {}, {})


def number_of(found: dramatiq.MessageProxy | None) -> int | None:
    return int(found.args[0]) if found else None


def commands(client: Redis) -> int:
    found: Any = client.info("commandstats")
    return sum(int(one["calls"]) for name, one in found.items() if "info" not in name)


async def test_a_message_ends_the_wait_of_a_consumer(broker: HouseBroker) -> None:
    consumer = broker.consume("stats", timeout=FOREVER_MS)
    assert next(consumer) is None  # nothing is there at first
    waiting = asyncio.create_task(asyncio.to_thread(next, consumer))
    for _ in range(200):
        if broker.client.info("clients")["blocked_clients"]:
            break
        await asyncio.sleep(0.01)
    assert broker.client.info("clients")["blocked_clients"] == 1
    broker.enqueue(message(7))
    assert number_of(await waiting) == 7


async def test_waiting_takes_nothing_and_keeps_the_order(broker: HouseBroker) -> None:
    for number in range(5):
        broker.enqueue(message(number))
    one, other = (broker.consume("stats", prefetch=2, timeout=50) for _ in range(2))
    assert [number_of(next(one)) for _ in range(2)] == [0, 1]
    assert next(one) is None  # as many as it may hold
    assert [number_of(next(other)) for _ in range(2)] == [2, 3]
    assert broker.client.llen("dramatiq:stats") == 1


async def test_a_consumer_that_holds_enough_does_not_ask_redis(broker: HouseBroker) -> None:
    for number in range(3):
        broker.enqueue(message(number))
    consumer = broker.consume("stats", prefetch=1, timeout=50)
    held = next(consumer)
    assert held is not None
    before = commands(broker.client)
    assert [next(consumer) for _ in range(20)] == [None] * 20
    assert commands(broker.client) == before
    consumer.ack(held)
    assert number_of(next(consumer)) == 1


async def test_an_idle_consumer_asks_once_for_each_wait(broker: HouseBroker) -> None:
    consumer = broker.consume("stats", timeout=20)
    next(consumer)
    before = commands(broker.client)
    assert [next(consumer) for _ in range(10)] == [None] * 10
    assert commands(broker.client) - before == 10


async def test_every_waiting_consumer_may_get_its_message(broker: HouseBroker) -> None:
    got: list[int] = []
    several = [broker.consume("stats", prefetch=1, timeout=FOREVER_MS) for _ in range(4)]

    def take(consumer: dramatiq.Consumer) -> None:
        while (found := next(consumer)) is None:
            pass
        got.append(found.args[0])
        consumer.ack(found)

    threads = [threading.Thread(target=take, args=(consumer,)) for consumer in several]
    for thread in threads:
        thread.start()
    for number in range(4):
        broker.enqueue(message(number))
    for thread in threads:
        await asyncio.to_thread(thread.join, 30)
    assert sorted(got) == [0, 1, 2, 3]
    assert broker.client.hlen("dramatiq:stats.msgs") == 0


async def test_a_lost_redis_closes_the_consumer(tmp_path: Path) -> None:
    async with redis.start(tmp_path / "redis") as store:
        made = queues.setup(Settings(redis_url=store.url))
        consumer = made.consume("stats", timeout=FOREVER_MS)
        next(consumer)
    with pytest.raises(ConnectionClosed):
        next(consumer)
