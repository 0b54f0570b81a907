"""How the line is: sources, pages, outbox, dead letters, processes."""

from __future__ import annotations

SOURCES = """
SELECT s.program, n.name AS network, s.address, s.head, s.frontier, s.finalized, s.error,
    greatest(s.head - s.frontier, 0) AS lag,
    extract(epoch FROM now() - s.polled_at)::float AS polled_s_ago
FROM sources s JOIN networks n USING (network) ORDER BY s.id
"""
PAGES = """
SELECT state, count(*) AS pages, extract(epoch FROM now() - min(found_at))::float AS oldest_s,
    count(*) FILTER (WHERE error IS NOT NULL) AS failing
FROM pages WHERE state <> 'interpreted' GROUP BY state
"""
OUTBOX = """
SELECT count(*) AS waiting, extract(epoch FROM now() - min(created_at))::float AS oldest_s
FROM outbox WHERE published_at IS NULL
"""
LAWS = """
SELECT name, holds, error IS NULL AS known, faults, since,
    extract(epoch FROM now() - since)::float AS since_s,
    extract(epoch FROM now() - checked_at)::float AS checked_s_ago, took_ms
FROM laws ORDER BY name
"""
# A round is over on time or late; a table without rounds to come has a trouble, or nobody keeps it.
# What was skipped of the newest batch is said until a later one is in time.
TABLES = """
SELECT t.name AS "table", t.trouble IS NULL AS commits, t.paused_at IS NULL AS open, (
    SELECT count(*) FROM rounds WHERE table_id = t.id AND state IN ('waiting', 'closed', 'drawn')
        AND closes_at < clock_timestamp() - make_interval(secs => %(late_s)s)
) AS late, (
    SELECT count(*) FROM rounds WHERE table_id = t.id AND state = 'skipped' AND number >= (
        SELECT max(first) FROM round_batches WHERE table_id = t.id AND state = 'confirmed'
    )
) AS skipped
FROM round_tables t ORDER BY t.name
"""
# A pair waits for finality and a beacon, and its reveal for finality again.
PAIRS = """
SELECT b.program, b.trouble IS NULL AS commits, (
    SELECT count(*) FROM pairs p LEFT JOIN pair_batches c USING (booth_id, number)
    WHERE p.booth_id = b.id AND p.state = 'waiting' AND c.activation IS NULL
        AND p.opened_at < clock_timestamp() - make_interval(secs => %(late_s)s)
) AS waiting, (
    SELECT count(*) FROM pairs WHERE booth_id = b.id AND state = 'retired' AND bets > 0
        AND retired_at < clock_timestamp() - make_interval(secs => %(late_s)s)
) AS unrevealed
FROM pair_booths b ORDER BY b.id
"""
DEAD = "SELECT count(*) AS dead FROM dead_letters"
PROCESSES = """
SELECT process, count(*) FILTER (WHERE seen_s_ago < %(silent_s)s) AS live,
    count(*) FILTER (WHERE seen_s_ago >= %(silent_s)s) AS silent, min(seen_s_ago) AS seen_s_ago
FROM (
    SELECT process, extract(epoch FROM now() - at)::float AS seen_s_ago FROM heartbeats
) AS instances GROUP BY process
"""
# Waiting for a person is no trouble; waiting for anything else is, in time.
WITHDRAWALS = """
SELECT n.name AS network, w.state, w.trouble, count(*) AS withdrawals,
    extract(epoch FROM now() - min(coalesce(w.decided_at, w.requested_at)))::float AS oldest_s
FROM withdrawals w JOIN networks n USING (network)
WHERE w.state NOT IN ('rejected', 'settled', 'failed') GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""
