"""The auditor: seals what was written, ends holds past their time, and checks the laws.

One leads. Nothing breaks if two do: seals follow each other, a hold ends once, and a check only
reads. What fails is tried again, and holds up neither of the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import psycopg
from loguru import logger
from sqlalchemy.exc import SQLAlchemyError

from casino import breaches, holds, seals
from casino.invariants import LAWS
from casino.invariants.laws import Finding, Law, Window, examined
from db import session
from db.session import transaction
from settings import Settings
from workers.leader import Connection, connect, leads

LEADER = 7_302_114_006  # any number that nothing else locks
STANDBY_S = 1.0
EXPIRE_S = 1.0
AWAY = (psycopg.Error, SQLAlchemyError, OSError)

Work = Callable[[], Awaitable[bool]]


async def run(settings: Settings) -> None:
    """Audit until cancelled; an unreachable database is waited for."""
    session.configure(settings.database_url, pool_size=4)
    while True:
        try:
            await lead(settings)
        except* AWAY as errors:
            logger.warning("the auditor waits: {}", errors.exceptions[0])
        await asyncio.sleep(STANDBY_S)


async def lead(settings: Settings) -> None:
    """Audit for as long as this connection holds the lock; returns when another one does."""
    async with await connect(settings) as connection:
        if not await leads(connection, LEADER):
            return
        logger.info("leading the audit")

        async def laws() -> bool:
            return await check(full_s=settings.laws_full_h * 3600)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_held(connection))
            tasks.create_task(_repeated("sealing", seal, settings.seal_s))
            tasks.create_task(_repeated("ending holds", expire, EXPIRE_S))
            tasks.create_task(_repeated("checking the laws", laws, settings.laws_s))


async def seal() -> bool:
    """One seal; whether there may be more to seal. Its line in the log is a checkpoint."""
    async with transaction() as opened:
        made = await seals.seal(opened)
    if made is not None:
        logger.info("{}", seals.Checkpoint(made.n, made.end, made.hash))
    return made is not None and made.count >= seals.MOST // 2


async def expire() -> bool:
    """One batch of holds; whether there may be more."""
    async with transaction() as opened:
        ended = await holds.expire(opened)
    if ended:
        logger.info("{} holds expired", ended)
    return ended == holds.BATCH


async def check(*, full_s: float) -> bool:
    """Every law, each in a snapshot of its own, and what became of it written down."""
    async with transaction() as opened:
        await breaches.forget(opened, [law.name for law in LAWS])
        windows = await breaches.windows(opened, full_s=full_s)
    for law in LAWS:
        found = await examine(law, windows.get(law.name, Window()))
        async with transaction() as opened:
            turn = await breaches.keep(opened, found)
        _tell(law, found, turn)
    return False


async def examine(law: Law, window: Window) -> Finding:
    """What a check came to, even where the database could not answer."""
    try:
        async with transaction() as opened:
            return await examined(opened, law, window)
    except AWAY as error:
        return Finding(law.name, error=str(error).partition("\n")[0])


def _tell(law: Law, found: Finding, turn: breaches.Turn | None) -> None:
    if found.error is not None:
        logger.error("the law {} cannot be checked: {}", law.name, found.error)
    elif turn == "broke":
        said = "; ".join(fault.said for fault in found.faults[:3])
        logger.error("the law {} is broken ({}): {}", law.name, law.says, said)
    elif turn == "healed":
        logger.info("the law {} holds again", law.name)
    logger.debug("{} checked in {} ms", law.name, found.took_ms)


async def _repeated(what: str, work: Work, every_s: float) -> None:
    """At once while there is more, else every so often."""
    while True:
        more = False
        try:
            more = await work()
        except (*AWAY, seals.Rewound) as error:
            logger.warning("{} failed: {}; again in {} s", what, error, every_s)
        if not more:
            await asyncio.sleep(every_s)


async def _held(connection: Connection) -> None:
    """Raises when the connection that leads is gone."""
    while True:
        await connection.execute("SELECT 1")
        await asyncio.sleep(STANDBY_S)
