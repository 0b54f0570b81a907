"""Entries chain: each begins where the one before it ended, and none is missing."""

from casino.invariants.laws import Stated

BROKEN = """
SELECT format('entry %%s of account %%s goes from %%s by %%s to %%s, after %%s', version,
    account_id, before, amount, after, coalesce(ended::text, 'nothing')) AS said,
    account_id AS account, version, transfer_id AS transfer, before, amount, after,
    known AS version_before, ended AS after_before
FROM ({links}) AS links
WHERE version <> coalesce(known, 0) + 1 OR before <> coalesce(ended, 0)
    OR after <> before + amount OR at < ended_at
LIMIT %(most)s
"""
OWN = "OVER (PARTITION BY account_id ORDER BY version)"
EVERY = f"""
SELECT account_id, version, transfer_id, before, amount, after, at,
    lag(version) {OWN} AS known, lag(after) {OWN} AS ended, lag(at) {OWN} AS ended_at FROM entries
"""
NEW = """
SELECT e.account_id, e.version, e.transfer_id, e.before, e.amount, e.after, e.at,
    p.version AS known, p.after AS ended, p.at AS ended_at
FROM entries e
LEFT JOIN entries p ON p.account_id = e.account_id AND p.version = e.version - 1
WHERE e.xact >= %(since)s
"""

LAW = Stated(
    "entries",
    "every entry of an account begins where the one before it ended, and none is missing",
    (BROKEN.format(links=EVERY),),
    recent=(BROKEN.format(links=NEW),),
)
