"""Bets end once: a bet that has ended says how, and no ending is that of two bets.

Of what is new, bets are looked at whose row changed since some time before the last check: a
transaction that was open then may have written an earlier time.
"""

from casino.invariants.laws import Stated

OPEN_S = 3600  # longer than any transaction that writes bets

UNCLEAR = """
SELECT format('bet %%s of source %%s is %%s, and its ending is %%s', bet, source_id, status,
    coalesce(settled_tx, 'missing')) AS said, id, source_id AS source, bet, status, settled_tx,
    settled_index, stake, payout
FROM bets
WHERE {since}
    AND (status IN ('settled', 'refunded') AND num_nulls(settled_tx, settled_index) > 0
        OR status = 'placed' AND num_nonnulls(settled_tx, settled_index) > 0
        OR status NOT IN ('placed', 'settled', 'refunded', 'retracted')
        OR stake < 0 OR payout < 0)
LIMIT %(most)s
"""
SHARED = """
SELECT format('%%s bets of source %%s end in event %%s of %%s', count(*), source_id, settled_index,
    settled_tx) AS said, source_id AS source, settled_tx, settled_index, array_agg(bet) AS bets
FROM bets
WHERE settled_tx IS NOT NULL AND {of_these}
GROUP BY source_id, settled_tx, settled_index HAVING count(*) > 1 LIMIT %(most)s
"""
SINCE = f"updated_at >= %(at)s::timestamptz - make_interval(secs => {OPEN_S})"
THESE = f"settled_tx IN (SELECT settled_tx FROM bets WHERE {SINCE})"

LAW = Stated(
    "bets",
    "a bet that has ended says how, and each ending ends one bet",
    (UNCLEAR.format(since=True), SHARED.format(of_these=True)),
    recent=(UNCLEAR.format(since=SINCE), SHARED.format(of_these=THESE)),
)
