"""A bet on a round: accepted in time, within the limits, and backed by the bond, or refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from typing import Any

from casino.commands import Answer, Command, Desk, Shelf
from casino.outbox import Message
from casino.rounds.seats import (
    WAITING,
    Bet,
    Bets,
    Risks,
    Round,
    RoundKey,
    Rounds,
    Seat,
    Seats,
    Stakes,
)
from casino.rounds.tables import Table
from casino.stakes import Purse
from games import paytables
from games.fairness import rounds
from games.fairness.encoding import tag
from games.rules import NotOffered
from ledger.accounts import Account
from ledger.errors import Refusal
from ledger.transfers import Posted, Transfer

TYPE = "round_stake"
NAMESPACE = "rounds"


class UnknownRound(Refusal):
    code = "UNKNOWN_ROUND"


class RoundNotOpen(Refusal):
    """Bets come from the moment a round opens on."""

    code = "ROUND_NOT_OPEN"


class RoundClosed(Refusal):
    """Too late, by the database's clock."""

    code = "ROUND_CLOSED"


class TablePaused(Refusal):
    code = "TABLE_PAUSED"


class RoundUnsigned(Refusal):
    """The house could not sign that it took the bet: its key is not the one of the batch."""

    code = "ROUND_UNSIGNED"


class ChoiceNotOffered(Refusal):
    """The pay table has no win for this choice."""

    code = "CHOICE_NOT_OFFERED"


class StakeTooSmall(Refusal):
    code = "STAKE_TOO_SMALL"


class StakeTooLarge(Refusal):
    """More than one bet, or all bets of a player in a round, may stake."""

    code = "STAKE_TOO_LARGE"


class WinTooLarge(Refusal):
    code = "WIN_TOO_LARGE"


class RoundFull(Refusal):
    """The bond does not back the wins of one bet more."""

    code = "ROUND_FULL"


class OperatorFull(Refusal):
    """The casino would have more at risk than it allows, over all its rounds under way."""

    code = "OPERATOR_FULL"


@dataclass(frozen=True, kw_only=True)
class Place(Command):
    """A stake on a choice in a round, for a player.

    `account` names the player in the proof, `payee` is where the bond pays should the round never
    be revealed: raw bytes of an address, zeros for none. `choice` is one of the table's game, and
    `said` the same as JSON. `pays` are pay tables by number. `signer` is the address of who signs
    what was accepted, None where nobody does.
    """

    table: Table
    number: int
    player_id: int
    account: str
    payee: bytes
    choice: Any
    said: Mapping[str, Any]
    stake: int
    pays: Mapping[int, Any]
    signer: bytes | None = None

    @property
    def verb(self) -> str:
        return "round.bet"

    def asked(self) -> Mapping[str, Any]:
        return {
            "table": self.table.name,
            "round": self.number,
            "player": self.player_id,
            "choice": self.said,
            "stake": str(self.stake),
        }

    def accounts(self) -> Iterable[Account]:
        return self.purse.accounts()

    def rows(self) -> Iterable[tuple[type[Shelf[Any, Any]], Any]]:
        yield Rounds, self._round
        yield Seats, self._seat
        if self.table.limits.most_operator is not None:
            yield Risks, self._stakes
        yield from self.purse.rows()

    @cached_property
    def purse(self) -> Purse:
        table = self.table
        return Purse(table.casino_id, self.player_id, table.asset, table.game)

    @cached_property
    def bet(self) -> bytes:
        """What names the bet for good: 32 bytes that follow from who asked, and its key."""
        said = (b"fairhouse", str(self.casino_id).encode(), self.scope.encode(), self.key.encode())
        return sha256(tag(b"bet-id", *said)).digest()

    def decide(self, desk: Desk) -> Answer:
        found = self._open(desk)
        pays = self.pays[found.pay_id]
        risk = max(0, self._win(pays) - self.stake)
        liability = self._backed(found, risk)
        seats = desk.shelf(Seats)
        staked = (seats.get(self._seat) or 0) + self.stake
        self._within(staked)
        self._allowed(desk, risk)
        split = self.purse.split(desk, self.stake)
        extra = {"table": self.table.name, "round": str(self.number), "bet": self.bet.hex()}
        posted = desk.books.post(Transfer(TYPE, self.purse.paid(split), extra=extra))
        params = paytables.params(self.table.rules, self.choice, pays)
        leaf = self._leaf(found.bets, liability, params)
        bet = Bet(
            id=desk.books.number(),
            key=self._round,
            position=found.bets,
            bet=self.bet,
            casino_id=self.casino_id,
            player_id=self.player_id,
            account=self.account,
            payee=self.payee,
            choice=dict(self.said),
            params=params,
            split=split,
            liability=liability,
            leaf=leaf,
            transfer_id=posted.id,
            at=posted.at,
        )
        desk.shelf(Bets).put(bet.id, bet)
        seats.put(self._seat, staked)
        desk.shelf(Rounds).put(self._round, _with(found, self.stake, liability, risk))
        self._tell(desk, bet, posted)
        return Answer(self._said(desk, bet, found.signer), transfer_id=posted.id)

    @property
    def _round(self) -> RoundKey:
        return RoundKey(self.table.id, self.number)

    @property
    def _seat(self) -> Seat:
        return Seat(self.table.id, self.number, self.player_id)

    @property
    def _stakes(self) -> Stakes:
        return Stakes(self.table.casino_id, self.table.asset)

    def _open(self, desk: Desk) -> Round:
        """The round, if it takes bets now: as it stands behind its lock."""
        found = desk.shelf(Rounds).get(self._round)
        about = {"table": self.table.name, "round": self.number}
        if found is None:
            raise UnknownRound(f"{self.table.name} has no round {self.number}", **about)
        if self.table.paused_at is not None:
            raise TablePaused(f"{self.table.name} takes no bets now", table=self.table.name)
        if found.state != WAITING or desk.books.now >= found.closes_at:
            closed = found.closes_at.isoformat()
            raise RoundClosed(f"round {self.number} took bets until {closed}", **about)
        if desk.books.now < found.opens_at:
            opens = found.opens_at.isoformat()
            raise RoundNotOpen(f"round {self.number} takes bets from {opens} on", **about)
        if self.signer is not None and self.signer != found.signer:
            said = f"bets on round {self.number} cannot be signed for now"
            raise RoundUnsigned(said, **about)
        return found

    def _win(self, pays: Any) -> int:
        """The most that the bet can bring, the stake included."""
        limits = self.table.limits
        try:
            most = self.table.rules.most(self.stake, self.choice, pays)
        except NotOffered as error:
            raise ChoiceNotOffered(str(error)) from error
        if self.stake < limits.least:
            said = f"a stake is {limits.least} at least"
            raise StakeTooSmall(said, least=str(limits.least))
        if self.stake > limits.most:
            raise StakeTooLarge(f"a stake is {limits.most} at most", most=str(limits.most))
        if most > limits.most_win:
            said = f"this may win {most}, and a bet wins {limits.most_win} at most"
            raise WinTooLarge(said, most=str(limits.most_win))
        return most

    def _backed(self, found: Round, risk: int) -> int:
        liability = self.table.limits.liability(risk)
        if found.liability + liability > found.max_liability:
            raise RoundFull(
                f"round {self.number} has room for wins of {found.max_liability - found.liability}"
                " in the bond's coin",
                room=str(found.max_liability - found.liability),
                wanted=str(liability),
            )
        return liability

    def _within(self, staked: int) -> None:
        most = self.table.limits.most_player
        if staked > most:
            raise StakeTooLarge(f"a player stakes {most} in a round at most", most=str(most))

    def _allowed(self, desk: Desk, risk: int) -> None:
        """The casino's own limit, which counts this bet from here on."""
        most = self.table.limits.most_operator
        if most is None:
            return
        risks = desk.shelf(Risks)
        before = risks.get(self._stakes) or 0
        if before + risk > most:
            room = max(0, most - before)
            raise OperatorFull(
                f"{self.table.casino} has room for wins of {room} in its rounds under way",
                room=str(room),
                wanted=str(risk),
            )
        risks.put(self._stakes, before + risk)

    def _leaf(self, position: int, liability: int, params: bytes) -> bytes:
        details = rounds.details(
            account=self.account.encode(),
            asset=self.table.asset.encode(),
            game=self.table.game.encode(),
            params=params,
        )
        bet = rounds.RoundBet(
            round=self.table.place(self.number),
            position=position,
            bet_id=self.bet,
            payee=self.payee,
            stake=self.stake,
            liability=liability,
            details=details,
        )
        return bet.leaf

    def _tell(self, desk: Desk, bet: Bet, posted: Posted) -> None:
        player, casino = str(self.player_id), self.table.casino
        about = {"table": self.table.name, "round": self.number, "bet": bet.bet.hex()}
        placed = {
            **about,
            "position": bet.position,
            "player": self.account,
            "choice": bet.choice,
            "asset": self.table.asset,
            "stake": str(bet.stake),
            "leaf": bet.leaf.hex(),
        }
        moved = {
            "transfer": str(posted.id),
            "type": TYPE,
            "asset": self.table.asset,
            "amount": str(-bet.stake),
            "at": posted.at.isoformat(),
        }
        desk.messages += [
            Message(NAMESPACE, "round.bet", casino, placed, player=player, game=self.table.game),
            Message("user", "wallet.moved", casino, moved, player=player),
        ]

    def _said(self, desk: Desk, bet: Bet, signer: bytes) -> dict[str, Any]:
        return {
            "bet": bet.bet.hex(),
            "table": self.table.name,
            "round": self.number,
            "position": bet.position,
            "choice": bet.choice,
            "asset": self.table.asset,
            "stake": str(bet.stake),
            "liability": str(bet.liability),
            "params": bet.params.hex(),
            "leaf": bet.leaf.hex(),
            "signer": signer.hex(),
            "balance": str(self.purse.available(desk)),
            "at": bet.at.isoformat(),
        }


def receipt(table: Table, accepted: Mapping[str, Any]) -> rounds.BetReceipt:
    """What is to be signed of the answer to a bet that was accepted."""
    place, leaf = table.place(accepted["round"]), bytes.fromhex(accepted["leaf"])
    return rounds.BetReceipt(place, accepted["position"], leaf)


def _with(found: Round, stake: int, liability: int, risk: int) -> Round:
    return replace(
        found,
        bets=found.bets + 1,
        stake=found.stake + stake,
        liability=found.liability + liability,
        risk=found.risk + risk,
    )
