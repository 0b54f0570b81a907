"""The three ways to a transaction.

`transaction()` gives a session, `direct()` the driver itself, and to `stream()` a whole transaction
is said at once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import psycopg
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from db.pipeline import Connection as Connection
from db.stream import Stream

Session = AsyncSession | Connection
DIRECT = 4  # of the driver's own connections
HURRY_MS = 50  # that a stream waits for a lock: all of it waits along

_engines: dict[str, AsyncEngine] = {}
_pools: dict[str, AsyncConnectionPool[Connection]] = {}
_streams: dict[str, Stream] = {}
_opening: dict[str, asyncio.Lock] = {}  # of a stream: all wait for the same one
_url: list[str] = []


def dialect(url: str) -> str:
    """The URL as SQLAlchemy wants it; operators write `postgresql://` or `postgres://`."""
    scheme, rest = url.split("://", 1)
    return f"postgresql+psycopg://{rest}" if scheme in ("postgres", "postgresql") else url


def plain(url: str) -> str:
    """The URL as psycopg wants it."""
    return "postgresql://" + url.split("://", 1)[1]


def engine(url: str, *, pool_size: int = 10, lock_timeout_ms: int = 0) -> AsyncEngine:
    """An engine whose connections are checked before use, so that a restart heals by itself.

    A statement that waits longer than `lock_timeout_ms` for a lock fails; 0 waits for good.
    """
    told = {"options": f"-c lock_timeout={lock_timeout_ms}"} if lock_timeout_ms else {}
    return create_async_engine(
        dialect(url),
        pool_size=pool_size,
        max_overflow=5,
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": 5,
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            **told,
        },
    )


def straight(lock_timeout_ms: int) -> dict[str, Any]:
    """How the driver's own connections are made.

    Their statements are all found by keys, so they are planned once and not for each batch.
    """
    return {
        "connect_timeout": 5,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "options": f"-c plan_cache_mode=force_generic_plan -c lock_timeout={lock_timeout_ms}",
        "prepare_threshold": None,  # `db.pipeline` prepares
    }


def pool(url: str, told: dict[str, Any]) -> AsyncConnectionPool[Connection]:
    """Connections that are not checked before use: who uses them must try again."""
    return AsyncConnectionPool(
        plain(url), min_size=1, max_size=DIRECT, timeout=3, open=False, kwargs=told
    )


def configure(url: str, *, pool_size: int = 10, lock_timeout_ms: int = 0) -> None:
    """Say once per process which database the ways lead to."""
    _url[:] = [url]
    if url not in _engines:
        _engines[url] = engine(url, pool_size=pool_size, lock_timeout_ms=lock_timeout_ms)
        _pools[url] = pool(url, straight(lock_timeout_ms))


async def close() -> None:
    """Give all connections back; at the end of a process or a test."""
    _url.clear()
    while _streams:
        await _streams.popitem()[1].close()
    for made in _engines.values():
        await made.dispose()
    for opened in _pools.values():
        await opened.close()
    _engines.clear()
    _pools.clear()
    _opening.clear()


@contextlib.asynccontextmanager
async def transaction() -> AsyncIterator[AsyncSession]:
    """A session inside one transaction: committed at the end, rolled back on any exception."""
    if not _url:
        raise RuntimeError("db.session.configure(url) comes before transaction()")
    opened = AsyncSession(_engines[_url[0]], expire_on_commit=False)
    async with opened as session, session.begin():
        yield session


@contextlib.asynccontextmanager
async def direct() -> AsyncIterator[Connection]:
    """The driver's own connection in one transaction, for what is asked thousands of times."""
    if not _url:
        raise RuntimeError("db.session.configure(url) comes before direct()")
    opened = _pools[_url[0]]
    await opened.open()
    async with opened.connection() as connection:
        yield connection


async def stream() -> Stream:
    """This process's stream of transactions, which waits for no lock longer than `HURRY_MS`.

    Raises `psycopg.OperationalError` when the database is not there.
    """
    if not _url:
        raise RuntimeError("db.session.configure(url) comes before stream()")
    url = _url[0]
    async with _opening.setdefault(url, asyncio.Lock()):
        found = _streams.get(url)
        if found is None or found.lost:
            connection = await psycopg.AsyncConnection.connect(
                plain(url), autocommit=True, **straight(HURRY_MS)
            )
            found = _streams[url] = Stream(connection)
        return found


async def driver(session: Session) -> Connection:
    """The psycopg connection under a session, for COPY; it stays in the session's transaction."""
    if isinstance(session, psycopg.AsyncConnection):
        return session
    connection = await session.connection()
    raw = await connection.get_raw_connection()
    found = raw.driver_connection
    if not isinstance(found, psycopg.AsyncConnection):
        raise RuntimeError(f"expected a psycopg connection, got {type(found).__name__}")
    return found


async def tuples(connection: Connection, query: bytes, *values: Any) -> list[Any]:
    """All rows of a query as tuples, whatever else the connection makes of rows."""
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(query, values)
        return await cursor.fetchall()
