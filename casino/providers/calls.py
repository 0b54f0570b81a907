"""Debit, credit and rollback, as providers ask them: decided once, for every dialect."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from casino.commands import Answer, Command, Desk, Key, Shelf, Undecided
from casino.outbox import Message
from casino.providers.codes import Code
from casino.providers.launches import Launched
from casino.providers.records import (
    CLOSED,
    DECLINED,
    DONE,
    OPEN,
    RETURNED,
    TOMBSTONE,
    Call,
    CallKey,
    Calls,
    Games,
    Jackpot,
    Jackpots,
    Part,
    Round,
    RoundKey,
    Rounds,
)
from casino.providers.rewards import CANCELLED, RewardKey, Rewards
from casino.stakes import MaxBetExceeded, Purse, Split
from ledger.accounts import Account
from ledger.errors import AccountClosed, InsufficientFunds, LimitExceeded, Refusal
from ledger.transfers import Posted, Posting, Transfer

REFUSALS: Mapping[str, Code] = {
    InsufficientFunds.code: Code.INSUFFICIENT_FUNDS,
    LimitExceeded.code: Code.LIMIT_EXCEEDED,
    MaxBetExceeded.code: Code.LIMIT_EXCEEDED,
    AccountClosed.code: Code.PLAYER_DISABLED,
}
PASSING = (AccountClosed, LimitExceeded)  # what an account refuses today it may take tomorrow
UNNAMED = "~"  # begins the name of a session's round, for calls that name none; no provider's does
# Money that a player gives beside any round, and where it goes: no bet, so it counts for no bonus.
BESIDE: Mapping[str, str] = {"tip": "house:tips", "buy_in": "house:promotions"}


@dataclass(frozen=True, slots=True)
class Policy:
    """What providers want done differently."""

    accept_unknown_target: bool  # is the rollback of a bet that never came a success?
    current_balance: bool  # does a repeated call answer today's balance, or that of the first?
    refund_must_match: bool  # is a rollback over another amount refused, or the amount ignored?
    bet_after_payout: bool  # may a round that was paid take another bet?
    zero_closes: bool  # does a payout of nothing end the round?
    more: frozenset[str] = frozenset()  # what it asks beyond bets, payouts and rollbacks


@dataclass(frozen=True, kw_only=True)
class ProviderCall(Command):
    """A call under the provider's own id of it, made with the token of a launched game.

    `player`, `game`, `currency` and `round` are as the provider said them; what it left out is as
    launched. `request` is its id of the message, where it has one besides the call's.
    """

    launched: Launched
    policy: Policy
    player: str
    game: str
    currency: str
    round: str
    closes: bool = False
    request: str | None = None

    @property
    @abstractmethod
    def kind(self) -> str:
        """debit, credit, rollback, or one of the rarer ones."""

    @property
    def owed(self) -> bool:
        """Whether it settles what was taken before, and so has to be taken in the end."""
        return True

    @property
    def missing(self) -> Code:
        """Why there is nothing that it could take back."""
        return Code.BET_NOT_FOUND

    @abstractmethod
    def made(self, desk: Desk) -> Answer | Code:
        """Do it, or say why not; what is checked for every call is checked. Raises a `Refusal`."""

    @property
    def verb(self) -> str:
        return f"provider.{self.kind}"

    def asked(self) -> Mapping[str, Any]:
        return {
            "player": self.player,
            "game": self.game,
            "currency": self.currency,
            "round": self.round,
        }

    def accounts(self) -> Iterable[Account]:
        return self.purse.accounts()

    def related(self) -> Iterable[Key]:
        if self.request is not None:
            yield self._message

    def rows(self) -> Iterable[tuple[type[Shelf[Any, Any]], Any]]:
        yield Calls, self.at(self.key)
        yield Games, self.at(self.game)
        yield Rounds, self.round_key(self.round)
        yield from self.purse.rows()

    def decide(self, desk: Desk) -> Answer:
        """The answer, with a code when it is declined: that too stands under the call's id.

        Not so when an account does not take what is owed: the provider may ask again.
        """
        calls = desk.shelf(Calls)
        if calls.get(self.at(self.key)) is not None:
            return self._no(desk, Code.ROLLED_BACK)  # a tombstone, or it would stand decided
        if self.request is not None:
            if self._message in desk.decided:
                return self._no(desk, Code.CONFLICT)
            desk.keep(self, Answer({"call": self.key}), place=self._message)
        try:
            with desk.attempt():
                answer = self._barred() or self.made(desk)
        except Refusal as refusal:
            answer = REFUSALS.get(refusal.code, Code.REFUSED)
            if self.owed and isinstance(refusal, PASSING):
                raise Undecided(self._no(desk, answer)) from refusal
        if isinstance(answer, Code):
            calls.put(self.at(self.key), self.call(desk, state=DECLINED, code=answer))
            return self._no(desk, answer)
        return answer

    @cached_property
    def purse(self) -> Purse:
        one = self.launched
        return Purse(one.casino_id, one.player_id, one.asset)

    def at_game(self, desk: Desk) -> Purse:
        """The purse at the call's game, as bonuses call it."""
        one, offer = self.launched, desk.shelf(Games).get(self.at(self.game))
        return Purse(one.casino_id, one.player_id, one.asset, offer and offer.game)

    def house(self, name: str) -> Account:
        return Account(self.casino_id, name, self.launched.asset)

    @cached_property
    def mine(self) -> tuple[Account, ...]:
        """The player's among the accounts."""
        return (self.purse.wallet.cash, self.purse.wallet.bonus)

    def at(self, id: str) -> CallKey:
        return CallKey(self.casino_id, self.launched.provider, id)

    def reward_key(self, name: str, *, call: str = "") -> RewardKey:
        return RewardKey(self.casino_id, self.launched.provider, name, call)

    def round_key(self, round: str) -> RoundKey:
        return RoundKey(self.casino_id, self.launched.provider, self.launched.player_id, round)

    def call(self, desk: Desk, **more: Any) -> Call:
        """A row for this call."""
        plain: dict[str, Any] = {
            "number": desk.books.number(),
            "kind": self.kind,
            "state": DONE,
            "player_id": self.launched.player_id,
            "asset": self.launched.asset,
            "game": self.game,
            "round": self.round,
            "place": 0,
            "at": desk.books.now,
        }
        return Call(**plain | more)

    def welcome(self, desk: Desk) -> Code | None:
        """Why the player may not give any money now, at this game."""
        if self.launched.expires_at <= desk.books.now:
            return Code.TOKEN_EXPIRED
        offer = desk.shelf(Games).get(self.at(self.game))
        if offer is None or not offer.open:
            return Code.UNKNOWN_GAME
        if any(desk.books.line(one).closed for one in self.mine):
            return Code.PLAYER_DISABLED
        return None

    def balance(self, desk: Desk) -> int:
        """All that the player may stake at this game, of whichever colour."""
        return self.at_game(desk).available(desk)

    def post(
        self, desk: Desk, type: str, postings: tuple[Posting, ...], reverses: int | None = None
    ) -> Posted | None:
        """Move the money, if there is any to move: the last thing that may refuse the call."""
        if not postings:
            return None
        extra = {"provider": self.launched.provider, "call": self.key, "round": self.round}
        posted = desk.books.post(Transfer(type, postings, extra=extra, reverses=reverses))
        amount = abs(sum(one.amount for one in postings if one.account in self.mine))
        data = {"transfer": str(posted.id), "type": type, "asset": self.launched.asset}
        data |= {"amount": str(amount), "at": posted.at.isoformat()}
        told = Message(
            "user",
            "wallet.moved",
            self.launched.casino,
            data,
            player=str(self.launched.player_id),
        )
        desk.messages.append(told)
        return posted

    def keep(
        self, desk: Desk, name: str, round: Round, *, closes: bool, settles: bool = False
    ) -> None:
        """A round after one more call. One that pays it or closes it settles its bets for good.

        That of a session goes on after every call.
        """
        closes = closes and not name.startswith(UNNAMED)
        if settles or closes:
            purse, place = self.purse, f"{self.launched.player_id}:{round.calls + 1}"
            for number, (part, stake) in enumerate(sorted(round.uncounted.items())):
                replace(purse, game=part.game).settled(
                    desk,
                    source=self.launched.provider,
                    bet=f"{place}.{number}:{name}",
                    stake=stake._replace(grant=part.grant),
                )
            round = round.counted()
        now = desk.books.now
        shut = closes and round.state != CLOSED
        desk.shelf(Rounds).put(
            self.round_key(name),
            round._replace(
                calls=round.calls + 1,
                touched_at=now,
                state=CLOSED if shut else round.state,
                closed_at=now if shut else round.closed_at,
            ),
        )

    def yes(self, desk: Desk, call: Call, **more: Any) -> Answer:
        body = {
            "call": self.key,
            "number": str(call.number),
            "amount": str(call.amount),
            "cash": str(call.split.cash),
            "bonus": str(call.split.bonus),
            "balance": str(self.balance(desk)),
            **more,
        }
        return Answer(body, transfer_id=call.transfer_id)

    def _no(self, desk: Desk, code: Code) -> Answer:
        body = {"call": self.key, "detail": DETAILS[code], "balance": str(self.balance(desk))}
        return Answer(body, code=code)

    def _barred(self) -> Code | None:
        if self.player != self.launched.player:
            return Code.OTHER_PLAYER
        if self.currency != self.launched.currency:
            return Code.WRONG_CURRENCY
        return None

    @property
    def _message(self) -> Key:
        return f"{self.scope}:messages", self.request or ""


@dataclass(frozen=True, kw_only=True)
class Debit(ProviderCall):
    """A bet. Opens its round, if it is the first of it. Nothing may be bet, too.

    A bet with a `reward` is one of those that a player was given: nothing is bet with it. What a
    bet contributes to `jackpots` is told, and is moved by nobody here.
    """

    amount: int
    reward: str | None = None
    jackpots: tuple[Jackpot, ...] = ()

    @property
    def kind(self) -> str:
        return "debit"

    @property
    def owed(self) -> bool:
        return False

    def asked(self) -> Mapping[str, Any]:
        said = {**super().asked(), "amount": str(self.amount), **reported(self.jackpots)}
        return said if self.reward is None else {**said, "reward": self.reward}

    def rows(self) -> Iterable[tuple[type[Shelf[Any, Any]], Any]]:
        yield from super().rows()
        if self.jackpots:
            yield Jackpots, self.at(self.key)
        if self.reward is not None:
            yield Rewards, self.reward_key(self.reward)

    def made(self, desk: Desk) -> Answer | Code:
        round = desk.shelf(Rounds).get(self.round_key(self.round))
        why = self._declined(desk, round)
        if why is not None:
            return why
        purse = self.at_game(desk)
        split = purse.split(desk, self.amount)
        posted = self.post(desk, "stake", purse.paid(split))
        now = desk.books.now
        round = round or Round(
            asset=self.launched.asset, game=self.game, opened_at=now, touched_at=now
        )
        call = self.call(
            desk,
            amount=self.amount,
            split=split,
            played=None if split.grant is None else purse.game,
            place=round.calls + 1,
            transfer_id=posted and posted.id,
            reward=self.reward,
        )
        desk.shelf(Calls).put(self.at(self.key), call)
        if self.jackpots:
            desk.shelf(Jackpots).put(self.at(self.key), self.jackpots)
        if self.reward is not None:
            used(desk, self.reward_key(self.reward), 1)
        self.keep(desk, self.round, round.staked(call), closes=self.closes)
        return self.yes(desk, call)

    def _declined(self, desk: Desk, round: Round | None) -> Code | None:
        unwelcome = self.welcome(desk)
        if unwelcome is not None:
            return unwelcome
        if round is not None:
            if round.asset != self.launched.asset:
                return Code.WRONG_CURRENCY
            again = self.policy.bet_after_payout or self.round.startswith(UNNAMED)
            if round.state != OPEN or (round.settled and not again):
                return Code.ROUND_CLOSED
        if self.reward is not None:
            return self._unclaimable(desk, self.reward)
        if self.amount > self.balance(desk):
            return Code.INSUFFICIENT_FUNDS
        return None

    def _unclaimable(self, desk: Desk, name: str) -> Code | None:
        """Why no bet can be placed with a reward."""
        reward, one = desk.shelf(Rewards).get(self.reward_key(name)), self.launched
        if reward is None or (reward.player_id, reward.asset) != (one.player_id, one.asset):
            return Code.REWARD_NOT_FOUND
        if reward.game not in (None, self.game):
            return Code.REWARD_NOT_FOUND
        if reward.state == CANCELLED:
            return Code.REWARD_CANCELLED
        if reward.expires_at <= desk.books.now:
            return Code.REWARD_EXPIRED
        if reward.used >= reward.count:
            return Code.REWARD_USED_UP
        return Code.AMOUNT_MISMATCH if self.amount else None


@dataclass(frozen=True, kw_only=True)
class Credit(ProviderCall):
    """A payout, of a bet by its `target` or of a round. It is taken after the game's end, too.

    What is won of `jackpots` is a part of the amount, and told beside it. Where wins are taken
    back, a payout first pays what the player owes for such.
    """

    amount: int
    target: str | None = None
    jackpots: tuple[Jackpot, ...] = ()

    @property
    def kind(self) -> str:
        return "credit"

    def asked(self) -> Mapping[str, Any]:
        said = {**super().asked(), "amount": str(self.amount), "target": self.target}
        return {**said, **reported(self.jackpots)}

    def accounts(self) -> Iterable[Account]:
        yield from super().accounts()
        if "reversal" in self.policy.more:
            yield self.purse.wallet.debt

    def rows(self) -> Iterable[tuple[type[Shelf[Any, Any]], Any]]:
        yield from super().rows()
        if self.jackpots:
            yield Jackpots, self.at(self.key)
        if self.target is not None:
            yield Calls, self.at(self.target)
            yield Rounds, replaced(self.round_key(self.round), self.target)
            yield Rounds, self.round_key(alone(self.target))

    def made(self, desk: Desk) -> Answer | Code:
        bet = desk.shelf(Calls).get(self.at(self.target)) if self.target is not None else None
        if self.target is not None:
            why = self._unpayable(bet)
            if why is not None:
                return why
        name = self.round if bet is None else bet.round
        round = desk.shelf(Rounds).get(self.round_key(name))
        if round is None or round.asset != self.launched.asset:
            return Code.BET_NOT_FOUND
        if round.standing == 0:
            return Code.ROLLED_BACK
        if round.state == CLOSED:
            return Code.ALREADY_SETTLED
        won = self._won(desk, round, bet)
        posted = self.post(desk, "payout", self._paying(desk, won))
        call = self.call(
            desk,
            amount=self.amount,
            split=won,
            round=name,
            place=round.calls + 1,
            target=self.target,
            transfer_id=posted and posted.id,
        )
        desk.shelf(Calls).put(self.at(self.key), call)
        if self.jackpots:
            desk.shelf(Jackpots).put(self.at(self.key), self.jackpots)
        if bet is not None and name.startswith(UNNAMED):
            self._settle_alone(desk, name, round, bet)
        else:
            lost = self.amount == 0 and self.policy.zero_closes
            paid = round._replace(settled=call.place)
            self.keep(desk, name, paid, closes=self.closes or lost, settles=True)
        return self.yes(desk, call)

    def _paying(self, desk: Desk, won: Split) -> tuple[Posting, ...]:
        """From the house to the player: to what is owed first, as far as it is cash."""
        postings = self.purse.given(won)
        if "reversal" not in self.policy.more:
            return postings
        wallet = self.purse.wallet
        owed = min(-desk.books.line(wallet.debt).balance, won.cash)
        if owed <= 0:
            return postings
        kept = [one for one in postings if one.account != wallet.cash]
        if won.cash > owed:
            kept.append(Posting(wallet.cash, won.cash - owed))
        return (*kept, Posting(wallet.debt, owed))

    def _settle_alone(self, desk: Desk, name: str, round: Round, bet: Call) -> None:
        """A bet in the round of a session is settled, and no other with it."""
        rounds, now = desk.shelf(Rounds), desk.books.now
        mark = self.round_key(alone(self.target or ""))
        if round.settled < bet.place and rounds.get(mark) is None:
            replace(self.purse, game=bet.played).settled(
                desk,
                source=self.launched.provider,
                bet=f"{self.launched.player_id}:{bet.place}:{bet.round}",
                stake=bet.split,
            )
            round = round.paid(bet)
            # No call is of this round: that it is there says that the bet was paid.
            paid = Round(
                asset=round.asset,
                game=bet.game,
                opened_at=now,
                touched_at=now,
                state=CLOSED,
                settled=1,
                closed_at=now,
            )
            rounds.put(mark, paid)
        rounds.put(self.round_key(name), round._replace(touched_at=now))

    def _won(self, desk: Desk, round: Round, bet: Call | None) -> Split:
        """How the payout comes back by now: by the stake of its bet, or of all that it is for."""
        total, bonuses = 0, dict[int, int]()
        stakes = round.owed() if bet is None else {Part(bet.split.grant, bet.game): bet.split}
        for part, stake in stakes.items():
            total += stake.total
            if part.grant is not None:
                bonuses[part.grant] = bonuses.get(part.grant, 0) + stake.bonus
        won = Split(self.amount)
        for grant, bonus in bonuses.items():
            share = self.purse.won(Split(total - bonus, bonus, grant), self.amount).bonus
            back = self.purse.returned(desk, Split(0, share, grant))
            won = Split(won.cash - share + back.cash, won.bonus + back.bonus, grant)
        return won

    def _unpayable(self, bet: Call | None) -> Code | None:
        if bet is not None and (bet.reversed or bet.state in (RETURNED, TOMBSTONE)):
            return Code.ROLLED_BACK
        mine = bet is not None and bet.player_id == self.launched.player_id
        if bet is None or not mine or bet.kind != "debit" or bet.state != DONE:
            return Code.BET_NOT_FOUND
        if bet.round != self.round and not self.round.startswith(UNNAMED):
            return Code.BET_NOT_FOUND
        return None


@dataclass(frozen=True, kw_only=True)
class Undo(ProviderCall):
    """Takes an earlier call back, whole; `amount` is only compared, where the provider's ways ask.

    A call that never came is barred for good: it may be on its way still.
    """

    target: str
    amount: int | None = None

    @property
    @abstractmethod
    def takes(self) -> tuple[str, ...]:
        """The kinds of calls that it takes back; the first is that of one that never came."""

    @property
    @abstractmethod
    def other(self) -> Code:
        """Why it does not take back a call of another kind."""

    @abstractmethod
    def undone(self, desk: Desk, found: Call) -> Answer | Code:
        """Take a call of the right kind back, that stands and is of the same player."""

    def asked(self) -> Mapping[str, Any]:
        said = None if self.amount is None else str(self.amount)
        return {**super().asked(), "target": self.target, "amount": said}

    def rows(self) -> Iterable[tuple[type[Shelf[Any, Any]], Any]]:
        yield from super().rows()
        yield Calls, self.at(self.target)
        yield Rounds, replaced(self.round_key(self.round), self.target)

    def made(self, desk: Desk) -> Answer | Code:
        found = self.found(desk)
        if found is None or found.state in (TOMBSTONE, DECLINED):
            return self._nothing(desk, found)
        if found.player_id != self.launched.player_id or found.asset != self.launched.asset:
            return self.missing
        if found.kind not in self.takes:
            return self.other
        if found.state == RETURNED or found.reversed:
            return Code.ALREADY_ROLLED_BACK
        return self.undone(desk, found)

    def found(self, desk: Desk) -> Call | None:
        """What is to be taken back."""
        return desk.shelf(Calls).get(self.at(self.target))

    def mismatch(self, found: Call) -> Code | None:
        wrong = self.policy.refund_must_match and self.amount not in (None, found.amount)
        return Code.AMOUNT_MISMATCH if wrong else None

    def _nothing(self, desk: Desk, found: Call | None) -> Answer:
        """There is no money to move, and there never will be."""
        calls = desk.shelf(Calls)
        if found is None:
            calls.put(self.at(self.target), self.call(desk, kind=self.takes[0], state=TOMBSTONE))
        call = self.call(desk, target=self.target)
        calls.put(self.at(self.key), call)
        barred = found is None or found.state == TOMBSTONE
        return self.yes(desk, call, nothing=True, **({"tombstone": True} if barred else {}))


@dataclass(frozen=True, kw_only=True)
class Rollback(Undo):
    """Gives back what was paid for a bet, or for a tip."""

    @property
    def kind(self) -> str:
        return "rollback"

    @property
    def takes(self) -> tuple[str, ...]:
        return ("debit", "tip")

    @property
    def other(self) -> Code:
        return Code.NOT_A_BET

    def accounts(self) -> Iterable[Account]:
        yield from super().accounts()
        for kind in self.takes:
            if kind in BESIDE and kind in self.policy.more:
                yield self.house(BESIDE[kind])

    def rows(self) -> Iterable[tuple[type[Shelf[Any, Any]], Any]]:
        yield from super().rows()
        yield Rounds, self.round_key(alone(self.target))
        if "cancel" in self.policy.more:
            yield Rewards, self.reward_key("", call=self.target)

    def undone(self, desk: Desk, found: Call) -> Answer | Code:
        if found.kind in BESIDE:
            return self._given_back(desk, found)
        bet, calls = found, desk.shelf(Calls)
        round = desk.shelf(Rounds).get(self.round_key(bet.round))
        why = self._irrevocable(desk, bet, round)
        if why is not None or round is None:
            return why or Code.BET_NOT_FOUND
        back = self.purse.returned(desk, bet.split)
        posted = self.post(desk, "refund", self.purse.given(back), bet.transfer_id)
        call = self.call(
            desk,
            amount=bet.amount,
            split=back,
            round=bet.round,
            place=round.calls + 1,
            target=self.target,
            transfer_id=posted and posted.id,
        )
        calls.put(self.at(self.key), call)
        calls.put(self.at(self.target), bet._replace(state=RETURNED))
        if round.has_counted(bet):
            replace(self.purse, game=bet.played).unsettled(
                desk,
                source=self.launched.provider,
                bet=f"{self.launched.player_id}:{bet.place}:{bet.round}",
                stake=bet.split,
            )
        if bet.reward is not None:
            used(desk, self.reward_key(bet.reward), -1)
        self.keep(desk, bet.round, round.unstaked(bet), closes=self.closes)
        return self.yes(desk, call)

    def _given_back(self, desk: Desk, found: Call) -> Answer | Code:
        """Money that was given beside any round."""
        why = self.mismatch(found)
        if why is not None:
            return why
        house = self.house(BESIDE[found.kind])
        back = (Posting(self.purse.wallet.cash, found.amount), Posting(house, -found.amount))
        type, calls = f"{found.kind}_refund", desk.shelf(Calls)
        posted = self.post(desk, type, back if found.amount else (), found.transfer_id)
        call = self.call(
            desk,
            amount=found.amount,
            split=found.split,
            round=found.round,
            target=self.target,
            transfer_id=posted and posted.id,
        )
        calls.put(self.at(self.key), call)
        calls.put(self.at(self.target), found._replace(state=RETURNED))
        return self.yes(desk, call)

    def _irrevocable(self, desk: Desk, bet: Call, round: Round | None) -> Code | None:
        mark = desk.shelf(Rounds).get(self.round_key(alone(self.target)))
        if mark is not None or (round is not None and round.settled > bet.place):
            return Code.ALREADY_SETTLED
        return self.mismatch(bet)


@dataclass(frozen=True, kw_only=True)
class Refund(Rollback):
    """Gives back what was paid to take part in a promotion."""

    @property
    def kind(self) -> str:
        return "refund"

    @property
    def takes(self) -> tuple[str, ...]:
        return ("buy_in",)

    @property
    def other(self) -> Code:
        return Code.NOT_A_BUY_IN

    @property
    def missing(self) -> Code:
        return Code.BUY_IN_NOT_FOUND


DETAILS: Mapping[Code, str] = {
    Code.CONFLICT: "the id stands for another call",
    Code.TOKEN_EXPIRED: "the session is over",
    Code.OTHER_PLAYER: "the session is another player's",
    Code.UNKNOWN_GAME: "there is no such game",
    Code.WRONG_CURRENCY: "the session is in another currency",
    Code.PLAYER_DISABLED: "the player's account is closed",
    Code.INSUFFICIENT_FUNDS: "not enough money",
    Code.LIMIT_EXCEEDED: "a limit is reached",
    Code.ROUND_CLOSED: "the round takes no more bets",
    Code.BET_NOT_FOUND: "there is no such bet",
    Code.NOT_A_BET: "only a bet or a tip can be rolled back",
    Code.WIN_NOT_FOUND: "there is no such payout",
    Code.NOT_A_WIN: "only a payout can be reversed",
    Code.BUY_IN_NOT_FOUND: "there is no such buy-in",
    Code.NOT_A_BUY_IN: "only a buy-in gets a promotion's refund",
    Code.REWARD_NOT_FOUND: "the player has no such reward here",
    Code.REWARD_EXPIRED: "the reward has expired",
    Code.REWARD_CANCELLED: "the reward was cancelled",
    Code.REWARD_USED_UP: "all bets of the reward are placed",
    Code.REWARD_CLAIMED: "a bet of the reward is placed",
    Code.ROLLED_BACK: "the bet was rolled back",
    Code.ALREADY_ROLLED_BACK: "the bet was rolled back before",
    Code.ALREADY_SETTLED: "the round is settled",
    Code.AMOUNT_MISMATCH: "it is over another amount",
    Code.REFUSED: "the casino's rules do not allow it",
}


def reported(jackpots: tuple[Jackpot, ...]) -> dict[str, Any]:
    """What a call says of jackpots, where it says anything."""
    if not jackpots:
        return {}
    return {"jackpots": [[one.name, str(one.contributed), str(one.won)] for one in jackpots]}


def used(desk: Desk, key: RewardKey, bets: int) -> None:
    """A reward after a bet that was placed with it, or with a minus taken back."""
    rewards = desk.shelf(Rewards)
    reward = rewards.get(key)
    if reward is None:
        raise LookupError(f"no reward {key.id} of {key.provider}")
    rewards.put(key, replace(reward, used=reward.used + bets))


def replaced(key: RoundKey, call: str) -> RoundKey:
    """The round of an earlier call, whatever its name."""
    return key._replace(round="", call=call)


def paid_at(play: str) -> str:
    """The id of the payout in a play, which no provider's own can be."""
    return f"{UNNAMED}won:{play}"


def alone(bet: str) -> str:
    """The name of the round that marks a bet without a round as paid by itself."""
    return f"{UNNAMED}paid:{bet}"
