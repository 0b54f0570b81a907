"""Leading: one process of a kind works, and its lead ends with the connection that holds it."""

from __future__ import annotations

import psycopg
from psycopg.rows import TupleRow

from db.session import plain
from settings import Settings

Connection = psycopg.AsyncConnection[TupleRow]

# A leader whose machine is gone without a word must lose its lock within five seconds.
KEEPALIVES = """
SELECT set_config('tcp_keepalives_idle', '2', false), set_config('tcp_keepalives_interval', '1',
false), set_config('tcp_keepalives_count', '2', false), set_config('tcp_user_timeout', '4000',
false)
"""


async def connect(settings: Settings) -> Connection:
    return await psycopg.AsyncConnection.connect(
        plain(settings.database_url), autocommit=True, connect_timeout=5, keepalives_idle=5
    )


async def leads(connection: Connection, key: int) -> bool:
    """Whether this connection got the lock, and holds it from now on."""
    await connection.execute(KEEPALIVES)
    asked = await connection.execute("SELECT pg_try_advisory_lock(%s)", (key,))
    row = await asked.fetchone()
    return row is not None and bool(row[0])
