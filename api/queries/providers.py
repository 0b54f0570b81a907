"""What the casino knows of its providers' rounds and calls."""

from __future__ import annotations

# A player's money by its colour, the terms on which the bonus is spent, and the game's product.
BALANCE = """
SELECT coalesce(sum(a.balance - a.held) FILTER (WHERE a.colour = 'cash'), 0)::text AS cash,
    coalesce(sum(a.balance - a.held) FILTER (WHERE a.colour = 'bonus'), 0)::text AS bonus,
    (SELECT c.terms FROM grants g JOIN campaigns c ON c.id = g.campaign_id
        WHERE g.casino_id = %(casino)s AND g.player_id = %(player)s AND g.asset = %(asset)s
            AND g.state = 'active' AND g.expires_at > clock_timestamp()) AS terms,
    (SELECT product FROM casino_games WHERE casino_id = %(casino)s AND provider = %(provider)s
        AND code = %(game)s) AS product
FROM accounts a
WHERE a.casino_id = %(casino)s AND a.asset = %(asset)s AND a.name = ANY(%(names)s)
"""

SHOWN = """
    c.id, c.number::text AS number, c.kind, c.state, c.code, c.player_id, i.external_id AS player,
    c.game, c.round, c.asset, c.amount::text AS amount, c.cash::text AS cash,
    c.bonus::text AS bonus, c.grant_id::text AS grant, c.target, c.transfer_id::text AS transfer,
    c.at
"""
OWNER = """
LEFT JOIN LATERAL (
    SELECT external_id FROM player_identities i
    WHERE i.player_id = c.player_id AND i.kind = 'operator' ORDER BY i.id LIMIT 1
) AS i ON true
"""
ROUND = f"""
SELECT {SHOWN} FROM casino_calls c {OWNER}
WHERE c.casino_id = %(casino)s AND c.provider = %(provider)s AND c.round = %(round)s
ORDER BY c.number
"""

# A bet that was rolled back counts where it was made, and its rollback where that was made.
TOTALS = """
SELECT game, asset,
    count(*) FILTER (WHERE kind = 'debit')::int AS bets,
    coalesce(sum(amount) FILTER (WHERE kind = 'debit'), 0)::text AS staked,
    count(*) FILTER (WHERE kind = 'credit')::int AS payouts,
    coalesce(sum(amount) FILTER (WHERE kind = 'credit'), 0)::text AS paid,
    count(*) FILTER (WHERE kind = 'rollback')::int AS rollbacks,
    coalesce(sum(amount) FILTER (WHERE kind = 'rollback'), 0)::text AS returned
FROM casino_calls
WHERE casino_id = %(casino)s AND provider = %(provider)s AND state IN ('done', 'returned')
    AND at >= %(since)s AND at < %(until)s
GROUP BY game, asset ORDER BY game, asset
"""

# Rounds with bets that were neither paid nor rolled back, and payouts that could not be made.
UNRESOLVED = """
SELECT r.round, r.player_id, i.external_id AS player, r.game, r.asset, r.state,
    r.standing AS bets, (r.cash + r.bonus)::text AS staked, r.opened_at, r.touched_at
FROM casino_rounds r
LEFT JOIN LATERAL (
    SELECT external_id FROM player_identities i
    WHERE i.player_id = r.player_id AND i.kind = 'operator' ORDER BY i.id LIMIT 1
) AS i ON true
WHERE r.casino_id = %(casino)s AND r.provider = %(provider)s AND r.settled = 0 AND r.standing > 0
    AND r.touched_at < now() - make_interval(mins => %(minutes)s)
ORDER BY r.touched_at LIMIT 100
"""
DECLINED = f"""
SELECT {SHOWN} FROM casino_calls c {OWNER}
WHERE c.casino_id = %(casino)s AND c.provider = %(provider)s AND c.state = 'declined'
    AND c.kind <> 'debit' ORDER BY c.at DESC LIMIT 100
"""
