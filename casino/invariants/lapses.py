"""Holds end in time: the house gives back what nobody captured or released."""

from casino.invariants.laws import Stated

LATE_S = 300

LATE = f"""
SELECT format('hold %%s is open, %%s s past its time', id,
    extract(epoch FROM clock_timestamp() - expires_at)::bigint) AS said,
    id AS hold, account_id AS account, remaining, expires_at
FROM holds
WHERE state = 'open' AND expires_at < clock_timestamp() - make_interval(secs => {LATE_S})
ORDER BY expires_at LIMIT %(most)s
"""

LAW = Stated("lapses", f"no hold is open {LATE_S} s past its time", (LATE,))
