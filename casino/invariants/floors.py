"""No account is below its floor or above its ceiling: its own, and that of its kind in the code.

The limits of a row can be loosened by hand, those of `ledger.accounts.KINDS` cannot.
"""

from __future__ import annotations

from casino.invariants.laws import Stated
from ledger.accounts import KINDS


def _limit(value: int | None) -> str:
    return "NULL::numeric" if value is None else f"{value}::numeric"


LIMITED = ", ".join(
    f"('^(?:{one.pattern.pattern})$', {_limit(one.least)}, {_limit(one.most)})"
    for one in KINDS
    if not one.least is one.most is None
)
SAID = """
SELECT format('%%s of casino %%s has %%s %%s, %%s of it held', a.name, a.casino_id, a.balance,
    a.asset, a.held) AS said, a.id AS account, a.name, a.asset, a.balance, a.held, l.least, l.most
FROM accounts a
"""
OWN = f"""
{SAID} CROSS JOIN LATERAL (SELECT a.least, a.most) l
WHERE a.balance - a.held < a.least OR a.balance > a.most LIMIT %(most)s
"""
OF_ITS_KIND = f"""
{SAID} JOIN (VALUES {LIMITED}) l(pattern, least, most)
    ON (a.balance - a.held < l.least OR a.balance > l.most) AND a.name ~ l.pattern
LIMIT %(most)s
"""

LAW = Stated(
    "floors",
    "no account has less, or more, than it and its kind may have",
    (OWN, OF_ITS_KIND),
)
