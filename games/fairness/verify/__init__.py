"""Verify: the one implementation behind CLI, API and tests; a browser has another, of its own."""

from __future__ import annotations

from games.fairness.verify.facts import (
    Anchored,
    Block,
    Committed,
    Facts,
    Revealed,
    read_facts,
    write_facts,
)
from games.fairness.verify.pairs import verify_pair
from games.fairness.verify.proofs import PairProof, RoundProof, read, written
from games.fairness.verify.reading import Malformed
from games.fairness.verify.rounds import verify_round
from games.fairness.verify.steps import FAILED, OK, UNCHECKED, Drand, Recover, Step

__all__ = [
    "FAILED",
    "OK",
    "UNCHECKED",
    "Anchored",
    "Block",
    "Committed",
    "Drand",
    "Facts",
    "Malformed",
    "PairProof",
    "Recover",
    "Revealed",
    "RoundProof",
    "Step",
    "read",
    "read_facts",
    "verify",
    "write_facts",
    "written",
]


def verify(
    proof: object,
    *,
    facts: Facts | None = None,
    recover: Recover | None = None,
    drand: Drand | None = None,
) -> list[Step]:
    """Every step from commitment to payout, in a fixed order, each with what was found.

    `proof` is what its JSON file holds (docs/fairness/proof.md). `facts` are what the caller has
    read from the chains by itself; without them, and without `recover` (secp256k1) and `drand`
    (BLS), the steps that need them are unchecked. Raises `Malformed`, and nothing else, for a
    proof that cannot be read, or whose chain is another one than that of the facts.
    """
    told = read(proof)
    chain = told.pair.chain if isinstance(told, PairProof) else told.round.chain
    if facts is not None and facts.chain != chain:
        raise Malformed("chain", f"is {chain.decode()}, and the node's is {facts.chain.decode()}")
    if isinstance(told, PairProof):
        return verify_pair(told, facts=facts, recover=recover, drand=drand)
    return verify_round(told, facts=facts, recover=recover, drand=drand)
