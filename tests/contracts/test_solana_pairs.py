"""Pairs in the Solana bond: committed by the keeper, shown by anybody, as on the EVM."""

from __future__ import annotations

import json
from typing import Any

import pytest
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from contracts import vectors
from games.fairness import merkle
from games.fairness.pairs import Pair
from games.fairness.vectors import SOLANA, drawn
from tests.contracts.solana_bond import Bond
from tests.contracts.solana_runtime import SOL, Refused

ROOT = bytes([9]) * 32
LAST = 2**64 - 1
SHARED: list[dict[str, Any]] = [
    case
    for case in json.loads(vectors.PAIRS.read_text())["pairs"]
    if case["chain"] == SOLANA.decode()
]


@pytest.fixture
def bond() -> Bond:
    return Bond().open()


def refused(name: str) -> pytest.RaisesExc[Refused]:
    return pytest.RaisesExc(Refused, check=lambda error: error.name == name)


def kept(bond: Bond, number: int = 0) -> int:
    """The places of a commitment that were shown, as bits."""
    return bond.read(bond.pairs(number), "Pairs", "revealed")


def test_the_keeper_commits_to_pairs_and_no_money_is_locked(bond: Bond) -> None:
    (said,) = bond.events(bond.commit_pairs(0, root=ROOT, count=256, kind=2))
    assert said == ("PairsCommitted", {"number": 0, "root": ROOT, "count": 256, "kind": 2})
    fields = ("number", "count", "kind", "revealed")
    assert [bond.read(bond.pairs(0), "Pairs", name) for name in fields] == [0, 256, 2, 0]
    assert bond.locked == 0
    bond.commit_pairs(1, root=ROOT, kind=1)


def test_only_the_keeper_commits_pairs_and_not_while_paused(bond: Bond) -> None:
    with refused("NotKeeper"):
        bond.commit_pairs(0, who=bond.witness)
    bond.own("set_paused", paused=True)
    with refused("IsPaused"):
        bond.commit_pairs(0)
    bond.own("set_paused", paused=False)
    bond.commit_pairs(0)


def test_pairs_outside_the_rules_are_refused_by_name(bond: Bond) -> None:
    for changed, name in (
        ({"kind": 0}, "BadKind"),
        ({"kind": 3}, "BadKind"),
        ({"count": 0}, "BadCount"),
        ({"count": 257}, "BadCount"),
        ({"root": bytes(32)}, "BadRoot"),
    ):
        with refused(name):
            bond.commit_pairs(0, **({"root": ROOT} | changed))
    bond.commit_pairs(0, root=ROOT)


def test_commitments_of_pairs_have_no_gap_and_the_first_write_wins(bond: Bond) -> None:
    for number in (1, 2**32, LAST):
        with refused("IndexGap"):
            bond.commit_pairs(number, root=ROOT)
    bond.commit_pairs(0, root=ROOT)
    for number in (0, 2, LAST):
        with refused("IndexGap"):
            bond.commit_pairs(number, root=bytes([8]) * 32)
    bond.commit_pairs(1, root=bytes([8]) * 32)
    assert bond.read(bond.pairs(0), "Pairs", "root") == int.from_bytes(ROOT, "little")


def test_the_last_number_of_all_has_no_commitment_after_it(bond: Bond) -> None:
    bond.commit_pairs(0, root=ROOT)
    bond.rewrite(bond.program.derive(b"pairs"), "Numbering", next=LAST)
    with refused("Overflow"):
        bond.commit_pairs(LAST, root=ROOT)


def test_anybody_with_the_seed_shows_a_pair_once_even_while_paused(bond: Bond) -> None:
    bond.commit_pairs(0, count=5)
    bond.own("set_paused", paused=True)
    (said,) = bond.events(bond.reveal_pair(4, 5))
    shown = {"number": 0, "place": 4, "account": "player:17", "epoch": 4, "seed": bond.hidden(4)}
    assert said == ("PairRevealed", shown)
    bond.reveal_pair(0, 5)
    assert kept(bond) == 0b10001
    with refused("AlreadyRevealed"):
        bond.reveal_pair(4, 5)


def test_the_last_of_256_pairs_is_shown_like_the_first(bond: Bond) -> None:
    bond.commit_pairs(0, count=256)
    bond.reveal_pair(255, 256)
    assert kept(bond) == 1 << 255


def test_a_pair_that_is_not_what_was_committed_changes_nothing(bond: Bond) -> None:
    bond.commit_pairs(0, count=3)
    wrong: tuple[dict[str, Any], ...] = (
        {"seed": bytes(32)},
        {"epoch": 2},
        {"account": "player:18"},
        {"place": 0},
        {"proof": []},
        {"proof": bond.pair_tree(3).proof(1)[:1]},
        {"proof": [*bond.pair_tree(3).proof(1), bytes(32)]},
    )
    for changed in wrong:
        with refused("SeedRefused"):
            bond.reveal_pair(1, 3, **changed)
    for place in (3, 256, 2**16 - 1):
        with refused("NoSuchPair"):
            bond.reveal_pair(1, 3, place=place)
    with refused("NoSuchBatch"):
        bond.reveal_pair(1, 3, number=1)
    assert kept(bond) == 0


def test_an_account_is_1_to_160_visible_letters(bond: Bond) -> None:
    bond.commit_pairs(0, count=3)
    for account in ("", " ", "a b", "a\0", "\x7f", "ü", "~" * 161, "!" * 300):
        with refused("BadAccount"):
            bond.reveal_pair(1, 3, account=account)
    with refused("SeedRefused"):
        bond.reveal_pair(1, 3, account="!~" * 80)


def test_accounts_of_other_pairs_or_of_nobody_are_refused(bond: Bond) -> None:
    bond.commit_pairs(0, count=3)
    bond.commit_pairs(1, count=3)
    strangers: tuple[dict[str, Pubkey], ...] = (
        {"pairs": bond.pairs(1)},
        {"pairs": bond.address},
        {"pairs": bond.program.derive(b"pairs")},
        {"bond": bond.pairs(0)},
    )
    for accounts in strangers:
        with refused("WrongAccount"):
            bond.reveal_pair(1, 3, accounts=accounts)
    for accounts in (
        {"numbering": bond.pairs(1)},
        {"numbering": Keypair().pubkey()},
        {"pairs": bond.pairs(3)},
        {"bond": bond.pairs(0)},
    ):
        with refused("WrongAccount"):
            bond.commit_pairs(2, root=ROOT, accounts=accounts)
    assert (kept(bond), kept(bond, 1)) == (0, 0)


def test_lamports_sent_beforehand_keep_no_pairs_from_being_committed(bond: Bond) -> None:
    for address in (bond.program.derive(b"pairs"), bond.pairs(0)):
        bond.enrich(address, SOL)
    bond.commit_pairs(0, count=3)
    bond.reveal_pair(2, 3)


def test_every_shared_pair_is_committed_and_shown_as_python_says() -> None:
    bond = Bond(chain=SOLANA).open()
    for case in SHARED:
        number, place = int(case["number"]), case["place"]
        terms = {"root": bytes.fromhex(case["root"]), "count": case["count"]}
        bond.commit_pairs(number, **terms, kind=case["kind"])
        args = {"number": number, "account": case["account"], "epoch": int(case["epoch"])}
        args |= {"seed": bytes.fromhex(case["seed"])}
        args |= {"proof": [bytes.fromhex(one) for one in case["proof"]]}
        (said,) = bond.events(bond.reveal_pair(place, 1, **args))
        assert said[1]["seed"] == args["seed"]
        assert kept(bond, number) == 1 << place


def test_the_committed_pairs_are_what_python_says_and_reach_the_ends() -> None:
    assert vectors.PAIRS.read_text() == vectors.texts()[vectors.PAIRS]
    assert {len(case["account"]) for case in SHARED} >= {1, 160}
    assert {int(case["epoch"]) for case in SHARED} >= {0, LAST}
    assert {(case["place"], case["count"]) for case in SHARED} >= {(0, 1), (255, 256)}
    for case in SHARED:
        pair = Pair(SOLANA, case["account"].encode(), int(case["epoch"]))
        commit = pair.commit(bytes.fromhex(case["seed"]))
        spot = {"position": case["place"], "count": case["count"]}
        proof = [bytes.fromhex(one) for one in case["proof"]]
        assert merkle.verify(bytes.fromhex(case["root"]), commit, **spot, proof=proof)
    assert drawn(SOLANA, "pair", 0).hex() == SHARED[0]["seed"]
