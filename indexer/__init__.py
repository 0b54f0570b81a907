"""The chain comes in: one listener for each followed program."""
