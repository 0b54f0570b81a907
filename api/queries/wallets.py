"""Whose a wallet is."""

from __future__ import annotations

# A name that the operator gave comes before an address that happens to be spelled alike.
OWNER = """
SELECT player_id FROM player_identities
WHERE casino_id = %(casino)s AND (
    kind = 'operator' AND external_id = %(user)s
    OR kind = 'wallet' AND external_id = %(address)s
        AND (%(scope)s::text IS NULL OR scope = %(scope)s)
) ORDER BY kind = 'operator' DESC, player_id LIMIT 1
"""
NAMES = """
SELECT DISTINCT ON (player_id) player_id, external_id AS name FROM player_identities
WHERE player_id = ANY(%(players)s) ORDER BY player_id, kind = 'operator' DESC, id
"""
