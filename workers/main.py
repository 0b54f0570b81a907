"""All actors: which message does what."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps

import dramatiq

from settings import Settings
from workers.attempts import Budget, noted
from workers.bonuses import count
from workers.interpret import interpret
from workers.stats import fold
from workers.store import store

Work = Callable[[int], Awaitable[None]]

ACTORS: dict[str, tuple[str, Work]] = {
    "chain": ("store", noted(store)),
    "interpretation": ("interpret", noted(interpret)),
    "stats": ("fold", fold),
    "bonuses": ("count", count),
}


def declare(broker: dramatiq.Broker, settings: Settings) -> None:
    """Give the broker its actors; only a worker process needs them."""
    for queue, (name, work) in ACTORS.items():
        paced = within(work, Budget(settings.job_rate)) if settings.job_rate else work
        dramatiq.actor(actor_name=name, queue_name=queue, broker=broker)(paced)


def within(work: Work, budget: Budget) -> Work:
    """The same work, at most so often a second in this process."""

    @wraps(work)
    async def paced(id: int) -> None:
        await budget.turn()
        await work(id)

    return paced
