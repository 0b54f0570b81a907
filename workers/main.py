"""All actors: which message does what."""

from __future__ import annotations

import dramatiq

from workers.interpret import interpret
from workers.stats import fold
from workers.store import store

ACTORS = {
    "chain": ("store", store),
    "interpretation": ("interpret", interpret),
    "stats": ("fold", fold),
}


def declare(broker: dramatiq.Broker) -> None:
    """Give the broker its actors; only a worker process needs them."""
    for queue, (name, work) in ACTORS.items():
        dramatiq.actor(actor_name=name, queue_name=queue, broker=broker)(work)
