"""The processes of the house by name, each imported only when it runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from settings import Settings

QUEUES = ("chain", "interpretation", "stats", "bonuses")
LOOPS = {
    "api": "api.server",
    "feed": "api.feed.server",
    "indexer": "indexer.main",
    "relay": "workers.relay",
    "auditor": "workers.auditor",
    "keeper": "workers.keeper",
    "dealer": "workers.dealer",
}


def modules() -> tuple[str, ...]:
    """What the processes import, all of them together."""
    return ("settings", "logs", "uvloop", "workers.heartbeat", "workers.run", *LOOPS.values())


def everything() -> tuple[str, ...]:
    """Every process, as `fairhouse run` names it."""
    return (*(f"worker {queue}" for queue in QUEUES), *LOOPS)


async def loop(process: str, settings: Settings) -> None:
    """Run an asyncio process until it is cancelled."""
    beating = import_module("workers.heartbeat").beating
    run: Callable[[Settings], Awaitable[None]] = import_module(LOOPS[process]).run
    with beating(settings.database_url, process):
        await run(settings)


def worker(settings: Settings, queue: str) -> None:
    """Run a worker process until it is told to stop."""
    import_module("workers.run").run(settings, queue)
