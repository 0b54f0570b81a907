"""Seeds: roots committed on chain before use, seeds revealed after it."""

from casino.rows import Beside

COMMITTED = Beside(
    "seed_committed",
    "seed_commitments",
    fields={
        "first": "first",
        "count": "count",
        "words": "root",
        "reveal_by": "reveal_by",
        "bet": "kind",
    },
    columns={
        "first": "first",
        "count": "count",
        "kind": "bet",
        "root": "words",
        "reveal_by": "reveal_by",
    },
)
REVEALED = Beside(
    "seed_revealed",
    "seed_reveals",
    fields={"first": "index", "words": "seed"},
    columns={"seed_index": "first", "seed": "words"},
)
