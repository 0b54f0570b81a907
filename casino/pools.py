"""Pools, as their managers registered them."""

from casino.rows import Beside

REGISTERED = Beside(
    "pool_registered",
    "pools",
    fields={"pool": "pool", "words": "manager", "document": "config"},
    columns={"pool": "pool", "manager": "words", "config": "document"},
)
