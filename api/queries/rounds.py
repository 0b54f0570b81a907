"""Tables, rounds and their bets as the doors show them."""

from __future__ import annotations

from api.queries.wallets import OWNER

NOW = "SELECT clock_timestamp() AS now"
# The round that takes bets, or the next one that will.
CURRENT = """
SELECT r.number, r.opens_at, r.closes_at, r.bets, r.stake::text AS stake, b.first,
    b.count, encode(b.root, 'hex') AS root, b.tx, b.max_liability::text AS max_liability,
    b.reveal_window, clock_timestamp() AS server_time
FROM rounds r JOIN round_batches b ON b.table_id = r.table_id AND b.first = r.batch_first
WHERE r.table_id = %(table)s AND r.closes_at > clock_timestamp() AND r.state = 'waiting'
ORDER BY r.closes_at LIMIT 1
"""
ROUND = """
SELECT t.name || '.' || r.number AS id, t.name AS "table", t.game, t.asset, r.number AS round,
    CASE WHEN r.state = 'waiting' AND r.opens_at <= clock_timestamp()
        AND r.closes_at > clock_timestamp() THEN 'open' ELSE r.state END AS state,
    r.opens_at, r.closes_at, r.bets, r.stake::text AS stake,
    CASE WHEN r.ended_at IS NOT NULL THEN r.payout::text END AS payout, r.reason,
    encode(r.root, 'hex') AS bets_root, encode(r.signature, 'hex') AS signature,
    r.liability::text AS liability, encode(r.seed, 'hex') AS seed,
    encode(r.outcome, 'hex') AS outcome, r.beacon - 'evidence' AS beacon,
    r.result->'drawn' AS result, r.closed_at, r.drawn_at,
    r.ended_at, r.anchor_tx, r.anchored_at, r.reveal_tx, r.revealed_at,
    jsonb_build_object('first', b.first, 'count', b.count, 'root', encode(b.root, 'hex'),
        'tx', b.tx, 'position', b.position, 'time', b.committed_at, 'network', t.network,
        'program', t.program) AS commitment
FROM rounds r JOIN round_tables t ON t.id = r.table_id
JOIN round_batches b ON b.table_id = r.table_id AND b.first = r.batch_first
"""
ONE = ROUND + "WHERE r.table_id = %(table)s AND r.number = %(number)s"
RECENT = (
    ROUND
    + """
WHERE r.table_id = %(table)s AND r.closes_at <= clock_timestamp()
    AND (r.closes_at, r.number) < (%(at)s, %(id)s)
ORDER BY r.closes_at DESC, r.number DESC LIMIT %(limit)s
"""
)
BETS = """
SELECT encode(b.bet, 'hex') AS bet, t.name AS "table", b.number AS round, b.position, b.account,
    b.choice, t.asset, b.stake::text AS stake, b.state,
    CASE WHEN b.state <> 'placed' THEN b.payout::text END AS payout,
    encode(b.leaf, 'hex') AS leaf, b.at, b.ended_at, b.id
FROM round_bets b JOIN round_tables t ON t.id = b.table_id
"""
OF_PLAYER = (
    BETS
    + """
WHERE b.player_id = %(player)s AND b.casino_id = %(casino)s AND (b.at, b.id) < (%(at)s, %(id)s)
ORDER BY b.id DESC LIMIT %(limit)s
"""
)
# All that a bet needs to know, in one look: the player, the round, where the bond would pay.
BETTING = f"""
SELECT o.player_id, coalesce(%(round)s::bigint, (
    SELECT number FROM rounds
    WHERE table_id = %(table)s AND closes_at > clock_timestamp() AND state = 'waiting'
    ORDER BY closes_at LIMIT 1
)) AS number, (
    SELECT external_id FROM player_identities
    WHERE player_id = o.player_id AND kind = 'wallet' AND scope = %(network)s
    ORDER BY external_id LIMIT 1
) AS payee
FROM ({OWNER}) AS o
"""
