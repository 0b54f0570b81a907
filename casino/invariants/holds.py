"""Holds cover: what an account has set aside is the sum of its open holds, and it is there."""

from casino.invariants.laws import Stated

UNLIKE = """
SELECT format('%%s of casino %%s holds %%s %%s aside, and its open holds are %%s', a.name,
    a.casino_id, a.held, a.asset, coalesce(h.held, 0)) AS said,
    a.id AS account, a.name, a.asset, a.held, h.held AS holds, h.count
FROM (SELECT * FROM accounts WHERE held <> 0) a
FULL JOIN (
    SELECT account_id, sum(remaining) AS held, count(*) AS count
    FROM holds WHERE state = 'open' GROUP BY account_id
) h ON h.account_id = a.id
WHERE a.held IS DISTINCT FROM h.held LIMIT %(most)s
"""
# An account without a floor may set aside what it has not: its balance may go below zero.
UNCOVERED = """
SELECT format('%%s of casino %%s has %%s %%s and holds %%s', name, casino_id, balance, asset, held)
    AS said, id AS account, name, asset, balance, held
FROM accounts WHERE held < 0 OR held > balance AND least IS NOT NULL LIMIT %(most)s
"""

LAW = Stated(
    "holds",
    "every account sets aside what its open holds are together, and has it",
    (UNLIKE, UNCOVERED),
)
