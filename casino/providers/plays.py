"""Plays: a bet and its payout in one call, which are both made or neither."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from casino.commands import Answer, Desk, Shelf
from casino.providers.calls import Credit, Debit, ProviderCall, paid_at, reported
from casino.providers.codes import Code
from casino.providers.records import Jackpot
from ledger.accounts import Account
from ledger.errors import Refusal


@dataclass(frozen=True, kw_only=True)
class Play(ProviderCall):
    """The bet has to be covered by itself: what it wins is not there before.

    The bet stands under the call's id, and its payout beside it.
    """

    amount: int
    won: int
    jackpots: tuple[Jackpot, ...] = ()

    @property
    def kind(self) -> str:
        return "play"

    @property
    def owed(self) -> bool:
        return False

    def asked(self) -> Mapping[str, Any]:
        said = {**super().asked(), "amount": str(self.amount), "won": str(self.won)}
        return {**said, **reported(self.jackpots)}

    def accounts(self) -> Iterable[Account]:
        return (*self._bet.accounts(), *self._payout.accounts())

    def rows(self) -> Iterable[tuple[type[Shelf[Any, Any]], Any]]:
        return (*self._bet.rows(), *self._payout.rows())

    def made(self, desk: Desk) -> Answer | Code:
        bet = self._bet.made(desk)
        if isinstance(bet, Code):
            return bet
        paid = self._payout.made(desk)
        if isinstance(paid, Code):
            raise Refusal(f"the bet is taken, and its payout is not: {paid}")  # undoes both
        said = {"call": self.key, "number": bet.body["number"], "won": str(self.won)}
        said |= {"amount": str(self.amount), "balance": paid.body["balance"]}
        return Answer(said, transfer_id=bet.transfer_id)

    @cached_property
    def _bet(self) -> Debit:
        return Debit(**{**self._said, "closes": False}, amount=self.amount, jackpots=self.jackpots)

    @cached_property
    def _payout(self) -> Credit:
        said = {**self._said, "key": paid_at(self.key)}
        return Credit(**said, amount=self.won, target=self.key)

    @property
    def _said(self) -> dict[str, Any]:
        return {one.name: getattr(self, one.name) for one in fields(ProviderCall)}
