"""The loop around a source: follow the head, work off history, promote what is final."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from loguru import logger
from sqlalchemy import text

from casino import gaps
from chains.errors import ChainError
from indexer import backfill
from indexer.inbox import Inbox, NotLeader
from indexer.progress import Walk
from indexer.rhythm import Rhythm
from indexer.source import Listener, Polled, Rpc

T = TypeVar("T")
LONGEST_PAUSE_S = 15.0
# A node may call before its own answers show what it called about.
ECHOES_S = (0.05, 0.2)
PROGRESS_S = 10.0  # a line of progress at most so often


@dataclass
class Loop:
    """One source's tasks; a failure is noted at the source, tried again, and holds up no other."""

    listener: Listener
    rpc: Rpc
    inbox: Inbox
    send: Callable[[Sequence[int]], Awaitable[None]]
    poll_s: float
    depth: int
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    _failures: dict[str, int] = field(default_factory=dict)
    _errors: dict[str, str] = field(default_factory=dict)

    async def run(self) -> None:
        """Follow until cancelled. Raises `NotLeader` when another indexer leads."""
        with logger.contextualize(source=self.listener.source.program):
            await self._learn()  # before anything is read: history is born final
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow())
                tasks.create_task(self._work_off())
                tasks.create_task(self._finalize())

    async def _follow(self) -> None:
        rhythm, echoes = Rhythm(self.poll_s), list[float]()
        while True:
            began = time.monotonic()
            found = await self._tried("polling", self._poll)
            moved = found is not None and found.moved
            if moved:
                echoes = []
            due = rhythm.pause(moved=moved, took_s=time.monotonic() - began)
            if await self._rest(echoes.pop(0) if echoes else due):
                echoes = list(ECHOES_S)

    async def _poll(self) -> Polled:
        found = await self.listener.poll()
        await self.send(found.pages)
        await self._note("head = :value, polled_at = now()", value=found.head)
        return found

    async def _work_off(self) -> None:
        worked, under_way, told = 0, False, 0.0
        walk = Walk()
        while True:
            pages = await self._tried("history", self.listener.backfill)
            if pages is None:
                if under_way and "history" not in self._errors:
                    logger.info("history is complete: {} pages", worked)
                    worked, under_way, walk = 0, False, Walk()
                await asyncio.sleep(self.poll_s)
                continue
            worked, under_way = worked + len(pages), True
            await self.send(pages)
            if time.monotonic() >= told + PROGRESS_S:
                await self._tell(walk)
                told = time.monotonic()

    async def _tell(self, walk: Walk) -> None:
        """One line on how far the history of this source is."""
        source = self.listener.source
        async with self.inbox.transaction() as session:
            covered = await gaps.coverage(session, source.id)
        walk.note(sum(one.size for one in covered.left), time.monotonic())
        if walk.left:
            logger.info("history: {}", walk.line(backfill.noun(source)))

    async def _finalize(self) -> None:
        noted = -1
        while True:
            finalized = await self._learn()
            if finalized is not None:
                work = partial(self.listener.finalize, finalized)
                done = await self._tried("finality", work)
                await self._wrong("doubt", self.listener.doubt)
                if done is not None and finalized > noted:
                    await self._note("finalized = :value", value=finalized)
                    noted = finalized
            await asyncio.sleep(self.poll_s)

    async def _learn(self) -> int | None:
        """What is finalized by now, known to the listener as well."""
        finalized = await self._tried("finality", partial(self.rpc.finalized, self.depth))
        if finalized is not None:
            self.listener.final = max(self.listener.final, finalized)
        return finalized

    async def _tried(self, what: str, work: Callable[[], Awaitable[T]]) -> T | None:
        """The result, or None after noting what went wrong and a pause that grows."""
        try:
            result = await work()
        except NotLeader:
            raise
        except Exception as error:
            if not isinstance(error, ChainError | OSError):
                logger.opt(exception=True).error("{} failed in a way nobody thought of", what)
            failures = self._failures[what] = self._failures.get(what, 0) + 1
            pause = min(self.poll_s * 2 ** min(failures - 1, 6), LONGEST_PAUSE_S)
            logger.warning("{}: {}; again in {:.1f} s", what, error, pause)
            await self._wrong(what, f"{what}: {error}"[:500])
            await asyncio.sleep(pause)
            return None
        self._failures.pop(what, None)
        await self._wrong(what, None)
        return result

    async def _wrong(self, what: str, error: str | None) -> None:
        """Keep at the source what is wrong with it now; written only when it changes."""
        if self._errors.get(what) == error:
            return
        if error is None:
            del self._errors[what]
        else:
            self._errors[what] = error
        await self._note("error = :value", value="; ".join(self._errors.values()) or None)

    async def _note(self, change: str, value: object) -> None:
        async with self.inbox.transaction() as session:
            await session.execute(
                text(f"UPDATE sources SET {change} WHERE id = :id"),
                {"id": self.listener.source.id, "value": value},
            )

    async def _rest(self, seconds: float) -> bool:
        """Until the next poll is due, or (True) the websocket says that something happened."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.woken.wait()
        called = self.woken.is_set()
        self.woken.clear()
        return called
