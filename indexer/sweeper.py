"""The sweeper: sends again whatever stands still, so that an emptied Redis loses nothing."""

from __future__ import annotations

import asyncio

from loguru import logger
from sqlalchemy import text

import queues
from indexer.inbox import Inbox

EVERY_S = 2.0
# Attempts wait longer and longer: what a node cannot give is not asked for every two seconds.
STANDING = """
UPDATE pages SET sent_at = now() WHERE id IN (
    SELECT id FROM pages WHERE state <> 'interpreted'
    AND sent_at < now() - make_interval(secs => least(5 * power(2, least(attempts, 6)), 300))
    ORDER BY id LIMIT 1000
) RETURNING id, state
"""
OWING = "SELECT DISTINCT casino_id FROM stat_deltas LIMIT 1000"


async def sweep(inbox: Inbox) -> None:
    """Look every two seconds, until cancelled."""
    while True:
        async with inbox.transaction() as session:
            pages = (await session.execute(text(STANDING))).all()
            casinos = (await session.execute(text(OWING))).scalars().all()
        for page, state in pages:
            queues.send("chain" if state == "found" else "interpretation", page)
        for casino in casinos:
            queues.send("stats", casino)
        if pages:
            logger.info("{} pages stood still and were sent again", len(pages))
        await asyncio.sleep(EVERY_S)
