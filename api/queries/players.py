"""Players as the doors show them."""

from __future__ import annotations

FIND = """
SELECT p.id, p.name, i.external_id AS account, p.joined_at
FROM player_identities i JOIN players p ON p.id = i.player_id
WHERE i.casino_id = %(casino)s AND i.external_id = %(account)s
    AND (%(scope)s::text IS NULL OR i.scope = %(scope)s)
ORDER BY p.id LIMIT 1
"""
IDENTITIES = """
SELECT kind, scope, external_id FROM player_identities WHERE player_id = %(player)s ORDER BY id
"""
STATS = """
SELECT asset, bets, settled, refunded, wins, staked::text AS staked, paid::text AS paid,
    (paid - staked)::text AS net FROM player_stats WHERE player_id = %(player)s ORDER BY asset
"""
