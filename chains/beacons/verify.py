"""Whether a draw is the one that a batch of rounds has bound itself to, without any network."""

from __future__ import annotations

from chains.beacons import BLOCK, DRAND, Drawn, Forged, block, drand

RULES = {DRAND: drand.verify, BLOCK: block.verify}


def verify(drawn: Drawn, *, kind: bytes, chain_hash: bytes, closes_at: float) -> None:
    """Raises `Forged` for any draw but that of the beacon named in the commitment for a closing.

    A draw of another beacon is never one, whatever became of the one that was named: who may
    choose between two may choose the result.
    """
    if (drawn.kind, drawn.chain_hash) != (kind, chain_hash):
        named = f"{kind.decode(errors='replace')} {chain_hash.hex()}"
        raise Forged(f"the batch named {named}, not {drawn.kind.decode()} {drawn.chain_hash.hex()}")
    RULES[drawn.kind](drawn, closes_at)
