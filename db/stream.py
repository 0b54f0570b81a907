"""Breaths on one connection, each a transaction of its own, sent without waiting for those before.

PostgreSQL does one after the other in the order in which they were sent, and finds the next one
there when it is done with one: nobody waits for anybody's locks or turns in between.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Sequence

from psycopg import Error, OperationalError
from psycopg.adapt import Transformer
from psycopg.pq import ConnStatus, ExecStatus

from db.pipeline import Breath, Connection, Statement, Told, rows

TICK_S = 0.1


class Stream:
    """Has a connection to itself, which must be in autocommit and prepare nothing on its own."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._pgconn = connection.pgconn
        self._socket = os.dup(self._pgconn.socket)  # libpq closes its own when it loses it
        self._read = Transformer(connection)
        self._waiting: deque[tuple[Breath, asyncio.Future[Told]]] = deque()
        self._loop = asyncio.get_running_loop()
        self._writing = self._ended = False
        self._tick: asyncio.TimerHandle | None = None
        self._pgconn.enter_pipeline_mode()
        self._loop.add_reader(self._socket, self._readable)

    @property
    def lost(self) -> bool:
        return self._ended or self._pgconn.status != ConnStatus.OK

    def ask(self, statements: Sequence[Statement]) -> asyncio.Future[Told]:
        """The rows of each statement once all are durable; they are on their way at once.

        The future raises `psycopg.Error` of the first that failed: then nothing is kept of any, but
        for a connection that was lost, when nobody knows. Raises `psycopg.OperationalError` when it
        is lost already.
        """
        if self.lost:
            raise OperationalError("the connection is lost")
        breath, answer = Breath.of(self.connection, statements), self._loop.create_future()
        try:
            breath.send()
        except Error as error:
            self._end(str(error))
            raise
        self._waiting.append((breath, answer))
        if not self._writing:
            self._write()
        if self._tick is None:
            self._tick = self._loop.call_later(TICK_S, self._look)
        return answer

    async def close(self) -> None:
        """What is on its way is answered first."""
        if self._waiting:
            await asyncio.wait([answer for _, answer in self._waiting])
        self._end("the connection is closed")

    def _write(self) -> None:
        """Whatever does not fit into the socket's buffer goes when there is room."""
        try:
            more = bool(self._pgconn.flush())
        except Error as error:
            self._end(str(error))
            return
        if more and not self._writing:
            self._loop.add_writer(self._socket, self._write)
        elif self._writing and not more:
            self._loop.remove_writer(self._socket)
        partly, self._writing = more or self._writing, more
        if partly:  # then libpq has read as well, of which the socket tells nothing
            self._readable()

    def _look(self) -> None:
        """Not all that happens to a socket is told: a lost one may fall silent."""
        self._tick = None
        self._readable()
        if self._waiting:
            self._tick = self._loop.call_later(TICK_S, self._look)

    def _readable(self) -> None:
        if self._ended:
            return
        try:
            self._pgconn.consume_input()
            while self._waiting and not self._pgconn.is_busy():
                result = self._pgconn.get_result()
                if result is None:  # between two statements
                    if self.lost:
                        raise OperationalError("the connection is lost")
                elif result.status == ExecStatus.PIPELINE_SYNC:
                    breath, answer = self._waiting.popleft()
                    self._answer(breath, answer)
                else:
                    self._waiting[0][0].results.append(result)
        except Error as error:
            self._end(str(error))

    def _answer(self, breath: Breath, answer: asyncio.Future[Told]) -> None:
        try:
            told = [rows(self._read, result) for result in breath.asked()]
        except Exception as error:
            _fail(answer, error)
        else:
            if not answer.done():
                answer.set_result(told)

    def _end(self, why: str) -> None:
        if self._ended:
            return
        self._ended = True
        if self._tick is not None:
            self._tick.cancel()
        while self._waiting:
            _, answer = self._waiting.popleft()
            _fail(answer, OperationalError(why))
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        os.close(self._socket)
        self._pgconn.finish()


def _fail(answer: asyncio.Future[Told], error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)
