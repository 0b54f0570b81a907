"""The relay: outbox rows become feed messages, once and in order, one leader for all streams."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import orjson
import psycopg
from loguru import logger
from psycopg.rows import TupleRow
from redis.asyncio import Redis
from redis.exceptions import RedisError

from queues.client import client
from settings import Settings
from workers import streams
from workers.leader import Connection, connect, leads
from workers.streams import Entry, Top

LEADER = 7_302_114_003  # any number that nothing else locks
BATCH = 1_000
POLL_S = 0.5
STANDBY_S = 1.0
INSPECT_S = 1.0
PRUNE_S = 60.0
PRUNE_ROWS = 1_000

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
MESSAGES = """
SELECT o.id, o.namespace, o.type, o.casino, o.player, o.game, o.data,
    (extract(epoch FROM o.created_at) * 1000)::bigint, o.seq, s.epoch
FROM outbox o JOIN streams s USING (namespace)
"""
DUE = f"""
{MESSAGES} WHERE o.published_at IS NULL AND o.seq IS NOT NULL
ORDER BY o.seq, o.namespace LIMIT %s
"""
PUBLISHED = "UPDATE outbox SET published_at = clock_timestamp() WHERE id = ANY(%s)"
KEPT = f"""
{MESSAGES} WHERE o.namespace = %s AND o.seq > %s AND o.seq <= %s ORDER BY o.seq
"""
# Everything up to `published` was in Redis once; beyond it, messages may be there or not.
NUMBERED = """
SELECT s.namespace, s.epoch, coalesce(min(o.seq) - 1, s.seq) AS published, s.seq
FROM streams s LEFT JOIN outbox o
    ON o.namespace = s.namespace AND o.published_at IS NULL AND o.seq IS NOT NULL
GROUP BY s.namespace
"""
RENEW = "UPDATE streams SET epoch = %s WHERE namespace = %s"
PRUNE = """
DELETE FROM outbox WHERE id = ANY(ARRAY(
    SELECT id FROM outbox WHERE published_at < now() - make_interval(hours => %s)
    ORDER BY published_at LIMIT %s FOR UPDATE SKIP LOCKED
))
"""


@dataclass(frozen=True, slots=True)
class Numbered:
    """A stream as PostgreSQL knows it."""

    namespace: str
    epoch: str
    published: int
    seq: int

    def ends(self, top: Top) -> bool:
        """Whether a stream in Redis ends as it should."""
        if top.epoch is None:
            return self.published == 0
        return top.epoch == self.epoch and self.published <= top.seq <= self.seq


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
        await connect(settings) as connection,
        client(settings.redis_url) as redis,
    ):
        if not await leads(connection, LEADER):
            return
        logger.info("leading the relay")
        await connection.execute("LISTEN outbox")
        inspect_at = prune_at = 0.0
        while True:
            now = time.monotonic()
            if now >= inspect_at:
                await inspect(connection, redis)
                inspect_at = now + INSPECT_S
            moved = await step(connection, redis)
            # What is new goes out first, and what is old goes a little at a time.
            if now >= prune_at:
                more = await prune(connection, settings.outbox_retention_h) == PRUNE_ROWS
                prune_at = now if more else now + PRUNE_S
            if not moved and now < prune_at:
                await _quiet(connection)


async def step(connection: Connection, redis: Redis) -> int:
    """Number what waits, publish what is numbered, note it; how many messages left."""
    async with connection.transaction():
        await connection.execute(NUMBER, (BATCH, secrets.token_hex(8)))
    rows = await (await connection.execute(DUE, (BATCH,))).fetchall()
    if not rows:
        return 0
    published = await publish(redis, [entry(row) for row in rows])
    await connection.execute(PUBLISHED, ([one.id for one in published],))
    if len(published) < len(rows):
        await inspect(connection, redis)
    return len(published)


async def prune(connection: Connection, hours: int) -> int:
    """Drop the oldest rows that were published so long ago, a bounded number; how many."""
    return (await connection.execute(PRUNE, (hours, PRUNE_ROWS))).rowcount


async def publish(redis: Redis, entries: Sequence[Entry]) -> list[Entry]:
    """XADD under each message's own number; a stream that lost its end takes none."""
    published: list[Entry] = []
    ordered = sorted(entries, key=lambda one: (one.namespace, one.seq))
    for _, group in groupby(ordered, key=lambda one: one.namespace):
        part = list(group)
        if await streams.append(redis, part):
            published += part
    return published


async def inspect(connection: Connection, redis: Redis) -> None:
    """Compare the end of every stream with what was published, and rebuild what Redis lost."""
    rows = await (await connection.execute(NUMBERED)).fetchall()
    for numbered in (Numbered(*row) for row in rows):
        top = await streams.top(redis, numbered.namespace)
        if not numbered.ends(top):
            await rebuild(connection, redis, numbered, top)


async def rebuild(connection: Connection, redis: Redis, numbered: Numbered, top: Top) -> None:
    """The published messages once more, if all are kept up to the last; else a new epoch.

    A stream of our epoch that is ahead of our numbers was filled from a future that this database
    does not know: nobody may resume in it.
    """
    namespace, last = numbered.namespace, numbered.published
    ahead = top.epoch == numbered.epoch and top.seq > numbered.seq
    entries = [] if ahead else await kept(connection, namespace, last)
    if not entries and (last or ahead):
        epoch = secrets.token_hex(8)
        await connection.execute(RENEW, (epoch, namespace))
        entries = [streams.mark(namespace, last, epoch)] if last else []
        logger.warning("{} begins a new epoch after message {}", namespace, last)
    else:
        logger.warning("{} is rebuilt: {} messages up to {}", namespace, len(entries), last)
    await streams.replace(redis, namespace, entries)


async def kept(connection: Connection, namespace: str, last: int) -> list[Entry]:
    """The longest run of messages up to the last one that the outbox still has."""
    asked = await connection.execute(KEPT, (namespace, last - streams.LENGTH, last))
    entries = [entry(row) for row in await asked.fetchall()]
    run: list[Entry] = []
    while entries and entries[-1].seq == last - len(run):
        run.append(entries.pop())
    return run[::-1]


def entry(row: TupleRow) -> Entry:
    id, namespace, type, casino, player, game, data, at_ms, seq, epoch = row
    message = {"type": type, "data": data, "timestamp": at_ms, "seq": seq, "epoch": epoch}
    about = (casino, player or "", game or "", data.get("network") or "")
    return Entry(id, namespace, seq, epoch, orjson.dumps(message), *about)


async def _quiet(connection: Connection) -> None:
    """Wait for the next outbox row, or half a second."""
    async for _ in connection.notifies(timeout=POLL_S, stop_after=1):
        return
