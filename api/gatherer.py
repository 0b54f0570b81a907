"""Concurrent requests become one transaction: what waits while a batch runs is the next batch."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from psycopg import errors
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from db.session import transaction

Asked = TypeVar("Asked")
Given = TypeVar("Given")

MOST = 512  # of a batch: about 60 ms on two cores
ABREAST = 2  # batches at once: one is decided while the other becomes durable
TRIES = 5
AGAIN = (errors.UniqueViolation, errors.DeadlockDetected, errors.SerializationFailure)
Run = Callable[[AsyncSession, Sequence[Asked]], Awaitable[Sequence[Given]]]


class Overloaded(Exception):
    """More waits already than can be answered in time."""


@dataclass
class Gatherer(Generic[Asked, Given]):
    """Runs `run` over everything that is asked, at most `most` at once.

    An answer is given after its transaction is durable. Whoever stops waiting for an answer does
    not stop the command. What a batch fails over is tried one by one, so that only the one it
    fails over is answered with the failure.
    """

    run: Run[Asked, Given]
    most: int = MOST
    abreast: int = ABREAST
    patience: int = 20_000  # waiting commands
    _waiting: deque[tuple[Asked, asyncio.Future[Given]]] = field(default_factory=deque)
    _batches: set[asyncio.Task[None]] = field(default_factory=set)

    async def ask(self, asked: Asked) -> Given:
        """The answer. Raises what `run` raises for this one, and `Overloaded`."""
        if len(self._waiting) >= self.patience:
            raise Overloaded(f"{len(self._waiting)} commands wait")
        answer: asyncio.Future[Given] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, answer))
        self._start()
        return await asyncio.shield(answer)

    async def close(self) -> None:
        """Let everything that was asked be answered."""
        while self._batches:
            await asyncio.wait(self._batches)

    def _start(self) -> None:
        if self._waiting and len(self._batches) < self.abreast:
            batch = asyncio.create_task(self._work())
            self._batches.add(batch)
            batch.add_done_callback(self._end)

    def _end(self, batch: asyncio.Task[None]) -> None:
        self._batches.discard(batch)
        self._start()

    async def _work(self) -> None:
        # One turn of the loop: whoever came in the same breath comes along.
        await asyncio.sleep(0)
        count = min(self.most, len(self._waiting))
        await self._settle([self._waiting.popleft() for _ in range(count)])

    async def _settle(self, batch: list[tuple[Asked, asyncio.Future[Given]]]) -> None:
        if not batch:
            return
        try:
            answers = await self._commit([asked for asked, _ in batch])
        except Exception as error:
            if len(batch) == 1:
                _fail(batch[0][1], error)
                return
            for one in batch:
                await self._settle([one])
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            if not future.done():
                future.set_result(answer)

    async def _commit(self, batch: list[Asked]) -> Sequence[Given]:
        for tries in range(1, TRIES + 1):
            try:
                async with transaction() as session:
                    return await self.run(session, batch)
            except (DBAPIError, *AGAIN) as error:
                cause = error.orig if isinstance(error, DBAPIError) else error
                if tries == TRIES or not isinstance(cause, AGAIN):
                    raise
        raise AssertionError("unreachable")


def _fail(future: asyncio.Future[Given], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # whoever stopped waiting does not hear of it
