"""Scheduled rounds: bets until a set moment, an outcome that nobody could choose, a settlement."""
