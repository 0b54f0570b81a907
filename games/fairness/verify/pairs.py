"""Pairs, verified: from the commitment of a seed to every bet it served, step by step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from games.fairness.receipts import BrokenReceipts, check_receipts
from games.fairness.rounds import BLOCK, drand_time
from games.fairness.verify.chance import beacon_step, number_step
from games.fairness.verify.commitments import chain_step, commitment_step, time_step
from games.fairness.verify.facts import Facts
from games.fairness.verify.proofs import PairBet, PairProof
from games.fairness.verify.rounds import draw_step, drawn
from games.fairness.verify.steps import (
    FAILED,
    OK,
    UNCHECKED,
    Drand,
    Recover,
    Step,
    compared,
    signed,
    unchecked,
)
from games.fairness.verify.terms import Unknown, read_terms


def verify_pair(
    proof: PairProof, *, facts: Facts | None, recover: Recover | None, drand: Drand | None
) -> list[Step]:
    """The steps of a pair; those about its bets name the first one that does not hold."""
    commit = proof.pair.commit(proof.seed)
    final_at = facts.committed.final_at if facts and facts.committed else None
    return [
        commitment_step(proof.commitment, commit, place=proof.place, places=proof.places),
        chain_step(
            proof.commitment,
            program=proof.program,
            table=None,
            schedule=None,
            number=proof.number,
            kind=proof.beacon,
            facts=facts,
        ),
        pair_time_step(proof, facts),
        number_step(proof.activation, kind=proof.beacon, after=final_at, facts=facts),
        beacon_step(proof.activation, facts=facts, drand=drand),
        receipts_step(proof, commit),
        *(every(proof, step) for step in bet_checks(proof, recover)),
        pair_reveal_step(proof, facts),
    ]


def pair_time_step(proof: PairProof, facts: Facts | None) -> Step:
    """The seed was bound before the chance that is mixed in was known to anybody."""
    beacon, bound = proof.activation.beacon, proof.beacon.decode()
    if beacon.kind != proof.beacon:
        found = f"{beacon.kind.decode()} {beacon.round}"
        return Step("in time", f"final before a beacon of kind {bound}", found, FAILED)
    if beacon.kind == BLOCK:
        return block_time_step(proof, facts)
    if not beacon.round:
        return Step("in time", "final before a round of drand", "round 0, which is none", FAILED)
    return time_step(
        proof.commitment,
        before=drand_time(beacon.round),
        what=f"round {beacon.round} of drand",
        facts=facts,
    )


def block_time_step(proof: PairProof, facts: Facts | None) -> Step:
    """As for a round of drand; when a block was made, only its chain can say."""
    number = proof.activation.beacon.round
    if facts is None or facts.block is None:
        return unchecked("in time", f"final before block {number}")
    block = facts.block
    if block.number != number:
        return Step("in time", f"final before block {number}", f"block {block.number}", FAILED)
    return time_step(proof.commitment, before=block.time, what=f"block {number}", facts=facts)


def receipts_step(proof: PairProof, commit: bytes) -> Step:
    """Every bet holds on to the one before it, and the first one to the commitment."""
    receipts = [bet.receipt for bet in proof.bets]
    first = receipts[0].nonce if receipts else 0
    previous = receipts[0].previous if first else commit
    expected = f"nonces 0..{proof.count - 1}" if proof.count else "no bets"
    try:
        check_receipts(receipts, previous=previous, first=first)
    except BrokenReceipts as broken:
        return Step("receipts", expected, str(broken), FAILED)
    after = first + len(receipts)
    if after > proof.count:
        return Step("receipts", expected, f"nonce {after - 1}", FAILED)
    if (first, after) != (0, proof.count):
        told = f"nonces {first}..{after - 1}" if receipts else "none"
        return unchecked("receipts", expected, f"{told} hold, the others are not in this proof")
    return Step("receipts", expected, expected, OK)


Check = Callable[[PairBet], Step]


def bet_checks(proof: PairProof, recover: Recover | None) -> tuple[Check, ...]:
    """What is asked of every bet, in order."""

    def outcome_of(bet: PairBet) -> bytes:
        return proof.pair.outcome(
            seed=proof.seed,
            client_seed=proof.client_seed,
            activation=proof.activation.beacon.hash,
            nonce=bet.receipt.nonce,
            game=bet.receipt.game,
            params=bet.params,
        )

    def signature(bet: PairBet) -> Step:
        return signed(
            "signature",
            digest=bet.receipt.digest,
            signature=bet.signature,
            signer=proof.signer,
            recover=recover,
        )

    def outcome(bet: PairBet) -> Step:
        return compared("outcome", outcome_of(bet).hex(), bet.outcome.hex())

    def draw(bet: PairBet) -> Step:
        return draw_step(bet.receipt.game, outcome_of(bet), bet.draw)

    def terms(bet: PairBet) -> Step:
        return read_step(bet)

    def payout(bet: PairBet) -> Step:
        return payout_step(bet, outcome_of(bet))

    return (signature, outcome, draw, terms, payout)


def read_step(bet: PairBet) -> Step:
    try:
        terms = read_terms(game=bet.receipt.game, params=bet.params, pay_table=bet.pay_table)
    except Unknown as unknown:
        return Step("terms", "a choice of a pay table", str(unknown), FAILED)
    return Step("terms", "a choice of a pay table", str(terms.choice), OK)


def payout_step(bet: PairBet, outcome: bytes) -> Step:
    try:
        terms = read_terms(game=bet.receipt.game, params=bet.params, pay_table=bet.pay_table)
    except Unknown:
        return Step("payout", "what the terms say", str(bet.payout), FAILED)
    paid = terms.payout(bet.receipt.stake, drawn(bet.receipt.game, outcome))
    return compared("payout", str(paid), str(bet.payout))


def every(proof: PairProof, check: Check) -> Step:
    """The step for all bets: the first that failed, else the first unchecked, else all of them."""
    steps = [(bet.receipt.nonce, check(bet)) for bet in proof.bets]
    for status in (FAILED, UNCHECKED):
        for nonce, step in steps:
            if step.status == status:
                return replace(step, found=f"nonce {nonce}: {step.found}")
    if not steps:
        return unchecked(check.__name__, "a bet", "no bets in this proof")
    return Step(steps[0][1].name, f"{len(steps)} bets", f"{len(steps)} bets", OK)


def pair_reveal_step(proof: PairProof, facts: Facts | None) -> Step:
    expected = proof.seed.hex()
    if facts is None:
        return unchecked("reveal", expected)
    if facts.revealed is None:
        return unchecked("reveal", expected, "not revealed on chain yet")
    return compared("reveal", expected, facts.revealed.seed.hex())
