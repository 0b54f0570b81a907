"""Published vectors: current, real where others can check them, and broken where they say so."""

from __future__ import annotations

import json
from typing import Any

import coincurve
import pytest
from Crypto.Hash import keccak

from games import GAMES, numbers, paytables
from games.fairness import published, rounds
from games.fairness.published import broken, proofs, signing, values
from games.fairness.stream import Stream
from games.fairness.verify import Malformed, read, read_facts, verify, write_facts, written
from games.rules import Game

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
    assert {case["payout"] == "0" for case in VECTORS["games"] if "payout" in case} == {True, False}
    for told in ("rounds", "leaves", "pairs"):
        chains = {case["chain"].split(":")[0] for case in VECTORS[told]}
        assert chains == {"eip155", "solana"}, told
    assert {case["first_word_rejected"] for case in VECTORS["below"]} == {True, False}
    assert {len(case["client_seed"]) // 2 for case in VECTORS["pairs"]} >= {1, 64}
    assert {case["bets_root"] == "00" * 32 for case in VECTORS["rounds"]} == {True, False}
    assert max(int(case["stake"]) for case in VECTORS["leaves"]) == 2**256 - 1


EDGES_BP = (0, 100, 1_150, 9_999)
CHAINS = ("eip155", "solana")


def edge_of(game: str, pay_table: str) -> int:
    """Of 10,000 parts, what the house keeps; of numbers, whose edge differs by choice, the nearest
    one that vectors are made for."""
    if game != "numbers":
        return int(pay_table, 16)
    low, high = numbers.bounds(numbers.PayTable.decoded(bytes.fromhex(pay_table)))
    kept = 10_000 * (1 - (low + high) / 2)
    return min(EDGES_BP, key=lambda edge: abs(edge - kept))


EVERYWHERE = {(name.decode(), edge) for name in GAMES for edge in EDGES_BP}


def test_every_game_is_played_and_refused_at_every_edge() -> None:
    played, won, refused = set(), set(), set()
    for case in VECTORS["games"]:
        if case.get("refused"):
            refused.add(case["game"])
            continue
        at = case["game"], edge_of(case["game"], case["pay_table"])
        played.add(at)
        won |= {at} if case["payout"] != "0" else set()
    assert played == EVERYWHERE
    assert won == EVERYWHERE
    assert refused == {name.decode() for name in GAMES}


@pytest.mark.parametrize("part", ["rounds", "pairs"])
def test_every_game_is_played_at_every_edge_on_both_chains(part: str) -> None:
    found = {
        (case["chain"].partition(":")[0], play["game"], edge_of(play["game"], play["pay_table"]))
        for case in VECTORS[part]
        if (play := case.get("play"))
    }
    assert found == {(chain, *at) for chain in CHAINS for at in EVERYWHERE}


@pytest.mark.parametrize("part", ["rounds", "pairs"])
def test_a_play_is_the_one_of_its_own_rounds_or_pairs_outcome(part: str) -> None:
    for case in VECTORS[part]:
        if play := case.get("play"):
            name = play["game"].encode()
            assert rounds.game_of(case.get("table", play["game"]).encode()) == name
            assert case.get("params", play["params"]) == play["params"]
            game, params = GAMES[name], bytes.fromhex(play["params"])
            result = game.draw(Stream(bytes.fromhex(case["outcome"])))
            assert values.said(result) == play["draw"]
            pays = type(game.PAYS).decoded(bytes.fromhex(play["pay_table"]))
            assert paytables.digest(game, pays) == params[: paytables.DIGEST]
            choice = game.Choice.decoded(params[paytables.DIGEST :])
            assert str(game.payout(int(play["stake"]), choice, result, pays)) == play["payout"]


REFUSALS = r"would win less|is written in|an edge is within|offers something"


def test_what_the_vectors_call_refused_is_refused_here_too() -> None:
    for case in VECTORS["games"]:
        if case.get("refused"):
            game, params = GAMES[case["game"].encode()], bytes.fromhex(case["params"])
            choice = game.Choice.decoded(params[paytables.DIGEST :])
            with pytest.raises(ValueError, match=REFUSALS):
                offers(game, choice, bytes.fromhex(case["pay_table"]))


def offers(game: Game, choice: Any, encoded: bytes) -> None:
    game.most(1, choice, type(game.PAYS).decoded(encoded))


def test_every_game_wins_and_loses_somewhere_in_the_vectors() -> None:
    for name in GAMES:
        mine = [case for case in VECTORS["games"] if case["game"] == name.decode()]
        paid = [case["payout"] for case in mine if "payout" in case]
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
