"""Balances follow entries: an account holds what its entries sum to, and counts all of them.

Of what is new, only the last entry of every account that moved is compared: that entries chain is
a law of its own. A balance that was changed alone breaks the sums at once.
"""

from casino.invariants.laws import Stated

SAID = """
SELECT format('%%s of casino %%s has %%s %%s after %%s entries, which say %%s after %%s', a.name,
    a.casino_id, a.balance, a.asset, a.version, coalesce(e.sum, 0), coalesce(e.last, 0)) AS said,
    a.id AS account, a.name, a.asset, a.balance, a.version, e.sum AS entries, e.last AS last_entry
"""
EVERY = f"""
{SAID} FROM accounts a LEFT JOIN (
    SELECT account_id, sum(amount) AS sum, max(version) AS last, count(*) AS count
    FROM entries GROUP BY account_id
) e ON e.account_id = a.id
WHERE (a.balance, a.version, a.version)
    IS DISTINCT FROM (coalesce(e.sum, 0), coalesce(e.last, 0), coalesce(e.count, 0))
LIMIT %(most)s
"""
NEW = f"""
{SAID} FROM (SELECT DISTINCT account_id FROM entries WHERE xact >= %(since)s) moved
JOIN accounts a ON a.id = moved.account_id
CROSS JOIN LATERAL (
    SELECT after AS sum, version AS last FROM entries WHERE account_id = a.id
    ORDER BY version DESC LIMIT 1
) e
WHERE (a.balance, a.version) IS DISTINCT FROM (e.sum, e.last)
LIMIT %(most)s
"""
NOBODYS = """
SELECT format('%%s entries are of account %%s, which there is not', count(*), account_id) AS said,
    account_id AS account, count(*) AS entries
FROM entries e
WHERE xact >= %(since)s AND NOT EXISTS (SELECT FROM accounts a WHERE a.id = e.account_id)
GROUP BY account_id LIMIT %(most)s
"""

LAW = Stated(
    "balances",
    "every account holds what its entries sum to, and has counted all of them",
    (EVERY, NOBODYS),
    recent=(NEW, NOBODYS),
)
