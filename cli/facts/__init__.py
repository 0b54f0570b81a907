"""Proofs of the house, held against the chains themselves by a person at a terminal."""
