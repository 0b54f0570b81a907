"""Bonus money belongs to an active bonus, and every bonus that ended did so by one transfer.

Of what is new, bonuses are looked at that ended from some time before the last check on: a
transaction that was open then may have written an earlier time.
"""

from __future__ import annotations

from casino.invariants.laws import Stated

OPEN_S = 3600  # longer than any transaction that ends bonuses

HOMELESS = """
SELECT format('%%s of casino %%s has %%s %%s, and no bonus is active', a.name, a.casino_id,
    a.balance, a.asset) AS said, a.id AS account, a.name, a.asset, a.balance
FROM accounts a
WHERE a.colour = 'bonus' AND a.balance <> 0 AND a.name LIKE 'player:%%' AND NOT EXISTS (
    SELECT FROM grants g WHERE g.casino_id = a.casino_id AND g.asset = a.asset
        AND g.state = 'active' AND g.player_id = split_part(a.name, ':', 2)::bigint)
LIMIT %(most)s
"""
ENDED = f"""
SELECT format('bonus %%s is %%s with %%s added of %%s, and its transfer moved %%s', g.id, g.state,
    g.added, g.before, coalesce(m.taken, 0)) AS said, g.id AS grant_id, g.state, g.before, g.added,
    m.taken, m.paid
FROM grants g LEFT JOIN LATERAL (
    SELECT -sum(e.amount) FILTER (WHERE a.name = format('player:%%s:bonus', g.player_id)) AS taken,
        sum(e.amount) FILTER (WHERE a.name = format('player:%%s:cash', g.player_id)) AS paid
    FROM transfers t JOIN entries e ON e.transfer_id = t.id JOIN accounts a ON a.id = e.account_id
    WHERE t.casino_id = g.casino_id AND t.reference = format('grant:%%s', g.id)
        AND t.type = format('bonus.%%s', g.state)
) m ON true
WHERE g.ended_at >= %(at)s::timestamptz - make_interval(secs => {OPEN_S}) AND g.before IS NOT NULL
    AND (coalesce(m.taken, 0), coalesce(m.paid, 0)) <> (g.before, g.added)
LIMIT %(most)s
"""

LAW = Stated(
    "bonuses",
    "bonus money belongs to an active bonus, and what ended one moved what it says",
    (HOMELESS, ENDED),
)
