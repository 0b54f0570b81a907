"""Published vectors: current, real where others can check them, and broken where they say so."""

from __future__ import annotations

import json
from typing import Any

import coincurve
import pytest
from Crypto.Hash import keccak

from games import GAMES
from games.fairness import published
from games.fairness.published import broken, proofs, signing, values
from games.fairness.verify import Malformed, read, read_facts, verify, write_facts, written

VECTORS: dict[str, Any] = json.loads(published.FILE.read_text())
PROOFS = VECTORS["proofs"]
GOOD = [case for case in PROOFS if case["breaks"] is None]
BAD = [case for case in PROOFS if case["breaks"] and "steps" in case]
ILL_FORMED = [case for case in PROOFS if "malformed" in case]


def recovered(digest: bytes, signature: bytes) -> bytes | None:
    """As a wallet would: by libsecp256k1 and Keccak-256, not by this house's arithmetic."""
    try:
        key = coincurve.PublicKey.from_signature_and_message(
            signature[:64] + bytes([signature[64] - 27]), digest, hasher=None
        )
    except Exception:  # coincurve raises bare exceptions
        return None
    hashed = keccak.new(digest_bits=256, data=key.format(compressed=False)[1:])
    return hashed.digest()[-20:]


def checked(case: dict[str, Any]) -> list[list[str]]:
    facts = None if case["facts"] is None else read_facts(case["facts"])
    steps = verify(case["proof"], facts=facts, recover=recovered, drand=proofs.drand)
    return [[step.name, step.status] for step in steps]


def test_the_committed_vectors_are_what_the_arithmetic_says_today() -> None:
    assert published.FILE.read_text() == published.text()


def test_at_least_200_cases_reach_every_game_and_both_chains() -> None:
    assert sum(len(told) for name, told in VECTORS.items() if name != "scheme") >= 200
    assert {case["game"] for case in VECTORS["games"]} == {name.decode() for name in GAMES}
    assert {case["payout"] == "0" for case in VECTORS["games"]} == {True, False}
    for told in ("rounds", "leaves", "pairs"):
        chains = {case["chain"].split(":")[0] for case in VECTORS[told]}
        assert chains == {"eip155", "solana"}, told
    assert {case["first_word_rejected"] for case in VECTORS["below"]} == {True, False}
    assert {len(case["client_seed"]) // 2 for case in VECTORS["pairs"]} >= {1, 64}
    assert {case["bets_root"] == "00" * 32 for case in VECTORS["rounds"]} == {True, False}
    assert max(int(case["stake"]) for case in VECTORS["leaves"]) == 2**256 - 1


def test_every_game_wins_and_loses_somewhere_in_the_vectors() -> None:
    for name in GAMES:
        paid = [case["payout"] for case in VECTORS["games"] if case["game"] == name.decode()]
        assert "0" in paid, name
        assert set(paid) > {"0"}, name


def test_the_signers_of_the_vectors_are_who_the_curve_says() -> None:
    for key, address in (
        (values.SIGNER_KEY, values.SIGNER),
        (values.STRANGER_KEY, values.STRANGER),
    ):
        digest = values.drawn("any digest")
        assert recovered(digest, signing.sign(key, digest)) == address
    for case in (*VECTORS["rounds"], *VECTORS["leaves"], *VECTORS["pairs"]):
        digest = bytes.fromhex(case.get("digest") or case["receipt"])
        assert recovered(digest, bytes.fromhex(case["signature"])).hex() == case["signer"]  # type: ignore[union-attr]


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case["name"])
def test_a_good_proof_holds_in_every_step(case: dict[str, Any]) -> None:
    steps = checked(case)
    assert steps == case["steps"]
    assert "failed" not in {status for _, status in steps}
    offline, empty = case["facts"] is None, "pair without bets" in case["name"]
    assert ({status for _, status in steps} == {"ok"}) == (not offline and not empty)


@pytest.mark.parametrize("case", BAD, ids=lambda case: case["name"])
def test_a_bad_proof_fails_where_a_person_says(case: dict[str, Any]) -> None:
    steps = checked(case)
    assert steps == case["steps"]
    assert [case["breaks"], "failed"] in steps


@pytest.mark.parametrize("case", ILL_FORMED, ids=lambda case: case["name"])
def test_an_ill_formed_proof_is_refused_by_the_field_a_person_names(case: dict[str, Any]) -> None:
    with pytest.raises(Malformed) as malformed:
        checked(case)
    assert malformed.value.field == case["malformed"] == case["breaks"]


@pytest.mark.parametrize("name", broken.BASES)
def test_a_proof_and_its_facts_come_back_from_their_files(name: str) -> None:
    made = broken.BASES[name]
    for told in (written(made.proof), json.loads(json.dumps(written(made.proof)))):
        assert read(told) == made.proof
    assert read_facts(json.loads(json.dumps(write_facts(made.facts)))) == made.facts
