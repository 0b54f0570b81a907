"""Pairs and their receipts: the published bytes hold, and a row of receipts has no gap."""

from __future__ import annotations

import hmac
from dataclasses import replace
from hashlib import sha256

import pytest

from games.fairness import pairs, receipts
from games.fairness.encoding import tag, u64
from games.fairness.pairs import Pair
from games.fairness.receipts import Receipt
from games.fairness.stream import Stream

SEED = bytes(range(32))
WETH = b"0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2"
PAIR = Pair(b"eip155:8453", WETH, 0)
COMMIT = PAIR.commit(SEED)


def outcome(**changed: object) -> bytes:
    told = {
        "seed": SEED,
        "client_seed": b"lucky",
        "activation": bytes(32),
        "nonce": 0,
        "game": b"dice",
        "params": b"\x01",
        **changed,
    }
    return PAIR.outcome(**told)  # type: ignore[arg-type]


def row(count: int) -> list[Receipt]:
    made: list[Receipt] = []
    for nonce in range(count):
        made.append(
            Receipt(
                pair=PAIR,
                nonce=nonce,
                client_seed=b"lucky",
                activation=bytes(32),
                asset=b"iso4217:USD",
                game=b"dice",
                params_hash=bytes(32),
                stake=100 + nonce,
                at=1_700_000_000_000 + nonce,
                previous=made[-1].digest if made else COMMIT,
            )
        )
    return made


def test_the_published_pair_holds_byte_for_byte() -> None:
    assert COMMIT.hex() == "f8474a932c9a10aab958d557a18d0f1f58a8669399cde087b89ed1fd62bb793e"
    message = tag(
        b"pair-out", PAIR.chain, WETH, u64(0), b"lucky", u64(0), b"dice", bytes(32)
    )  # as published: without the activation beacon
    published = hmac.digest(SEED, message, sha256).hex()
    assert published.startswith("6c916d53")
    assert published.endswith("2dab")
    assert Stream(bytes.fromhex(published)).below(10_000) == 1_898


def test_the_activation_beacon_stands_between_client_seed_and_nonce() -> None:
    message = tag(
        b"pair-out",
        PAIR.chain,
        WETH,
        u64(0),
        b"lucky",
        bytes(32),
        u64(0),
        b"dice",
        sha256(b"\x01").digest(),
    )
    assert outcome() == hmac.digest(SEED, message, sha256)


def test_every_field_of_an_outcome_changes_it() -> None:
    others = {
        outcome(seed=bytes(32)),
        outcome(client_seed=b"Lucky"),
        outcome(activation=b"\x01" * 32),
        outcome(nonce=1),
        outcome(game=b"limbo"),
        outcome(params=b"\x02"),
    }
    assert len(others | {outcome()}) == 7


@pytest.mark.parametrize("client_seed", [b"x", b"x" * 64, "é".encode() * 32, b"\0"])
def test_a_client_seed_of_one_to_64_bytes_is_taken(client_seed: bytes) -> None:
    assert len(outcome(client_seed=client_seed)) == 32


@pytest.mark.parametrize("client_seed", [b"", b"x" * 65, b"\xff", b"\xed\xa0\x80", b"x\xc3"])
def test_a_client_seed_of_another_length_or_not_utf8_is_refused(client_seed: bytes) -> None:
    with pytest.raises(ValueError, match="client seed"):
        outcome(client_seed=client_seed)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"chain": b"8453"}, "CAIP-2"),
        ({"account": b""}, "an account"),
        ({"account": b"player 17"}, "an account"),
        ({"account": b"p" * 161}, "an account"),
        ({"epoch": -1}, "an epoch"),
        ({"epoch": 2**64}, "an epoch"),
    ],
)
def test_a_pair_outside_the_rules_cannot_exist(changed: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(PAIR, **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": bytes(31)},
        {"activation": b""},
        {"nonce": -1},
        {"nonce": pairs.MAX_BETS},
        {"game": b""},
    ],
)
def test_an_outcome_takes_nothing_outside_the_rules(changed: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"seed|activation|nonces|game"):
        outcome(**changed)


def test_receipts_in_a_row_hold_on_to_one_another() -> None:
    made = row(5)
    assert receipts.check_receipts(made, previous=COMMIT, count=5) == made[-1].digest
    assert receipts.check_receipts([], previous=COMMIT, count=0) == COMMIT


def test_every_field_of_a_receipt_changes_its_digest() -> None:
    first = row(1)[0]
    others = {
        replace(first, pair=replace(PAIR, epoch=1)).digest,
        replace(first, nonce=1).digest,
        replace(first, client_seed=b"unlucky").digest,
        replace(first, activation=b"\x01" * 32).digest,
        replace(first, asset=b"iso4217:EUR").digest,
        replace(first, game=b"limbo").digest,
        replace(first, params_hash=b"\x01" * 32).digest,
        replace(first, stake=101).digest,
        replace(first, at=0).digest,
        replace(first, previous=bytes(32)).digest,
    }
    assert len(others | {first.digest}) == 11


def test_a_bet_left_out_of_a_row_is_noticed_at_its_place() -> None:
    made = row(4)
    with pytest.raises(receipts.NonceSkipped, match="nonce 2 is missing") as skipped:
        receipts.check_receipts([*made[:2], made[3]], previous=COMMIT)
    assert skipped.value.at == 2


def test_a_nonce_used_twice_is_noticed_at_its_place() -> None:
    made = row(3)
    with pytest.raises(receipts.NonceReused, match="nonce 1 came before"):
        receipts.check_receipts([*made[:2], made[1]], previous=COMMIT)


def test_a_receipt_changed_afterwards_breaks_the_link_behind_it() -> None:
    made = row(3)
    made[1] = replace(made[1], stake=1)
    with pytest.raises(receipts.LinkBroken) as broken:
        receipts.check_receipts(made, previous=COMMIT)
    assert broken.value.at == 2


def test_receipts_of_another_seed_are_refused() -> None:
    with pytest.raises(receipts.LinkBroken):
        receipts.check_receipts(row(2), previous=PAIR.commit(bytes(32)))


def test_receipts_of_two_pairs_are_no_row() -> None:
    made = row(2)
    made[1] = replace(made[1], pair=replace(PAIR, epoch=1))
    with pytest.raises(receipts.BrokenReceipts, match="epoch=1"):
        receipts.check_receipts(made, previous=COMMIT)


def test_a_bet_without_a_receipt_is_noticed_by_the_count() -> None:
    with pytest.raises(receipts.BrokenReceipts, match="4 bets were taken, and 3"):
        receipts.check_receipts(row(3), previous=COMMIT, count=4)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"nonce": pairs.MAX_BETS}, "nonces"),
        ({"client_seed": b""}, "client seed"),
        ({"activation": bytes(31)}, "activation"),
        ({"asset": b""}, "an asset"),
        ({"game": b"a game"}, "a game"),
        ({"params_hash": bytes(31)}, "params"),
        ({"stake": 2**256}, "a stake"),
        ({"at": -1}, "a time"),
        ({"previous": bytes(33)}, "a link"),
    ],
)
def test_a_receipt_outside_the_rules_cannot_exist(changed: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(row(1)[0], **changed)  # type: ignore[arg-type]
