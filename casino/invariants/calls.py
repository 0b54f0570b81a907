"""Calls of providers moved what they say, once; rounds hold the bets that stand in them.

A payout, a rollback or a reversal may say less than was asked: what belongs to a bonus that ended
stays with the house. A win that is taken back is owed where cash is short: a debt is the player's
too. Rounds also say which of their bets were placed under a bonus, rewards how many were placed
with them, and what was won of jackpots is a part of its payout.

Of what is new, calls and rounds are looked at whose time is from some time before the last check
on: a transaction that was open then may have written an earlier time. So are bets, however old,
that were rolled back since.
"""

from casino.invariants.laws import Stated

OPEN_S = 3600  # longer than any transaction that writes calls

MOVED = """
SELECT format('%%s %%s of %%s moved %%s cash and %%s bonus, not %%s and %%s', c.kind, c.id,
    c.provider, m.cash, m.bonus, c.cash, c.bonus) AS said, c.casino_id AS casino, c.provider, c.id,
    c.transfer_id AS transfer
FROM casino_calls c CROSS JOIN LATERAL (
    SELECT coalesce(sum(e.amount) FILTER (WHERE a.colour = 'cash'), 0) AS cash,
        coalesce(sum(e.amount) FILTER (WHERE a.colour = 'bonus'), 0) AS bonus
    FROM entries e JOIN accounts a ON a.id = e.account_id
    WHERE e.transfer_id = c.transfer_id AND starts_with(a.name, 'player:' || c.player_id || ':')
) m
WHERE c.state IN ('done', 'returned') AND {calls}
    AND (m.cash, m.bonus) IS DISTINCT FROM CASE
        WHEN c.kind IN ('debit', 'tip', 'buy_in', 'reversal')
        THEN (-c.cash, -c.bonus) ELSE (c.cash, c.bonus) END
LIMIT %(most)s
"""
RETURNED = """
SELECT format('%%s %%s of %%s is %%s, and %%s rollbacks gave back %%s of %%s', c.kind, c.id,
    c.provider, c.state, b.count, b.amount, c.amount) AS said, c.casino_id AS casino, c.provider,
    c.id
FROM casino_calls c CROSS JOIN LATERAL (
    SELECT count(*), coalesce(sum(amount), 0) AS amount FROM casino_calls r
    WHERE (r.casino_id, r.provider, r.round) = (c.casino_id, c.provider, c.round)
        AND r.target = c.id AND r.state = 'done' AND r.kind = CASE c.kind
            WHEN 'credit' THEN 'reversal' WHEN 'buy_in' THEN 'refund' ELSE 'rollback' END
) b
WHERE c.kind IN ('debit', 'tip', 'buy_in', 'credit') AND c.state IN ('done', 'returned') AND {calls}
    AND (b.count, b.amount) IS DISTINCT FROM CASE WHEN c.state = 'returned'
        THEN (1::bigint, c.amount) ELSE (0::bigint, 0::numeric) END
LIMIT %(most)s
"""
STANDING = """
SELECT format('round %%s of %%s holds %%s bets over %%s cash and %%s bonus, %%s under bonuses, and'
    ' its calls say %%s over %%s and %%s, %%s under bonuses', r.round, r.provider, r.standing,
    r.cash, r.bonus, p.amount, b.count, b.cash, b.bonus, b.backed) AS said, r.casino_id AS casino,
    r.provider, r.player_id AS player, r.round
FROM casino_rounds r CROSS JOIN LATERAL (
    SELECT count(*), coalesce(sum(cash), 0) AS cash, coalesce(sum(bonus), 0) AS bonus,
        coalesce(sum(amount) FILTER (WHERE grant_id IS NOT NULL), 0) AS backed
    FROM casino_calls c
    WHERE (c.casino_id, c.provider, c.round) = (r.casino_id, r.provider, r.round)
        AND c.player_id = r.player_id AND c.kind = 'debit' AND c.state = 'done'
) b CROSS JOIN LATERAL (
    SELECT coalesce(sum((part->>3)::numeric + (part->>4)::numeric), 0) AS amount
    FROM jsonb_array_elements(coalesce(r.parts, '[]')) AS part WHERE part->>0 IS NOT NULL
) p
WHERE {rounds} AND (b.count, b.cash, b.bonus, b.backed)
    IS DISTINCT FROM (r.standing::bigint, r.cash, r.bonus, p.amount)
LIMIT %(most)s
"""
CLAIMED = """
SELECT format('reward %%s of %%s has %%s bets placed, and its calls say %%s', w.id, w.provider,
    w.used, b.count) AS said, w.casino_id AS casino, w.provider, w.id
FROM casino_rewards w CROSS JOIN LATERAL (
    SELECT count(*) FROM casino_calls c WHERE c.reward = w.id AND c.state = 'done'
        AND (c.casino_id, c.provider) = (w.casino_id, w.provider)
) b
WHERE {rewards} AND b.count <> w.used
LIMIT %(most)s
"""
PARTS = """
SELECT format('%%s %%s of %%s won %%s of jackpots, and paid %%s', c.kind, c.id, c.provider,
    sum(j.won), c.amount) AS said, c.casino_id AS casino, c.provider, c.id
FROM casino_calls c
JOIN casino_jackpots j ON (j.casino_id, j.provider, j.call) = (c.casino_id, c.provider, c.id)
WHERE {calls} GROUP BY c.casino_id, c.provider, c.id HAVING sum(j.won) > c.amount
LIMIT %(most)s
"""
SINCE = f">= %(at)s::timestamptz - make_interval(secs => {OPEN_S})"
CALLS = f"""(c.casino_id, c.provider, c.id) IN (
    SELECT casino_id, provider, id FROM casino_calls WHERE at {SINCE}
    UNION SELECT casino_id, provider, target FROM casino_calls
    WHERE kind IN ('rollback', 'refund', 'reversal') AND at {SINCE}
)"""
REWARDS = f"""(w.casino_id, w.provider, w.id) IN (
    SELECT c.casino_id, c.provider, c.reward FROM casino_calls c
    WHERE c.reward IS NOT NULL AND {CALLS}
)"""
EVERY = {"calls": True, "rounds": True, "rewards": True}
RECENT = {"calls": CALLS, "rounds": f"r.touched_at {SINCE}", "rewards": REWARDS}
QUERIES = (MOVED, RETURNED, STANDING, CLAIMED, PARTS)

LAW = Stated(
    "calls",
    "a provider's call moved what it says, and a round holds the bets that stand in it",
    tuple(query.format(**EVERY) for query in QUERIES),
    recent=tuple(query.format(**RECENT) for query in QUERIES),
)
