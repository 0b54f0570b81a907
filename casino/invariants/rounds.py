"""Rounds hold the bets they say they took, and every bet of a round that is over has ended.

Of what is new, rounds are looked at that closed since some time before the last check: what a
round came to long after its close is looked at once a day, with everything.
"""

from casino.invariants.laws import Stated

OPEN_S = 3600  # longer than any transaction that writes bets

SUMS = """
SELECT format('round %%s of table %%s says %%s bets over %%s with %%s behind them and %%s paid, and'
    ' has %%s over %%s with %%s and %%s, the last at place %%s', r.number, t.name, r.bets, r.stake,
    r.liability, r.payout, b.count, b.stake, b.liability, b.payout, b.last) AS said,
    t.casino_id AS casino, t.name AS "table", r.number AS round
FROM rounds r JOIN round_tables t ON t.id = r.table_id CROSS JOIN LATERAL (
    SELECT count(*), coalesce(sum(stake), 0) AS stake, coalesce(sum(liability), 0) AS liability,
        coalesce(sum(payout), 0) AS payout, coalesce(max(position), -1) AS last
    FROM round_bets WHERE table_id = r.table_id AND number = r.number
) b
WHERE {rounds} AND ((r.bets::bigint, r.stake, r.liability, r.bets - 1)
        IS DISTINCT FROM (b.count, b.stake, b.liability, b.last)
    OR r.payout <> CASE WHEN r.state IN ('settled', 'void') THEN b.payout ELSE 0 END)
LIMIT %(most)s
"""
ENDED = """
SELECT format('bet %%s of round %%s of table %%s is %%s, and its round is %%s', b.id, r.number,
    t.name, b.state, r.state) AS said, t.casino_id AS casino, t.name AS "table",
    r.number AS round, b.id AS bet
FROM rounds r JOIN round_tables t ON t.id = r.table_id
JOIN round_bets b ON b.table_id = r.table_id AND b.number = r.number
WHERE {rounds} AND CASE r.state WHEN 'settled' THEN b.state NOT IN ('won', 'lost', 'owed')
    WHEN 'void' THEN b.state NOT IN ('returned', 'owed')
    WHEN 'drawn' THEN b.state = 'returned'
    WHEN 'closed' THEN b.state IN ('won', 'lost') OR r.reason IS NULL AND b.state <> 'placed'
    WHEN 'waiting' THEN b.state <> 'placed' ELSE true END
LIMIT %(most)s
"""
# Less than the payout comes back where a part of it belonged to a bonus that has ended.
MOVED = """
SELECT format('bet %%s of round %%s staked %%s and got %%s, and its entries say %%s and %%s', b.id,
    b.number, b.stake, b.payout, m.staked, m.paid) AS said, b.casino_id AS casino,
    b.number AS round, b.id AS bet
FROM rounds r JOIN round_bets b ON b.table_id = r.table_id AND b.number = r.number
CROSS JOIN LATERAL (
    SELECT coalesce(-sum(e.amount) FILTER (WHERE e.transfer_id = b.transfer_id), 0) AS staked,
        coalesce(sum(e.amount) FILTER (WHERE e.transfer_id = b.paid_id), 0) AS paid
    FROM entries e JOIN accounts a ON a.id = e.account_id
    WHERE e.transfer_id IN (b.transfer_id, b.paid_id)
        AND starts_with(a.name, 'player:' || b.player_id || ':')
) m
WHERE {rounds} AND (m.staked <> b.stake OR m.paid > b.payout OR b.state IN ('lost', 'placed')
    AND b.payout <> 0 OR b.grant_id IS NULL AND b.state IN ('won', 'returned')
    AND m.paid <> b.payout)
LIMIT %(most)s
"""
SINCE = f"r.closes_at >= %(at)s::timestamptz - make_interval(secs => {OPEN_S})"
QUERIES = (SUMS, ENDED, MOVED)

LAW = Stated(
    "rounds",
    "a round holds the bets it says, and each has ended once it is over, with what it got",
    tuple(query.format(rounds=True) for query in QUERIES),
    recent=tuple(query.format(rounds=SINCE) for query in QUERIES),
)
