"""What every route may use: the connection pool, Redis and the settings."""

from __future__ import annotations

import asyncio
import contextlib
import select
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool
from redis.asyncio import Redis
from starlette.requests import Request

from api.booths import Booths
from api.desk import Desk
from api.feed.hub import Hub
from api.tables import Tables
from chains.signers import Signer
from db import session
from db.session import plain
from queues.client import client
from settings import Settings

LOCK_TIMEOUT_MS = 1000  # for an account: callers give up after three seconds
Row = dict[str, Any]
Pool = AsyncConnectionPool[AsyncConnection[DictRow]]


@dataclass(frozen=True, slots=True)
class State:
    """Reads go through `rows` and `row`: one statement, one connection, no transaction.

    What moves money goes through `desk`. `casinos` are those just read, by slug, with when.
    """

    settings: Settings
    pool: Pool
    redis: Redis
    hub: Hub
    tables: Tables
    booths: Booths
    desk: Desk
    sign: Signer | None  # what was accepted; None where no key is set
    casinos: dict[str, tuple[float, Row]] = field(default_factory=dict)

    async def rows(self, query: str, values: Mapping[str, Any]) -> list[Row]:
        """All rows of one query, as dictionaries."""
        async with self.pool.connection() as connection:
            found = await connection.execute(query.encode(), values)
            return await found.fetchall()

    async def row(self, query: str, values: Mapping[str, Any]) -> Row | None:
        found = await self.rows(query, values)
        return found[0] if found else None


@contextlib.asynccontextmanager
async def opened(
    settings: Settings, booths: Booths, sign: Signer | None = None
) -> AsyncIterator[State]:
    """The state for as long as the process serves; a database that is away is waited for."""
    pool: Pool = AsyncConnectionPool(
        plain(settings.database_url),
        connection_class=AsyncConnection[DictRow],
        min_size=1,
        max_size=settings.api_connections,
        timeout=3,
        open=False,
        kwargs={"autocommit": True, "connect_timeout": 3, "row_factory": dict_row},
        check=checked,
    )
    redis = client(settings.redis_url)
    session.configure(settings.database_url, lock_timeout_ms=LOCK_TIMEOUT_MS)
    desk = Desk()
    async with redis:
        await pool.open(wait=False)
        hub = Hub(redis)
        reading = asyncio.create_task(hub.run())
        try:
            yield State(settings, pool, redis, hub, Tables(), booths, desk, sign)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            await desk.gatherer.close()
            await session.close()
            await pool.close()


async def checked(connection: AsyncConnection[DictRow]) -> None:
    """Raises `psycopg.OperationalError` for a connection that ended while nobody used it.

    The server is asked only when it has said something by itself, as it does at its end: to ask it
    each time would double the cost of most reads.
    """
    heard = select.poll()
    heard.register(connection.fileno(), select.POLLIN)
    if heard.poll(0):
        await AsyncConnectionPool.check_connection(connection)


def state(request: Request) -> State:
    found = request.app.state.house
    if not isinstance(found, State):
        raise RuntimeError("the app serves before its lifespan began")
    return found
