"""Transfers: balanced postings between accounts, with a type, a reference and a reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from ledger.accounts import Account, kind
from ledger.errors import Unbalanced

MOST = 10**78 - 1  # what the database keeps of an amount or a balance, either way


class Reference(NamedTuple):
    """What a transfer is about, in its caller's words: it stands once."""

    casino_id: int
    reference: str
    type: str


class Posting(NamedTuple):
    """What an account gets, or with a minus gives, in the asset's smallest unit."""

    account: Account
    amount: int


@dataclass(frozen=True, slots=True)
class Transfer:
    """Checks itself: no empty posting, one casino, zero in sum per asset and colour.

    `reference` stands once for each `type` in a casino. `reverses` names the transfer that this
    one takes back. `expect` are versions at which the caller saw accounts: compare-and-set.
    Raises `Unbalanced`, and `UnknownAccount` for a name without a kind.
    """

    type: str
    postings: tuple[Posting, ...]
    reference: str | None = None
    description: str | None = None
    extra: Mapping[str, Any] | None = None
    reverses: int | None = None
    expect: Mapping[Account, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.postings) == 2 and _opposite(*self.postings):
            return
        sums: dict[tuple[int, str, str], int] = {}
        for account, amount in self.postings:
            if not amount or abs(amount) > MOST:
                raise Unbalanced(f"a posting of {amount} to {account.name}")
            place = (account.casino_id, account.asset, kind(account.name).colour)
            sums[place] = sums.get(place, 0) + amount
        if not sums or any(sums.values()):
            raise Unbalanced(f"{self.type} does not sum to zero: {sums}")
        if len({casino_id for casino_id, _, _ in sums}) > 1:
            raise Unbalanced(f"{self.type} moves money between casinos")

    @property
    def casino_id(self) -> int:
        return self.postings[0].account.casino_id

    @property
    def standing(self) -> Reference | None:
        """Its place among all references, if it has one."""
        if self.reference is None:
            return None
        return Reference(self.casino_id, self.reference, self.type)


def _opposite(one: Posting, other: Posting) -> bool:
    """Whether one gives what the other gets, in the same asset, colour and casino."""
    given, got = one.account, other.account
    return (
        one.amount == -other.amount
        and 0 < abs(one.amount) <= MOST
        and given.asset == got.asset
        and given.casino_id == got.casino_id
        and kind(given.name).colour == kind(got.name).colour
    )


@dataclass(frozen=True, slots=True)
class Posted:
    """A transfer that stands: its number, its time, and each account's balance after it."""

    id: int
    at: datetime
    balances: Mapping[Account, int]


def move(
    type: str,
    *,
    source: Account,
    target: Account,
    amount: int,
    reference: str | None = None,
    description: str | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Transfer:
    """The commonest transfer: one account gives, one gets. Raises `Unbalanced`."""
    postings = (Posting(source, -amount), Posting(target, amount))
    return Transfer(type, postings, reference, description, extra)
