"""Dramatiq on Redis, as every process of the house sees it."""

from __future__ import annotations

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import AsyncIO, Callbacks, Retries, ShutdownNotifications, TimeLimit

from settings import Settings

ACTORS = {"chain": "store", "interpretation": "interpret", "stats": "fold"}
HOUR_MS = 3_600_000
LONGEST_BACKOFF_MS = 60_000

_brokers: list[RedisBroker] = []


def setup(settings: Settings) -> RedisBroker:
    """Say once per process where Redis is; also declares the three queues.

    What is dead in Redis is only a shadow: pages keep their own errors, and the sweeper their turn.
    """
    made = RedisBroker(
        url=settings.redis_url,
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
        socket_timeout=5.0,
        socket_connect_timeout=2.0,
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
