"""Bonus money belongs to an active bonus, is wagered by bets, and leaves as its terms allow.

Of what is new, bonuses are looked at that ended from some time before the last check on: a
transaction that was open then may have written an earlier time. Progress is summed up anew for
those and for all that are wagered and not yet cash: where it is worth money.
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
RECENT = f"g.ended_at >= %(at)s::timestamptz - make_interval(secs => {OPEN_S})"
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
WHERE {RECENT} AND g.before IS NOT NULL
    AND (coalesce(m.taken, 0), coalesce(m.paid, 0)) <> (g.before, g.added)
LIMIT %(most)s
"""
ALLOWED = f"""
SELECT format('bonus %%s is completed with %%s added of %%s, and its terms allow %%s', g.id,
    g.added, g.before, t.most) AS said, g.id AS grant_id, g.amount, g.before, g.added, t.most
FROM grants g JOIN campaigns c ON c.id = g.campaign_id CROSS JOIN LATERAL (
    SELECT least(CASE WHEN (c.terms->>'sticky')::boolean THEN greatest(g.before - g.amount, 0)
        ELSE g.before END, (c.terms->>'max_win')::numeric) AS most
) t
WHERE {RECENT} AND g.state = 'completed' AND g.added <> t.most
LIMIT %(most)s
"""
WAGERED = """
SELECT format('bonus %%s has %%s basis points wagered, and its bets count %%s',
    coalesce(g.id, w.grant_id), coalesce(g.done_bp::text, 'none'), coalesce(w.counted_bp, 0))
    AS said, coalesce(g.id, w.grant_id) AS grant_id, g.state, g.required_bp, g.done_bp, w.counted_bp
FROM {grants} WHERE g.done_bp IS DISTINCT FROM coalesce(w.counted_bp, 0)
LIMIT %(most)s
"""
EVERY = """grants g FULL JOIN (
    SELECT grant_id, sum(counted_bp) AS counted_bp FROM wagers GROUP BY grant_id
) w ON w.grant_id = g.id"""
NEW = f"""(
    SELECT * FROM grants g WHERE {RECENT}
    UNION ALL SELECT * FROM grants WHERE state = 'active' AND done_bp >= required_bp
) g CROSS JOIN LATERAL (
    SELECT g.id AS grant_id, sum(counted_bp) AS counted_bp FROM wagers WHERE grant_id = g.id
) w"""
# What came late is cash only where its bonus was completed, so nothing is kept for any other.
LATE = """
SELECT format('%%s came late for bonus %%s, which is %%s', l.amount, l.grant_id,
    coalesce(g.state, 'unknown')) AS said, l.grant_id, l.amount, g.state, g.before
FROM late_returns l LEFT JOIN grants g ON g.id = l.grant_id
WHERE l.amount <= 0 OR g.state IS DISTINCT FROM 'completed' OR g.before IS NULL
LIMIT %(most)s
"""
SAME = (HOMELESS, ENDED, ALLOWED, LATE)

LAW = Stated(
    "bonuses",
    "bonus money belongs to an active bonus, is wagered by bets, and leaves as its terms allow",
    (*SAME, WAGERED.format(grants=EVERY)),
    recent=(*SAME, WAGERED.format(grants=NEW)),
)
