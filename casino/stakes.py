"""Stakes and winnings: from which of a player's money a bet is paid, and to which it comes back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from casino.commands import Desk, Shelf
from ledger.accounts import Account, cash
from ledger.transfers import Posting

HOUSE = "house:stakes"


class Split(NamedTuple):
    """An amount by the colour of its money."""

    cash: int
    bonus: int = 0

    @property
    def total(self) -> int:
        return self.cash + self.bonus


@dataclass(frozen=True, slots=True)
class Purse:
    """What a player bets from in one asset, at one game.

    A command that moves stakes or winnings asks for `accounts` and `rows`, splits what it takes,
    keeps the split with its bet, and gives winnings and refunds back by the same split.
    """

    casino_id: int
    player_id: int
    asset: str
    game: str | None = None

    def accounts(self) -> Iterable[Account]:
        return (self._mine, self._house)

    def rows(self) -> Iterable[tuple[type[Shelf[Any, Any]], Any]]:
        return ()

    def available(self, desk: Desk) -> int:
        """What may be staked now."""
        return desk.books.line(self._mine).available

    def split(self, desk: Desk, amount: int) -> Split:
        """How a stake is paid: posting it says whether there is enough."""
        return Split(amount)

    def won(self, stake: Split, amount: int) -> Split:
        """How winnings of a bet come back, by the split of its stake."""
        return Split(amount)

    def paid(self, split: Split) -> tuple[Posting, ...]:
        """A stake, from the player to the house."""
        return self._moved(split, -1)

    def given(self, split: Split) -> tuple[Posting, ...]:
        """Winnings or a refund, from the house to the player."""
        return self._moved(split, 1)

    @property
    def _mine(self) -> Account:
        return cash(self.casino_id, self.player_id, self.asset)

    @property
    def _house(self) -> Account:
        return Account(self.casino_id, HOUSE, self.asset)

    def _moved(self, split: Split, sign: int) -> tuple[Posting, ...]:
        if not split.cash:
            return ()
        return (Posting(self._mine, sign * split.cash), Posting(self._house, -sign * split.cash))
