"""Rewards as the doors show them."""

from __future__ import annotations

REWARD = """
SELECT player_id, asset FROM casino_rewards
WHERE casino_id = %(casino)s AND provider = %(provider)s AND id = %(reward)s
"""
OF_PLAYER = """
SELECT number AS id, id AS reward, provider, asset, game, count, used, state, expires_at, given_at,
    actor, reason
FROM casino_rewards
WHERE casino_id = %(casino)s AND player_id = %(player)s
    AND (given_at, number) < (%(at)s, %(id)s)
ORDER BY given_at DESC, number DESC LIMIT %(limit)s
"""
GAME = """
SELECT code FROM casino_games
WHERE casino_id = %(casino)s AND provider = %(provider)s AND code = %(game)s AND closed_at IS NULL
"""
