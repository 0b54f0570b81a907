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
    c.bonus::text AS bonus, c.grant_id::text AS grant, c.reward, c.target,
    c.transfer_id::text AS transfer, c.at, (
        SELECT jsonb_agg(jsonb_build_object('jackpot', j.jackpot, 'won', j.won::text,
            'contributed', trim_scale(j.contributed)::text) ORDER BY j.jackpot)
        FROM casino_jackpots j
        WHERE (j.casino_id, j.provider, j.call) = (c.casino_id, c.provider, c.id)
    ) AS jackpots
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
SUMS = {
    "debit": ("bets", "staked"),
    "credit": ("payouts", "paid"),
    "rollback": ("rollbacks", "returned"),
    "reversal": ("reversals", "regained"),
    "tip": ("tips", "tipped"),
    "buy_in": ("buy_ins", "entered"),
    "prize": ("prizes", "awarded"),
    "refund": ("refunds", "refunded"),
}
SUMMED = ", ".join(
    f"count(*) FILTER (WHERE kind = '{kind}')::int AS {number},"
    f" coalesce(sum(amount) FILTER (WHERE kind = '{kind}'), 0)::text AS {amount}"
    for kind, (number, amount) in SUMS.items()
)
TOTALS = f"""
SELECT game, asset, {SUMMED}, count(reward)::int AS free_bets,
    trim_scale(coalesce(sum(j.contributed), 0))::text AS contributed,
    coalesce(sum(j.won), 0)::text AS jackpots_won
FROM casino_calls c LEFT JOIN LATERAL (
    SELECT sum(contributed) AS contributed, sum(won) AS won FROM casino_jackpots j
    WHERE (j.casino_id, j.provider, j.call) = (c.casino_id, c.provider, c.id)
) j ON true
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
    AND c.kind IN ('credit', 'rollback', 'reversal', 'prize', 'refund') ORDER BY c.at DESC LIMIT 100
"""
