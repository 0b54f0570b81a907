"""Attacks on fairness by their numbers in the research: what each would gain, and that it fails."""

from __future__ import annotations

import hmac
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from games import coinflip, crash
from games.fairness import pairs, rounds, stream
from games.fairness.encoding import tag
from games.fairness.pairs import Pair
from games.fairness.published import proofs
from games.fairness.published.values import EVM, SOLANA, drawn
from games.fairness.rounds import Beacon, Round
from games.fairness.stream import WORD, Stream
from games.fairness.verify import Facts, Malformed, PairProof, RoundProof, verify, written

ROUND = Round(EVM, bytes(20), b"crash", 7)
PAIR = Pair(EVM, b"player:17", 3)


def statuses(proof: RoundProof | PairProof, facts: Facts | None) -> dict[str, str]:
    told = verify(written(proof), facts=facts, recover=proofs.recover, drand=proofs.drand)
    return {step.name: step.status for step in told}


def flip(seed: bytes, client_seed: bytes, activation: bytes, nonce: int) -> int:
    outcome = PAIR.outcome(
        seed=seed,
        client_seed=client_seed,
        activation=activation,
        nonce=nonce,
        game=coinflip.NAME,
        params=b"",
    )
    return coinflip.draw(Stream(outcome))


def pair_with(client_seed: bytes) -> PairProof:
    proof = proofs.made_pair(EVM, client_seed=client_seed).proof
    assert isinstance(proof, PairProof)
    return proof


def heads(seed: bytes, client_seed: bytes, activation: bytes) -> int:
    """How many of 30 flips fall on heads."""
    return sum(not flip(seed, client_seed, activation, nonce) for nonce in range(30))


def test_a1_nothing_that_is_public_before_a_round_tells_its_outcome() -> None:
    # As the casino of the research did: the hash of the seed was commitment and outcome in one.
    beacon = Beacon(rounds.DRAND, rounds.QUICKNET, 1, bytes(32)).hash
    for number in range(100):
        seed, played = drawn("a1", number), replace(ROUND, number=number)
        commit = played.commit(seed)
        outcome = played.outcome(seed=seed, bets_root=bytes(32), beacon=beacon)
        message = tag(b"round-out", EVM, b"crash", number.to_bytes(8, "big"), bytes(32), beacon)
        guesses = {commit, sha256(commit).digest(), hmac.digest(commit, message, sha256)}
        guesses |= {sha256(seed).digest(), sha256(seed.hex().encode()).digest()}
        told = {crash.draw(Stream(guess)) for guess in guesses}
        assert outcome not in guesses
        assert crash.draw(Stream(outcome)) not in told


def test_a2_a_house_that_picks_its_seed_to_a_known_client_seed_gains_nothing() -> None:
    hoped, got = 0, 0
    for player in range(40):
        client_seed = b"unchanged-%d" % player
        seeds = [drawn("a2", player, number) for number in range(32)]
        best = max(seeds, key=lambda seed: heads(seed, client_seed, bytes(32)))
        hoped += heads(best, client_seed, bytes(32))
        got += heads(best, client_seed, drawn("beacon", player))
    assert hoped > 780  # of 1,200 flips: what it would win if no beacon came after its choice
    assert abs(got - 600) < 57  # 3.29 standard deviations, one in a thousand


@pytest.mark.parametrize("final_after_s", [0, 1, 60])
def test_a2_a_seed_bound_after_its_activation_beacon_is_a_failed_step(final_after_s: int) -> None:
    made = proofs.made_pair(EVM)
    assert made.facts.committed is not None
    assert statuses(made.proof, made.facts)["in time"] == "ok"
    known = rounds.drand_time(1_000) + final_after_s
    late = replace(made.facts, committed=replace(made.facts.committed, final_at=known))
    assert statuses(made.proof, late)["in time"] == "failed"


def test_a3_a_house_that_picks_both_seeds_gains_nothing() -> None:
    chosen = [
        (drawn("a3", number), drawn("a3-client", number)[:16].hex().encode())
        for number in range(300)
    ]
    best = max(chosen, key=lambda both: heads(both[0], both[1], bytes(32)))
    assert heads(*best, bytes(32)) >= 22
    got = sum(heads(*best, drawn("beacon", number)) for number in range(40))
    assert abs(got - 600) < 57


def test_a3_a_bet_without_a_client_seed_cannot_be_computed() -> None:
    with pytest.raises(ValueError, match="client seed"):
        flip(bytes(32), b"", bytes(32), 0)
    with pytest.raises(Malformed, match="client_seed"):
        verify(written(proofs.made_pair(EVM).proof) | {"client_seed": ""})


@pytest.mark.parametrize("chain", [EVM, SOLANA])
def test_a6_a_commitment_that_is_final_only_when_betting_opens_is_a_failed_step(
    chain: bytes,
) -> None:
    made = proofs.made_round(chain, b"dice")
    assert isinstance(made.proof, RoundProof)
    assert made.facts.committed is not None
    opens = made.proof.schedule.opens
    for final_at, status in ((opens - 1, "ok"), (opens, "failed"), (opens + 60, "failed")):
        committed = replace(made.facts.committed, final_at=final_at)
        facts = replace(made.facts, committed=committed)
        assert statuses(made.proof, facts)["in time"] == status


def test_a7_one_seed_commits_to_one_round_of_one_table_and_one_epoch_of_one_account() -> None:
    seed = drawn("a7")
    commits = {
        ROUND.commit(seed),
        replace(ROUND, number=8).commit(seed),
        replace(ROUND, table=b"crash-2").commit(seed),
        replace(ROUND, chain=b"eip155:1").commit(seed),
        PAIR.commit(seed),
        replace(PAIR, epoch=4).commit(seed),
        replace(PAIR, account=b"player:18").commit(seed),
        replace(PAIR, chain=b"eip155:1").commit(seed),
    }
    assert len(commits) == 8


def test_a7_a_second_commitment_for_a_round_is_not_the_one_on_chain() -> None:
    first = proofs.made_round(EVM, b"dice")
    second = proofs.made_round(EVM, b"dice", first=11)  # the same round, in a batch of its own
    assert isinstance(second.proof, RoundProof)
    assert statuses(second.proof, second.facts)["on chain"] == "ok"
    told = statuses(second.proof, first.facts)
    assert (told["commitment"], told["on chain"]) == ("ok", "failed")


@pytest.mark.parametrize("bets", [2, 4])
def test_a8_bets_added_or_dropped_afterwards_are_failed_steps(bets: int) -> None:
    made, other = proofs.made_round(EVM, b"dice"), proofs.made_round(EVM, b"dice", bets=bets)
    assert isinstance(made.proof, RoundProof)
    assert isinstance(other.proof, RoundProof)
    changed = replace(made.proof, bets=other.proof.bets)
    told = statuses(changed, made.facts)
    assert (told["anchor"], told["outcome"]) == ("failed", "failed")
    unsigned = replace(other.proof.bets, signature=made.proof.bets.signature)
    assert statuses(replace(made.proof, bets=unsigned), made.facts)["signature"] == "failed"


def test_a9_a_nonce_is_never_skipped_reused_or_beyond_what_a_seed_serves() -> None:
    for nonces in ((0, 2), (0, 0), (1, 0), (0, 1, 1), (0, 1, 3)):
        made = proofs.made_pair(EVM, nonces=nonces, count=len(nonces))
        assert statuses(made.proof, made.facts)["receipts"] == "failed", nonces
    for nonce in (-1, pairs.MAX_BETS, 2**32, 2**64):
        with pytest.raises(ValueError, match="one seed serves"):
            flip(bytes(32), b"x", bytes(32), nonce)


def test_a9_bets_beyond_the_count_the_house_reveals_are_a_failed_step() -> None:
    made = proofs.made_pair(EVM, nonces=(0, 1, 2), count=2)
    assert statuses(made.proof, made.facts)["receipts"] == "failed"


def test_a9_a_proof_that_shows_some_of_the_bets_says_so() -> None:
    made = proofs.made_pair(EVM, nonces=(0, 1, 2), count=4)
    assert statuses(made.proof, made.facts)["receipts"] == "unchecked"


@given(st.integers(1, WORD))
def test_a10_every_value_is_reached_by_equally_many_words(n: int) -> None:
    limit = WORD // n * n
    assert limit % n == 0
    assert WORD - limit < n


@pytest.mark.parametrize("n", [3, 37, 10_000, 2**63 + 1, 2**64 - 1])
def test_a10_words_that_would_favour_small_values_are_passed_over(
    n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = WORD // n * n

    def told(_: bytes) -> Iterator[int]:
        yield from (WORD - 1, limit, limit - 1)

    monkeypatch.setattr(stream, "words", told)
    assert Stream(bytes(32)).below(n) == n - 1


@given(st.binary(max_size=6), st.binary(max_size=6), st.integers(0, 12))
def test_a11_bytes_moved_from_one_field_to_the_next_change_the_meaning(
    one: bytes, two: bytes, cut: int
) -> None:
    both = one + two
    moved = both[:cut], both[cut:]
    assert (tag(b"pair-out", *moved) == tag(b"pair-out", one, two)) == (moved == (one, two))


def test_a11_a_client_seed_that_holds_the_next_field_is_another_bet() -> None:
    # Joined by colons, as elsewhere, both of these would be the text x:1:1:dice.
    outcomes = {
        PAIR.outcome(
            seed=drawn("a11"),
            client_seed=client_seed,
            activation=bytes(32),
            nonce=1,
            game=game,
            params=b"",
        )
        for client_seed, game in ((b"x:1", b"dice"), (b"x", b"1:dice"))
    }
    assert len(outcomes) == 2


@pytest.mark.parametrize("size", [0, 4, 16, 31, 33, 64])
def test_a12_a_seed_that_is_not_32_raw_bytes_is_refused_everywhere(size: int) -> None:
    seed = bytes(size)
    attempts: tuple[Any, ...] = (
        lambda: ROUND.commit(seed),
        lambda: ROUND.outcome(seed=seed, bets_root=bytes(32), beacon=bytes(32)),
        lambda: PAIR.commit(seed),
        lambda: flip(seed, b"x", bytes(32), 0),
    )
    for attempt in attempts:
        with pytest.raises(ValueError, match="a seed has 32 bytes"):
            attempt()


def test_a12_hex_text_is_no_key() -> None:
    with pytest.raises(ValueError, match="not 64"):
        ROUND.commit(drawn("a12").hex().encode())


def test_a14_a_player_who_tries_many_client_seeds_gains_nothing() -> None:
    # All that is public before a bet: the commitment. The player takes it for the seed.
    seed, activation = drawn("a14"), drawn("a14-beacon")
    commit = PAIR.commit(seed)
    tried = [b"try-%d" % number for number in range(400)]
    best = sorted(tried, key=lambda mine: heads(commit, mine, activation))[-20:]
    assert sum(heads(commit, mine, activation) for mine in best) > 400
    assert abs(sum(heads(seed, mine, activation) for mine in best) - 300) < 41


def test_a15_a_commitment_that_can_still_be_undone_is_a_failed_step() -> None:
    for made in (proofs.made_round(EVM, b"dice"), proofs.made_pair(EVM)):
        assert made.facts.committed is not None
        open_ended = replace(made.facts.committed, final_at=None)
        facts = replace(made.facts, committed=open_ended)
        assert statuses(made.proof, facts)["in time"] == "failed"


def test_a17_a_client_seed_is_its_bytes_and_not_how_it_looks() -> None:
    alike = [b"lucky", b"1ucky", b"Iucky", "luсky".encode()]  # the last has a Cyrillic letter
    forms = [unicodedata.normalize(form, "é").encode() for form in ("NFC", "NFD")]
    made = [pair_with(told).bets[0].receipt for told in (*alike, *forms)]
    assert len({receipt.digest for receipt in made}) == 6
    shown = [written(pair_with(told))["client_seed"] for told in alike]
    assert shown == [told.hex() for told in alike]


def test_a17_a_proof_that_shows_another_client_seed_than_was_used_fails() -> None:
    told = statuses(replace(pair_with(b"lucky"), client_seed=b"1ucky"), None)
    assert (told["receipts"], told["outcome"]) == ("failed", "failed")
    told = statuses(pair_with(b"lucky"), None)
    assert (told["receipts"], told["outcome"]) == ("ok", "ok")
