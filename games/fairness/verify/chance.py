"""Chance: that the beacon is the one the formula names, and that its makers made it."""

from __future__ import annotations

from hashlib import sha256

from games.fairness.rounds import (
    AFTER_CLOSE,
    BLOCK,
    DRAND,
    QUICKNET,
    QUICKNET_GENESIS,
    drand_round,
    of_chain,
)
from games.fairness.verify.facts import Facts
from games.fairness.verify.proofs import Shown
from games.fairness.verify.steps import FAILED, Drand, Step, compared, judged, unchecked

NOBODY = "chance of nobody: the house knew the outcome while bets were open"


def number_step(shown: Shown, *, kind: bytes, after: int | None, facts: Facts | None) -> Step:
    """The beacon is the first one later than two seconds after `after`; None when unknown."""
    name, beacon = "beacon round", shown.beacon
    found = f"{beacon.kind.decode()} {beacon.round}"
    if beacon.kind != kind:
        return Step(name, f"a beacon of kind {kind.decode()}", found, FAILED)
    if kind == DRAND:
        if after is None:
            return unchecked(name, "the first round after the commitment was final")
        if after + AFTER_CLOSE < QUICKNET_GENESIS:
            return Step(name, "a time of quicknet", f"{after}, before it began", FAILED)
        return compared(name, f"drand {drand_round(after)}", found)
    if kind == BLOCK:
        return block_number_step(shown, after=after, facts=facts)
    return Step(name, "drand or block", NOBODY, FAILED)


def block_number_step(shown: Shown, *, after: int | None, facts: Facts | None) -> Step:
    name = "beacon round"
    if after is None or facts is None or facts.block is None:
        later = "it is over" if after is None else str(after + AFTER_CLOSE)
        return unchecked(name, f"the first block later than {later}")
    block, moment = facts.block, after + AFTER_CLOSE
    found = f"block {shown.beacon.round}"
    if block.number != shown.beacon.round or not block.parent_time <= moment < block.time:
        found += f", and block {block.number} of {block.time} after one of {block.parent_time}"
        return Step(name, f"the first block later than {moment}", found, FAILED)
    return judged(name, f"the first block later than {moment}", found, held=True)


def beacon_step(shown: Shown, *, facts: Facts | None, drand: Drand | None) -> Step:
    """The beacon's randomness is what its makers signed, or what its chain has."""
    beacon = shown.beacon
    if beacon.kind == DRAND:
        return drand_step(shown, drand)
    if beacon.kind != BLOCK:
        return Step("beacon", "drand or block", NOBODY, FAILED)
    if facts is None or facts.block is None:
        return unchecked("beacon", beacon.randomness.hex())
    chain = of_chain(facts.block.chain)
    expected = f"{facts.block.hash.hex()} of chain {chain.hex()}"
    found = f"{beacon.randomness.hex()} of chain {beacon.chain_hash.hex()}"
    return compared("beacon", expected, found)


def drand_step(shown: Shown, drand: Drand | None) -> Step:
    beacon = shown.beacon
    if beacon.chain_hash != QUICKNET:
        return compared("beacon", f"quicknet {QUICKNET.hex()}", beacon.chain_hash.hex())
    randomness = sha256(shown.signature).hexdigest()
    if randomness != beacon.randomness.hex():
        return compared("beacon", randomness, beacon.randomness.hex())
    expected = f"quicknet's signature of round {beacon.round}"
    if drand is None:
        return unchecked("beacon", expected, "not checkable without BLS")
    held = drand(beacon.round, shown.signature)
    return judged("beacon", expected, shown.signature.hex(), held=held)
