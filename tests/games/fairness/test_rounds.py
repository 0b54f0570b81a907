"""Rounds: the published bytes hold, and no value outside the rules can be made."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from games.fairness import merkle, rounds
from games.fairness.rounds import Beacon, BetReceipt, Round, RoundBet, Schedule, SignedRoot
from games.fairness.stream import Stream

SOLANA = b"solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp"
SEED = bytes(range(32))
ROULETTE = Round(SOLANA, bytes(32), b"roulette", 7)
ROUND = Round(b"eip155:31337", bytes(range(20)), b"numbers", 12)
BET = RoundBet(ROUND, 0, bytes(32), bytes(20), 5, 45, bytes(32))
SIGNED = SignedRoot(ROUND, BET.leaf, 1, 45)
SCHEDULE = Schedule(
    first=10,
    count=6,
    opens=1_700_000_000,
    period=10,
    lead=1,
    reveal_window=60,
    kind=b"drand",
    max_liability=10**18,
    signer=bytes(range(20)),
)


def test_the_published_round_holds_byte_for_byte() -> None:
    beacon = Beacon(rounds.DRAND, rounds.QUICKNET, 1_000, b"\xab" * 32)
    outcome = ROULETTE.outcome(seed=SEED, bets_root=bytes(32), beacon=beacon.hash)
    assert ROULETTE.commit(SEED).hex() == (
        "f82884faa93bf0befaa76b841300839b4187cf4e85164243e85a5981fc18167e"
    )
    assert beacon.hash.hex() == "27f063b489aec2d4c566c4cc525ba0243b0c0a3915361d310f1efca98bb24d0e"
    assert outcome.hex() == "6b584ce470799b49dc7e5d27c83c928d0e9d365c9c7af71403443531cc6b9d0b"
    assert Stream(outcome).below(37) == 16


def test_every_field_of_a_leaf_changes_it() -> None:
    others = {
        replace(BET, position=1).leaf,
        replace(BET, bet_id=b"\x01" * 32).leaf,
        replace(BET, payee=b"\x01" * 20).leaf,
        replace(BET, stake=6).leaf,
        replace(BET, liability=46).leaf,
        replace(BET, details=b"\x01" * 32).leaf,
        replace(BET, round=replace(ROUND, number=13)).leaf,
        replace(BET, round=replace(ROUND, table=b"numbers-2")).leaf,
        replace(BET, round=replace(ROUND, program=bytes(20))).leaf,
        replace(BET, round=replace(ROUND, chain=b"eip155:1")).leaf,
    }
    assert len(others | {BET.leaf}) == 11


def test_every_field_of_a_signed_root_changes_its_digest() -> None:
    others = {
        replace(SIGNED, root=b"\x01" * 32).digest,
        replace(SIGNED, count=2).digest,
        replace(SIGNED, liability=46).digest,
        replace(SIGNED, round=replace(ROUND, number=13)).digest,
        replace(SIGNED, round=replace(ROUND, table=b"numbers-2")).digest,
        replace(SIGNED, round=replace(ROUND, program=bytes(20))).digest,
        replace(SIGNED, round=replace(ROUND, chain=b"eip155:1")).digest,
    }
    assert len(others | {SIGNED.digest}) == 8


def test_every_field_of_a_bets_receipt_changes_its_digest() -> None:
    receipt = BetReceipt(ROUND, 0, BET.leaf)
    others = {
        replace(receipt, position=1).digest,
        replace(receipt, leaf=bytes(32)).digest,
        replace(receipt, round=replace(ROUND, number=13)).digest,
        replace(receipt, round=replace(ROUND, table=b"numbers-2")).digest,
        replace(receipt, round=replace(ROUND, program=bytes(20))).digest,
        replace(receipt, round=replace(ROUND, chain=b"eip155:1")).digest,
    }
    assert len(others | {receipt.digest, BET.leaf}) == 8
    for changed in ({"leaf": bytes(31)}, {"position": -1}, {"position": 2**64}):
        with pytest.raises(ValueError, match=r"a leaf has|a position is"):
            replace(receipt, **changed)


def test_a_receipt_shows_by_a_signed_root_that_its_bet_was_left_out() -> None:
    bets = [replace(BET, position=at, bet_id=bytes([at]) * 32) for at in range(3)]
    leaves = [bet.leaf for bet in bets]
    receipt = BetReceipt(ROUND, 1, leaves[1])

    def told(*kept: bytes) -> tuple[SignedRoot, list[list[bytes]]]:
        tree = merkle.Tree.over(kept)
        proofs = [tree.proof(at) for at in range(len(kept))]
        return SignedRoot(ROUND, tree.root, len(kept), 45), proofs

    whole, siblings = told(*leaves)
    assert not receipt.left_out(whole)
    assert not receipt.left_out(whole, leaf=leaves[1], proof=siblings[1])
    for other in (leaves[0], leaves[2]):
        for way in siblings:
            assert not receipt.left_out(whole, leaf=other, proof=way)
    moved, siblings = told(leaves[0], leaves[2])
    assert receipt.left_out(moved, leaf=leaves[2], proof=siblings[1])
    assert not receipt.left_out(moved)
    assert not receipt.left_out(moved, leaf=leaves[0], proof=siblings[0])
    short, _ = told(leaves[0])
    assert receipt.left_out(short)
    assert receipt.left_out(SignedRoot(ROUND, rounds.NO_BETS, 0, 0))
    elsewhere = replace(short, round=replace(ROUND, number=13))
    assert not receipt.left_out(elsewhere)
    endless = replace(short, count=2**40)
    assert not receipt.left_out(endless, leaf=leaves[2], proof=siblings[1])


def test_every_field_of_the_details_changes_them() -> None:
    told = {"account": b"player:17", "asset": b"iso4217:USD", "game": b"dice", "params": b"\x00"}
    others = {rounds.details(**{**told, name: b"other"}) for name in told}
    assert len(others | {rounds.details(**told)}) == 5


def test_a_round_without_bets_has_a_root_of_zeros() -> None:
    assert rounds.bets_root([]) == bytes(32)
    assert SignedRoot(ROUND, rounds.bets_root([]), 0, 0).digest
    assert rounds.bets_root([BET.leaf]) == merkle.leaf(BET.leaf)


def test_a_batch_says_when_each_round_opens_closes_and_is_revealed() -> None:
    assert SCHEDULE.opens_at(10) == 1_700_000_000
    assert SCHEDULE.closes_at(10) == 1_700_000_009
    assert SCHEDULE.opens_at(12) == 1_700_000_020
    assert SCHEDULE.reveal_by(12) == 1_700_000_029 + 60
    assert [number in SCHEDULE for number in (9, 10, 15, 16)] == [False, True, True, False]


@given(st.integers(rounds.QUICKNET_GENESIS, 2**40))
def test_the_beacon_is_the_first_one_later_than_two_seconds_after_closing(closes: int) -> None:
    number = rounds.drand_round(closes)
    assert rounds.drand_time(number - 1) <= closes + 2 < rounds.drand_time(number)


def test_beacons_before_the_first_one_do_not_exist() -> None:
    with pytest.raises(ValueError, match="quicknet began"):
        rounds.drand_round(rounds.QUICKNET_GENESIS - 3)
    with pytest.raises(ValueError, match="from 1"):
        rounds.drand_time(0)


def test_a_block_of_a_chain_is_known_by_the_hash_of_its_name() -> None:
    assert rounds.of_chain(b"eip155:31337") == sha256(b"eip155:31337").digest()


def test_tables_of_one_game_are_told_apart_by_their_number() -> None:
    named = [rounds.game_of(name) for name in (b"numbers", b"numbers-2", b"numbers-turbo")]
    assert named == [b"numbers", b"numbers", b"numbers-turbo"]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"chain": b"eip155"}, "CAIP-2"),
        ({"chain": b"EIP155:1"}, "CAIP-2"),
        ({"program": bytes(32)}, "20 bytes"),
        ({"chain": SOLANA}, "32 bytes"),
        ({"table": b""}, "a table"),
        ({"table": b"Numbers"}, "a table"),
        ({"table": b"numbers\n"}, "a table"),
        ({"table": b"n" * 33}, "a table"),
        ({"number": -1}, "a round"),
        ({"number": 2**64}, "a round"),
    ],
)
def test_a_round_outside_the_rules_cannot_exist(changed: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(ROUND, **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"count": 0}, "256 rounds"),
        ({"count": 257}, "256 rounds"),
        ({"first": -1}, "first"),
        ({"first": 2**64 - 5}, "last round"),
        ({"lead": 10}, "betting closes"),
        ({"period": 0, "lead": 0}, "betting closes"),
        ({"reveal_window": 0}, "window"),
        ({"opens": 2**64 - 1}, "end of the batch"),
        ({"kind": b"dice"}, "drand, block or none"),
        ({"max_liability": 2**256}, "max_liability"),
        ({"signer": bytes(32)}, "20 bytes"),
    ],
)
def test_a_batch_outside_the_rules_cannot_exist(changed: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(SCHEDULE, **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"position": 2**64}, "a position"),
        ({"bet_id": bytes(31)}, "a bet's id"),
        ({"payee": bytes(32)}, "a payee"),
        ({"stake": 2**256}, "a stake"),
        ({"liability": -1}, "a liability"),
        ({"details": bytes(33)}, "details"),
    ],
)
def test_a_bet_outside_the_rules_cannot_exist(changed: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(BET, **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"root": bytes(31)}, "a root of bets"),
        ({"root": bytes(32)}, "root of zeros"),
        ({"count": 0}, "root of zeros"),
        ({"count": 0, "root": bytes(32)}, "no liability"),
        ({"count": 2**64}, "a count of bets"),
        ({"liability": 2**256}, "a liability"),
    ],
)
def test_a_signed_root_outside_the_rules_cannot_exist(
    changed: dict[str, object], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        replace(SIGNED, **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "chain_hash", "number", "randomness"),
    [
        (b"vrf", bytes(32), 0, bytes(32)),
        (b"drand", bytes(31), 1, bytes(32)),
        (b"drand", bytes(32), -1, bytes(32)),
        (b"block", bytes(32), 1, bytes(33)),
        (b"none", bytes(32), 1, bytes(32)),
        (b"none", bytes(32), 0, b"\x01" * 32),
    ],
)
def test_a_beacon_outside_the_rules_cannot_exist(
    kind: bytes, chain_hash: bytes, number: int, randomness: bytes
) -> None:
    with pytest.raises(ValueError, match="beacon"):
        Beacon(kind, chain_hash, number, randomness)


@pytest.mark.parametrize(
    ("seed", "root", "beacon"),
    [
        (bytes(31), bytes(32), bytes(32)),
        (bytes(32), bytes(31), bytes(32)),
        (bytes(32), bytes(32), bytes(33)),
    ],
)
def test_an_outcome_takes_nothing_of_another_length(
    seed: bytes, root: bytes, beacon: bytes
) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        ROUND.outcome(seed=seed, bets_root=root, beacon=beacon)
