"""Verify: whatever a proof holds, it is judged step by step or refused by the name of a field."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from games.fairness.published import broken, proofs
from games.fairness.verify import (
    FAILED,
    OK,
    UNCHECKED,
    Facts,
    Malformed,
    read,
    read_facts,
    verify,
    write_facts,
)

ROUND_STEPS = [
    *("schedule", "commitment", "on chain", "in time", "bets", "signature", "anchor"),
    *("beacon round", "beacon", "outcome", "draw", "reveal"),
]
BET_STEPS = [*ROUND_STEPS, "bet", "terms", "payout"]
PAIR_STEPS = [
    *("commitment", "on chain", "in time", "beacon round", "beacon", "receipts", "signature"),
    *("outcome", "draw", "terms", "payout", "reveal"),
]
NAMES = ["eip155 round", "eip155 bet numbers", "solana pair", "eip155 round of blocks"]
JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=70)
    | st.sampled_from(["0", "00" * 32, "ff" * 32, "00" * 20, str(2**64 - 1), str(2**256 - 1)]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=5,
)


def paths(told: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every place in a JSON value."""
    inside: list[tuple[str | int, Any]] = []
    if isinstance(told, dict):
        inside = list(told.items())
    elif isinstance(told, list):
        inside = list(enumerate(told))
    return [path, *(one for key, value in inside for one in paths(value, (*path, key)))]


def put(told: Any, path: tuple[str | int, ...], value: Any) -> Any:
    if not path:
        return value
    told = copy.deepcopy(told)
    inside = told
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = value
    return told


def judged(told: Any, facts: Facts) -> set[str]:
    """The statuses of all steps, or `malformed`; anything else that is raised is a failure."""
    try:
        steps = verify(told, facts=facts, recover=proofs.recover, drand=proofs.drand)
    except Malformed:
        return {"malformed"}
    return {step.status for step in steps}


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("eip155 round", ROUND_STEPS),
        ("solana round without bets", ROUND_STEPS),
        ("eip155 round of blocks", ROUND_STEPS),
        ("solana bet crash", BET_STEPS),
        ("eip155 pair", PAIR_STEPS),
        ("solana pair without bets", PAIR_STEPS),
    ],
)
def test_steps_have_one_order_with_facts_and_without(name: str, steps: list[str]) -> None:
    made = broken.BASES[name]
    for facts in (made.facts, None):
        told = verify(broken.json_of(name), facts=facts)
        assert [step.name for step in told] == steps


@pytest.mark.parametrize("name", ["eip155 bet dice", "solana pair"])
def test_what_cannot_be_checked_offline_is_never_called_right_or_wrong(name: str) -> None:
    told = {step.name: step.status for step in verify(broken.json_of(name))}
    for step in ("on chain", "in time", "reveal", "signature", "beacon"):
        assert told[step] == UNCHECKED, step
    for step in ("commitment", "outcome", "draw", "terms", "payout"):
        assert told[step] == OK, step


def test_a_bad_step_says_what_was_expected_and_what_was_found() -> None:
    told = broken.json_of("eip155 bet dice")
    paid = told["bet"]["payout"]
    told["bet"]["payout"] = "7"
    last = verify(told, recover=proofs.recover, drand=proofs.drand)[-1]
    assert (last.name, last.expected, last.found, last.status) == ("payout", paid, "7", FAILED)


def test_a_step_of_many_bets_names_the_nonce_that_fails() -> None:
    told = broken.json_of("eip155 pair")
    told["bets"][2]["payout"] = told["bets"][3]["payout"] = "7"
    steps = {step.name: step for step in verify(told)}
    assert steps["payout"].found == "nonce 2: 7"


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@settings(max_examples=60)
def test_junk_anywhere_in_a_proof_is_judged_or_refused_by_name(
    name: str, data: st.DataObject
) -> None:
    made, told = broken.BASES[name], broken.json_of(name)
    path = data.draw(st.sampled_from(paths(told)))
    junk = put(told, path, data.draw(JUNK))
    found = judged(junk, made.facts)
    assert (found == {OK}) == (junk == told), path


@pytest.mark.parametrize("name", NAMES)
def test_every_single_field_of_a_proof_counts(name: str) -> None:
    """A change of any value is a failed step or a refusal; none is decoration."""
    made, told = broken.BASES[name], broken.json_of(name)
    for path in paths(told):
        value = told
        for key in path:
            value = value[key]
        if not isinstance(value, str):
            continue
        junk = put(told, path, changed(value))
        assert judged(junk, made.facts) & {FAILED, "malformed"}, path


def changed(value: str) -> str:
    """Another value of the same kind: the last digit, or the last letter, is another one."""
    if not value:
        return "0"
    return value[:-1] + ("1" if value[-1] == "0" else "0")


@pytest.mark.parametrize("junk", [None, 7, "proof", [], {}, {"kind": []}, {1: 2}, {"kind": {}}])
def test_what_is_no_proof_at_all_is_refused_by_name(junk: Any) -> None:
    with pytest.raises(Malformed):
        read(junk)


@given(data=st.data())
@settings(max_examples=100)
def test_junk_among_the_facts_is_refused_by_name(data: st.DataObject) -> None:
    made = broken.BASES["eip155 round of blocks"]
    told = write_facts(made.facts)
    path = data.draw(st.sampled_from(paths(told)))
    junk = put(told, path, data.draw(JUNK))
    try:
        facts = read_facts(junk)
    except Malformed:
        return
    assert judged(broken.json_of("eip155 round of blocks"), facts)
