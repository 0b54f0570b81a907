"""A real Redis, and this process as the one that sends."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest
from dramatiq import Worker
from dramatiq.brokers.redis import RedisBroker

import queues
from local import redis
from settings import Settings
from workers.run import IDLE_MS


@pytest.fixture(scope="module")
async def store(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[redis.Redis]:
    async with redis.start(tmp_path_factory.mktemp("queues") / "redis") as started:
        yield started


@pytest.fixture
def chosen(store: redis.Redis) -> Settings:
    """Settings with an empty Redis, and back-offs that a test can wait for."""
    made = Settings(redis_url=store.url, backoff_ms=8)
    queues.setup(made).client.flushall()
    return made


@contextlib.contextmanager
def working(broker: RedisBroker, queue: str) -> Iterator[None]:
    """A worker of this queue in threads of its own."""
    broker.emit_after("process_boot")
    worker = Worker(broker, queues={queue}, worker_timeout=IDLE_MS, worker_threads=2)
    worker.start()
    try:
        yield
    finally:
        worker.stop(timeout=20_000)
