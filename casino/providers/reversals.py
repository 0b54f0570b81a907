"""Reversals: a payout is taken back, and what its player does not have any more is owed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from casino import bonuses
from casino.commands import Answer, Desk, Shelf
from casino.providers.calls import Undo, paid_at, replaced
from casino.providers.codes import Code
from casino.providers.records import CLOSED, RETURNED, STALE, Call, Calls, Rounds
from casino.stakes import HOUSE, Split
from ledger.accounts import Account
from ledger.transfers import Posting


@dataclass(frozen=True, kw_only=True)
class Reversal(Undo):
    """Takes a payout back, as it was made; the debt is never more than was paid.

    A round that this payout had closed takes another one, and no bets. Bonus money comes back from
    a bonus that is active, as far as it was not staked since; what became cash is owed as cash; and
    what the house took back with a bonus it has already.
    """

    @property
    def kind(self) -> str:
        return "reversal"

    @property
    def takes(self) -> tuple[str, ...]:
        return ("credit",)

    @property
    def other(self) -> Code:
        return Code.NOT_A_WIN

    @property
    def missing(self) -> Code:
        return Code.WIN_NOT_FOUND

    def accounts(self) -> Iterable[Account]:
        yield from super().accounts()
        yield self.purse.wallet.debt

    def rows(self) -> Iterable[tuple[type[Shelf[Any, Any]], Any]]:
        yield from super().rows()
        yield Calls, self.at(paid_at(self.target))
        yield Rounds, replaced(self.round_key(self.round), paid_at(self.target))

    def found(self, desk: Desk) -> Call | None:
        return desk.shelf(Calls).get(self.at(self._name(desk)))

    def undone(self, desk: Desk, found: Call) -> Answer | Code:
        why = self.mismatch(found)
        if why is not None:
            return why
        back, owed = self._back(desk, found.split)
        posted = self.post(desk, "payout_reversal", self._postings(back, owed), found.transfer_id)
        calls, name = desk.shelf(Calls), self._name(desk)
        call = self.call(
            desk,
            amount=found.amount,
            split=back,
            round=found.round,
            place=self._reopened(desk, found.round),
            target=name,
            transfer_id=posted and posted.id,
        )
        calls.put(self.at(self.key), call)
        calls.put(self.at(name), found._replace(state=RETURNED))
        return self.yes(desk, call, owed=str(owed))

    def _name(self, desk: Desk) -> str:
        """The payout's id, which is not that of the play it was made in."""
        played = paid_at(self.target)
        return self.target if desk.shelf(Calls).get(self.at(played)) is None else played

    def _back(self, desk: Desk, won: Split) -> tuple[Split, int]:
        """What comes back by now, and how much of its cash is owed."""
        wallet = self.purse.wallet
        cash, bonus = bonuses.regained(desk, wallet, won.grant, won.bonus)
        there = max(desk.books.line(wallet.cash).available, 0)
        back = Split(won.cash + cash, bonus, won.grant)
        return back, max(back.cash - there, 0)

    def _postings(self, back: Split, owed: int) -> tuple[Posting, ...]:
        wallet = self.purse.wallet
        moved = (
            (wallet.cash, owed - back.cash),
            (wallet.debt, -owed),
            (wallet.house(HOUSE), back.cash),
            (wallet.bonus, -back.bonus),
            (wallet.house(bonuses.STAKES), back.bonus),
        )
        return tuple(Posting(account, amount) for account, amount in moved if amount)

    def _reopened(self, desk: Desk, name: str) -> int:
        """The place of this call in its round, which waits for the right payout."""
        rounds, key = desk.shelf(Rounds), self.round_key(name)
        round = rounds.get(key)
        if round is None:
            raise LookupError(f"a payout of {name}, which there is not")
        reopened = round.state == CLOSED and not self.closes
        round = round._replace(
            calls=round.calls + 1,
            touched_at=desk.books.now,
            state=STALE if reopened else round.state,
        )
        rounds.put(key, round)
        return round.calls
