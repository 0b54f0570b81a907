"""Transfers: money that came into a program for a player, or left it."""

from casino.rows import Beside


def _moved(kind: str) -> Beside:
    return Beside(
        kind,
        "chain_transfers",
        fields={"who": "player", "amount": "amount", "words": "request"},
        columns={
            "direction": "kind",
            "player": "who",
            "asset": "%(asset)s",
            "amount": "amount",
            "request": "words",
        },
    )


DEPOSITED = _moved("deposited")
WITHDRAWN = _moved("withdrawn")
