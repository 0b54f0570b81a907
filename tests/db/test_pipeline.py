"""Statements go together and come back together; one that fails takes those behind it along."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal

import psycopg
import pytest
from psycopg.errors import (
    DivisionByZero,
    InFailedSqlTransaction,
    InvalidSqlStatementName,
    UniqueViolation,
)

from db import pipeline
from db.session import Connection, direct, driver, transaction

WORDS = b"SELECT word FROM told ORDER BY at"
ADD = b"INSERT INTO told (word) SELECT unnest(%s::text[])"


@pytest.fixture
async def connection(database: str) -> AsyncIterator[Connection]:
    async with direct() as opened:
        yield opened


@pytest.fixture
async def told(database: str) -> AsyncIterator[None]:
    """A table that everybody sees."""
    async with direct() as opened:
        await opened.execute(b"CREATE TABLE told (at serial, word text UNIQUE)")
    yield
    async with direct() as opened:
        await opened.execute(b"DROP TABLE told")


async def words() -> list[str]:
    async with direct() as other:
        [rows] = await pipeline.ask(other, [(WORDS, None)])
        return [word for (word,) in rows]


async def test_each_statement_is_answered_with_its_rows(connection: Connection) -> None:
    moment = datetime(2026, 11, 22, 4, tzinfo=UTC)
    asked = [
        (b"SELECT n, %s::text FROM generate_series(1, %s) AS n", ("a", 2)),
        None,
        (b"SELECT 1 WHERE false", None),
        (b"SELECT %s::numeric, %s::timestamptz, %s::text", (Decimal("1.50"), moment, None)),
        (b"SELECT 7 %% 4, '%%', %s::int = ANY(%s)", (3, [1, 3])),
        (b"SET LOCAL lock_timeout = 10", None),
    ]
    assert await pipeline.ask(connection, asked) == [
        [(1, "a"), (2, "a")],
        [],
        [],
        [(Decimal("1.50"), moment, None)],
        [(3, "%", True)],
        [],
    ]
    assert await pipeline.ask(connection, [None]) == [[]]


async def test_they_are_in_the_transaction_and_durable_only_when_it_ends(told: None) -> None:
    async with direct() as connection:
        await pipeline.ask(connection, [(ADD, (["a"],))])
        assert await words() == []
        await pipeline.ask(connection, [(ADD, (["b"],))], commit=True)
        assert await words() == ["a", "b"]


async def test_behind_one_that_fails_nothing_is_done(told: None) -> None:
    asked = [(ADD, (["a"],)), (b"SELECT 1 / %s", (0,)), (ADD, (["b"],))]
    for _ in range(2):
        async with direct() as connection:
            with pytest.raises(DivisionByZero):
                await pipeline.ask(connection, asked, commit=True)
            await connection.rollback()
        assert await words() == []


async def test_a_connection_is_as_good_as_before_after_a_failure(told: None) -> None:
    async with direct() as connection:
        fresh = (b"SELECT 'prepared in a breath that failed'", None)
        with pytest.raises(UniqueViolation):
            await pipeline.ask(connection, [fresh, (ADD, (["a", "a"],))])
        await connection.rollback()
        assert await pipeline.ask(connection, [fresh, (ADD, (["a"],))]) == [
            [("prepared in a breath that failed",)],
            [],
        ]


async def test_what_was_prepared_and_is_gone_is_prepared_anew(connection: Connection) -> None:
    asked = [(b"SELECT 'prepared once'", None)]
    assert await pipeline.ask(connection, asked, commit=True) == [[("prepared once",)]]
    await connection.execute(b"DEALLOCATE ALL")
    with pytest.raises(InvalidSqlStatementName):
        await pipeline.ask(connection, asked)
    await connection.rollback()
    assert await pipeline.ask(connection, asked, commit=True) == [[("prepared once",)]]


async def test_a_transaction_that_failed_before_is_never_said_to_be_durable(told: None) -> None:
    async with direct() as connection:
        with pytest.raises(DivisionByZero):
            await pipeline.ask(connection, [(ADD, (["a"],)), (b"SELECT 1 / %s", (0,))])
        with pytest.raises(InFailedSqlTransaction):
            await pipeline.ask(connection, [], commit=True)
    assert await words() == []


async def test_a_copy_is_refused_and_its_connection_replaced(told: None) -> None:
    async with direct() as connection:
        with pytest.raises(psycopg.NotSupportedError):
            await pipeline.ask(connection, [(b"COPY told TO STDOUT", None)])
        assert connection.closed
    assert await words() == []


async def test_what_psycopg_prepares_and_drops_is_not_in_the_way(told: None) -> None:
    async with transaction() as session:
        connection = await driver(session)
        for _ in range(2):
            for _ in range(7):  # more often than psycopg looks on
                await connection.execute("SELECT word FROM told WHERE at = %s", (1,))
                assert await pipeline.ask(connection, [(b"SELECT %s::int", (1,))]) == [[(1,)]]
            await connection.rollback()  # psycopg drops all that is prepared


async def test_a_breath_larger_than_any_buffer_gets_through(connection: Connection) -> None:
    page = "x" * 4_000_000
    asked = [(b"SELECT %s::text FROM generate_series(1, 2)", (page,))] * 5
    answers = await pipeline.ask(connection, asked)
    assert [[len(text) for (text,) in rows] for rows in answers] == [[len(page)] * 2] * 5


async def test_whoever_is_cancelled_leaves_nothing_behind(told: None) -> None:
    async def ask() -> None:
        async with direct() as connection:
            asked = [(ADD, (["a"],)), (b"SELECT pg_sleep(60)", None)]
            await pipeline.ask(connection, asked, commit=True)

    for _ in range(6):  # more often than there are connections
        asking = asyncio.create_task(ask())
        await asyncio.sleep(0.05)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    assert await words() == []


async def test_a_lost_connection_is_said_and_replaced(told: None) -> None:
    for _ in range(6):  # more often than there are connections
        async with direct() as connection:
            await pipeline.ask(connection, [(ADD, (["a"],))])
            async with transaction() as session:
                other, pid = await driver(session), connection.info.backend_pid
                await other.execute("SELECT pg_terminate_backend(%s)", (pid,))
            with pytest.raises(psycopg.OperationalError):
                await pipeline.ask(connection, [(ADD, (["b"],))], commit=True)
            assert connection.closed
    assert await words() == []


async def test_who_waits_for_the_same_connection_has_its_turn(connection: Connection) -> None:
    asked = [pipeline.ask(connection, [(b"SELECT %s::int", (n,))]) for n in range(20)]
    assert await asyncio.gather(*asked) == [[[(n,)]] for n in range(20)]
