"""Custody covers players: what lies on chains and at banks is no less than players' cash.

A custody account is the other side of deposits, so what lies there is its balance with the sign
turned. It is asked for assets that are deposited at all: play money is covered by nothing. Where a
chain keeps it, the books must say what the chain says, withdrawals under way left aside, and the
vault must have been able to pay what players could take out when the keeper looked at it last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from casino import custodies
from casino.invariants.laws import MOST, Connection, Fault, Window, faults, plain

SHORT = """
SELECT format('players of casino %%s own %%s %%s, and %%s lie in custody', casino_id, owned, asset,
    lies) AS said, casino_id, asset, owned, lies, owned - lies AS short
FROM (
    SELECT d.casino_id, d.asset, d.lies, coalesce(sum(a.balance), 0) AS owned
    FROM (
        SELECT casino_id, asset, -sum(balance) AS lies
        FROM accounts WHERE name LIKE 'custody:%%' GROUP BY casino_id, asset
    ) d LEFT JOIN accounts a ON a.casino_id = d.casino_id
        AND a.asset = d.asset AND a.name LIKE 'player:%%:cash'
    GROUP BY d.casino_id, d.asset, d.lies
) AS both_sides
WHERE owned > lies LIMIT %(most)s
"""
# A look at a vault says what it could pay then, so it is held against the books as they stood then:
# each player's cash at that moment, or now where there is less (what was held then may be paid out
# since), without what is held now, which may be on its way out already.
POOR = """
SELECT format('players of casino %%s may take out %%s %%s, and its vaults can pay %%s', casino_id,
    owned, asset, free) AS said, casino_id, asset, owned, free, owned - free AS short, looks
FROM (
    SELECT v.casino_id, v.asset, v.free, v.looks, sum(greatest(l.balance - a.held, 0)) AS owned
    FROM (
        SELECT casino_id, asset, sum(free) AS free, array_agg(free_at) AS looks
        FROM custodies GROUP BY casino_id, asset HAVING count(free_at) = count(*)
    ) v JOIN accounts a ON a.casino_id = v.casino_id AND a.asset = v.asset
        AND a.name LIKE 'player:%%:cash'
    CROSS JOIN LATERAL (
        SELECT least(a.balance, min(CASE WHEN a.posted_at > look.at THEN coalesce((
            SELECT after FROM entries
            WHERE account_id = a.id AND version = version_at(a.id, look.at)), 0)
            ELSE a.balance END)) AS balance
        FROM unnest(v.looks) AS look(at)
    ) l
    GROUP BY v.casino_id, v.asset, v.free, v.looks
) AS both_sides
WHERE owned > free LIMIT %(most)s
"""


@dataclass(frozen=True, slots=True)
class Covered:
    """The law."""

    name: str = "custody"
    says: str = "what lies in custody, in the books and on chains, covers the cash of all players"

    async def check(self, connection: Connection, window: Window) -> Sequence[Fault]:
        found = await faults(connection, SHORT, window.values())
        found += await faults(connection, POOR, window.values())
        for one in await custodies.figured(connection):
            found += _unlike(one)
        return found[:MOST]


def _unlike(one: custodies.Figures) -> list[Fault]:
    """Where books and chain differ."""
    about = {name: plain(value) for name, value in asdict(one).items() if name != "custody"}
    evidence = {"account": one.custody.account.name, "asset": one.custody.asset, **about}
    found = []
    if one.difference:
        said = f"the books have {one.difference} more in {evidence['account']} than the chain"
        found.append(Fault(said, evidence))
    if one.strays:
        said = f"{one.strays} withdrawals from {evidence['account']} were asked for by nobody"
        found.append(Fault(said, evidence))
    return found


LAW = Covered()
