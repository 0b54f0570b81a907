"""What a queue promises: ids only, retries that end, a pace, and never an exception for Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import dramatiq
import pytest
from dramatiq import Message
from dramatiq.brokers.redis import MAINTENANCE_SCALE, RedisBroker

import queues
from queues.broker import LONGEST_BACKOFF_MS
from settings import Settings
from tests.queues.conftest import working
from workers import main

NO_REDIS = "redis://127.0.0.1:9/0"


class Watch(dramatiq.Middleware):
    """Notes for how long each message is put off."""

    def __init__(self) -> None:
        self.delays: list[int] = []

    def after_enqueue(self, broker: Any, message: Any, delay: int | None) -> None:
        if delay is not None:
            self.delays.append(delay)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.01)


def kept(broker: RedisBroker, queue: str) -> list[Message[Any]]:
    """The messages that Redis holds of a queue, whoever has them in hand."""
    found: Any = broker.client.hvals(f"dramatiq:{queue}.msgs")
    return [Message.decode(body) for body in found]


def failing(broker: RedisBroker) -> list[int]:
    """An actor that always fails, and the ids that it was called with."""
    called: list[int] = []

    def store(id: int) -> None:
        called.append(id)
        raise RuntimeError("the node does not answer")

    dramatiq.actor(actor_name="store", queue_name="chain", broker=broker)(store)
    return called


def test_a_message_carries_an_id_and_nothing_else(chosen: Settings) -> None:
    assert queues.send_all("interpretation", [4, 7]) == 2
    assert queues.depth("interpretation") == 2
    found = sorted(kept(queues.broker(), "interpretation"), key=lambda one: one.args)
    assert [(one.actor_name, one.args, one.kwargs) for one in found] == [
        ("interpret", (4,), {}),
        ("interpret", (7,), {}),
    ]
    assert {key for one in found for key in one.options} == {"redis_message_id"}


def test_stats_sent_in_a_burst_are_folded_once_and_later_ones_again(
    chosen: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "DEBOUNCE_MS", 60_000)  # longer than the slowest test
    for _ in range(20):
        assert queues.send("stats", 3)
    assert queues.send("stats", 4)
    put_off = kept(queues.broker(), "stats.DQ")
    assert sorted(one.args[0] for one in put_off) == [3, 4]
    client, due = queues.broker().client, "fairhouse:due:stats:3"
    assert 0 < client.pttl(due) <= 60_000
    client.delete(due)  # as its time does
    assert queues.send("stats", 3)
    assert sorted(one.args[0] for one in kept(queues.broker(), "stats.DQ")) == [3, 3, 4]


def test_a_redis_that_is_away_is_said_and_never_raised() -> None:
    """Q3, Q7: the rows are the truth, so a message that cannot be sent is only late."""
    queues.setup(Settings(redis_url=NO_REDIS))
    assert not queues.send("chain", 1)
    assert not queues.send("stats", 1)
    assert queues.send_all("chain", [1, 2, 3]) == 0
    assert queues.depth("chain") is None


async def test_what_fails_is_tried_again_later_and_later_and_then_put_aside(
    chosen: Settings,
) -> None:
    """Q5: three retries, each twice as late give or take; the dead set only remembers."""
    broker, watch = queues.broker(), Watch()
    broker.add_middleware(watch)
    called = failing(broker)
    with working(broker, "chain"):
        queues.send("chain", 9)
        await until(lambda: broker.client.zcard("dramatiq:chain.XQ") == 1)
    assert called == [9] * (1 + chosen.retries)
    assert len(watch.delays) == chosen.retries == 3
    for turn, delay in enumerate(watch.delays):
        assert chosen.backoff_ms * 2**turn <= delay <= chosen.backoff_ms * 2 ** (turn + 1)
    assert queues.depth("chain") == 0


async def test_the_longest_wait_between_two_tries_is_a_minute(chosen: Settings) -> None:
    broker, watch = queues.setup(chosen.model_copy(update={"retries": 20})), Watch()
    broker.add_middleware(watch)
    called = failing(broker)
    with working(broker, "chain"):
        broker.enqueue(Message("chain", "store", (5,), {}, {"retries": 18}))
        await until(lambda: bool(watch.delays))
    assert called == [5]
    assert LONGEST_BACKOFF_MS / 2 <= watch.delays[0] <= LONGEST_BACKOFF_MS == 60_000


@pytest.mark.parametrize(("hours", "left"), [(24, 1), (0, 0)])
async def test_the_dead_are_forgotten_after_their_retention(
    chosen: Settings, hours: int, left: int
) -> None:
    broker = queues.setup(chosen.model_copy(update={"retries": 0, "failed_retention_h": hours}))
    failing(broker)
    with working(broker, "chain"):
        queues.send("chain", 9)
        await until(lambda: broker.client.zcard("dramatiq:chain.XQ") == 1)
    broker.maintenance_chance = MAINTENANCE_SCALE  # with every command, not one in a thousand
    await asyncio.sleep(0.002)
    broker.do_qsize("chain")
    assert broker.client.zcard("dramatiq:chain.XQ") == left


async def test_a_rate_of_jobs_is_kept_by_every_actor(
    chosen: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[float] = []

    async def note(id: int) -> None:
        done.append(time.monotonic())

    monkeypatch.setitem(main.ACTORS, "interpretation", ("interpret", note))
    broker = queues.broker()
    main.declare(broker, chosen.model_copy(update={"job_rate": 40.0}))
    with working(broker, "interpretation"):
        queues.send_all("interpretation", list(range(9)))
        await until(lambda: len(done) == 9)
    assert done[-1] - done[0] > 7 / 40  # eight pauses, the first of which may have been shorter
