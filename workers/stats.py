"""Folding stats: one at a time, until nothing waits, announced at most once per interval."""

from __future__ import annotations

from loguru import logger

import queues
import settings
from casino import stats
from db.session import transaction


async def fold(casino_id: int) -> None:
    """Fold a casino's deltas; come back when an announcement is not yet due."""
    interval_ms = settings.load().stats_interval_ms
    with logger.contextualize(casino=casino_id):
        while True:
            async with transaction() as session:
                folded = await stats.fold(session, casino_id, interval_ms=interval_ms)
            if folded.deltas:
                logger.debug("{} deltas folded", folded.deltas)
            if folded.again_ms != 0:
                break
        if folded.again_ms:
            queues.send("stats", casino_id, delay_ms=folded.again_ms)
