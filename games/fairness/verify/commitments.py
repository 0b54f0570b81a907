"""Commitments: that the seed was bound, on chain and for good, before anybody could bet on it."""

from __future__ import annotations

from games.fairness import merkle
from games.fairness.rounds import Schedule
from games.fairness.verify.facts import Committed, Facts
from games.fairness.verify.proofs import Commitment
from games.fairness.verify.steps import FAILED, Step, compared, judged, unchecked


def commitment_step(commitment: Commitment, commit: bytes, *, place: int, places: int) -> Step:
    """The seed's commitment stands at its place under the committed root."""
    found = "a place outside the batch"
    if 0 <= place < places:
        found = merkle.climb(commit, position=place, proof=commitment.proof).hex()
    held = merkle.verify(
        commitment.root, commit, position=place, count=places, proof=commitment.proof
    )
    return judged("commitment", commitment.root.hex(), found, held=held)


def chain_step(
    commitment: Commitment,
    *,
    program: bytes,
    table: bytes | None,
    schedule: Schedule | None,
    number: int | None,
    kind: bytes | None,
    facts: Facts | None,
) -> Step:
    """The contract keeps this root, with all it is bound to, from where the proof says."""
    said = Committed(
        program=program,
        table=table,
        root=commitment.root,
        schedule=schedule,
        tx=commitment.tx,
        position=commitment.position,
        time=commitment.time,
        final_at=None,
        number=number,
        kind=kind,
    )
    expected = described(said)
    if facts is None:
        return unchecked("on chain", expected)
    if facts.committed is None:
        return Step("on chain", expected, "no such commitment", FAILED)
    return compared("on chain", expected, described(facts.committed))


def described(committed: Committed) -> str:
    table = "" if committed.table is None else f" at table {committed.table.decode()}"
    rounds = "" if committed.schedule is None else f" of {scheduled(committed.schedule)}"
    pairs = "" if committed.number is None else f" as pairs {committed.number}"
    beacon = "" if committed.kind is None else f", beacon {committed.kind.decode()}"
    return (
        f"{committed.root.hex()} in {committed.program.hex()}{table}{rounds}{pairs}{beacon};"
        f" tx {committed.tx.decode()} at {committed.position}, {committed.time}"
    )


def scheduled(schedule: Schedule) -> str:
    last = schedule.first + schedule.count - 1
    return (
        f"rounds {schedule.first}..{last}, open from {schedule.opens} every {schedule.period} s,"
        f" closed {schedule.lead} s early, revealed within {schedule.reveal_window} s,"
        f" beacon {schedule.kind.decode()}, at most {schedule.max_liability} each,"
        f" signed by {schedule.signer.hex()}"
    )


def time_step(commitment: Commitment, *, before: int, what: str, facts: Facts | None) -> Step:
    """It was committed, and final, before the moment it had to be."""
    expected = f"final before {what} at {before}"
    if facts is None or facts.committed is None:
        said = f"said to be in a block of {commitment.time}"
        if commitment.time >= before:
            return Step("in time", expected, said, FAILED)
        return unchecked("in time", expected, f"{said}, not checkable offline")
    final_at = facts.committed.final_at
    if final_at is None:
        found = f"in a block of {facts.committed.time}, and not final yet"
        return Step("in time", expected, found, FAILED)
    return judged("in time", expected, f"final at {final_at}", held=final_at < before)
