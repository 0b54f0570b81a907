"""A pair's bets are nonces without a gap, receipts hold on to one another, and each is paid once.

Bets never change, so of what is new those pairs are looked at that took a bet from some time before
the last check on, and of those bets the entries.
"""

from __future__ import annotations

from casino.invariants.laws import Stated

OPEN_S = 3600  # longer than any transaction that plays

COUNTED = """
SELECT format('pair %%s.%%s says %%s bets over %%s that paid %%s, and has %%s to nonce %%s over %%s'
    ' that paid %%s', p.player_id, p.epoch, p.bets, p.stake, p.payout, b.count, b.last, b.stake,
    b.payout) AS said, p.player_id AS player, p.epoch
FROM pairs p CROSS JOIN LATERAL (
    SELECT count(*) AS count, coalesce(max(nonce), -1) AS last, coalesce(sum(stake), 0) AS stake,
        coalesce(sum(payout), 0) AS payout
    FROM pair_bets WHERE player_id = p.player_id AND epoch = p.epoch
) b
WHERE {pairs} AND (p.bets, p.bets - 1, p.stake, p.payout)
    IS DISTINCT FROM (b.count, b.last, b.stake, b.payout)
LIMIT %(most)s
"""
LINKED = """
SELECT format('the receipt of nonce %%s of pair %%s.%%s holds on to another one than that before',
    b.nonce, b.player_id, b.epoch) AS said, b.player_id AS player, b.epoch, b.nonce,
    encode(b.previous, 'hex') AS previous
FROM pairs p JOIN pair_bets b USING (player_id, epoch)
LEFT JOIN pair_bets o ON o.player_id = b.player_id AND o.epoch = b.epoch AND o.nonce = b.nonce - 1
WHERE {bets} AND b.previous IS DISTINCT FROM CASE b.nonce WHEN 0 THEN p.commit ELSE o.digest END
LIMIT %(most)s
"""
NEWEST = """
SELECT format('pair %%s.%%s says another last receipt than that of its last bet', p.player_id,
    p.epoch) AS said, p.player_id AS player, p.epoch
FROM pairs p LEFT JOIN pair_bets b
    ON b.player_id = p.player_id AND b.epoch = p.epoch AND b.nonce = p.bets - 1
WHERE {pairs} AND p.last IS DISTINCT FROM b.digest
LIMIT %(most)s
"""
PAID = """
SELECT format('bet %%s.%%s.%%s staked %%s and won %%s, and its entries are %%s and %%s',
    b.player_id, b.epoch, b.nonce, b.stake, b.payout, -m.staked, m.paid) AS said,
    b.player_id AS player, b.epoch, b.nonce, b.transfer_id, b.paid_id
FROM pair_bets b CROSS JOIN LATERAL (
    SELECT coalesce(sum(e.amount) FILTER (WHERE e.transfer_id = b.transfer_id), 0) AS staked,
        coalesce(sum(e.amount) FILTER (WHERE e.transfer_id = b.paid_id), 0) AS paid
    FROM entries e JOIN accounts a ON a.id = e.account_id
    WHERE e.transfer_id IN (b.transfer_id, b.paid_id)
        AND starts_with(a.name, format('player:%%s:', b.player_id))
) m
WHERE {bets} AND (m.staked, m.paid) IS DISTINCT FROM (-b.stake, b.payout)
LIMIT %(most)s
"""
# No two bets have the same transfer, so one that no bet has was paid beside them.
STRAY = """
SELECT format('transfer %%s, a %%s for nonce %%s of pair %%s, belongs to no bet', t.id, t.type,
    t.extra->>'nonce', t.extra->>'pair') AS said, t.id AS transfer, t.type, t.at
FROM transfers t
WHERE t.xact >= %(since)s AND (
    t.type = 'pair_stake' AND NOT EXISTS (SELECT FROM pair_bets WHERE transfer_id = t.id)
    OR t.type = 'pair_payout' AND NOT EXISTS (SELECT FROM pair_bets WHERE paid_id = t.id))
LIMIT %(most)s
"""
SINCE = f">= %(at)s::timestamptz - make_interval(secs => {OPEN_S})"
PAIRS = f"""(p.player_id, p.epoch) IN (
    SELECT player_id, epoch FROM pair_bets WHERE at {SINCE})"""
QUERIES = (COUNTED, LINKED, NEWEST, PAID)

LAW = Stated(
    "pairs",
    "a pair's nonces have no gap, its receipts hold on to one another, each bet is paid once",
    (*(query.format(pairs=True, bets=True) for query in QUERIES), STRAY),
    recent=(
        *(query.format(pairs=PAIRS, bets=f"b.at {SINCE}") for query in QUERIES),
        STRAY,
    ),
)
