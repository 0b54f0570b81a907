"""Pairs: one seed of the house and one of a player, for bets that are over as soon as placed."""
