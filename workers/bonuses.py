"""Counting wagers for bonuses until none waits, then ending the bonuses that are due."""

from __future__ import annotations

from loguru import logger
from sqlalchemy.ext.asyncio import AsyncSession

from casino import wagers
from casino.commands import run_many
from db.session import transaction


async def count(casino_id: int) -> None:
    """Count a casino's waiting wagers, convert what is wagered, and let expire what is over time.

    A transaction that lost a race fails the job: it comes again, and finds what is left to do.
    """
    with logger.contextualize(casino=casino_id):
        more = True
        while more:
            async with transaction() as session:
                counted = await wagers.count(session, casino_id)
            if counted.wagers:
                logger.debug("{} wagers moved {} bonuses", counted.wagers, counted.grants)
            more = counted.more
        after: int | None = 0
        while after is not None:
            async with transaction() as session:
                after = await _ended(session, casino_id, after)


async def _ended(session: AsyncSession, casino_id: int, after: int) -> int | None:
    """End a batch of due bonuses; the last of them, or None when there are no more."""
    due = await wagers.due(session, casino_id, after=after)
    if not due:
        return None
    for command, answer in zip(due, await run_many(session, due), strict=True):
        logger.debug("{} of bonus {}: {}", command.verb, command.grant_id, answer)
    return due[-1].grant_id
