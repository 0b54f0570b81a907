"""The Solana bond on a real runtime: what every verb locks, pays and refuses, to the lamport."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from chains.solana.address import event_authority
from chains.solana.decode import EVENT_TAG
from contracts import vectors
from contracts.solana import build
from contracts.solana.postlink import link
from games.fairness.rounds import SignedRoot
from tests.contracts.solana_bond import (
    CLAIM_WINDOW,
    INCINERATOR,
    PERIOD,
    REVEAL_WINDOW,
    TABLE,
    Bond,
)
from tests.contracts.solana_runtime import SOL, Refused

ROOT = bytes([9]) * 32
DAY = 86_400
PACKET = 1_232  # bytes of a transaction


@pytest.fixture
def bond() -> Bond:
    return Bond().open()


def refused(name: str) -> pytest.RaisesExc[Refused]:
    return pytest.RaisesExc(Refused, check=lambda error: error.name == name)


def pair(bond: Bond, number: int = 0) -> tuple[SignedRoot, SignedRoot]:
    one = SignedRoot(bond.spot(number), ROOT, 1, 1)
    return one, replace(one, count=2)


def test_what_is_committed_is_what_the_bond_sources_build() -> None:
    assert build.BOND.header.read_text() == build.header(build.BOND)
    assert build.BOND.program.read_bytes() == link(build.compile_object(build.BOND.source))


def test_only_the_upgrade_authority_initializes_a_bond_and_only_once() -> None:
    bond = Bond()
    bond.deploy()
    with refused("NotAuthority"):
        bond.initialize(bond.keeper)
    for changed in (
        {"claim_window": 9},
        {"claim_window": 30 * DAY + 1},
        {"chain": ""},
        {"keeper": Pubkey(bytes(32))},
        {"signer": bytes(20)},
    ):
        with refused("BadSetting"):
            bond.initialize(**changed)
    with refused("BadInstruction"):
        bond.initialize(chain="x" * 65)
    assert [name for name, _ in bond.events(bond.initialize())] == ["KeeperSet", "SignerSet"]
    with refused("WrongAccount"):
        bond.initialize()


def test_a_batch_locks_what_can_be_claimed_and_a_deposit_for_each_round(bond: Bond) -> None:
    opens = bond.now + 100
    (said,) = bond.events(bond.commit(0, 4))
    schedule = {"opens": opens, "period": PERIOD, "lead": 1, "reveal_window": REVEAL_WINDOW}
    assert said == (
        "RoundsCommitted",
        {
            "table": TABLE,
            "first": 0,
            "count": 4,
            "kind": 1,
            "root": bond.tree(0, 4).root,
            "schedule": schedule,
            "max_liability": SOL,
            "signer": vectors.signer_of(bond.signer),
        },
    )
    assert (bond.locked, bond.free) == (8 * SOL, 92 * SOL)


def test_a_batch_that_the_bond_cannot_carry_is_refused(bond: Bond) -> None:
    with refused("BondTooSmall"):
        bond.commit(0, 1, max_liability=50 * SOL + 1)
    for most in (2**54, 2**63, 2**64 - 1):  # twice, or 512 times as much does not fit 64 bits
        with refused("BondTooSmall"):
            bond.commit(0, 256, max_liability=most, root=ROOT)
    bond.commit(0, 1, max_liability=50 * SOL)
    assert bond.free == 0


def test_only_the_keeper_commits_and_not_while_paused(bond: Bond) -> None:
    with refused("NotKeeper"):
        bond.commit(who=bond.witness)
    bond.own("set_paused", paused=True)
    with refused("IsPaused"):
        bond.commit()
    bond.own("set_paused", paused=False)
    bond.commit()


def test_a6_a_commit_at_or_after_the_opening_is_refused(bond: Bond) -> None:
    for late in (0, 1, bond.now):
        with refused("LateCommit"):
            bond.commit(opens=bond.now - late)
    bond.commit(opens=bond.now + 1)


def test_a7_of_several_commits_of_a_round_only_the_first_one_counts(bond: Bond) -> None:
    bond.commit(0, 4)
    root = bond.read(bond.batch(), "Batch", "root")
    for first in (0, 3):
        with refused("IndexGap"):
            bond.commit(first, 4, opens=bond.now + 1_000, root=ROOT)
    assert bond.read(bond.batch(), "Batch", "root") == root


def test_a9_rounds_are_numbered_without_a_gap_at_every_table(bond: Bond) -> None:
    with refused("IndexGap"):
        bond.commit(1, 1)
    bond.commit(0, 2)
    for first in (1, 3, 2**64 - 1):
        with refused("IndexGap"):
            bond.commit(first, 1, opens=bond.now + 1_000, root=ROOT)
    bond.commit(2, 2, opens=bond.now + 1_000)
    bond.commit(0, 1, table="numbers-2")
    numbering = bond.program.derive(b"table", b"dice")
    bond.commit(0, 1, table="dice")
    bond.rewrite(numbering, "Table", next=2**64 - 1)
    with refused("Overflow"):
        bond.commit(2**64 - 1, 1, table="dice", opens=bond.now + 1_000, root=ROOT)


def test_a_batch_begins_when_the_one_before_has_ended(bond: Bond) -> None:
    opens = bond.now + 100
    bond.commit(0, 2, opens=opens)
    with refused("Overlap"):
        bond.commit(2, 1, opens=opens + 2 * PERIOD - 1)
    bond.commit(2, 1, opens=opens + 2 * PERIOD)


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("BadKind", {"kind": 0}),
        ("BadKind", {"kind": 3}),
        ("BadCount", {"count": 0, "root": ROOT}),
        ("BadCount", {"count": 257, "root": ROOT}),
        ("BadCount", {"count": 2**32 - 1, "root": ROOT}),
        ("BadRoot", {"root": bytes(32)}),
        ("BadLiability", {"max_liability": 0}),
        ("BadSchedule", {"opens": 2**64 - 1}),
        ("BadSchedule", {"period": 0, "lead": 0}),
        ("BadSchedule", {"lead": PERIOD}),
        ("BadSchedule", {"period": DAY + 1}),
        ("BadSchedule", {"period": 2**32 - 1}),
        ("BadSchedule", {"reveal_window": 9}),
        ("BadSchedule", {"reveal_window": DAY + 1}),
        ("BadSchedule", {"count": 256, "root": ROOT, "period": DAY}),
        ("BadTable", {"table": "Numbers", "root": ROOT}),
        ("BadTable", {"table": "num bers", "root": ROOT}),
        ("BadTable", {"table": "num\0bers", "root": ROOT}),
    ],
)
def test_a_commit_outside_the_rules_is_refused_by_name(
    bond: Bond, name: str, changed: dict[str, object]
) -> None:
    with refused(name):
        bond.commit(**changed)  # type: ignore[arg-type]
    assert bond.locked == 0


def test_a_table_has_a_name_of_32_letters_at_most(bond: Bond) -> None:
    numbering, batch = Pubkey.new_unique(), Pubkey.new_unique()
    accounts = {"numbering": numbering, "batch": batch}
    for table in ("", "x" * 33, "x" * 300):
        with refused("BadTable"):
            bond.commit(0, 1, table=table, root=ROOT, accounts=accounts)
    bond.commit(0, 1, table="x" * 32)


def test_a_batch_holds_up_to_256_rounds(bond: Bond) -> None:
    bond.commit(0, 256, max_liability=SOL // 8)
    bond.wait_until(bond.closes(255))
    bond.anchor(255, bond.empty(255))
    bond.reveal(255, 256)
    with refused("NoSuchRound"):
        bond.anchor(256, bond.empty(256))


def test_roots_are_anchored_from_the_close_until_the_seed_is_due(bond: Bond) -> None:
    bond.commit(0, 2)
    said = bond.signed_root(bond.bets(0))
    bond.wait_until(bond.closes(0) - 1)
    with refused("RoundOpen"):
        bond.anchor(0, said)
    bond.pass_time(1)
    assert bond.events(bond.anchor(0, said)) == [
        (
            "RootsAnchored",
            {
                "table": TABLE,
                "start": 0,
                "roots": [said.root],
                "counts": [said.count],
                "liabilities": [said.liability],
            },
        )
    ]
    with refused("AlreadyAnchored"):
        bond.anchor(0, said)
    bond.wait_until(bond.due(1))
    with refused("DeadlinePassed"):
        bond.anchor(1, bond.empty(1))
    bond.pass_time(-1)
    bond.anchor(1, bond.empty(1))


def test_twenty_rounds_are_anchored_at_once_or_none_of_them(bond: Bond) -> None:
    bond.commit(0, 24, reveal_window=DAY)
    said = [SignedRoot(bond.spot(n), bytes([n + 1]) * 32, n + 1, n) for n in range(24)]
    bond.wait_until(bond.closes(18))
    with refused("RoundOpen"):
        bond.anchor(0, *said[:20])
    bond.pass_time(PERIOD)
    bond.wait_until(bond.closes(23))
    with refused("BadInstruction"):
        bond.anchor(0, *said[:21])
    ((_, args),) = bond.events(bond.anchor(0, *said[:20]))
    assert args["roots"] == [one.root for one in said[:20]]
    with refused("NoSuchRound"):
        bond.anchor(23, *said[22:])
    bond.anchor(20, *said[20:])


def test_an_anchor_outside_the_rules_is_refused_by_name(bond: Bond) -> None:
    bond.commit(0, 2)
    said = SignedRoot(bond.spot(0), ROOT, 2, SOL)
    bond.wait_until(bond.closes(0))
    with refused("NotKeeper"):
        bond.anchor(0, said, who=bond.witness)
    cases: list[tuple[str, dict[str, object]]] = [
        ("BadCount", {"counts": [1, 2]}),
        ("BadCount", {"liabilities": []}),
        ("BadCount", {"roots": [], "counts": [], "liabilities": []}),
        ("BadRoot", {"roots": [bytes(32)]}),
        ("BadRoot", {"counts": [0]}),
        ("BadCount", {"counts": [65_537]}),
        ("BadLiability", {"liabilities": [SOL + 1]}),
        ("BadLiability", {"roots": [bytes(32)], "counts": [0], "liabilities": [1]}),
        ("NoSuchBatch", {"first": 1}),
        ("NoSuchBatch", {"table": "dice"}),
        ("NoSuchRound", {"start": 2}),
    ]
    for name, changed in cases:
        with refused(name):
            bond.anchor(0, said, **changed)  # type: ignore[arg-type]
    bond.anchor(0, said)


def test_anybody_with_the_seed_reveals_an_anchored_round(bond: Bond) -> None:
    bond.commit(0, 4)
    bond.wait_until(bond.closes(1))
    bond.anchor(1, bond.empty(1))
    (said,) = bond.events(bond.reveal(1))
    assert said == ("RoundRevealed", {"table": TABLE, "round": 1, "seed": bond.seed(1)})
    assert bond.locked == 7 * SOL
    with refused("AlreadyRevealed"):
        bond.reveal(1)


def test_a_reveal_that_does_not_match_changes_nothing(bond: Bond) -> None:
    bond.commit(0, 4)
    bond.wait_until(bond.closes(1))
    with refused("NotAnchored"):
        bond.reveal(1)
    bond.anchor(1, bond.empty(1))
    proof = bond.tree(0, 4).proof(1)
    wrongs: list[dict[str, object]] = [
        {"seed": bond.seed(2)},
        {"proof": bond.tree(0, 4).proof(2)},
        {"proof": proof[:-1]},
        {"proof": [*proof, bytes(32)]},
        {"proof": []},
    ]
    for wrong in wrongs:
        with refused("SeedRefused"):
            bond.reveal(1, **wrong)  # type: ignore[arg-type]
    with refused("BadInstruction"):
        bond.reveal(1, proof=[bytes(32)] * 17)
    with refused("NoSuchRound"):
        bond.reveal(1, round=4)
    with refused("NoSuchBatch"):
        bond.reveal(1, first=1)
    assert bond.locked == 8 * SOL
    bond.reveal(1)


def test_a4_a_withheld_reveal_costs_the_house_what_the_bets_could_win(bond: Bond) -> None:
    bond.commit(0, 2)
    bets = bond.bets(0, 3, SOL // 5)
    bond.wait_until(bond.due(0) - 1)
    with refused("DeadlineAhead"):
        bond.claim(bets)
    bond.anchor(0, bond.signed_root(bets))
    bond.pass_time(1)
    with refused("DeadlinePassed"):
        bond.reveal(0, 2)
    for position in range(3):
        before = bond.balance(bond.bettor.pubkey()), bond.balance(bond.address)
        (said,) = bond.events(bond.claim(bets, position))
        told = {"table": TABLE, "round": 0, "position": position, "bet": bets[position].bet_id}
        paid = {"payee": str(bond.bettor.pubkey()), "amount": SOL // 5}
        assert said == ("BondClaimed", told | paid)
        assert bond.balance(bond.bettor.pubkey()) - before[0] == SOL // 5
        assert before[1] - bond.balance(bond.address) == SOL // 5
    assert bond.locked == 4 * SOL - 3 * (SOL // 5)


def test_a5_a_void_round_is_never_seeded_again(bond: Bond) -> None:
    bond.commit(0, 1)
    bond.wait_until(bond.due(0))
    bond.claim(bond.bets(0))
    with refused("IndexGap"):
        bond.commit(0, 1)
    bond.wait_until(bond.due(0) + CLAIM_WINDOW)
    bond.release()
    with refused("IndexGap"):
        bond.commit(0, 1)
    with refused("NoSuchBatch"):
        bond.reveal(0, 1)
    bond.commit(1, 1)


def test_a_bet_is_paid_once_and_only_within_the_window(bond: Bond) -> None:
    bond.commit(0, 1)
    bets = bond.bets(0, 2)
    bond.wait_until(bond.due(0))
    bond.claim(bets, 0)
    with refused("AlreadyClaimed"):
        bond.claim(bets, 0)
    bond.wait_until(bond.due(0) + CLAIM_WINDOW)
    with refused("DeadlinePassed"):
        bond.claim(bets, 1)
    bond.pass_time(-1)
    bond.claim(bets, 1)


def test_a_revealed_round_cannot_be_claimed(bond: Bond) -> None:
    bond.commit(0, 4)
    bets = bond.bets(0)
    bond.wait_until(bond.closes(0))
    bond.anchor(0, bond.signed_root(bets))
    bond.reveal(0)
    bond.wait_until(bond.due(0))
    with refused("AlreadyRevealed"):
        bond.claim(bets)


def test_the_first_claim_fixes_the_root_of_a_round_that_is_not_anchored(bond: Bond) -> None:
    bond.commit(0, 1)
    bond.wait_until(bond.due(0))
    bets = bond.bets(0, 2)
    said = bond.events(bond.claim(bets))
    assert [name for name, _ in said] == ["RootsAnchored", "BondClaimed"]
    assert said[0][1]["roots"] == [bond.signed_root(bets).root]
    with refused("AnotherRoot"):
        bond.claim(bond.bets(0, 3), 2)


def test_an_anchored_root_needs_no_signature_and_allows_no_other(bond: Bond) -> None:
    bond.commit(0, 1)
    bets = bond.bets(0, 2)
    said = bond.signed_root(bets)
    bond.wait_until(bond.closes(0))
    bond.anchor(0, said)
    bond.wait_until(bond.due(0))
    for changed in ({"count": 3}, {"liability": said.liability + 1}, {"root": ROOT}):
        with refused("AnotherRoot"):
            bond.claim(bets, 1, signature=b"", **changed)
    bond.claim(bets, 1, signature=b"")
    with refused("AnotherRoot"):
        bond.claim(bond.bets(0, 3))


def test_only_what_the_signer_of_the_batch_signed_is_heard(bond: Bond) -> None:
    bond.commit(0, 1)
    bond.wait_until(bond.due(0))
    bets = bond.bets(0, 2)
    said = bond.signed_root(bets)
    good = bond.sign(said)
    r, s = good[:32], int.from_bytes(good[32:64], "big")
    stranger = vectors.signed(vectors.signer_key("stranger"), said.digest)
    elsewhere = bond.sign(replace(said, round=bond.spot(1)))
    for signature in (stranger, elsewhere):
        with refused("WrongSigner"):
            bond.claim(bets, signature=signature)
    high = r + (vectors.ORDER - s).to_bytes(32, "big") + bytes([55 - good[64]])
    for bad in (b"", bytes(65), good[:64], high, good[:64] + b"\0", good[:64] + b"\x1d"):
        with refused("BadSignature"):
            bond.claim(bets, signature=bad)
    with refused("BadInstruction"):
        bond.claim(bets, signature=good + b"\0")
    for changed in ({"count": 1}, {"liability": 2**64 - 1}):
        with refused("WrongSigner"):
            bond.claim(bets, **changed)  # type: ignore[arg-type]
    with refused("BadCount"):
        bond.claim(bets, count=65_537)
    bond.own("set_signer", signer=bytes([1]) * 20)
    bond.claim(bets)  # a batch keeps the signer that it was committed with


def test_a_bet_that_is_not_under_the_root_is_refused(bond: Bond) -> None:
    bond.commit(0, 1)
    bond.wait_until(bond.due(0))
    bets = bond.bets(0, 3)
    cases: list[dict[str, object]] = [
        {"stake": 5_001},
        {"stake": 5_000 + 2**64},
        {"bet_liability": SOL // 10 + 1},
        {"details": ROOT},
        {"bet_id": ROOT},
        {"position": 2},
        {"position": 3},
        {"position": 2**32 - 1},
        {"proof": []},
        {"proof": [bytes(32)] * 16},
        {"accounts": {"payee": bond.witness.pubkey()}},
    ]
    for changed in cases:
        with refused("BetRefused"):
            bond.claim(bets, 1, **changed)  # type: ignore[arg-type]
    with refused("BadInstruction"):
        bond.claim(bets, 1, proof=[bytes(32)] * 17)
    nobody = [replace(bet, payee=bytes(32)) for bet in bets]
    with refused("WrongAccount"):  # the system program cannot be written to, so nobody can be paid
        bond.claim(nobody, 1)
    bond.claim(bets, 1)


def test_bets_of_a_round_together_never_get_more_than_it_may_cost(bond: Bond) -> None:
    bond.commit(0, 1)
    bond.wait_until(bond.due(0))
    bets = [*bond.bets(0, 4, SOL * 2 // 5)]
    bets[3] = replace(bets[3], liability=0)
    with refused("NothingToMove"):
        bond.claim(bets, 3)
    bets = bond.bets(0, 4, SOL * 2 // 5)
    amounts = [bond.events(bond.claim(bets, at))[-1][1]["amount"] for at in range(3)]
    assert amounts == [SOL * 2 // 5, SOL * 2 // 5, SOL // 5]
    with refused("NothingLeft"):
        bond.claim(bets, 3)


def test_a_claim_that_a_wallet_could_not_hold_is_refused_by_name(bond: Bond) -> None:
    bond.commit(0, 1)
    bond.wait_until(bond.due(0))
    wallet, least = Keypair(), bond.svm.minimum_balance_for_rent_exemption(0)
    bets = [replace(bet, payee=bytes(wallet.pubkey())) for bet in bond.bets(0, 2, least - 1)]
    with refused("BelowRent"):
        bond.claim(bets)
    bond.svm.airdrop(wallet.pubkey(), least)
    bond.claim(bets)
    assert bond.balance(wallet.pubkey()) == 2 * least - 1


def test_a8_two_signed_roots_for_one_round_cost_its_deposit(bond: Bond) -> None:
    bond.commit(0, 2)
    before = bond.balance(bond.witness.pubkey()), bond.balance(bond.address)
    burned = bond.balance(INCINERATOR)
    (said,) = bond.events(bond.slash(*pair(bond)))
    told = {"table": TABLE, "round": 0, "by": str(bond.witness.pubkey())}
    assert said == ("BondSlashed", told | {"reward": SOL // 10, "burned": SOL - SOL // 10})
    assert bond.balance(bond.witness.pubkey()) - before[0] == SOL // 10 - 5_000
    assert before[1] - bond.balance(bond.address) == SOL
    assert bond.balance(INCINERATOR) - burned == SOL - SOL // 10
    assert bond.locked == 3 * SOL


def test_a8_bets_added_after_the_signature_cost_the_deposit_of_a_revealed_round_too(
    bond: Bond,
) -> None:
    bond.commit(0, 4)
    said, changed = bond.signed_root(bond.bets(0, 2)), bond.signed_root(bond.bets(0, 3))
    bond.wait_until(bond.closes(0))
    bond.anchor(0, changed)
    bond.reveal(0)
    bond.wait_until(bond.due(0))
    with refused("AnotherRoot"):
        bond.slash(said, said, signature=b"")
    with refused("BadSignature"):
        bond.slash(changed, said, signature=b"", other_signature=b"")
    bond.slash(changed, said, signature=b"")
    assert bond.locked == 6 * SOL


def test_every_round_has_a_deposit_of_its_own_and_loses_it_once(bond: Bond) -> None:
    bond.commit(0, 2)
    one, other = pair(bond)
    bond.slash(one, other)
    with refused("AlreadySlashed"):
        bond.slash(other, one)
    bond.slash(*pair(bond, 1))
    assert bond.locked == 2 * SOL


def test_what_is_no_contradiction_costs_nothing(bond: Bond) -> None:
    bond.commit(0, 2)
    one, other = pair(bond)
    with refused("NoContradiction"):
        bond.slash(one, one)
    stranger = vectors.signed(vectors.signer_key("stranger"), other.digest)
    elsewhere = bond.sign(replace(other, round=bond.spot(1)))
    for signature in (stranger, elsewhere):
        with refused("WrongSigner"):
            bond.slash(one, other, other_signature=signature)
    for changed in ({"signature": bytes(64)}, {"other_signature": b""}):
        with refused("BadSignature"):
            bond.slash(one, other, **changed)  # type: ignore[arg-type]
    with refused("AnotherRoot"):
        bond.slash(one, other, signature=b"")
    with refused("NoSuchRound"):
        bond.slash(*pair(bond, 2))
    for wrong in ({"incinerator": bond.owner.pubkey()}, {"batch": bond.address}):
        with refused("WrongAccount"):
            bond.slash(one, other, accounts=wrong)
    assert bond.locked == 4 * SOL


def test_a_batch_is_released_after_the_window_of_its_last_round(bond: Bond) -> None:
    before = bond.balance(bond.keeper.pubkey())
    bond.commit(0, 2)
    bond.wait_until(bond.due(1) + CLAIM_WINDOW - 1)
    with refused("DeadlineAhead"):
        bond.release()
    bond.pass_time(1)
    with refused("WrongAccount"):
        bond.release(payer=bond.witness.pubkey())
    assert bond.events(bond.release()) == [
        ("BatchReleased", {"table": TABLE, "first": 0, "amount": 4 * SOL})
    ]
    assert bond.locked == 0
    numbering = bond.balance(bond.program.derive(b"table", TABLE.encode()))
    assert before - bond.balance(bond.keeper.pubkey()) == numbering + 5_000
    with refused("NoSuchBatch"):
        bond.release()
    with refused("NoSuchBatch"):
        bond.slash(*pair(bond))


def test_a_released_batch_is_nothing_to_the_rest_of_its_transaction(bond: Bond) -> None:
    bond.commit(0, 2)
    bond.fund(10 * SOL)
    one, other = pair(bond)
    calls: list[Instruction] = []
    bond.call = lambda verb, args, accounts, *_: calls.append(  # type: ignore[method-assign, assignment]
        bond.program.call(verb, args, accounts)
    )
    bond.wait_until(bond.due(1) + CLAIM_WINDOW)
    bond.release()
    bond.slash(one, other)
    bond.release()
    release, slash, again = calls
    for second in (slash, again):
        with refused("WrongAccount"):
            bond.send([release, second], bond.witness)
    assert bond.locked == 4 * SOL
    bond.send([release], bond.witness)
    assert bond.locked == 0


@pytest.mark.parametrize("at", [0, 7, 19])
def test_a_signer_is_told_by_all_of_its_bytes(bond: Bond, at: int) -> None:
    other = bytearray(vectors.signer_of(bond.signer))
    other[at] ^= 1
    bond.own("set_signer", signer=bytes(other))
    bond.commit(0, 1)
    with refused("WrongSigner"):
        bond.slash(*pair(bond))


def test_the_owner_alone_withdraws_and_only_what_is_free(bond: Bond) -> None:
    bond.commit(0, 2)
    free = bond.free
    for amount in (free + 1, 2**64 - 1):
        with refused("BondTooSmall"):
            bond.own("withdraw", amount=amount)
    with refused("NothingToMove"):
        bond.own("withdraw", amount=0)
    with refused("NothingToMove"):
        bond.fund(0)
    with refused("NotOwner"):
        bond.own("withdraw", bond.keeper, amount=1)
    before = bond.balance(bond.owner.pubkey())
    bond.own("withdraw", amount=free)
    assert bond.balance(bond.owner.pubkey()) - before == free - 5_000
    assert bond.free == 0


def test_only_the_owner_names_keeper_and_signer_and_pauses(bond: Bond) -> None:
    verbs: list[tuple[str, dict[str, object]]] = [
        ("set_keeper", {"keeper": bond.witness.pubkey()}),
        ("set_signer", {"signer": bytes([7]) * 20}),
        ("set_paused", {"paused": True}),
    ]
    for verb, args in verbs:
        with refused("NotOwner"):
            bond.own(verb, bond.keeper, **args)
    with refused("BadSetting"):
        bond.own("set_keeper", keeper=Pubkey(bytes(32)))
    with refused("BadSetting"):
        bond.own("set_signer", signer=bytes(20))
    bond.own("set_signer", signer=bytes([7]) * 20)
    bond.own("set_keeper", keeper=bond.witness.pubkey())
    with refused("NotKeeper"):
        bond.commit()
    ((_, args),) = bond.events(bond.commit(who=bond.witness))
    assert args["signer"] == bytes([7]) * 20


def test_accounts_that_only_look_right_are_refused_by_every_verb(bond: Bond) -> None:
    """A batch of another table or of nobody, a bond that is none, accounts of other programs."""
    bond.commit(0, 2)
    bond.commit(0, 2, table="letters")
    bets = bond.bets(0)
    bond.wait_until(bond.due(0))
    others = {
        "bond": [bond.batch(), bond.owner.pubkey(), bond.program.address],
        "batch": [bond.batch(0, "letters"), bond.address, bond.program.address],
        "void": [bond.batch(), Pubkey.new_unique()],
        "mark": [bond.batch(), Pubkey.new_unique()],
        "system_program": [bond.owner.pubkey()],
    }
    for name, keys in others.items():
        for key in keys:
            with refused("WrongAccount"):
                bond.claim(bets, accounts={name: key})
    with refused("NoSuchBatch"):
        bond.claim(bets, accounts={"batch": bond.owner.pubkey()})
    for name in ("numbering", "batch"):
        with refused("WrongAccount"):
            bond.commit(2, 1, opens=bond.now + 1_000, accounts={name: Pubkey.new_unique()})
    assert bond.locked == 8 * SOL


@pytest.mark.parametrize("verb", ["fund", "withdraw", "commit", "anchor", "claim", "slash"])
def test_a_verb_that_somebody_must_sign_is_refused_without(bond: Bond, verb: str) -> None:
    bond.commit(0, 2)
    bond.wait_until(bond.due(0))
    bets, seen = bond.bets(0), []

    def strip(name: str, args: object, accounts: object, *who: Keypair) -> None:
        call = bond.program.call(name, args, accounts)  # type: ignore[arg-type]
        metas = [AccountMeta(one.pubkey, False, one.is_writable) for one in call.accounts]
        seen.append(name)
        bond.send([Instruction(call.program_id, bytes(call.data), metas)], bond.bettor)

    calls: dict[str, Callable[[], object]] = {
        "fund": lambda: bond.fund(1),
        "withdraw": lambda: bond.own("withdraw", amount=1),
        "commit": lambda: bond.commit(2, 1, opens=bond.now + 1_000),
        "anchor": lambda: bond.anchor(1, bond.empty(1)),
        "claim": lambda: bond.claim(bets),
        "slash": lambda: bond.slash(*pair(bond)),
    }
    bond.call = strip  # type: ignore[method-assign, assignment]
    with refused("MissingSignature"):
        calls[verb]()
    assert seen == [verb]


def test_bytes_that_are_no_instruction_are_refused(bond: Bond) -> None:
    bond.commit(0, 2)
    whole = bond.program.call("withdraw", {"amount": 1}, {"owner": bond.owner.pubkey()})
    data = bytes(whole.data)
    for bad in (b"", data[:7], bytes(8) + data[8:], data[:-1], data + b"\0"):
        with refused("BadInstruction"):
            bond.send([Instruction(whole.program_id, bad, whole.accounts)], bond.owner)
    for verb in ("initialize", "fund", "withdraw", "commit", "anchor", "reveal", "claim", "slash"):
        shape = next(one for one in bond.idl["instructions"] if one["name"] == verb)
        first = bytes(shape["discriminator"])
        keys = [AccountMeta(Pubkey.new_unique(), False, True) for _ in shape["accounts"][:-2]]
        metas = [*keys, *whole.accounts[-2:]]
        for tail in (b"", b"\xff" * 3, b"\xff" * 200):
            with refused("BadInstruction"):
                call = Instruction(whole.program_id, first + tail, metas)
                bond.send([call], bond.witness)
    with refused("WrongAccount"):
        bond.send([Instruction(whole.program_id, data, [])], bond.owner)
    crowd = [AccountMeta(bond.owner.pubkey(), True, True)] * 13
    with refused("WrongAccount"):
        bond.send([Instruction(whole.program_id, data, crowd)], bond.owner)


def test_only_the_bond_itself_can_say_its_events(bond: Bond) -> None:
    authority = Pubkey.from_string(event_authority(str(bond.program.address)))
    said = Instruction(
        bond.program.address, EVENT_TAG + bytes(16), [AccountMeta(authority, False, False)]
    )
    with refused("MissingSignature"):
        bond.send([said], bond.witness)


def test_accounts_that_somebody_funded_first_still_work(bond: Bond) -> None:
    for address in (bond.program.derive(b"table", TABLE.encode()), bond.batch()):
        bond.svm.airdrop(address, SOL)
    bond.commit(0, 1)
    bond.wait_until(bond.due(0))
    number, position = (0).to_bytes(8, "little"), (1).to_bytes(4, "little")
    for seeds in ((b"void",), (b"claim", position)):
        tail = seeds[1:]
        address = bond.program.derive(seeds[0], TABLE.encode(), number, *tail)
        bond.svm.airdrop(address, SOL)
    bond.claim(bond.bets(0), 1)


def test_no_verb_needs_more_than_half_of_the_default_compute_budget() -> None:
    # Where derived addresses are found, some programs search longer: this one is held to a number.
    bond = Bond(program=Keypair.from_seed(bytes(32))).open()
    bond.commit(0, 4)
    bond.wait_until(bond.closes(0))
    bond.anchor(0, bond.signed_root(bond.bets(0)))
    bond.reveal(0)
    bond.wait_until(bond.due(1))
    bond.claim(bond.bets(1, 40), 3)
    bond.slash(*pair(bond, 2))
    bond.wait_until(bond.due(3) + CLAIM_WINDOW)
    bond.release()
    assert len(bond.compute_units) == 8
    assert max(bond.compute_units.values()) < 100_000, bond.compute_units


def test_the_largest_calls_fit_the_packet_that_a_validator_takes(bond: Bond) -> None:
    table, words = "a" * 32, [ROOT] * 20
    which = {"table": table, "first": 0}
    many = {"start": 0, "roots": words, "counts": [1] * 20, "liabilities": [1] * 20}
    anchor = bond.program.call("anchor", which | many, {"keeper": bond.keeper.pubkey()})
    said: dict[str, object] = {"round": 0, "root": ROOT, "count": 65_536, "liability": 1}
    bet: dict[str, object] = {"position": 0, "bet_id": ROOT, "stake": 1, "bet_liability": 1}
    rest = {"signature": bytes(65), "details": ROOT, "proof": [ROOT] * 16}
    people = {"claimant": bond.witness.pubkey(), "payee": bond.bettor.pubkey()}
    claim = bond.program.call("claim", which | said | bet | rest, people)
    for call, who in ((anchor, bond.keeper), (claim, bond.witness)):
        message = MessageV0.try_compile(who.pubkey(), [call], [], bond.svm.latest_blockhash())
        assert len(bytes(VersionedTransaction(message, [who]))) <= PACKET
