"""Settling a round: what every bet gets, paid in parts of a round, each part exactly once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from psycopg.rows import tuple_row

from casino import rows
from casino.commands import Answer, Command, Desk, Shelf, Undecided
from casino.outbox import Message
from casino.rounds.seats import LOST, OWED, RETURNED, WON, Ending, Endings
from casino.rounds.tables import Table
from casino.stakes import Purse, Split
from games.paytables import DIGEST
from ledger.accounts import Account
from ledger.errors import AccountClosed, LimitExceeded, Refusal
from ledger.transfers import Transfer

PART = 500
SCOPE, ACTOR = "rounds", "dealer"
PASSING = (AccountClosed, LimitExceeded)  # what an account refuses today it may take tomorrow
PAID, BACK = "round_payout", "round_return"

STANDING = b"""
SELECT r.outcome, r.result, r.reason, b.pay_id, (
    SELECT min(position) FROM round_bets
    WHERE table_id = r.table_id AND number = r.number AND state = 'placed'
)
FROM rounds r JOIN round_batches b ON b.table_id = r.table_id AND b.first = r.batch_first
WHERE r.table_id = %s AND r.number = %s
"""
BETS = b"""
SELECT id, position, bet, player_id, params, cash, bonus, grant_id, payout FROM round_bets
WHERE table_id = %s AND number = %s AND position >= %s ORDER BY position LIMIT %s
"""
OWING = b"""
SELECT b.id, b.position, b.bet, b.player_id, b.params, b.cash, b.bonus, b.grant_id, b.payout,
    b.number, r.outcome
FROM round_bets b JOIN rounds r ON r.table_id = b.table_id AND r.number = b.number
WHERE b.table_id = %s AND b.state = 'owed' ORDER BY b.number, b.position LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """A bet that waits for its end, and the payout that its round's result gives it."""

    id: int
    position: int
    bet: str
    player_id: int
    stake: Split
    payout: int


@dataclass(frozen=True, kw_only=True)
class Settle(Command):
    """A part of a round's bets: winners are paid; or, without an `outcome`, all stakes go back.

    What an account does not take is owed, and tried again by itself.
    """

    table: Table
    number: int
    bets: tuple[Standing, ...]
    outcome: bytes | None

    @property
    def verb(self) -> str:
        return "round.settle" if self.outcome else "round.return"

    def asked(self) -> Mapping[str, Any]:
        return {
            "table": self.table.name,
            "round": self.number,
            "first": self.bets[0].position,
            "count": len(self.bets),
            "outcome": self.outcome.hex() if self.outcome else None,
        }

    def accounts(self) -> Iterable[Account]:
        for bet in self.bets:
            if bet.payout or bet.stake.grant is not None:
                yield from self._purses[bet.player_id].accounts()

    def rows(self) -> Iterable[tuple[type[Shelf[Any, Any]], Any]]:
        for bet in self.bets:
            if bet.payout or bet.stake.grant is not None:
                yield from self._purses[bet.player_id].rows()

    def decide(self, desk: Desk) -> Answer:
        endings, paid, owed = desk.shelf(Endings), 0, 0
        for bet in self.bets:
            try:
                with desk.attempt():
                    ending = self._ended(desk, bet)
            except PASSING as refusal:
                ending = self._unpaid(bet, refusal)
                owed += bet.payout
            endings.put(bet.id, ending)
            paid += ending.payout
        body = {"round": self.number, "bets": len(self.bets), "payout": str(paid)}
        return Answer(body | ({"owed": str(owed)} if owed else {}))

    def _ended(self, desk: Desk, bet: Standing) -> Ending:
        """Raises a `Refusal` when an account does not take it."""
        purse, now = self._purses[bet.player_id], desk.books.now
        if self.outcome is not None:
            purse.settled(desk, source=f"table:{self.table.id}", bet=bet.bet, stake=bet.stake)
        if not bet.payout:
            return Ending(LOST, 0, None, now)
        won = self.outcome is not None
        split = purse.won(bet.stake, bet.payout) if won else bet.stake
        postings = purse.given(purse.returned(desk, split))
        state = WON if won else RETURNED
        if not postings:  # all of it belonged to a bonus that is lost
            return Ending(state, bet.payout, None, now)
        type = PAID if won else BACK
        extra = {"table": self.table.name, "round": str(self.number), "bet": bet.bet}
        posted = desk.books.post(Transfer(type, postings, extra=extra))
        mine = purse.wallet.accounts()
        data = {
            "transfer": str(posted.id),
            "type": type,
            "asset": self.table.asset,
            "amount": str(sum(one.amount for one in postings if one.account in mine)),
            "at": posted.at.isoformat(),
            **extra,
        }
        player = str(bet.player_id)
        desk.messages.append(
            Message("user", "wallet.moved", self.table.casino, data, player=player)
        )
        return Ending(state, bet.payout, posted.id, posted.at)

    def _unpaid(self, bet: Standing, refusal: Refusal) -> Ending:
        return Ending(OWED, bet.payout, None, None)

    @cached_property
    def _purses(self) -> Mapping[int, Purse]:
        table = self.table
        return {
            bet.player_id: Purse(table.casino_id, bet.player_id, table.asset, table.game)
            for bet in self.bets
        }


@dataclass(frozen=True, kw_only=True)
class Pay(Settle):
    """One bet that is owed, again: it stays so until its account takes it."""

    def _unpaid(self, bet: Standing, refusal: Refusal) -> Ending:
        body = {"detail": str(refusal), "bet": bet.bet}
        raise Undecided(Answer(body, code=refusal.code)) from refusal


async def part(
    connection: rows.Connection, table: Table, number: int, pays: Mapping[int, Any]
) -> Settle | None:
    """The next part of a drawn or given up round that is not settled; None when all are.

    Parts are the same whoever asks: a part that was settled meanwhile is not settled again.
    """
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(STANDING, (table.id, number))
        [(outcome, result, reason, pay_id, first)] = await cursor.fetchall()
        if first is None or (outcome is None and reason is None):
            return None
        first -= first % PART
        await cursor.execute(BETS, (table.id, number, first, PART))
        found = await cursor.fetchall()
    drawn = None if result is None else plain(result["drawn"])
    bets = tuple(_standing(row, _payout(table, pays.get(pay_id), drawn, row)) for row in found)
    kind = "settle" if reason is None else "return"
    return Settle(
        casino_id=table.casino_id,
        scope=SCOPE,
        key=f"{kind}:{table.id}:{number}:{first}",
        actor=ACTOR,
        table=table,
        number=number,
        bets=bets,
        outcome=None if outcome is None else bytes(outcome),
    )


async def owed(connection: rows.Connection, table: Table, most: int = PART) -> list[Pay]:
    """Bets whose accounts did not take what they should get."""
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(OWING, (table.id, most))
        found = await cursor.fetchall()
    return [
        Pay(
            casino_id=table.casino_id,
            scope=SCOPE,
            key=f"owed:{bytes(row[2]).hex()}",
            actor=ACTOR,
            table=table,
            number=row[9],
            bets=(_standing(row, int(row[8])),),
            outcome=None if row[10] is None else bytes(row[10]),
        )
        for row in found
    ]


def plain(drawn: Any) -> Any:
    """A result as games have it: JSON knows no tuples."""
    return tuple(drawn) if isinstance(drawn, list) else drawn


def _payout(table: Table, pays: Any, drawn: Any, row: tuple[Any, ...]) -> int:
    """What a bet gets; of a round without a result, its stake."""
    stake = int(row[5] + row[6])
    if drawn is None:
        return stake
    choice = table.rules.Choice.decoded(bytes(row[4])[DIGEST:])
    return table.rules.payout(stake, choice, drawn, pays)


def _standing(row: tuple[Any, ...], payout: int) -> Standing:
    id, position, bet, player_id, _, cash, bonus, grant_id, *_ = row
    stake = Split(int(cash), int(bonus), grant_id)
    return Standing(id, position, bytes(bet).hex(), player_id, stake, payout)
