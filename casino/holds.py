"""Holds that nobody captured or released in time: ended by the house, with a note of each."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from casino import audit
from casino.audit import Note
from ledger import holds
from ledger.holds import Expired

BATCH = 500  # ended in one transaction: their accounts are locked for that long
ACTOR = "house:auditor"


async def expire(session: AsyncSession, *, most: int = BATCH) -> int:
    """End at most so many holds past their time; how many there were. Come back until fewer."""
    ended = await holds.expire(session, most=most)
    await audit.note_many(session, [_note(one) for one in ended])
    return len(ended)


def _note(one: Expired) -> Note:
    about = {"hold": str(one.id), "account": one.account.name, "asset": one.account.asset}
    return Note(
        casino_id=one.account.casino_id,
        actor=ACTOR,
        action="hold.expired",
        reason="past its time",
        before={**about, "state": "open", "held": str(one.freed), "reference": one.reference},
        after={**about, "state": "expired", "held": "0"},
    )
