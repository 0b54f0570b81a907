"""Withdrawals as the doors show them, and where they can go."""

from __future__ import annotations

CUSTODY = """
SELECT c.source_id, c.network, c.address, c.asset, n.name AS network_name
FROM custodies c JOIN networks n USING (network)
WHERE c.casino_id = %(casino)s AND c.asset = %(asset)s
    AND (%(custody)s::text IS NULL OR c.address = %(custody)s)
ORDER BY c.source_id DESC LIMIT 1
"""
SHOWN = """
SELECT w.id::text AS id, w.state, w.player_id, w.asset, w.amount::text AS amount, w.network,
    w.address, w.request, w.actor, w.requested_at, w.decided_by, w.decided_at, w.reason, w.trouble,
    w.tx, w.ended_at FROM withdrawals w
"""
ONE = f"{SHOWN} WHERE w.id = %(id)s AND w.casino_id = %(casino)s"
KNOWN = """
SELECT request, hold_id, player_id, asset FROM withdrawals
WHERE id = %(id)s AND casino_id = %(casino)s
"""
PAGE = (
    "(w.requested_at, w.id) < (%(at)s, %(id)s) AND (%(state)s::text IS NULL OR w.state = %(state)s)"
    " ORDER BY w.requested_at DESC, w.id DESC LIMIT %(limit)s"
)
OF_CASINO = f"{SHOWN} WHERE w.casino_id = %(casino)s AND {PAGE}"
OF_PLAYER = f"{SHOWN} WHERE w.casino_id = %(casino)s AND w.player_id = %(player)s AND {PAGE}"
