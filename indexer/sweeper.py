"""The sweeper: sends again whatever stands still, so that an emptied Redis loses nothing."""

from __future__ import annotations

import asyncio

from loguru import logger
from sqlalchemy import text

import queues
from casino.providers.records import close_stale
from indexer.inbox import Inbox
from settings import Settings

EVERY_S = 2.0
PRUNE_EVERY = 30  # rounds
STILL_S = 5  # a page that no message waits for stands still after this long
BURIED_S = 60  # a page may wait this long behind others before its message counts as lost
QUEUE_OF = {"found": "chain", "stored": "interpretation"}
# Attempts wait longer and longer: what a node cannot give is not asked for every five seconds.
STANDING = """
UPDATE pages SET sent_at = clock_timestamp() WHERE id IN (
    SELECT id FROM pages WHERE state = :state AND sent_at < clock_timestamp() - make_interval(
        secs => greatest(:still, least(:first * power(2, least(attempts, 10)), 600)))
    ORDER BY id LIMIT 1000
) RETURNING id
"""
OWING = "SELECT DISTINCT casino_id FROM stat_deltas LIMIT 1000"
WAGERED = """
SELECT c.id FROM casinos c
WHERE EXISTS (SELECT FROM waiting_wagers WHERE casino_id = c.id)
    OR EXISTS (SELECT FROM grants WHERE casino_id = c.id AND state = 'active'
        AND done_bp >= required_bp)
    OR EXISTS (SELECT FROM grants WHERE casino_id = c.id AND state = 'active'
        AND expires_at <= now())
"""
PRUNE = """
DELETE FROM pages WHERE id IN (
    SELECT id FROM pages WHERE state = 'interpreted'
    AND interpreted_at < now() - make_interval(hours => :hours) LIMIT 10000)
"""


async def sweep(inbox: Inbox, settings: Settings) -> None:
    """Look every two seconds, until cancelled."""
    rounds = 0
    while True:
        await resend(inbox)
        if rounds % PRUNE_EVERY == 0:
            await prune(inbox, settings.done_retention_h)
            await end(inbox, settings.round_h)
        rounds += 1
        await asyncio.sleep(EVERY_S)


async def resend(inbox: Inbox) -> int:
    """Send what stands still once more; how many pages that were."""
    sent = 0
    for state, queue in QUEUE_OF.items():
        waiting = await asyncio.to_thread(queues.depth, queue)
        if waiting is None:
            return sent
        still = BURIED_S if waiting else STILL_S
        async with inbox.transaction() as session:
            keys = {"state": state, "still": still, "first": STILL_S}
            pages = (await session.execute(text(STANDING), keys)).scalars().all()
        if pages:
            logger.info("{} pages stood still as {} and are sent again", len(pages), state)
            await asyncio.to_thread(queues.send_all, queue, pages)
        sent += len(pages)
    async with inbox.transaction() as session:
        casinos = (await session.execute(text(OWING))).scalars().all()
        wagered = (await session.execute(text(WAGERED))).scalars().all()
    await asyncio.to_thread(queues.send_all, "stats", casinos)
    await asyncio.to_thread(queues.send_all, "bonuses", wagered)
    return sent


async def prune(inbox: Inbox, hours: int) -> None:
    """Pages that are done are forgotten after a while; their raw events stay."""
    async with inbox.transaction() as session:
        await session.execute(text(PRUNE), {"hours": hours})


async def end(inbox: Inbox, hours: int) -> None:
    """Rounds of game providers that nobody ends take no more bets after a while."""
    async with inbox.transaction() as session:
        ended = await close_stale(session, hours=hours)
    if ended:
        logger.warning("{} rounds of providers stood still for {} h and are stale", ended, hours)
