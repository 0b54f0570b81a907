"""Players: made the first time a fact or a service names them, once, whoever comes first."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import NamedTuple

from psycopg.rows import tuple_row

from casino import rows
from casino.sources import Followed

FIND = """
SELECT external_id, player_id FROM player_identities
WHERE casino_id = %s AND kind = %s AND scope = %s AND external_id = ANY(%s)
"""

# The identity is the row that two workers may both want: it is inserted first, in the order of
# its key, and only the winner's player is made.
JOIN = """
WITH named AS (
    INSERT INTO player_identities (player_id, casino_id, kind, scope, external_id)
    SELECT nextval(pg_get_serial_sequence('players', 'id')), %(casino)s, %(kind)s, %(scope)s, n.a
    FROM unnest(%(names)s::text[]) WITH ORDINALITY AS n(a, place) ORDER BY n.place
    ON CONFLICT DO NOTHING RETURNING player_id, external_id
)
INSERT INTO players (id, casino_id, joined_at)
SELECT named.player_id, %(casino)s, coalesce(n.at, now())
FROM named
JOIN unnest(%(names)s::text[], %(times)s::timestamptz[]) AS n(a, at) ON n.a = named.external_id
RETURNING id
"""

# Facts come in any order: whoever knows an earlier moment corrects it.
EARLIER = """
WITH known AS (
    SELECT p.id, n.at FROM players p
    JOIN unnest(%(ids)s::bigint[], %(times)s::timestamptz[]) AS n(id, at) ON n.id = p.id
    WHERE p.joined_at > n.at ORDER BY p.id FOR UPDATE OF p
)
UPDATE players p SET joined_at = known.at FROM known
WHERE p.id = known.id AND p.joined_at > known.at
"""

ANNOUNCE = """
INSERT INTO outbox (namespace, type, casino, player, data)
SELECT 'players', 'player.joined', %(slug)s, i.external_id, jsonb_build_object(
    'id', p.id, 'network', i.scope, 'program', %(program)s::text, 'casino', %(slug)s::text,
    'player', i.external_id,
    'joined_at', to_char(p.joined_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
FROM players p JOIN player_identities i ON i.player_id = p.id
WHERE p.id = ANY(%(ids)s) ORDER BY p.id
"""


async def ensure(
    connection: rows.Connection,
    source: Followed,
    seen: Mapping[str, datetime | None],
    *,
    fresh: bool,
) -> dict[str, int]:
    """The ids of all wallets in `seen` (address -> first time seen), making who is missing."""
    if not seen:
        return {}
    issuer = Issuer(source.casino_id, "wallet", source.network)
    known, made = await _all(connection, issuer, seen)
    await _correct(
        connection, {known[one]: at for one, at in seen.items() if known[one] not in made}
    )
    if made and fresh:
        told = {"slug": source.casino, "program": source.program, "ids": sorted(made)}
        await connection.execute(ANNOUNCE, told)
    return known


async def ensure_named(
    connection: rows.Connection, casino_id: int, names: Collection[str]
) -> dict[str, int]:
    """The ids of players by the names that their casino's services have for them."""
    known, _ = await _all(connection, Issuer(casino_id), dict.fromkeys(names))
    return known


class Issuer(NamedTuple):
    """Who gave players their names: a network its addresses, the operator its own ids."""

    casino_id: int
    kind: str = "operator"
    scope: str = "operator"


async def _all(
    connection: rows.Connection, issuer: Issuer, seen: Mapping[str, datetime | None]
) -> tuple[dict[str, int], set[int]]:
    """The ids of all who are named, and who of them was missing and is made."""
    names = sorted(seen)
    known = await _find(connection, issuer, names)
    missing = [name for name in names if name not in known]
    if not missing:
        return known, set()
    made = await _join(connection, issuer, missing, [seen[one] for one in missing])
    return await _find(connection, issuer, names), made


async def _find(connection: rows.Connection, issuer: Issuer, names: list[str]) -> dict[str, int]:
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(FIND, (*issuer, names))
        return dict(await cursor.fetchall())


async def _join(
    connection: rows.Connection, issuer: Issuer, names: list[str], times: list[datetime | None]
) -> set[int]:
    casino_id, kind, scope = issuer
    wanted = {"casino": casino_id, "kind": kind, "scope": scope, "names": names, "times": times}
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(JOIN, wanted)
        return {row[0] for row in await cursor.fetchall()}


async def _correct(connection: rows.Connection, times: Mapping[int, datetime | None]) -> None:
    ids = sorted(player for player, at in times.items() if at is not None)
    if ids:
        await connection.execute(EARLIER, {"ids": ids, "times": [times[one] for one in ids]})
