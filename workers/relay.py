"""The relay: outbox rows become feed messages, once and in order, one leader for all streams."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import Any

import orjson
import psycopg
from loguru import logger
from psycopg.rows import TupleRow
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from db.session import plain
from settings import Settings

LEADER = 7_302_114_003  # any number that nothing else locks
BATCH = 1_000
STREAM_LENGTH = 10_000
POLL_S = 0.5
STANDBY_S = 1.0
PRUNE_S = 60.0

NUMBER = """
WITH due AS (
    SELECT id, namespace FROM outbox WHERE seq IS NULL ORDER BY id LIMIT %s FOR UPDATE
), counted AS (
    INSERT INTO streams AS s (namespace, epoch, seq)
    SELECT namespace, %s, count(*) FROM due GROUP BY namespace ORDER BY namespace
    ON CONFLICT (namespace) DO UPDATE SET seq = s.seq + excluded.seq
    RETURNING namespace, seq
)
UPDATE outbox o SET seq = c.seq - d.after
FROM (
    SELECT id, namespace, row_number() OVER (PARTITION BY namespace ORDER BY id DESC) - 1 AS after
    FROM due
) d JOIN counted c USING (namespace) WHERE o.id = d.id
"""
DUE = """
SELECT o.id, o.namespace, o.type, o.casino, o.player, o.game, o.data,
    (extract(epoch FROM o.created_at) * 1000)::bigint, o.seq, s.epoch
FROM outbox o JOIN streams s USING (namespace)
WHERE o.published_at IS NULL AND o.seq IS NOT NULL ORDER BY o.seq, o.namespace LIMIT %s
"""
PUBLISHED = "UPDATE outbox SET published_at = clock_timestamp() WHERE id = ANY(%s)"
PRUNE = """
DELETE FROM outbox WHERE published_at < now() - make_interval(hours => %s)
"""

Connection = psycopg.AsyncConnection[TupleRow]


@dataclass(frozen=True, slots=True)
class Entry:
    """A message as the stream keeps it, with what the feed filters by."""

    id: int
    namespace: str
    seq: int
    fields: dict[Any, Any]


def key(namespace: str) -> str:
    return f"feed:{namespace}"


async def run(settings: Settings) -> None:
    """Relay until cancelled; an unreachable database or Redis is waited for."""
    while True:
        try:
            await lead(settings)
        except (psycopg.Error, RedisError, OSError) as error:
            logger.warning("the relay waits: {}", error)
        await asyncio.sleep(STANDBY_S)


async def lead(settings: Settings) -> None:
    """Relay for as long as this connection holds the lock; returns when another one does."""
    async with (
        await psycopg.AsyncConnection.connect(
            plain(settings.database_url), autocommit=True, keepalives_idle=5
        ) as connection,
        Redis.from_url(settings.redis_url, socket_timeout=5) as redis,
    ):
        asked = await connection.execute("SELECT pg_try_advisory_lock(%s)", (LEADER,))
        row = await asked.fetchone()
        if row is None or not row[0]:
            return
        logger.info("leading the relay")
        await connection.execute("LISTEN outbox")
        pruned = 0.0
        while True:
            if not await step(connection, redis):
                await _quiet(connection)
            if asyncio.get_running_loop().time() - pruned > PRUNE_S:
                pruned = asyncio.get_running_loop().time()
                await connection.execute(PRUNE, (settings.outbox_retention_h,))


async def step(connection: Connection, redis: Redis) -> int:
    """Number what waits, publish what is numbered, note it; how many messages left."""
    async with connection.transaction():
        await connection.execute(NUMBER, (BATCH, secrets.token_hex(8)))
    rows = await (await connection.execute(DUE, (BATCH,))).fetchall()
    if not rows:
        return 0
    await publish(redis, [entry(row) for row in rows])
    await connection.execute(PUBLISHED, ([row[0] for row in rows],))
    return len(rows)


def entry(row: TupleRow) -> Entry:
    id, namespace, type, casino, player, game, data, at_ms, seq, epoch = row
    message = {"type": type, "data": data, "timestamp": at_ms, "seq": seq, "epoch": epoch}
    fields = {
        "m": orjson.dumps(message),
        "casino": casino.encode(),
        "player": (player or "").encode(),
        "game": (game or "").encode(),
        "epoch": epoch.encode(),
    }
    return Entry(id, namespace, seq, fields)


async def publish(redis: Redis, entries: list[Entry]) -> None:
    """XADD under the message's own number: Redis itself refuses a repeat after a crash."""
    pipeline = redis.pipeline(transaction=False)
    for one in entries:
        pipeline.xadd(
            key(one.namespace),
            one.fields,
            id=f"{one.seq}-0",
            maxlen=STREAM_LENGTH,
            approximate=True,
        )
    for result in await pipeline.execute(raise_on_error=False):
        if isinstance(result, ResponseError) and "equal or smaller" in str(result):
            continue
        if isinstance(result, Exception):
            raise result


async def _quiet(connection: Connection) -> None:
    """Wait for the next outbox row, or half a second."""
    async for _ in connection.notifies(timeout=POLL_S, stop_after=1):
        return
