"""Encodings nobody can confuse, trees that prove only what they hold, integers without bias."""

from __future__ import annotations

import hmac
from collections import Counter
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from games.fairness import bets, merkle
from games.fairness.encoding import tag, u64
from games.fairness.stream import Stream

PUBLISHED_SEED = bytes(range(32))
SOLANA = b"solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp"
QUICKNET = bytes.fromhex("52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971")


def test_the_round_of_the_published_scheme_is_reproduced() -> None:
    committed = sha256(tag(b"round-commit", SOLANA, b"roulette", u64(7), PUBLISHED_SEED))
    beacon = sha256(tag(b"beacon", b"drand", QUICKNET, u64(1_000), b"\xab" * 32)).digest()
    message = tag(b"round-out", SOLANA, b"roulette", u64(7), bytes(32), beacon)
    outcome = hmac.digest(PUBLISHED_SEED, message, sha256)
    assert committed.hexdigest() == (
        "f82884faa93bf0befaa76b841300839b4187cf4e85164243e85a5981fc18167e"
    )
    assert beacon.hex() == "27f063b489aec2d4c566c4cc525ba0243b0c0a3915361d310f1efca98bb24d0e"
    assert outcome.hex() == "6b584ce470799b49dc7e5d27c83c928d0e9d365c9c7af71403443531cc6b9d0b"
    assert Stream(outcome).below(37) == 16


@given(st.lists(st.binary(max_size=8), max_size=4), st.lists(st.binary(max_size=8), max_size=4))
def test_different_fields_never_share_their_bytes(one: list[bytes], two: list[bytes]) -> None:
    assert (tag(b"x", *one) == tag(b"x", *two)) == (one == two)


def test_a_field_longer_than_its_prefix_can_say_is_refused() -> None:
    with pytest.raises(ValueError, match="65535"):
        tag(b"x", bytes(65_536))


@given(st.integers(1, 70), st.data())
def test_a_proof_holds_for_its_own_place_and_no_other(count: int, data: st.DataObject) -> None:
    commits = [bytes([at]) * 32 for at in range(count)]
    tree = merkle.Tree.over(commits)
    position = data.draw(st.integers(0, count - 1))
    proof = tree.proof(position)
    for at in range(count + 2):
        held = merkle.verify(tree.root, commits[position], position=at, count=count, proof=proof)
        assert held == (at == position)


def test_a_proof_of_another_length_is_refused() -> None:
    commits = [bytes([at]) * 32 for at in range(5)]
    tree = merkle.Tree.over(commits)
    for proof in (tree.proof(0)[:-1], [*tree.proof(0), bytes(32)]):
        assert not merkle.verify(tree.root, commits[0], position=0, count=5, proof=proof)


@pytest.mark.parametrize("count", [0, 65_537])
def test_a_tree_has_bounds(count: int) -> None:
    with pytest.raises(ValueError, match="65536"):
        merkle.depth(count)


def test_integers_are_uniform_as_far_as_chi_square_can_see() -> None:
    stream, n, draws = Stream(bytes(32)), 37, 37_000
    seen = Counter(stream.below(n) for _ in range(draws))
    chi = sum((seen[value] - draws / n) ** 2 for value in range(n)) / (draws / n)
    assert chi < 67.98  # 36 degrees of freedom, one in a thousand; the draws are always the same


def test_a_seed_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        bets.commit(b"eip155:1", bytes(20), 0, bytes(31))


def test_a_client_seed_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="client seed"):
        bets.PlacedBet(b"eip155:1", bytes(20), 0, bytes(20), 1, bytes(4), bytes(33))
