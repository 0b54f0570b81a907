"""Gaps: what stretches of a chain a source has not read, and what of them is not understood yet.

Spans mean other positions on each chain: EVM's `lower` was read before, Solana's is still to read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from db.session import driver

SILENT_S = 15.0  # a source that nobody polled for so long is not being read

SPANS = """
SELECT n.chain, p.lower, p.upper, p.reached, p.closed_at IS NULL
FROM spans p JOIN sources s ON s.id = p.source_id JOIN networks n USING (network)
WHERE p.source_id = %s
"""
PAGES = """
SELECT state, min(lower), max(upper), count(*),
    extract(epoch FROM now() - min(found_at))::float, error
FROM pages WHERE source_id = %s AND state <> 'interpreted' GROUP BY state, error
ORDER BY min(lower), state
"""
LETTERS = """
SELECT min(position), max(position), count(*),
    extract(epoch FROM now() - min(first_at))::float, reason
FROM dead_letters WHERE source_id = %s GROUP BY reason ORDER BY min(position)
"""
SEEN = "SELECT extract(epoch FROM now() - polled_at)::float, head FROM sources WHERE id = %s"


@dataclass(frozen=True, slots=True, order=True)
class Stretch:
    """Positions from first to last, both of them meant."""

    first: int
    last: int

    def __post_init__(self) -> None:
        if self.first > self.last:
            raise ValueError(f"a stretch goes up, not from {self.first} to {self.last}")

    @property
    def size(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Coverage:
    """What stands on spans: `known` is read or will be, `left` will be; `edge` is the newest."""

    known: tuple[Stretch, ...]
    left: tuple[Stretch, ...]
    edge: int | None


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that is not indexed.

    `kind` says why: unread (nobody follows the source), hole (on no span), open (a span under way),
    waiting (pages for a worker), failing (pages that could not be worked on), dead (events that
    could not be read). `count` is of positions, pages or events; `last` is None at the head.
    """

    kind: str
    first: int
    last: int | None
    count: int | None = None
    since_s: float | None = None
    said: str | None = None


def stretched(first: int, last: int) -> list[Stretch]:
    """One stretch, or none when it would be empty."""
    return [Stretch(first, last)] if first <= last else []


def merged(stretches: Iterable[Stretch]) -> tuple[Stretch, ...]:
    """The same positions in as few stretches as they need, ascending."""
    made: list[Stretch] = []
    for one in sorted(stretches):
        if made and one.first <= made[-1].last + 1:
            made[-1] = Stretch(made[-1].first, max(made[-1].last, one.last))
        else:
            made.append(one)
    return tuple(made)


def without(asked: Stretch, known: Iterable[Stretch]) -> list[Stretch]:
    """What of `asked` is in none of the others, ascending."""
    left, at = [], asked.first
    for one in merged(known):
        if one.first > asked.last:
            break
        if one.first > at:
            left.append(Stretch(at, one.first - 1))
        at = max(at, one.last + 1)
    if at <= asked.last:
        left.append(Stretch(at, asked.last))
    return left


def within(asked: Stretch, others: Iterable[Stretch]) -> list[Stretch]:
    """The parts of the others that lie in `asked`."""
    return [
        Stretch(max(one.first, asked.first), min(one.last, asked.last))
        for one in others
        if one.first <= asked.last and one.last >= asked.first
    ]


async def coverage(session: AsyncSession, source_id: int) -> Coverage:
    """What the spans of a source say."""
    known: list[Stretch] = []
    left: list[Stretch] = []
    edges: list[int] = []
    rows = await (await (await driver(session)).execute(SPANS, (source_id,))).fetchall()
    for chain, lower, upper, reached, under_way in rows:
        edges.append(upper)
        if chain == "evm":
            whole, rest = (lower + 1, upper), (lower + 1 if reached is None else reached + 1, upper)
        else:
            whole, rest = (lower, upper), (lower, upper if reached is None else reached)
        known += stretched(*whole)
        if under_way:
            left += stretched(*rest)
    return Coverage(merged(known), merged(left), max(edges, default=None))


async def found(session: AsyncSession, source_id: int) -> list[Gap]:
    """All gaps of a source, of each kind in the order of the chain; none when all is indexed."""
    connection = await driver(session)
    covered = await coverage(session, source_id)
    gaps = [*_unread(covered, await (await connection.execute(SEEN, (source_id,))).fetchone())]
    if covered.known:
        whole = Stretch(covered.known[0].first, covered.known[-1].last)
        holes = without(whole, covered.known)
        gaps += [Gap("hole", one.first, one.last, one.size) for one in holes]
    gaps += [Gap("open", one.first, one.last, one.size) for one in covered.left]
    for state, first, last, count, since_s, error in await (
        await connection.execute(PAGES, (source_id,))
    ).fetchall():
        kind, said = ("failing", error) if error else ("waiting", f"pages are {state}")
        gaps.append(Gap(kind, first, last, count, since_s, said))
    for first, last, count, since_s, reason in await (
        await connection.execute(LETTERS, (source_id,))
    ).fetchall():
        gaps.append(Gap("dead", first, last, count, since_s, reason))
    return gaps


def _unread(covered: Coverage, seen: tuple[float | None, int | None] | None) -> list[Gap]:
    """What lies above the edge of a source that nobody looks at."""
    polled_s_ago = seen[0] if seen is not None else None
    if polled_s_ago is not None and polled_s_ago <= SILENT_S:
        return []
    first = 0 if covered.edge is None else covered.edge + 1
    return [Gap("unread", first, None, None, polled_s_ago, "no indexer reads this source")]
