"""Dead letters: raw events that could not be read, kept with the reason until they can.

`read` is the one way from raw events to facts; interpretation and replay both take it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from casino import pages, rows
from casino.sources import Followed
from chains.chain import Fact, Raw, Undecodable
from db.session import driver

LONGEST_REASON = 500


class Decodes(Protocol):
    def decode(self, kind: str, body: bytes) -> tuple[str, dict[str, object]]: ...


class Decoders(Protocol):
    """A program may have been upgraded: what was said at a position is read as it was meant."""

    def at(self, position: int) -> Decodes: ...


class Means(Protocol):
    def facts(self, event_name: str, args: dict[str, Any], raw: Raw) -> list[Fact]: ...


@dataclass(frozen=True, slots=True)
class Letter:
    """A raw event, and why it could not be read."""

    raw: Raw
    reason: str


@dataclass(frozen=True, slots=True)
class Replayed:
    """How many letters were read this time, and how many stay dead."""

    read: int
    dead: int


KEEP = """
INSERT INTO dead_letters AS d
    (source_id, network, position, tx, index, kind, body, time, reason, attempts)
SELECT %(source)s, %(network)s, n.position, n.tx, n.index, n.kind, n.body, n.time, n.reason, 1
FROM unnest(%(positions)s::bigint[], %(txs)s::text[], %(indexes)s::bigint[], %(kinds)s::text[],
    %(bodies)s::bytea[], %(times)s::timestamptz[], %(reasons)s::text[])
    AS n(position, tx, index, kind, body, time, reason)
ORDER BY n.position, n.tx, n.index
ON CONFLICT (network, position, tx, index) DO UPDATE SET
    attempts = d.attempts + 1, reason = excluded.reason, last_at = now()
"""

TAKE = """
DELETE FROM dead_letters WHERE id IN (
    SELECT id FROM dead_letters WHERE source_id = %s ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED)
RETURNING position, tx, index, kind, body, time, attempts, first_at
"""

REMEMBER = """
UPDATE dead_letters d SET attempts = n.attempts + 1, first_at = n.first_at
FROM unnest(%(positions)s::bigint[], %(txs)s::text[], %(indexes)s::bigint[],
    %(attempts)s::int[], %(firsts)s::timestamptz[]) AS n(position, tx, index, attempts, first_at)
WHERE (d.network, d.position, d.tx, d.index) = (%(network)s, n.position, n.tx, n.index)
"""


def read(
    decoders: Decoders, program: Means, raws: Iterable[Raw]
) -> tuple[list[Fact], list[Letter]]:
    """The facts of raw events, and those that could not be read; one bad event spoils no other."""
    facts: list[Fact] = []
    letters: list[Letter] = []
    mean, position = program.facts, None
    for raw in raws:
        if raw.position != position:
            decode, position = decoders.at(raw.position).decode, raw.position
        try:
            name, args = decode(raw.kind, raw.body)
            facts += mean(name, args, raw)
        except Undecodable as error:
            letters.append(Letter(raw, str(error)[:LONGEST_REASON] or type(error).__name__))
    return facts, letters


async def keep(connection: rows.Connection, source: Followed, letters: Sequence[Letter]) -> None:
    """Store what could not be read; the same event again counts as another attempt."""
    if not letters:
        return
    raws = [letter.raw for letter in letters]
    await connection.execute(
        KEEP,
        {
            "source": source.id,
            "network": source.network,
            "positions": [raw.position for raw in raws],
            "txs": [raw.tx for raw in raws],
            "indexes": [raw.index for raw in raws],
            "kinds": [raw.kind for raw in raws],
            "bodies": [raw.body for raw in raws],
            "times": [raw.time for raw in raws],
            "reasons": [letter.reason.replace("\0", "\ufffd") for letter in letters],
        },
    )


async def replay(
    session: AsyncSession,
    source: Followed,
    decoders: Decoders,
    program: Means,
    *,
    limit: int = 1000,
) -> Replayed:
    """Read dead letters again: applied and deleted in this one transaction, or kept on."""
    connection = await driver(session)
    cursor = await connection.execute(TAKE, (source.id, limit))
    taken = await cursor.fetchall()
    raws = [Raw(row[0], row[1], row[2], row[3], bytes(row[4]), time=row[5]) for row in taken]
    facts, letters = read(decoders, program, raws)
    await pages.apply(session, source, facts, fresh=False)
    await keep(connection, source, letters)
    before = {(row[0], row[1], row[2]): (row[6], row[7]) for row in taken}
    still = [(one.raw.position, one.raw.tx, one.raw.index) for one in letters]
    if still:
        await connection.execute(
            REMEMBER,
            {
                "network": source.network,
                "positions": [key[0] for key in still],
                "txs": [key[1] for key in still],
                "indexes": [key[2] for key in still],
                "attempts": [before[key][0] for key in still],
                "firsts": [before[key][1] for key in still],
            },
        )
    return Replayed(len(taken) - len(letters), len(letters))
