"""The queue comes in: one room per noun, actors in main.py."""
