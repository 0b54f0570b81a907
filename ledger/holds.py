"""Holds past their time: ended a batch at a time, through the books as everything else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from db.session import driver
from ledger import posting
from ledger.accounts import Account
from ledger.errors import HoldEnded

# Oldest first, and no others: who waits longest is served, and a second job finds the same.
DUE = b"""
SELECT id FROM holds WHERE state = 'open' AND expires_at <= clock_timestamp()
ORDER BY expires_at, id LIMIT %s
"""


class Expired(NamedTuple):
    """A hold that ended by itself, and how much it still set aside."""

    id: int
    account: Account
    reference: str | None
    freed: int


async def expire(session: AsyncSession, *, most: int) -> Sequence[Expired]:
    """End at most so many open holds that are past their time; what was captured stays captured.

    A hold that somebody else ended meanwhile is passed over. Fewer than `most` means that there
    were no more of them.
    """
    connection = await driver(session)
    due = [row[0] for row in await (await connection.execute(DUE, (most,))).fetchall()]
    if not due:
        return []
    books, _ = await posting.opened(session, (), holds=due)
    ended = []
    for id in due:
        try:
            freed = books.release(id, state="expired")
        except HoldEnded:
            continue
        held = books.holds[id]
        ended.append(Expired(id, held.line.account, held.reference, freed))
    await posting.written(session, books)
    return ended
