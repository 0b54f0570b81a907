"""System events: decoded, but without a meaning in any manifest."""

from casino.rows import Beside

SEEN = Beside(
    "system_event",
    "system_events",
    fields={"words": "name", "document": "args"},
    columns={"name": "words", "args": "document"},
)
