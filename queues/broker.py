"""Dramatiq on Redis, as every process of the house sees it."""

from __future__ import annotations

import dramatiq
from dramatiq import Consumer
from dramatiq.brokers.redis import RedisBroker
from dramatiq.common import dq_name
from dramatiq.middleware import AsyncIO, Callbacks, Retries, ShutdownNotifications, TimeLimit
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from queues.consumer import WaitingConsumer
from settings import Settings

ACTORS = {"chain": "store", "interpretation": "interpret", "stats": "fold", "bonuses": "count"}
HOUR_MS = 3_600_000
LONGEST_BACKOFF_MS = 60_000
DELAYED_MS = 100  # a delayed message is late by no more

_brokers: list[RedisBroker] = []


class HouseBroker(RedisBroker):
    """Dramatiq's broker, whose consumers wait in Redis: idle ones cost little and wake at once."""

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> Consumer:
        wait_ms = DELAYED_MS if queue_name == dq_name(queue_name) else timeout
        key = f"{self.namespace}:{queue_name}"
        fetching = super().consume(queue_name, prefetch, 0)
        return WaitingConsumer(fetching, self.client, key, wait_ms)


def setup(settings: Settings) -> RedisBroker:
    """Say once per process where Redis is; also declares the queues.

    What is dead in Redis is only a shadow: pages keep their own errors, and the sweeper their turn.
    """
    made = HouseBroker(
        client=Redis.from_url(
            settings.redis_url,
            socket_timeout=5.0,
            socket_connect_timeout=2.0,
            retry=Retry(NoBackoff(), 1),
        ),
        middleware=[
            TimeLimit(time_limit=600_000),
            ShutdownNotifications(),
            Callbacks(),
            Retries(
                max_retries=settings.retries,
                min_backoff=settings.backoff_ms,
                max_backoff=LONGEST_BACKOFF_MS,
            ),
            AsyncIO(),
        ],
        dead_message_ttl=settings.failed_retention_h * HOUR_MS,
        heartbeat_timeout=60_000,
    )
    for queue in ACTORS:
        made.declare_queue(queue)
    dramatiq.set_broker(made)
    _brokers[:] = [made]
    return made


def broker() -> RedisBroker:
    """The broker of this process."""
    if not _brokers:
        raise RuntimeError("queues.setup(settings) comes before send()")
    return _brokers[0]
