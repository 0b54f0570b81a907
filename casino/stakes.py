"""Stakes and winnings: from which of a player's money a bet is paid, and to which it comes back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from casino import bonuses
from casino.bonuses import Granted, Grants, Wager, Wallet
from casino.commands import Desk, Shelf
from ledger.accounts import FEW, Account
from ledger.errors import InsufficientFunds, Refusal
from ledger.transfers import Posting

HOUSE = "house:stakes"


class MaxBetExceeded(Refusal):
    """More is staked than the active bonus allows in one bet."""

    code = "MAX_BET_EXCEEDED"


class Split(NamedTuple):
    """An amount by the colour of its money; `grant` is the bonus that a stake was placed under."""

    cash: int
    bonus: int = 0
    grant: int | None = None

    @property
    def total(self) -> int:
        return self.cash + self.bonus


@dataclass(frozen=True, slots=True)
class Purse:
    """What a player bets from in one asset, at one game.

    A command that moves stakes or winnings asks for `accounts` and `rows`, splits what it takes,
    keeps the whole split with its bet, its grant too, gives winnings and refunds back by the same
    split as far as it is `returned` by then, and says when a bet is settled for good.
    """

    casino_id: int
    player_id: int
    asset: str
    game: str | None = None

    def accounts(self) -> Iterable[Account]:
        return (*self.wallet.accounts(), self._house)

    def rows(self) -> Iterable[tuple[type[Shelf[Any, Any]], Any]]:
        return ((Grants, self.wallet),)

    @property
    def wallet(self) -> Wallet:
        return _wallet(self.casino_id, self.player_id, self.asset)

    def available(self, desk: Desk) -> int:
        """What may be staked now."""
        return self._cash(desk) + (self._bonus(desk) if self._usable(self._active(desk)) else 0)

    def split(self, desk: Desk, amount: int) -> Split:
        """How a stake is paid: posting it says whether there is enough.

        A stake above the most that an active bonus allows raises `MaxBetExceeded`, or forfeits the
        bonus and is paid in cash, whichever the terms say. `InsufficientFunds` forfeits nothing.
        """
        grant = self._active(desk)
        if grant is None:
            return Split(amount)
        cash, bonus = self._cash(desk), self._bonus(desk)
        most = grant.terms.max_bet
        if most is not None and amount > most and not grant.met:
            if grant.terms.above_max_bet == "refuse":
                raise MaxBetExceeded(
                    f"with the bonus {grant.id} a bet is {most} at most",
                    grant=str(grant.id),
                    most=str(most),
                )
            self._enough(amount, cash)
            bonuses.end(desk, self.wallet, grant, "forfeited", reason="max_bet")
            return Split(amount)
        if not self._usable(grant):
            return Split(amount)
        self._enough(amount, cash + bonus)
        if grant.terms.order == "mixed":
            taken = amount * bonus // max(cash + bonus, 1)
        else:
            taken = max(amount - cash, 0)
        return Split(amount - taken, taken, grant.id)

    def won(self, stake: Split, amount: int) -> Split:
        """How winnings of a bet come back, by the split of its stake."""
        bonus = amount * stake.bonus // stake.total if stake.total else 0
        return Split(amount - bonus, bonus, stake.grant)

    def paid(self, split: Split) -> tuple[Posting, ...]:
        """A stake, from the player to the house."""
        return self._moved(split, -1)

    def given(self, split: Split) -> tuple[Posting, ...]:
        """Winnings or a refund, from the house to the player."""
        return self._moved(split, 1)

    def returned(self, desk: Desk, split: Split) -> Split:
        """How winnings or a refund come back by now, for `given` and to be kept: maybe nothing.

        What belongs to a bonus that is completed is cash as far as its terms still allow, and what
        belongs to one that ended otherwise stays with the house.
        """
        late = bonuses.late(desk, self.wallet, split.grant, split.bonus) if split.bonus else None
        return split if late is None else Split(split.cash + late, 0, split.grant)

    def settled(self, desk: Desk, *, source: str, bet: str, stake: Split) -> None:
        """A bet is over and stays so: its stake counts for the bonus that it was placed under.

        Counted once by `source` and `bet`: a provider, and what it calls the bet. A bet that was
        rolled back is never settled.
        """
        self._wagered(desk, source, bet, stake)

    def unsettled(self, desk: Desk, *, source: str, bet: str, stake: Split) -> None:
        """A settlement is taken back after all, as long as its bonus is not completed."""
        back = Split(-stake.cash, -stake.bonus, stake.grant)
        self._wagered(desk, source, f"{bet}:unsettled", back)

    def _wagered(self, desk: Desk, source: str, bet: str, stake: Split) -> None:
        if stake.grant is not None and stake.total:
            wager = Wager(source, bet, stake.grant, self.game, *stake[:2], desk.books.now)
            bonuses.wagered(desk, self.wallet, wager)

    def _enough(self, amount: int, available: int) -> None:
        """Raises `InsufficientFunds`, with all that could have been staked."""
        if amount > available:
            name = self.wallet.cash.name
            raise InsufficientFunds(
                f"{name} and bonus have {available} {self.asset} to spend, not {amount}",
                account=name,
                asset=self.asset,
                available=str(available),
                wanted=str(amount),
            )

    def _active(self, desk: Desk) -> Granted | None:
        """The bonus under which a bet is placed now."""
        here = bonuses.pocket(desk, self.wallet)
        grant = None if here is None else here.active
        late = grant is None or grant.expires_at is None or grant.expires_at <= desk.books.now
        return None if late else grant

    def _usable(self, grant: Granted | None) -> bool:
        return grant is not None and grant.terms.plays(self.game)

    def _cash(self, desk: Desk) -> int:
        return desk.books.line(self.wallet.cash).available

    def _bonus(self, desk: Desk) -> int:
        return desk.books.line(self.wallet.bonus).available

    @property
    def _house(self) -> Account:
        return self.wallet.house(HOUSE)

    def _moved(self, split: Split, sign: int) -> tuple[Posting, ...]:
        legs = (
            (self.wallet.cash, self._house, split.cash),
            (self.wallet.bonus, self.wallet.house(bonuses.STAKES), split.bonus),
        )
        return tuple(
            posting
            for mine, house, amount in legs
            if amount
            for posting in (Posting(mine, sign * amount), Posting(house, -sign * amount))
        )


@lru_cache(maxsize=FEW)
def _wallet(casino_id: int, player_id: int, asset: str) -> Wallet:
    return Wallet(casino_id, player_id, asset)
