"""Concurrent requests become one transaction: what waits while a batch runs is the next batch."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from psycopg import errors
from psycopg.errors import LockNotAvailable

from db import pipeline
from db.session import Connection, direct

Asked = TypeVar("Asked")
Given = TypeVar("Given")

MOST = 512  # of a batch
ABREAST = 2  # batches at once: one is decided while the other becomes durable
APART = 16  # waiting commands that begin as two batches: fewer are cheaper together
BEGINNING = 0  # of a batch that has not taken its commands yet
OVERDUE_S = 0.02
FEW = 4  # commands of a batch, behind which it is not worth to wait for as many
PAUSE_S = 0.003  # at most, for as many as came together last: each batch has its own cost
TRIES = 5
# A connection that broke may have committed: asked again, what stands is answered as it stands.
AGAIN = (
    errors.UniqueViolation,
    errors.DeadlockDetected,
    errors.SerializationFailure,
    *pipeline.STALE,
)
AWAY_S = 0.1
CAREFUL_S = 2.0  # after an account was found locked, nobody waits long for any
Run = Callable[[Connection, Sequence[Asked]], Awaitable[Sequence[Given]]]
Ahead = Callable[[Sequence[Asked]], Awaitable[Sequence[Given] | None]]
Rescue = Callable[[Connection, Sequence[Asked]], Awaitable[Sequence[Given | LockNotAvailable]]]


class Overloaded(Exception):
    """More waits already than can be answered in time."""


@dataclass
class Gatherer(Generic[Asked, Given]):
    """Runs `run` over everything that is asked, at most `most` at once.

    An answer is given after its transaction is durable. Whoever stops waiting for an answer does
    not stop the command. A batch that fails is tried in halves, so that in the end only the one it
    failed over is answered with the failure; when somebody keeps an account locked, `rescue` runs
    what can be run without it. Before, `ahead` is asked, and may know an answer to all of a batch.
    """

    run: Run[Asked, Given]
    rescue: Rescue[Asked, Given] | None = None
    ahead: Ahead[Asked, Given] | None = None
    most: int = MOST
    abreast: int = ABREAST
    patience: int = 20_000  # waiting commands
    _careful_until: float = 0.0
    _waiting: deque[tuple[Asked, asyncio.Future[Given]]] = field(default_factory=deque)
    _latest: int = 0  # how large the latest batch was
    _pause: asyncio.TimerHandle | None = None
    _batches: dict[asyncio.Task[None], int] = field(default_factory=dict)  # and how large each is

    async def ask(self, asked: Asked) -> Given:
        """The answer. Raises what `run` raises for this one, and `Overloaded`."""
        if len(self._waiting) >= self.patience:
            raise Overloaded(f"{len(self._waiting)} commands wait")
        answer: asyncio.Future[Given] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, answer))
        self._start()
        return await answer

    async def close(self) -> None:
        """Let everything that was asked be answered."""
        while self._waiting or self._batches:
            self._go_on()
            await asyncio.wait(self._batches)

    def _start(self) -> None:
        """Begin batches, beside or soon behind others only when that is worth its own cost."""
        while self._waiting and len(self._batches) < self.abreast:
            if len(self._waiting) < self._worth():
                if not self._batches and self._pause is None:
                    loop = asyncio.get_running_loop()
                    self._pause = loop.call_later(PAUSE_S, self._go_on)
                return
            self._resume()
            batch = asyncio.create_task(self._work())
            self._batches[batch] = BEGINNING
            batch.add_done_callback(self._end)

    def _go_on(self) -> None:
        """Begin with whoever waits."""
        self._resume()
        self._latest = 0
        self._start()

    def _resume(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None

    def _worth(self) -> int:
        """How many have to wait: as many as the other runs, unless that one is overdue."""
        sizes = self._batches.values()
        if not sizes:
            return self._latest if self._latest > FEW else 1
        return APART if BEGINNING in sizes else max(sizes)

    def _end(self, batch: asyncio.Task[None]) -> None:
        del self._batches[batch]
        self._start()

    def _overdue(self, batch: asyncio.Task[None]) -> None:
        """Something keeps it; nobody else has to wait for that."""
        if batch in self._batches:
            self._batches[batch] = 1
            self._start()

    async def _work(self) -> None:
        # One turn of the loop: whoever came in the same breath comes along.
        await asyncio.sleep(0)
        beginning = sum(size == BEGINNING for size in self._batches.values())
        count = min(self.most, -(-len(self._waiting) // beginning))
        batch = asyncio.current_task()
        assert batch is not None
        self._batches[batch] = self._latest = count
        due = asyncio.get_running_loop().call_later(OVERDUE_S, self._overdue, batch)
        try:
            await self._settle([self._waiting.popleft() for _ in range(count)])
        finally:
            due.cancel()

    async def _settle(self, batch: list[tuple[Asked, asyncio.Future[Given]]]) -> None:
        if not batch:
            return
        try:
            answers = await self._answered([asked for asked, _ in batch])
        except Exception as error:
            if len(batch) == 1 or _away(error):
                for _, future in batch:
                    _fail(future, error)
                return
            half = len(batch) // 2
            await self._settle(batch[:half])
            await self._settle(batch[half:])
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            if isinstance(answer, LockNotAvailable):
                _fail(future, answer)
            elif not future.done():
                future.set_result(answer)

    async def _answered(self, batch: list[Asked]) -> Sequence[Given | LockNotAvailable]:
        if self.rescue is None:
            return await _committed(self.run, batch, self.ahead)
        if time.monotonic() >= self._careful_until:
            with contextlib.suppress(LockNotAvailable):
                return await _committed(self.run, batch, self.ahead)
        answers = await _committed(self.rescue, batch)
        kept = any(isinstance(answer, LockNotAvailable) for answer in answers)
        self._careful_until = time.monotonic() + CAREFUL_S if kept else 0.0
        return answers


async def _committed(
    run: Callable[[Connection, Sequence[Asked]], Awaitable[Given]],
    batch: Sequence[Asked],
    ahead: Callable[[Sequence[Asked]], Awaitable[Given | None]] | None = None,
) -> Given:
    """What `run` gives once it is durable; tried again when it only was in the way of others."""
    for tries in range(1, TRIES + 1):
        try:
            answers = await ahead(batch) if ahead else None
            if answers is not None:
                return answers
            async with direct() as connection:
                return await run(connection, batch)
        except errors.Error as error:
            if tries == TRIES or not (isinstance(error, AGAIN) or _away(error)):
                raise
            if _away(error):
                await asyncio.sleep(AWAY_S)
    raise AssertionError("unreachable")


def _away(error: BaseException) -> bool:
    """Whether the database, or the way to it, is not there: it has no word of its own on that."""
    if not isinstance(error, errors.OperationalError | errors.InterfaceError):
        return False
    return error.sqlstate is None or error.sqlstate[:2] in ("08", "57")


def _fail(future: asyncio.Future[Given], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # whoever stopped waiting does not hear of it
