"""Pairs and their bets as the doors show them."""

from __future__ import annotations

# A pair is told what it is bound to as soon as that is drawn, and whether it can still change.
ONE = """
SELECT p.player_id || '.' || p.epoch AS pair, p.account, p.epoch, p.state, p.asset,
    encode(p.client_seed, 'hex') AS client_seed, p.bets, p.stake::text AS stake,
    p.payout::text AS payout, encode(p.last, 'hex') AS last, encode(p.seed, 'hex') AS seed,
    CASE WHEN b.number IS NOT NULL THEN jsonb_build_object('number', b.number, 'place', p.place,
        'places', b.count, 'root', encode(b.root, 'hex'), 'commit', encode(p.commit, 'hex'),
        'tx', CASE WHEN b.state = 'confirmed' THEN b.tx END, 'position', b.position,
        'time', b.committed_at, 'final_at', b.final_at,
        'kind', b.kind, 'network', t.network, 'program', t.program,
        'final', b.state = 'confirmed') END AS commitment,
    b.beacon - 'evidence' AS beacon, encode(b.activation, 'hex') AS activation,
    encode(b.signer, 'hex') AS signer,
    p.opened_at, p.active_at, p.retired_at, p.reveal_tx, p.revealed_at,
    p.booth_id, p.player_id
FROM pairs p JOIN pair_booths t ON t.id = p.booth_id
LEFT JOIN pair_batches b ON b.booth_id = p.booth_id AND b.number = p.number
WHERE p.player_id = %(player)s AND p.epoch = %(epoch)s AND p.casino_id = %(casino)s
"""
# Newest first; a nonce is its place in the row.
BETS = """
SELECT b.player_id || '.' || b.epoch || '.' || b.nonce AS bet, b.nonce, b.game, b.choice, p.asset,
    b.stake::text AS stake, encode(b.params, 'hex') AS params, jsonb_build_object(
        'chain', t.network, 'account', p.account, 'epoch', p.epoch::text,
        'client_seed', encode(p.client_seed, 'hex'), 'activation', encode(c.activation, 'hex'),
        'params_hash', encode(sha256(b.params), 'hex'), 'at', b.said_at::text,
        'previous', encode(b.previous, 'hex'), 'digest', encode(b.digest, 'hex'),
        'signature', encode(b.signature, 'hex'), 'signer', encode(c.signer, 'hex')) AS receipt,
    encode(b.outcome, 'hex') AS outcome, b.result->'drawn' AS result, b.payout::text AS payout,
    b.at, b.nonce AS id
FROM pair_bets b JOIN pairs p USING (player_id, epoch) JOIN pair_booths t ON t.id = p.booth_id
JOIN pair_batches c ON c.booth_id = p.booth_id AND c.number = p.number
WHERE b.player_id = %(player)s AND b.epoch = %(epoch)s AND b.nonce < %(before)s
ORDER BY b.nonce DESC LIMIT %(limit)s
"""
