"""Wallets: a player's money in one asset, topped up, given as a bonus, spent, or passed on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from casino import bonuses
from casino.bonuses import Grants, Wallet
from casino.commands import Answer, Command, Desk, KeyReused, Shelf, run_many
from casino.outbox import Message
from db.session import Session
from ledger.accounts import Account, cash
from ledger.transfers import Posted, Posting, Reference, Transfer

TREASURY, REVENUE = "system:treasury", "system:revenue"
GIVEN = ("top_up", "bonus")  # by the house, to whomever
Row = tuple[type[Shelf[Any, Any]], Any]
LEAVING = ("spend", "transfer")  # without a bet, so not what a bonus has locked


@dataclass(frozen=True, kw_only=True)
class Move(Command):
    """Money of one asset from an account to another, one of them at least a player's.

    `reference` is the caller's own number of what this is about: it stands once for each type.
    `expect` is the version at which the caller saw the player's account. `other_id` is the player
    who gets what this one gives.
    """

    type: str
    player_id: int
    asset: str
    amount: int
    source: str
    target: str
    casino: str
    reference: str | None = None
    description: str | None = None
    extra: Mapping[str, Any] | None = None
    expect: int | None = None
    other_id: int | None = None

    @property
    def verb(self) -> str:
        return f"wallet.{self.type}"

    def asked(self) -> Mapping[str, Any]:
        return {
            "player": self.player_id,
            "asset": self.asset,
            "amount": str(self.amount),
            "source": self.source,
            "target": self.target,
            "reference": self.reference,
            "description": self.description,
            "extra": self.extra,
            "expect": self.expect,
        }

    def accounts(self) -> Iterable[Account]:
        return (*self._ends, *self._wallet.exits()) if self.type in LEAVING else self._ends

    def rows(self) -> Iterable[Row]:
        if self.type in LEAVING:
            yield Grants, self._wallet

    def references(self) -> Iterable[Reference]:
        if self.reference is not None:
            yield Reference(self.casino_id, self.reference, self.type)

    def foreseeable(self) -> bool:
        return True

    def decide(self, desk: Desk) -> Answer:
        (source, target), mine = self._ends, cash(self.casino_id, self.player_id, self.asset)
        if self.type in LEAVING:
            bonuses.spent(desk, self._wallet, self.amount)
        posted = desk.books.post(
            Transfer(
                self.type,
                (Posting(source, -self.amount), Posting(target, self.amount)),
                reference=self.reference,
                description=self.description,
                extra=self.extra,
                expect={} if self.expect is None else {mine: self.expect},
            )
        )
        at = posted.at.isoformat()
        desk.messages.append(self._told(self.player_id, mine, posted, at))
        if self.other_id is not None:
            other = cash(self.casino_id, self.other_id, self.asset)
            desk.messages.append(self._told(self.other_id, other, posted, at))
        body = {
            "transfer": str(posted.id),
            "type": self.type,
            "asset": self.asset,
            "amount": str(self.amount),
            "balance": str(posted.balances[mine]),
            "version": desk.books.line(mine).version,
            "at": at,
        }
        return Answer(body, transfer_id=posted.id)

    @property
    def _wallet(self) -> Wallet:
        return Wallet(self.casino_id, self.player_id, self.asset)

    @property
    def _ends(self) -> tuple[Account, Account]:
        return (
            Account(self.casino_id, self.source, self.asset),
            Account(self.casino_id, self.target, self.asset),
        )

    def _told(self, player_id: int, own: Account, posted: Posted, at: str) -> Message:
        """Every player hears of their own account: what came or, with a minus, went."""
        change = self.amount if own.name == self.target else -self.amount
        data = {
            "transfer": str(posted.id),
            "type": self.type,
            "asset": self.asset,
            "amount": str(change),
            "balance": str(posted.balances[own]),
            "at": at,
        }
        return Message("user", "wallet.moved", self.casino, data, player=str(player_id))


def ends(type: str, player_id: int, other_id: int | None = None) -> tuple[str, str]:
    """Which account gives and which one gets, by what is done with a player's wallet."""
    mine = f"player:{player_id}:cash"
    match type:
        case _ if type in GIVEN:
            return TREASURY, mine
        case "spend":
            return mine, REVENUE
        case "transfer" if other_id is not None:
            return mine, f"player:{other_id}:cash"
    raise ValueError(f"nothing is called {type} here, or it lacks the other player")


async def move_many(session: Session, commands: Sequence[Move]) -> list[Answer | KeyReused]:
    """Top-ups, bonuses, spends and transfers between players, as they come."""
    return await run_many(session, commands)
