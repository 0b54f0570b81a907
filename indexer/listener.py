"""The loop around a source: follow the head, work off history, promote what is final."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeVar

from loguru import logger
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from casino.sources import Followed
from chains.errors import ChainError
from indexer.inbox import Inbox, NotLeader
from indexer.source import Rpc

T = TypeVar("T")
LONGEST_PAUSE_S = 15.0


class Listener(Protocol):
    """What the loop asks of a chain."""

    source: Followed

    async def poll(self, head: int) -> list[int]: ...
    async def backfill(self) -> list[int] | None: ...
    async def finalize(self, finalized: int) -> int: ...


@dataclass
class Loop:
    """One source's tasks; a failure is noted there, tried again, and holds up no other."""

    listener: Listener
    rpc: Rpc
    inbox: Inbox
    send: Callable[[Sequence[int]], None]
    poll_s: float
    depth: int
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    _failures: int = 0

    async def run(self) -> None:
        """Follow until cancelled. Raises `NotLeader` when another indexer leads."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            tasks.create_task(self._work_off())
            tasks.create_task(self._finalize())

    async def _follow(self) -> None:
        while True:
            await self._tried(self._poll)
            await self._rest(self.poll_s)

    async def _poll(self) -> None:
        head = await self.rpc.head()
        pages = await self.listener.poll(head)
        await self._note("head = :value, polled_at = now(), error = NULL", value=head)
        if pages:
            self.send(pages)

    async def _work_off(self) -> None:
        worked = 0
        while True:
            pages = await self._tried(self.listener.backfill)
            if pages is None:
                if worked:
                    logger.info("history is complete: {} pages", worked)
                worked = 0
                await asyncio.sleep(self.poll_s)
                continue
            worked += len(pages)
            if pages:
                self.send(pages)

    async def _finalize(self) -> None:
        before = -1
        while True:
            finalized = await self._tried(partial(self.rpc.finalized, self.depth))
            if finalized is not None and finalized > before:
                await self._tried(partial(self.listener.finalize, finalized))
                await self._note("finalized = :value", value=finalized)
                before = finalized
            await asyncio.sleep(self.poll_s)

    async def _tried(self, work: Callable[[], Awaitable[T]]) -> T | None:
        """The result, or None after noting what went wrong and a pause that grows."""
        try:
            result = await work()
        except (ChainError, SQLAlchemyError, OSError) as error:
            self._failures += 1
            pause = min(self.poll_s * 2 ** min(self._failures, 6), LONGEST_PAUSE_S)
            logger.warning("{}; again in {:.1f} s", error, pause)
            with contextlib.suppress(SQLAlchemyError, OSError):
                await self._note("error = :value", value=str(error)[:500])
            await asyncio.sleep(pause)
            if isinstance(error, SQLAlchemyError):
                raise NotLeader("the database connection is gone, and the lock with it") from error
            return None
        self._failures = 0
        return result

    async def _note(self, change: str, **values: object) -> None:
        async with self.inbox.transaction() as session:
            await session.execute(
                text(f"UPDATE sources SET {change} WHERE id = :id"),
                {"id": self.listener.source.id, **values},
            )

    async def _rest(self, seconds: float) -> None:
        """Until the next poll is due, or the chain's websocket says that something happened."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.woken.wait()
        self.woken.clear()
