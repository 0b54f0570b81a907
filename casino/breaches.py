"""How the laws stand: what is kept of every check, and of every time that a law was broken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Literal

from psycopg.types.json import Jsonb
from sqlalchemy.ext.asyncio import AsyncSession

from casino.invariants.laws import Finding, Window
from db.session import driver

Turn = Literal["broke", "healed"]

STANDING = b"""
SELECT name, reach, reach_at FROM laws
WHERE full_at > clock_timestamp() - make_interval(secs => %s)
"""
KEEP = b"""
INSERT INTO laws AS l
    (name, holds, since, checked_at, full_at, took_ms, reach, reach_at, faults, error)
VALUES (%(law)s, %(holds)s, clock_timestamp(), clock_timestamp(),
    CASE WHEN %(whole)s THEN clock_timestamp() END, %(took_ms)s, %(reach)s, %(reach_at)s,
    %(faults)s, %(error)s)
ON CONFLICT (name) DO UPDATE SET holds = excluded.holds,
    since = CASE WHEN l.holds IS NOT DISTINCT FROM excluded.holds THEN l.since
        ELSE excluded.since END,
    checked_at = excluded.checked_at, full_at = coalesce(excluded.full_at, l.full_at),
    took_ms = excluded.took_ms, reach = excluded.reach, reach_at = excluded.reach_at,
    faults = excluded.faults, error = NULL
"""
UNKNOWN = b"""
INSERT INTO laws AS l (name, since, checked_at, took_ms, faults, error)
VALUES (%(law)s, clock_timestamp(), clock_timestamp(), 0, 0, %(error)s)
ON CONFLICT (name) DO UPDATE SET error = excluded.error
"""
BROKEN = b"""
INSERT INTO breaches (law, began_at, seen_at, faults, evidence)
VALUES (%(law)s, now(), now(), %(faults)s, %(evidence)s)
ON CONFLICT (law) WHERE ended_at IS NULL DO UPDATE SET seen_at = excluded.seen_at,
    faults = excluded.faults, evidence = excluded.evidence
RETURNING began_at = seen_at
"""
HEALED = b"""
UPDATE breaches SET ended_at = clock_timestamp() WHERE law = %(law)s AND ended_at IS NULL
RETURNING true
"""
FORGET = (
    b"DELETE FROM laws WHERE name <> ALL(%s)",
    b"UPDATE breaches SET ended_at = clock_timestamp() WHERE ended_at IS NULL AND law <> ALL(%s)",
)


async def forget(session: AsyncSession, known: Sequence[str]) -> None:
    """Laws that are laws no more, since an upgrade, are neither broken nor kept."""
    connection = await driver(session)
    for query in FORGET:
        await connection.execute(query, (list(known),))


async def windows(session: AsyncSession, *, full_s: float) -> dict[str, Window]:
    """What each law has to look at next: what is new, unless it was looked at whole too long ago.

    A law that is not there is looked at whole. One that was found broken is looked at from where
    that check began, until it holds again.
    """
    cursor = await (await driver(session)).execute(STANDING, (full_s,))
    return {name: Window(reach, at) for name, reach, at in await cursor.fetchall()}


async def keep(session: AsyncSession, found: Finding) -> Turn | None:
    """Write down what a check came to; whether the law broke by it, or holds again.

    A check that could not be made says nothing about how the law stands.
    """
    connection = await driver(session)
    if found.holds is None:
        await connection.execute(UNKNOWN, {"law": found.law, "error": found.error})
        return None
    reach = (found.reach, found.at) if found.holds else (found.began.since, found.began.at)
    said = {
        "law": found.law,
        "holds": found.holds,
        "whole": found.began.whole,
        "took_ms": found.took_ms,
        "reach": reach[0],
        "reach_at": reach[1],
        "faults": len(found.faults),
        "error": None,
        "evidence": Jsonb([asdict(fault) for fault in found.faults]),
    }
    await connection.execute(KEEP, said)
    cursor = await connection.execute(HEALED if found.holds else BROKEN, said)
    row = await cursor.fetchone()
    if row is None or not row[0]:
        return None
    return "healed" if found.holds else "broke"
