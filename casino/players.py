"""Players: made the first time a fact names them, once, whoever comes first."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from casino import rows
from casino.sources import Followed

FIND = """
SELECT external_id, player_id FROM player_identities
WHERE casino_id = %s AND kind = 'wallet' AND scope = %s AND external_id = ANY(%s)
"""

# The identity is the row that two workers may both want: it is inserted first, in the order of
# its key, and only the winner's player is made.
JOIN = """
WITH named AS (
    INSERT INTO player_identities (player_id, casino_id, kind, scope, external_id)
    SELECT nextval(pg_get_serial_sequence('players', 'id')), %(casino)s, 'wallet', %(network)s, n.a
    FROM unnest(%(addresses)s::text[]) WITH ORDINALITY AS n(a, place) ORDER BY n.place
    ON CONFLICT DO NOTHING RETURNING player_id, external_id
)
INSERT INTO players (id, casino_id, joined_at)
SELECT named.player_id, %(casino)s, coalesce(n.at, now())
FROM named
JOIN unnest(%(addresses)s::text[], %(times)s::timestamptz[]) AS n(a, at) ON n.a = named.external_id
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
    addresses = sorted(seen)
    known = await _find(connection, source, addresses)
    missing = [address for address in addresses if address not in known]
    made: set[int] = set()
    if missing:
        made = await _join(connection, source, missing, [seen[one] for one in missing])
        known = await _find(connection, source, addresses)
    await _correct(
        connection, {known[one]: at for one, at in seen.items() if known[one] not in made}
    )
    if made and fresh:
        told = {"slug": source.casino, "program": source.program, "ids": sorted(made)}
        await connection.execute(ANNOUNCE, told)
    return known


async def _find(
    connection: rows.Connection, source: Followed, addresses: list[str]
) -> dict[str, int]:
    cursor = await connection.execute(FIND, (source.casino_id, source.network, addresses))
    return dict(await cursor.fetchall())


async def _join(
    connection: rows.Connection,
    source: Followed,
    addresses: list[str],
    times: list[datetime | None],
) -> set[int]:
    wanted = {
        "casino": source.casino_id,
        "network": source.network,
        "addresses": addresses,
        "times": times,
    }
    cursor = await connection.execute(JOIN, wanted)
    return {row[0] for row in await cursor.fetchall()}


async def _correct(connection: rows.Connection, times: Mapping[int, datetime | None]) -> None:
    ids = sorted(player for player, at in times.items() if at is not None)
    if ids:
        await connection.execute(EARLIER, {"ids": ids, "times": [times[one] for one in ids]})
