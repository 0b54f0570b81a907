"""A play: a bet of a pair with its receipt, its outcome and its payout, all of it or nothing.

All that can refuse a bet does so before its outcome is known to anybody: else an account that takes
no wins would tell its owner which nonces win.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from casino.commands import Answer, Desk, Shelf, Undecided
from casino.outbox import Message
from casino.pairs.booths import rules
from casino.pairs.courses import NAMESPACE, OfPair, ended, told_retired
from casino.pairs.records import ACTIVE, RETIRED, Bet, BetKey, PairBets, Pairs, Standing
from casino.sealed import Sealer
from casino.stakes import Purse, Split
from chains.signers import Signer
from games import paytables
from games.fairness.pairs import MAX_BETS, Pair, hash_params
from games.fairness.receipts import Receipt
from games.fairness.stream import Stream
from games.rules import NotOffered
from ledger.accounts import Account
from ledger.errors import Refusal
from ledger.transfers import Posted, Transfer

STAKE, PAYOUT = "pair_stake", "pair_payout"
UNAVAILABLE, STOPPED = "PAIRS_UNAVAILABLE", "PAIRS_STOPPED"
SIGNED_ELSEWHERE = "PAIR_SIGNER_CHANGED"


class NoClientSeed(Refusal):
    """The player has not chosen a seed of his own yet."""

    code = "NO_CLIENT_SEED"


class NonceUsed(Refusal):
    """The nonce that was asked for belongs to an earlier bet."""

    code = "NONCE_USED"


class NonceSkipped(Refusal):
    """The nonce that was asked for is further on than the next one."""

    code = "NONCE_SKIPPED"


class GameNotOffered(Refusal):
    """The booth does not offer this game."""

    code = "GAME_NOT_OFFERED"


class AssetChanged(Refusal):
    """The booth plays for another asset by now, and its limits say nothing of the pair's."""

    code = "ASSET_CHANGED"


class ChoiceNotOffered(Refusal):
    """The pay table has no win for this choice."""

    code = "CHOICE_NOT_OFFERED"


class StakeTooSmall(Refusal):
    code = "STAKE_TOO_SMALL"


class StakeTooLarge(Refusal):
    """More than one bet, or all bets of a player under one pair, may stake."""

    code = "STAKE_TOO_LARGE"


class WinTooLarge(Refusal):
    code = "WIN_TOO_LARGE"


@dataclass(frozen=True, slots=True)
class Hand:
    """What opens sealed seeds, and what signs receipts."""

    sealer: Sealer = field(repr=False)
    sign: Signer = field(repr=False)


class _Covered(Exception):
    """The books would take the largest payout."""


@dataclass(frozen=True, kw_only=True)
class Play(OfPair):
    """A stake on a choice in a game, under the next nonce of a pair.

    `choice` is one of the game, and `said` the same as JSON; `pays` are pay tables by number. With
    a `nonce` it is refused unless that is the next one. Without a `hand`, or at a booth that is
    stopped, nothing is decided.
    """

    game: str
    choice: Any
    said: Mapping[str, Any]
    stake: int
    nonce: int | None = None
    pays: Mapping[int, Any] = field(repr=False)
    hand: Hand | None = field(repr=False)

    @property
    def verb(self) -> str:
        return "pair.play"

    def asked(self) -> Mapping[str, Any]:
        asked = {"pair": str(self.pair), "game": self.game, "choice": self.said}
        return {**asked, "stake": str(self.stake), "nonce": self.nonce}

    def accounts(self) -> Iterable[Account]:
        return self.purse.accounts()

    def rows(self) -> Iterable[tuple[type[Shelf[Any, Any]], Any]]:
        yield Pairs, self.pair
        yield from self.purse.rows()

    @cached_property
    def purse(self) -> Purse:
        booth = self.booth
        return Purse(booth.casino_id, self.pair.player_id, booth.asset, self.game)

    def decide(self, desk: Desk) -> Answer:
        hand = self._hand()
        pair = self._playable(desk)
        pay_id, pays = self._pays()
        most = self._most(pays)
        self._within(pair, most)
        seed = self._seed(hand, pair)
        split = self.purse.split(desk, self.stake)
        staked = desk.books.post(Transfer(STAKE, self.purse.paid(split), extra=self._about(pair)))
        self._check_room(desk, split, most)
        params = paytables.params(rules(self.game), self.choice, pays)
        receipt = self._receipt(desk, pair, params)
        signature = hand.sign(receipt.digest)
        outcome = receipt.pair.outcome(
            seed=seed,
            client_seed=receipt.client_seed,
            activation=receipt.activation,
            nonce=receipt.nonce,
            game=receipt.game,
            params=params,
        )
        drawn = rules(self.game).draw(Stream(outcome))
        payout = rules(self.game).payout(self.stake, self.choice, drawn, pays)
        paid = self._pay(desk, pair, split, payout)
        bet = Bet(
            casino_id=self.casino_id,
            game=self.game,
            pay_id=pay_id,
            choice=dict(self.said),
            params=params,
            split=split,
            said_at=receipt.at,
            previous=receipt.previous,
            digest=receipt.digest,
            signature=signature,
            outcome=outcome,
            result=drawn,
            payout=payout,
            transfer_id=staked.id,
            paid_id=None if paid is None else paid.id,
            at=staked.at,
        )
        desk.shelf(PairBets).put(BetKey(*self.pair, pair.bets), bet)
        after = self._after(pair, bet)
        desk.shelf(Pairs).put(self.pair, after)
        said = self._said(pair, bet, receipt)
        self._tell(desk, pair, bet, said, [one for one in (staked, paid) if one is not None])
        if after.state == RETIRED:
            desk.messages.append(told_retired(self.booth, self.pair, after, desk.books.now))
        body = said | {"state": after.state, "balance": str(self.purse.available(desk))}
        return Answer(body, transfer_id=staked.id)

    def _hand(self) -> Hand:
        """Who plays, if anybody does now. Raises `Undecided`."""
        if self.hand is None:
            raise ended()
        if self.booth.stopped:
            said = "the chain is ahead of our seeds: no bet is taken until somebody has looked"
            raise Undecided(Answer({"detail": said}, code=STOPPED))
        return self.hand

    def _playable(self, desk: Desk) -> Standing:
        """The pair, if it takes a bet now: as it stands behind its lock."""
        pair, about = self.standing(desk), {"pair": str(self.pair)}
        if pair.state != ACTIVE:
            raise self.waits()
        if pair.asset != self.booth.asset:
            said = (
                f"the pair {self.pair} is of {pair.asset}, and {self.booth.asset} is played for now"
            )
            raise AssetChanged(f"{said}: retire it", **about, asset=pair.asset)
        if pair.client_seed is None:
            raise NoClientSeed(f"the pair {self.pair} has no client seed yet", **about)
        if self.nonce is not None and self.nonce != pair.bets:
            kind = NonceUsed if self.nonce < pair.bets else NonceSkipped
            said = f"the next nonce of {self.pair} is {pair.bets}, not {self.nonce}"
            raise kind(said, **about, nonce=pair.bets)
        return pair

    def _pays(self) -> tuple[int, Any]:
        """The game's pay table, and its number."""
        pay_id = self.booth.games.get(self.game)
        if pay_id is None:
            offered = sorted(self.booth.games)
            raise GameNotOffered(f"pairs play {', '.join(offered)}", offered=offered)
        return pay_id, self.pays[pay_id]

    def _most(self, pays: Any) -> int:
        """The most that the bet can bring, the stake included."""
        try:
            return rules(self.game).most(self.stake, self.choice, pays)
        except NotOffered as error:
            raise ChoiceNotOffered(str(error)) from error

    def _within(self, pair: Standing, most: int) -> None:
        limits = self.booth.limits
        if self.stake < limits.least:
            raise StakeTooSmall(f"a stake is {limits.least} at least", least=str(limits.least))
        if self.stake > limits.most:
            raise StakeTooLarge(f"a stake is {limits.most} at most", most=str(limits.most))
        if most > limits.most_win:
            said = f"this may win {most}, and a bet wins {limits.most_win} at most"
            raise WinTooLarge(said, most=str(limits.most_win))
        if pair.stake + self.stake > limits.most_player:
            said = f"a player stakes {limits.most_player} under a pair at most"
            raise StakeTooLarge(said, most=str(limits.most_player))

    def _seed(self, hand: Hand, pair: Standing) -> bytes:
        """The pair's seed. Raises `Undecided` when this process may not play it."""
        if pair.signer != hand.sign.address:
            assert pair.signer is not None
            said = "receipts of this pair are signed by another key than ours: retire it"
            body = {"detail": said, "pair": str(self.pair), "signer": pair.signer.hex()}
            raise Undecided(Answer(body, code=SIGNED_ELSEWHERE))
        assert pair.sealed is not None
        try:
            place = self.booth.place(pair.account, self.pair.epoch)
            return hand.sealer.open(place, pair.sealed)
        except ValueError as error:
            raise _unavailable("the seed of this pair does not open here") from error

    def _check_room(self, desk: Desk, split: Split, most: int) -> None:
        """Raises a `Refusal` when the books would not take the largest payout."""
        postings = self.purse.given(self.purse.won(split, most))
        with contextlib.suppress(_Covered), desk.books.attempt():
            desk.books.post(Transfer(PAYOUT, postings))
            raise _Covered

    def _receipt(self, desk: Desk, pair: Standing, params: bytes) -> Receipt:
        assert pair.client_seed is not None
        assert pair.activation is not None
        assert pair.commit is not None
        return Receipt(
            pair=Pair(self.booth.chain, pair.account.encode(), self.pair.epoch),
            nonce=pair.bets,
            client_seed=pair.client_seed,
            activation=pair.activation,
            asset=self.booth.asset.encode(),
            game=self.game.encode(),
            params_hash=hash_params(params),
            stake=self.stake,
            at=int(desk.books.now.timestamp() * 1000),
            previous=pair.last or pair.commit,
        )

    def _pay(self, desk: Desk, pair: Standing, split: Split, payout: int) -> Posted | None:
        bet = f"{self.pair}.{pair.bets}"
        self.purse.settled(desk, source=f"booth:{self.booth.id}", bet=bet, stake=split)
        if not payout:
            return None
        postings = self.purse.given(self.purse.won(split, payout))
        return desk.books.post(Transfer(PAYOUT, postings, extra=self._about(pair)))

    def _about(self, pair: Standing) -> dict[str, str]:
        return {"pair": str(self.pair), "nonce": str(pair.bets)}

    def _after(self, pair: Standing, bet: Bet) -> Standing:
        """The pair after a bet; its last one retires it."""
        over = pair.bets + 1 == MAX_BETS
        return replace(
            pair,
            state=RETIRED if over else ACTIVE,
            bets=pair.bets + 1,
            stake=pair.stake + bet.split.total,
            payout=pair.payout + bet.payout,
            last=bet.digest,
            retired_at=bet.at if over else None,
        )

    def _tell(
        self, desk: Desk, pair: Standing, bet: Bet, said: dict[str, Any], moved: list[Posted]
    ) -> None:
        player, casino = str(self.pair.player_id), self.booth.casino
        data = {"player": pair.account, **said}
        desk.messages.append(
            Message(NAMESPACE, "pair.bet", casino, data, player=player, game=self.game)
        )
        for posted, type, amount in zip(
            moved, (STAKE, PAYOUT), (-bet.split.total, bet.payout), strict=False
        ):
            told = {
                "transfer": str(posted.id),
                "type": type,
                "asset": self.booth.asset,
                "amount": str(amount),
                "at": posted.at.isoformat(),
                **self._about(pair),
            }
            desk.messages.append(Message("user", "wallet.moved", casino, told, player=player))

    def _said(self, pair: Standing, bet: Bet, receipt: Receipt) -> dict[str, Any]:
        """The bet, its receipt with all that its digest is made of, and what came of it."""
        return {
            "bet": f"{self.pair}.{receipt.nonce}",
            "pair": str(self.pair),
            "nonce": receipt.nonce,
            "game": self.game,
            "choice": bet.choice,
            "asset": self.booth.asset,
            "stake": str(self.stake),
            "params": bet.params.hex(),
            "receipt": {
                "chain": self.booth.network,
                "account": pair.account,
                "epoch": str(self.pair.epoch),
                "client_seed": receipt.client_seed.hex(),
                "activation": receipt.activation.hex(),
                "params_hash": receipt.params_hash.hex(),
                "at": str(receipt.at),
                "previous": receipt.previous.hex(),
                "digest": bet.digest.hex(),
                "signature": bet.signature.hex(),
                "signer": _hex(pair.signer),
            },
            "outcome": bet.outcome.hex(),
            "result": bet.result,
            "payout": str(bet.payout),
            "at": bet.at.isoformat(),
        }


def _hex(value: bytes | None) -> str:
    return "" if value is None else value.hex()


def _unavailable(said: str) -> Undecided:
    """The house's own trouble: the bet is open, and may be asked for again under its key."""
    return Undecided(Answer({"detail": said}, code=UNAVAILABLE))
