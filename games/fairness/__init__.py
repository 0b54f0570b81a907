"""Fairness: how bytes become outcomes, the same on both chains, in Python and in a browser."""
