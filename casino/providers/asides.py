"""Asides: money beside any round, as tips, buy-ins and prizes of promotions, and rewards ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from casino import bonuses
from casino.commands import Answer, Desk, Shelf
from casino.outbox import Message
from casino.providers.calls import BESIDE, ProviderCall
from casino.providers.codes import Code
from casino.providers.records import Calls
from casino.providers.rewards import CANCELLED, Rewards
from casino.stakes import Split
from ledger.accounts import Account
from ledger.transfers import Posting


@dataclass(frozen=True, kw_only=True)
class Aside(ProviderCall):
    """Cash that a player gives, and that no bonus counts: bonus money is not given away."""

    amount: int

    @property
    def owed(self) -> bool:
        return False

    def asked(self) -> Mapping[str, Any]:
        return {**super().asked(), "amount": str(self.amount)}

    def accounts(self) -> Iterable[Account]:
        return (*super().accounts(), *self.purse.wallet.exits(), self._house)

    def made(self, desk: Desk) -> Answer | Code:
        why = self.welcome(desk)
        if why is not None:
            return why
        wallet = self.purse.wallet
        if self.amount > bonuses.spendable(desk, wallet):
            return Code.INSUFFICIENT_FUNDS
        given = (Posting(wallet.cash, -self.amount), Posting(self._house, self.amount))
        posted = self.post(desk, self.kind, given if self.amount else ())
        call = self.call(
            desk,
            amount=self.amount,
            split=Split(self.amount),
            transfer_id=posted and posted.id,
        )
        desk.shelf(Calls).put(self.at(self.key), call)
        return self.yes(desk, call)

    @property
    def _house(self) -> Account:
        return self.house(BESIDE[self.kind])


@dataclass(frozen=True, kw_only=True)
class Tip(Aside):
    """For who deals."""

    @property
    def kind(self) -> str:
        return "tip"


@dataclass(frozen=True, kw_only=True)
class BuyIn(Aside):
    """To take part in a promotion, such as a tournament."""

    @property
    def kind(self) -> str:
        return "buy_in"


@dataclass(frozen=True, kw_only=True)
class Prize(ProviderCall):
    """What a promotion pays: there may be no bet at all. `target` is the promotion's own name."""

    amount: int
    target: str | None = None

    @property
    def kind(self) -> str:
        return "prize"

    def asked(self) -> Mapping[str, Any]:
        return {**super().asked(), "amount": str(self.amount), "target": self.target}

    def accounts(self) -> Iterable[Account]:
        return (*super().accounts(), self._house)

    def made(self, desk: Desk) -> Answer | Code:
        cash = self.purse.wallet.cash
        given = (Posting(cash, self.amount), Posting(self._house, -self.amount))
        posted = self.post(desk, self.kind, given if self.amount else ())
        call = self.call(
            desk,
            amount=self.amount,
            split=Split(self.amount),
            target=self.target,
            transfer_id=posted and posted.id,
        )
        desk.shelf(Calls).put(self.at(self.key), call)
        return self.yes(desk, call)

    @property
    def _house(self) -> Account:
        return self.house(BESIDE["buy_in"])


@dataclass(frozen=True, kw_only=True)
class Cancel(ProviderCall):
    """Ends a reward of which nothing was played; `target` is the reward."""

    target: str

    @property
    def kind(self) -> str:
        return "cancel"

    def asked(self) -> Mapping[str, Any]:
        return {**super().asked(), "target": self.target}

    def rows(self) -> Iterable[tuple[type[Shelf[Any, Any]], Any]]:
        yield from super().rows()
        yield Rewards, self.reward_key(self.target)

    def made(self, desk: Desk) -> Answer | Code:
        rewards, key, one = desk.shelf(Rewards), self.reward_key(self.target), self.launched
        reward = rewards.get(key)
        if reward is None or (reward.player_id, reward.asset) != (one.player_id, one.asset):
            return Code.REWARD_NOT_FOUND
        if reward.state == CANCELLED:
            return Code.REWARD_CANCELLED
        if reward.used:
            return Code.REWARD_CLAIMED
        reward = replace(reward, state=CANCELLED, reason=self.actor)
        rewards.put(key, reward)
        said = {**reward.body(key), "at": desk.books.now.isoformat()}
        player = str(one.player_id)
        desk.messages.append(Message("user", "reward.cancelled", one.casino, said, player=player))
        call = self.call(desk, target=self.target)
        desk.shelf(Calls).put(self.at(self.key), call)
        return self.yes(desk, call)
