"""The outbox drains: what the feed is to say leaves."""

from casino.invariants.laws import Stated

LATE_S = 300

LATE = f"""
SELECT format('a message to %%s waits for %%s s', namespace,
    extract(epoch FROM clock_timestamp() - created_at)::bigint) AS said,
    id AS message, namespace, type, created_at
FROM outbox
WHERE published_at IS NULL AND created_at < clock_timestamp() - make_interval(secs => {LATE_S})
ORDER BY id LIMIT %(most)s
"""

LAW = Stated("outbox", f"no message waits for {LATE_S} s to be relayed", (LATE,))
