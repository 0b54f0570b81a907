"""Wallets: a player's money in one asset, topped up, given as a bonus, spent, or passed on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from casino.commands import Answer, Command, Desk, KeyReused, run_many
from casino.outbox import Message
from db.session import Session
from ledger.accounts import Account, cash
from ledger.transfers import Posted, Posting, Reference, Transfer

TREASURY, REVENUE = "system:treasury", "system:revenue"
GIVEN = ("top_up", "bonus")  # by the house, to whomever


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
        return (self._account(self.source), self._account(self.target))

    def references(self) -> Iterable[Reference]:
        if self.reference is not None:
            yield Reference(self.casino_id, self.reference, self.type)

    def decide(self, desk: Desk) -> Answer:
        mine = cash(self.casino_id, self.player_id, self.asset)
        source, target = self.accounts()
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
        desk.messages.extend(self._told(posted))
        body = {
            "transfer": str(posted.id),
            "type": self.type,
            "asset": self.asset,
            "amount": str(self.amount),
            "balance": str(posted.balances[mine]),
            "version": desk.books.line(mine).version,
            "at": posted.at.isoformat(),
        }
        return Answer(body, transfer_id=posted.id)

    def _account(self, name: str) -> Account:
        return Account(self.casino_id, name, self.asset)

    def _told(self, posted: Posted) -> Iterable[Message]:
        """Every player hears of their own account: what came or, with a minus, went."""
        for player_id in (self.player_id, self.other_id):
            if player_id is None:
                continue
            own = cash(self.casino_id, player_id, self.asset)
            change = self.amount if own.name == self.target else -self.amount
            data = {"transfer": str(posted.id), "type": self.type, "asset": self.asset}
            data |= {"amount": str(change), "balance": str(posted.balances[own])}
            data |= {"at": posted.at.isoformat()}
            yield Message("user", "wallet.moved", self.casino, data, player=str(player_id))


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
