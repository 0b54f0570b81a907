"""Statements that go to PostgreSQL in one breath, and their rows, by libpq's own pipeline.

psycopg's cursors cost a statement more of our processor than PostgreSQL needs for it (decision 17).
What is asked thousands of times a second goes past them, over the same connection and with the same
adaption of values.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

from psycopg import Error, NotSupportedError, OperationalError, abc, errors
from psycopg.abc import Buffer, PQGen
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ConnStatus, ExecStatus, Format, TransactionStatus
from psycopg.pq.abc import PGconn, PGresult
from psycopg.waiting import Ready, Wait

from db.session import Connection

Statement = tuple[bytes, Sequence[Any] | None]
Row = tuple[Any, ...]
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
    meanwhile: Callable[[], object] | None = None,
) -> list[list[Row]]:
    """The rows of each statement, none for no statement, all of them in one round trip.

    They run in the connection's transaction, which begins with them if there is none, and ends with
    them if they are to `commit`: it is durable when this returns. `meanwhile` is called when they
    are on their way, and must not raise. Statements are prepared where
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
        results = await _results(connection, [BEGIN, *sent] if begins else sent, meanwhile)
    read = Transformer(connection)
    if commit and results[-1].command_status != b"COMMIT":
        raise errors.InFailedSqlTransaction("the transaction had failed before: nothing is kept")
    answers = iter(results[begins:])
    return [[] if one is None else _rows(read, next(answers)) for one in told]


async def _results(
    connection: Connection,
    statements: Sequence[Statement],
    meanwhile: Callable[[], object] | None,
) -> list[PGresult]:
    """What PostgreSQL answered to each. Raises `psycopg.Error`."""
    pgconn = connection.pgconn
    values = Transformer(connection)
    ready = [(query, *_dumped(values, told)) for query, told in statements]
    ours = connection.prepare_threshold is None
    known = _prepared.setdefault(connection, {}) if ours else None
    fresh: Prepared = {}
    pgconn.enter_pipeline_mode()
    try:
        expected = list(_send(pgconn, ready, known, fresh))
        pgconn.pipeline_sync()
        if meanwhile is not None:
            pgconn.flush()
            meanwhile()
        results = await connection.wait(_replies(pgconn))
    finally:
        _leave(pgconn)
    failed = next((one for one in results if one.status not in DONE), None)
    if failed is not None:
        error = errors.error_from_result(failed, connection.info.encoding)
        if known is not None and isinstance(error, STALE):
            known.clear()
        raise error
    if known is not None:
        known.update(fresh)
    return [result for result, asked in zip(results, expected, strict=True) if asked]


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
    ready: Iterable[tuple[bytes, Sequence[Buffer | None] | None, tuple[int, ...], Any]],
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
        if ((yield Wait.RW) or 0) & Ready.R:  # psycopg says nothing when it goes on after a cancel
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


def _rows(read: abc.Transformer, result: PGresult) -> list[Row]:
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
