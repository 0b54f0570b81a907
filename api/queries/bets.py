"""Bets as the doors show them."""

from __future__ import annotations

BET = """
SELECT b.id, b.network, s.program, c.slug AS casino, b.game, b.player, b.bet, b.asset,
    b.stake::text AS stake, b.payout::text AS payout, b.choice, b.outcome, b.seed_index AS index,
    b.client_seed, b.status, b.placed_tx AS tx, b.settled_tx, b.placed_at, b.settled_at,
    b.finality, b.settled_finality, b.deadline
FROM bets b JOIN sources s ON s.id = b.source_id JOIN casinos c ON c.id = b.casino_id
"""
OLDER = """ AND (b.placed_at, b.id) < (%(at)s, %(id)s) AND b.status <> 'retracted'
ORDER BY b.placed_at DESC, b.id DESC LIMIT %(limit)s
"""
RECENT = BET + "WHERE b.casino_id = %(casino)s" + OLDER
OF_PLAYER = BET + "WHERE b.player_id = %(player)s" + OLDER
OF_TX = (
    BET
    + """
WHERE b.casino_id = %(casino)s AND (b.placed_tx = %(tx)s OR b.settled_tx = %(tx)s)
ORDER BY b.id LIMIT 100
"""
)
