"""Fees, as programs charged them."""

from casino.rows import Beside

CHARGED = Beside(
    "fee_charged",
    "fees",
    fields={"pool": "pool", "bet": "bet", "amount": "amount", "words": "fee_type"},
    columns={
        "pool": "pool",
        "bet": "bet",
        "asset": "%(asset)s",
        "amount": "amount",
        "fee_type": "words",
    },
)
