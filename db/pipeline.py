"""Statements that go to PostgreSQL in one breath, and their rows, by libpq's own pipeline.

psycopg's cursors cost a statement more of our processor than PostgreSQL needs for it (decision 17).
What is asked thousands of times a second goes past them, over the same connection and with the same
adaption of values.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from psycopg import AsyncConnection, Error, NotSupportedError, OperationalError, abc, errors
from psycopg.abc import Buffer, PQGen
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ConnStatus, ExecStatus, Format, TransactionStatus
from psycopg.pq.abc import PGconn, PGresult
from psycopg.waiting import Ready as Can
from psycopg.waiting import Wait

Connection = AsyncConnection[Any]
Statement = tuple[bytes, Sequence[Any] | None]
Row = tuple[Any, ...]
Told = list[list[Row]]  # the rows of each statement
Prepared = dict[tuple[bytes, tuple[int, ...]], bytes]

DONE = (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK)
COPIES = (ExecStatus.COPY_IN, ExecStatus.COPY_OUT, ExecStatus.COPY_BOTH)
# What was prepared is gone, or was prepared for a table that has changed: asked again, it is anew.
STALE = (errors.InvalidSqlStatementName, errors.FeatureNotSupported)

BEGIN: Statement = (b"BEGIN", None)
COMMIT: Statement = (b"COMMIT", None)

_prepared: WeakKeyDictionary[Connection, Prepared] = WeakKeyDictionary()
_names = itertools.count()  # never one twice: a breath that failed may have prepared some


async def ask(
    connection: Connection,
    statements: Iterable[Statement | None],
    *,
    commit: bool = False,
) -> Told:
    """The rows of each statement, none for no statement, all of them in one round trip.

    They run in the connection's transaction, which begins with them if there is none, and ends with
    them if they are to `commit`: it is durable when this returns. Statements are prepared where
    psycopg prepares nothing itself (`prepare_threshold` is None): it drops what others prepared.
    Raises `psycopg.Error` of the first that failed; those behind it, COMMIT too, were left out.
    """
    told = list(statements)
    sent = [one for one in told if one is not None]
    if commit:
        sent.append(COMMIT)
    elif not sent:
        return [[] for _ in told]
    async with connection.lock:
        idle = connection.pgconn.transaction_status == TransactionStatus.IDLE
        begins = idle and not connection.autocommit
        results = await _results(connection, [BEGIN, *sent] if begins else sent)
    read = Transformer(connection)
    if commit and results[-1].command_status != b"COMMIT":
        raise errors.InFailedSqlTransaction("the transaction had failed before: nothing is kept")
    answers = iter(results[begins:])
    return [[] if one is None else rows(read, next(answers)) for one in told]


async def _results(connection: Connection, statements: Sequence[Statement]) -> list[PGresult]:
    """What PostgreSQL answered to each. Raises `psycopg.Error`."""
    pgconn = connection.pgconn
    breath = Breath.of(connection, statements)
    pgconn.enter_pipeline_mode()
    try:
        breath.send()
        breath.results = await connection.wait(_replies(pgconn))
    finally:
        _leave(pgconn)
    return breath.asked()


class Ready(NamedTuple):
    """A statement as it is sent: its values, their types and their formats."""

    query: bytes
    values: Sequence[Buffer | None] | None
    types: tuple[int, ...]
    formats: Sequence[Format] | None


@dataclass(slots=True)
class Breath:
    """Statements that go together on a connection that is in libpq's pipeline mode."""

    connection: Connection
    ready: Sequence[Ready]
    results: list[PGresult] = field(default_factory=list)
    _asked: list[bool] = field(default_factory=list)  # of each result to come
    _fresh: Prepared = field(default_factory=dict)

    @classmethod
    def of(cls, connection: Connection, statements: Sequence[Statement]) -> Breath:
        """Raises `psycopg.Error` when a value cannot be sent."""
        values = Transformer(connection)
        return cls(connection, [Ready(query, *_dumped(values, told)) for query, told in statements])

    def send(self) -> None:
        """All of them, and a synchronisation behind them. Raises `psycopg.OperationalError`."""
        pgconn = self.connection.pgconn
        self._asked = list(_send(pgconn, self.ready, self._known, self._fresh))
        pgconn.pipeline_sync()

    def asked(self) -> list[PGresult]:
        """The results of the statements. Raises `psycopg.Error` of the first that failed."""
        known = self._known
        failed = next((one for one in self.results if one.status not in DONE), None)
        if failed is not None:
            error = errors.error_from_result(failed, self.connection.info.encoding)
            if known is not None and isinstance(error, STALE):
                known.clear()
            raise error
        if known is not None:
            known.update(self._fresh)
        return [one for one, asked in zip(self.results, self._asked, strict=True) if asked]

    @property
    def _known(self) -> Prepared | None:
        ours = self.connection.prepare_threshold is None
        return _prepared.setdefault(self.connection, {}) if ours else None


def _dumped(
    read: abc.Transformer, values: Sequence[Any] | None
) -> tuple[Sequence[Buffer | None] | None, tuple[int, ...], Sequence[Format] | None]:
    """Values as they are sent, with their types and formats."""
    if not values:
        return None, (), None
    dumped = read.dump_sequence(values, [PyFormat.AUTO] * len(values))
    return dumped, read.types or (), read.formats


def _send(
    pgconn: PGconn,
    ready: Iterable[Ready],
    known: Prepared | None,
    fresh: Prepared,
) -> Iterator[bool]:
    """Send everything; for each answer to come, whether it is one that was asked for."""
    for query, values, types, formats in ready:
        if known is None:
            pgconn.send_query_params(_numbered(query), values, types, formats)
        else:
            name = known.get((query, types)) or fresh.get((query, types))
            if name is None:
                name = fresh[query, types] = b"%s_%d" % (query.split(None, 1)[0], next(_names))
                pgconn.send_prepare(name, _numbered(query), types)
                yield False
            pgconn.send_query_prepared(name, values, formats)
        yield True


def _replies(pgconn: PGconn) -> PQGen[list[PGresult]]:
    """Everything up to the end of the pipeline. Raises `OperationalError` when it breaks."""
    while pgconn.flush():
        if ((yield Wait.RW) or 0) & Can.R:  # psycopg says nothing when it goes on after a cancel
            pgconn.consume_input()
    results = list[PGresult]()
    while True:
        while pgconn.is_busy():
            yield Wait.R
            pgconn.consume_input()
        result = pgconn.get_result()
        if result is None:  # between two statements
            if pgconn.status == ConnStatus.BAD:
                raise OperationalError("the connection is lost")
        elif result.status == ExecStatus.PIPELINE_SYNC:
            return results
        elif result.status in COPIES:
            raise NotSupportedError("no COPY goes by a pipeline")
        else:
            results.append(result)


def _leave(pgconn: PGconn) -> None:
    """Out of the pipeline; a connection of which nobody knows where it stands is closed."""
    try:
        pgconn.exit_pipeline_mode()
    except Error:
        pgconn.finish()


def rows(read: abc.Transformer, result: PGresult) -> list[Row]:
    if result.status != ExecStatus.TUPLES_OK:
        return []
    read.set_pgresult(result)
    return read.load_rows(0, result.ntuples, tuple)


@lru_cache(maxsize=512)
def _numbered(query: bytes) -> bytes:
    """`%s` as PostgreSQL counts values: `$1`, `$2`."""
    first, *others = query.split(b"%s")
    counted = first + b"".join(b"$%d%s" % (at, rest) for at, rest in enumerate(others, 1))
    return counted.replace(b"%%", b"%") if others else counted
