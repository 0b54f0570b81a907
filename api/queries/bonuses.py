"""Bonuses and campaigns as the doors show them."""

from __future__ import annotations

CAMPAIGNS = """
SELECT id, id::text AS campaign, code, version, terms, created_at, actor FROM campaigns
WHERE casino_id = %(casino)s AND (created_at, id) < (%(at)s, %(id)s)
ORDER BY created_at DESC, id DESC LIMIT %(limit)s
"""
ASSET = """
SELECT asset FROM campaigns WHERE casino_id = %(casino)s AND code = %(code)s LIMIT 1
"""
GRANT = "SELECT player_id, asset FROM grants WHERE casino_id = %(casino)s AND id = %(grant)s"
OF_PLAYER = """
SELECT g.id, c.code AS campaign, g.asset, g.state, g.amount::text AS amount,
    g.locked::text AS locked, g.required_bp,
    g.done_bp, g.granted_at, g.activated_at, g.expires_at, g.ended_at, g.reason,
    g.before::text AS before, g.added::text AS added, g.removed::text AS removed
FROM grants g JOIN campaigns c ON c.id = g.campaign_id
WHERE g.casino_id = %(casino)s AND g.player_id = %(player)s
    AND (g.granted_at, g.id) < (%(at)s, %(id)s)
ORDER BY g.granted_at DESC, g.id DESC LIMIT %(limit)s
"""
