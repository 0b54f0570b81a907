"""The books balance: what one account has more, others have less."""

from casino.invariants.laws import Stated

ACCOUNTS = """
SELECT format('%%s %%s of casino %%s sum to %%s', asset, colour, casino_id, sum(balance)) AS said,
    casino_id, asset, colour, sum(balance) AS sum
FROM accounts GROUP BY casino_id, asset, colour HAVING sum(balance) <> 0 LIMIT %(most)s
"""
TRANSFERS = """
SELECT format('transfer %%s sums to %%s in %%s %%s', e.transfer_id, sum(e.amount), a.asset,
    a.colour) AS said, e.transfer_id AS transfer, a.asset, a.colour, sum(e.amount) AS sum
FROM entries e JOIN accounts a ON a.id = e.account_id
WHERE e.xact >= %(since)s
GROUP BY e.transfer_id, a.asset, a.colour HAVING sum(e.amount) <> 0 LIMIT %(most)s
"""
WITHOUT_ENTRIES = """
SELECT format('transfer %%s has no entries', id) AS said, id AS transfer, type, at
FROM transfers t
WHERE xact >= %(since)s AND NOT EXISTS (SELECT FROM entries e WHERE e.transfer_id = t.id)
LIMIT %(most)s
"""
WITHOUT_TRANSFER = """
SELECT format('entry %%s of account %%s has no transfer', version, account_id) AS said,
    account_id AS account, version, transfer_id AS transfer, amount
FROM entries e
WHERE xact >= %(since)s AND NOT EXISTS (SELECT FROM transfers t WHERE t.id = e.transfer_id)
LIMIT %(most)s
"""

LAW = Stated(
    "sums",
    "every transfer, and all accounts of an asset and colour, sum to zero",
    (ACCOUNTS, TRANSFERS, WITHOUT_ENTRIES, WITHOUT_TRANSFER),
)
