"""Transactions go one behind the other on one connection, and each stands or falls by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

import psycopg
import pytest
import uvloop
from psycopg import OperationalError, ProgrammingError
from psycopg.errors import (
    DivisionByZero,
    FeatureNotSupported,
    InvalidSqlStatementName,
    LockNotAvailable,
    UniqueViolation,
)

from db import pipeline
from db.pipeline import Statement
from db.session import close, configure, direct, stream
from db.stream import Stream

ADD = b"INSERT INTO said (word) VALUES (%s)"
WORDS = b"SELECT word FROM said ORDER BY at"


@pytest.fixture
async def way(database: str) -> AsyncIterator[Stream]:
    async with direct() as opened:
        await opened.execute(
            b"CREATE TABLE said (at serial, word text, UNIQUE (word) DEFERRABLE INITIALLY DEFERRED)"
        )
    yield await stream()
    async with direct() as opened:
        await opened.execute(b"DROP TABLE said")


def add(*words: str) -> list[Statement]:
    return [(ADD, (word,)) for word in words]


async def words() -> list[str]:
    """As they stand for everybody."""
    async with direct() as other:
        [rows] = await pipeline.ask(other, [(WORDS, None)])
        return [word for (word,) in rows]


async def outcomes(asked: Iterable[asyncio.Future[list[list[tuple[object, ...]]]]]) -> list[object]:
    return [
        type(one) if isinstance(one, Exception) else one
        for one in await asyncio.gather(*asked, return_exceptions=True)
    ]


async def test_what_is_asked_is_done_in_its_order_and_durable_when_answered(way: Stream) -> None:
    asked = [way.ask([*add(str(n)), (WORDS, None)]) for n in range(5)]
    for n, answer in enumerate(asked):
        assert await answer == [[], [(str(one),) for one in range(n + 1)]]
    assert await words() == ["0", "1", "2", "3", "4"]


async def test_what_fails_keeps_nothing_and_takes_nobody_along(way: Stream) -> None:
    asked = [
        way.ask(add("a")),
        way.ask([*add("b"), (b"SELECT 1 / %s::int", (0,)), *add("c")]),
        way.ask(add("d")),
    ]
    assert await outcomes(asked) == [[[]], DivisionByZero, [[]]]
    assert await words() == ["a", "d"]


async def test_what_fails_at_the_very_end_is_not_durable(way: Stream) -> None:
    asked = [way.ask(add(*some)) for some in (["a"], ["b", "a"], ["c"])]
    assert await outcomes(asked) == [[[]], UniqueViolation, [[]]]
    assert await words() == ["a", "c"]


async def test_what_cannot_be_sent_is_said_at_once(way: Stream) -> None:
    before = way.ask(add("a"))
    with pytest.raises(ProgrammingError):
        way.ask([*add("b"), (ADD, (object(),))])
    assert await outcomes([before, way.ask(add("c"))]) == [[[]], [[]]]
    assert await words() == ["a", "c"]


async def test_whoever_stops_waiting_stops_nothing(way: Stream) -> None:
    asked = [way.ask(add(word)) for word in "abc"]
    asked[1].cancel()
    assert await outcomes([asked[0], asked[2]]) == [[[]], [[]]]
    assert await words() == ["a", "b", "c"]


async def test_breaths_larger_than_any_buffer_get_through(way: Stream) -> None:
    page = "x" * 4_000_000
    echo = (b"SELECT %s::text FROM generate_series(1, 2)", (page,))
    for answer in [way.ask([echo, *add(str(n)), echo]) for n in range(5)]:
        assert await answer == [[(page,)] * 2, [], [(page,)] * 2]
    assert await words() == ["0", "1", "2", "3", "4"]


async def test_nobody_waits_long_for_a_lock(way: Stream) -> None:
    async with direct() as other:
        await other.execute(b"LOCK said")
        asked = [way.ask(add("a")), way.ask([(b"SELECT 1", None)])]
        assert await outcomes(asked) == [LockNotAvailable, [[(1,)]]]
    assert await outcomes([way.ask(add("b"))]) == [[[]]]


async def test_what_was_prepared_and_is_gone_is_prepared_anew(way: Stream) -> None:
    def ask() -> asyncio.Future[list[list[tuple[object, ...]]]]:
        return way.ask([(b"SELECT * FROM said WHERE at < %s", (1,))])

    assert await ask() == [[]]
    await way.ask([(b"DEALLOCATE ALL", None)])
    assert await outcomes([ask()]) == [InvalidSqlStatementName]
    assert await ask() == [[]]
    await way.ask([(b"ALTER TABLE said ADD COLUMN more text", None)])
    assert await outcomes([ask()]) == [FeatureNotSupported]
    assert await ask() == [[]]


async def test_a_lost_stream_is_said_to_all_who_wait_and_made_again(way: Stream) -> None:
    pid = way.connection.info.backend_pid
    asked = [way.ask([(b"SELECT pg_sleep(60)", None)]), way.ask(add("a"))]
    async with direct() as other:
        await other.execute(b"SELECT pg_terminate_backend(%s, 5000)", (pid,))
    [first, second] = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(first, OperationalError)
    assert isinstance(second, OperationalError)
    assert way.lost
    with pytest.raises(OperationalError):
        way.ask(add("b"))
    again = await stream()
    assert await again.ask([*add("c"), (WORDS, None)]) == [[], [("c",)]]


def test_a_connection_that_was_reset_is_noticed_whichever_loop_it_is(database_url: str) -> None:
    """Data and the reset come as one event, behind which the loop of the house tells no more."""

    async def lose() -> None:
        configure(database_url)
        way = await stream()
        pid = way.connection.info.backend_pid
        asked = [way.ask([(b"SELECT pg_sleep(60)", None)])]
        await asyncio.sleep(0.1)
        asked.append(way.ask([(b"SELECT length(%s::text)", ("x" * 100_000,))]))
        await asyncio.sleep(0.1)
        with psycopg.connect(database_url, autocommit=True) as other:  # the loop stands still
            other.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
            other.execute("SELECT pg_sleep(0.05)")
        told = await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 30)
        assert all(isinstance(one, OperationalError) for one in told)
        assert way.lost
        await close()

    uvloop.run(lose())


async def test_a_stream_that_is_over_leaves_others_alone(way: Stream) -> None:
    await way.close()
    again = await stream()  # at the same descriptor, most often
    await way.close()
    assert await again.ask([(b"SELECT 1", None)]) == [[(1,)]]


async def test_all_who_want_the_stream_get_the_same_one(way: Stream) -> None:
    await way.close()
    assert way.lost
    found = await asyncio.gather(*(stream() for _ in range(5)))
    assert found == [found[0]] * 5
    assert not found[0].lost


async def test_what_is_on_its_way_is_answered_before_the_end(way: Stream) -> None:
    asked = [way.ask([(b"SELECT pg_sleep(0.1)", None), *add("a")]), way.ask(add("b"))]
    await way.close()
    assert await outcomes(asked) == [[[("",)], []], [[]]]
    assert await words() == ["a", "b"]
