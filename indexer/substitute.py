"""A stand-in: reads one source for a command, as long as no indexer is there to do it."""

from __future__ import annotations

import asyncio

import psycopg
from loguru import logger
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

import queues
from db.session import engine
from indexer import main, source
from indexer.inbox import NotLeader
from indexer.source import Planned
from settings import Settings

LOOK_S = 1.0
GONE_S = 5  # an indexer beats every two seconds
INDEXERS = """
SELECT count(*) FROM heartbeats
WHERE process = 'indexer' AND at > now() - make_interval(secs => :gone)
"""


async def stand_in(settings: Settings, planned: Planned) -> None:
    """Read this source until cancelled, and give way to any indexer that comes."""
    queues.setup(settings)
    made = engine(settings.database_url, pool_size=1)
    try:
        while True:
            try:
                if not await present(made):
                    await _lead(settings, made, planned)
            except* (NotLeader, SQLAlchemyError, psycopg.Error, OSError) as group:
                logger.warning("standing by: {}", main.first(group))
            await asyncio.sleep(LOOK_S)
    finally:
        await made.dispose()


async def present(made: AsyncEngine) -> bool:
    """Whether an indexer runs, leading or standing by."""
    async with made.connect() as connection:
        found = await connection.execute(text(INDEXERS), {"gone": GONE_S})
        return bool(found.scalar_one())


async def _lead(settings: Settings, made: AsyncEngine, planned: Planned) -> None:
    rpcs = source.rpcs(settings, [planned])
    own = engine(settings.database_url, pool_size=1)
    leading = asyncio.create_task(main.lead(settings, own, [planned], rpcs))
    another = asyncio.create_task(_until_present(made))
    try:
        done, _ = await asyncio.wait((leading, another), return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in (leading, another):
            task.cancel()
        await asyncio.gather(leading, another, return_exceptions=True)
        await own.dispose()  # the lock goes with its connection, which a pool would keep
        for rpc in rpcs.values():
            await rpc.close()


async def _until_present(made: AsyncEngine) -> None:
    while not await present(made):
        await asyncio.sleep(LOOK_S)
