"""Custody covers players: what lies on chains and at banks is no less than players' cash.

A custody account is the other side of deposits, so what lies there is its balance with the sign
turned. It is asked for assets that are deposited at all: play money is covered by nothing. What a
chain itself says of a vault is to be compared in `DEPOSITED`, beside what the books say of it.
"""

from casino.invariants.laws import Stated

DEPOSITED = """
SELECT casino_id, asset, -sum(balance) AS lies
FROM accounts WHERE name LIKE 'custody:%%' GROUP BY casino_id, asset
"""
SHORT = f"""
SELECT format('players of casino %%s own %%s %%s, and %%s lie in custody', casino_id, owned, asset,
    lies) AS said, casino_id, asset, owned, lies, owned - lies AS short
FROM (
    SELECT d.casino_id, d.asset, d.lies, coalesce(sum(a.balance), 0) AS owned
    FROM ({DEPOSITED}) d LEFT JOIN accounts a ON a.casino_id = d.casino_id
        AND a.asset = d.asset AND a.name LIKE 'player:%%:cash'
    GROUP BY d.casino_id, d.asset, d.lies
) AS both_sides
WHERE owned > lies LIMIT %(most)s
"""

LAW = Stated("custody", "what lies in custody covers the cash of all players", (SHORT,))
