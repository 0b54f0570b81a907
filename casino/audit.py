"""The audit log: who did what, why, and how it stood before and after; only ever added to.

Requests need no note: their rows are the log of what was asked, by whom, accepted and refused, and
the entries hold every balance before and after. Notes are for what the house decides by itself: a
hold that expired, a withdrawal that cannot be paid. `casino.seals` chains all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from db.arrays import documents, numbers, texts
from db.pipeline import Statement
from db.session import driver
from ledger.posting import BECOME, RETURN

NOTE = b"""
INSERT INTO audit (casino_id, actor, action, reason, before, after)
SELECT * FROM unnest(%s::int[], %s::text[], %s::text[], %s::text[], %s::jsonb[], %s::jsonb[])
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One line of the log; `before` and `after` are plain values, amounts as decimal strings."""

    actor: str
    action: str
    reason: str | None = None
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    casino_id: int | None = None


async def note(
    session: AsyncSession,
    *,
    actor: str,
    action: str,
    reason: str | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    casino_id: int | None = None,
) -> None:
    """Write one line, in the transaction that does what it says."""
    one = Note(
        actor=actor, action=action, reason=reason, before=before, after=after, casino_id=casino_id
    )
    await note_many(session, [one])


async def note_many(session: AsyncSession, notes: Sequence[Note]) -> None:
    connection = await driver(session)
    for query, values in statements(notes):
        await connection.execute(query, values)


def statements(notes: Sequence[Note]) -> Iterable[Statement]:
    """What writes notes, for whoever writes more in the same breath (`Shelf.writes`)."""
    if not notes:
        return
    yield BECOME, None
    yield (
        NOTE,
        (
            numbers(one.casino_id for one in notes),
            texts(one.actor for one in notes),
            texts(one.action for one in notes),
            texts(one.reason for one in notes),
            documents(one.before for one in notes),
            documents(one.after for one in notes),
        ),
    )
    yield RETURN, None
