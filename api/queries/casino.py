"""A casino's sums, hours and best players."""

from __future__ import annotations

SUMS = "asset, bets, settled, refunded, wins, staked::text AS staked, paid::text AS paid"
TOTALS = f"""
SELECT {SUMS}, (staked - paid)::text AS revenue, updated_at
FROM casino_stats WHERE casino_id = %(casino)s AND bucket = 'total' ORDER BY asset
"""
PLAYERS = "SELECT count(*) AS players FROM players WHERE casino_id = %(casino)s"
ACTIVITY = f"""
SELECT at, {SUMS} FROM casino_stats WHERE casino_id = %(casino)s AND bucket = %(bucket)s
ORDER BY at DESC, asset LIMIT %(limit)s
"""
LEADERBOARD = """
SELECT p.id, p.name, i.external_id AS account, i.scope AS network, s.asset, s.bets, s.wins,
    s.staked::text AS staked, s.paid::text AS paid, (s.paid - s.staked)::text AS net
FROM player_stats s JOIN players p ON p.id = s.player_id
JOIN LATERAL (SELECT external_id, scope FROM player_identities WHERE player_id = p.id
    ORDER BY id LIMIT 1) i ON true
WHERE p.casino_id = %(casino)s AND (%(asset)s::text IS NULL OR s.asset = %(asset)s)
ORDER BY CASE %(by)s WHEN 'paid' THEN s.paid WHEN 'net' THEN s.paid - s.staked
    WHEN 'bets' THEN s.bets ELSE s.staked END DESC, p.id, s.asset LIMIT %(limit)s
"""
PROGRAMS = """
SELECT s.program, s.network, n.name, s.address FROM sources s
JOIN networks n USING (network) WHERE s.casino_id = %(casino)s ORDER BY s.id
"""
