"""The Solana bond in any order of verbs: what is locked is what its rounds may still cost."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pytest

from games.fairness.rounds import RoundBet
from tests.contracts.solana_bond import CLAIM_WINDOW, INCINERATOR, PERIOD, Bond
from tests.contracts.solana_runtime import SOL, Refused


@dataclass
class Played:
    """A round as the test knows it."""

    first: int
    count: int
    number: int
    most: int
    paid: int = 0
    anchored: bool = False
    revealed: bool = False
    slashed: bool = False
    released: bool = False
    claimed: set[int] = field(default_factory=set)

    @property
    def open(self) -> int:
        """What it may still cost."""
        if self.released:
            return 0
        return (not self.revealed) * (self.most - self.paid) + (not self.slashed) * self.most


class Walk:
    """A house that keeps its word or not, and all who watch it, in an order that chance draws."""

    def __init__(self, seed: int) -> None:
        self.chance, self.bond = random.Random(seed), Bond().open()
        self.rounds: list[Played] = []
        self.burned = self.ends = 0

    def pick(self) -> Played:
        return self.chance.choice(self.rounds[-6:] if self.chance.random() < 0.7 else self.rounds)

    def bets(self, round_: Played) -> list[RoundBet]:
        drawn = random.Random(round_.number)
        size = drawn.randrange(1, 4)
        each = max(round_.most * drawn.randrange(20, 70) // 100, 1)
        return self.bond.bets(round_.number, size, each)

    def expect(self, fits: bool, act: Callable[[], object]) -> bool:
        """Do it, and see that it is done exactly when it fits, and else refused by a name."""
        if fits:
            act()
            return True
        with pytest.raises(Refused) as refusal:
            act()
        assert refusal.value.name
        return False

    def commit(self) -> None:
        bond, count, most = (
            self.bond,
            self.chance.randrange(1, 5),
            self.chance.randrange(SOL, 9 * SOL),
        )
        first = self.rounds[-1].number + 1 if self.rounds else 0
        opens = max(self.ends, bond.now + 1)
        terms: dict[str, Any] = {"opens": opens, "max_liability": most}
        if self.expect(2 * count * most <= bond.free, lambda: bond.commit(first, count, **terms)):
            self.ends = opens + count * PERIOD
            self.rounds += [Played(first, count, first + at, most) for at in range(count)]

    def anchor(self) -> None:
        round_, bond = self.pick(), self.bond
        bond.wait_until(max(bond.now, bond.closes(round_.number, round_.first)))
        said = bond.signed_root(self.bets(round_))
        fits = not round_.anchored and not round_.released and said.liability <= round_.most
        fits = fits and bond.now < bond.due(round_.number, round_.first)
        act = partial(bond.anchor, round_.number, said, first=round_.first)
        round_.anchored |= self.expect(fits, act)

    def reveal(self) -> None:
        round_, bond = self.pick(), self.bond
        if ready := [one for one in self.rounds if one.anchored and not one.revealed]:
            round_ = self.chance.choice([round_, ready[-1]])
        proof = bond.tree(round_.first, round_.count).proof(round_.number - round_.first)
        args = {"first": round_.first, "round": round_.number, "proof": proof}
        args["seed"] = bond.seed(round_.number)
        fits = round_.anchored and not round_.revealed and not round_.released
        fits = fits and bond.now < bond.due(round_.number, round_.first)
        round_.revealed |= self.expect(fits, lambda: bond.reveal(0, 1, **args))

    def claim(self) -> None:
        round_, bond = self.pick(), self.bond
        due = bond.due(round_.number, round_.first)
        bond.wait_until(max(bond.now, due))
        bets = self.bets(round_)
        position, left = self.chance.randrange(len(bets)), round_.most - round_.paid
        fits = not round_.revealed and not round_.released and bond.now < due + CLAIM_WINDOW
        fits = fits and left > 0 and position not in round_.claimed
        before = bond.balance(bond.bettor.pubkey())
        if self.expect(fits, lambda: bond.claim(bets, position, first=round_.first)):
            amount = min(bets[position].liability, left)
            assert bond.balance(bond.bettor.pubkey()) - before == amount
            round_.paid += amount
            round_.claimed.add(position)
            round_.anchored = True

    def slash(self) -> None:
        round_, bond = self.pick(), self.bond
        said = bond.signed_root(self.bets(round_))
        other = replace(said, liability=said.liability + 1)
        fits = not round_.slashed and not round_.released
        if self.expect(fits, lambda: bond.slash(said, other, first=round_.first)):
            round_.slashed = True
            self.burned += round_.most - round_.most // 10

    def release(self) -> None:
        round_, bond = self.pick(), self.bond
        last = bond.due(round_.first + round_.count - 1, round_.first)
        if self.chance.random() < 0.3:
            bond.wait_until(max(bond.now, last + CLAIM_WINDOW))
        fits = bond.now >= last + CLAIM_WINDOW and not round_.released
        if self.expect(fits, lambda: bond.release(round_.first)):
            for one in self.rounds:
                one.released |= one.first == round_.first

    def withdraw(self) -> None:
        bond = self.bond
        amount = self.chance.randrange(0, bond.free + 2)
        if self.expect(0 < amount <= bond.free, lambda: bond.own("withdraw", amount=amount)):
            bond.fund(amount)

    def check(self) -> None:
        bond = self.bond
        assert bond.locked == sum(one.open for one in self.rounds)
        assert bond.free >= 0
        assert all(one.paid <= one.most for one in self.rounds)
        assert bond.balance(INCINERATOR) == self.burned


@pytest.mark.parametrize("seed", range(3))
def test_in_any_order_the_bond_holds_what_its_rounds_may_still_cost(seed: int) -> None:
    walk = Walk(seed)
    verbs = ("commit", "anchor", "reveal", "claim", "slash", "release", "withdraw")
    walk.commit()
    for _ in range(120):
        getattr(walk, walk.chance.choice(verbs))()
        walk.check()
        if walk.bond.free < 20 * SOL:
            walk.bond.fund(50 * SOL)
    assert any(one.revealed for one in walk.rounds)
    assert any(one.paid for one in walk.rounds)
    assert any(one.slashed for one in walk.rounds)
    assert any(one.released for one in walk.rounds)
