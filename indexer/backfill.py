"""Backfill: spans for what lies below that which a source already knows."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from casino import gaps
from casino.gaps import Stretch
from casino.sources import Followed
from indexer import inbox

# An old tx of the program, as a place from which to page downward: nodes forget no final ones.
ANCHOR = """
SELECT r.tx FROM raw_events r JOIN sources s ON s.id = r.source_id
WHERE r.network = :network AND r.source_id = :source AND r.position > :last
AND r.position <= s.finalized ORDER BY r.position LIMIT 1
"""
NOUNS = {"evm": "blocks", "solana": "slots"}
LOWER = "UPDATE sources SET start = least(start, :first) WHERE id = :source"


async def widen(session: AsyncSession, source: Followed, first: int) -> list[Stretch]:
    """Open spans for everything from `first` up that is on none; what was opened.

    Everything up to what is known comes along, so that no hole is left. A source that nobody has
    looked at yet has no edge to go down from: nothing is opened.
    """
    await inbox.one_at_a_time(session, source.id)
    covered = await gaps.coverage(session, source.id)
    if covered.edge is None or first > covered.edge:
        return []
    missing = gaps.without(Stretch(first, covered.edge), covered.known)
    for stretch in missing:
        await _open(session, source, stretch)
    if missing:
        upward = evm(source)
        await session.execute(text(LOWER), {"first": first, "source": source.id})
        await inbox.frontier(session, source.id, upward=upward)
    return missing


async def _open(session: AsyncSession, source: Followed, stretch: Stretch) -> None:
    """EVM reads a span upward from above its lower edge, Solana downward to that edge."""
    if evm(source):
        await inbox.open_span(session, source.id, lower=stretch.first - 1, upper=stretch.last)
        return
    keys = {"network": source.network, "source": source.id, "last": stretch.last}
    anchor = (await session.execute(text(ANCHOR), keys)).scalar_one_or_none()
    await inbox.open_span(
        session, source.id, lower=stretch.first, upper=stretch.last, reached_tx=anchor
    )


def evm(source: Followed) -> bool:
    return source.network.startswith("eip155:")


def noun(source: Followed) -> str:
    """What positions are called on this chain."""
    return NOUNS["evm" if evm(source) else "solana"]
