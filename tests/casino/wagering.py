"""A casino with campaigns, and commands that bet as a provider's integration would."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import CursorResult, text

from casino import wagers
from casino.bonuses import Forfeit, Grant, Wallet
from casino.campaigns import Define, Terms
from casino.commands import Answer, Command, Desk, KeyReused, Shelf, run_many
from casino.stakes import Purse, Split
from casino.wallets import TREASURY, Move
from db import session
from ledger.accounts import Account
from ledger.transfers import Transfer

USD = "iso4217:USD"
_numbers = itertools.count(1)
# Per asset and colour everything sums to nothing, and what a wallet's bonus account holds belongs
# to an active bonus.
CONSERVED = r"""
SELECT a.asset, a.colour, sum(a.balance) FROM accounts a GROUP BY 1, 2 HAVING sum(a.balance) <> 0
UNION ALL
SELECT a.asset, a.name, a.balance FROM accounts a
WHERE a.name ~ '^player\:.*\:bonus$' AND a.balance <> 0 AND NOT EXISTS (
    SELECT FROM grants g WHERE g.casino_id = a.casino_id AND g.asset = a.asset
    AND a.name = 'player\:' || g.player_id || '\:bonus' AND g.state = 'active')
UNION ALL
SELECT g.asset, cast(g.id AS text), g.done_bp - coalesce(sum(w.counted_bp), 0) FROM grants g
LEFT JOIN wagers w ON w.grant_id = g.id GROUP BY g.id
HAVING g.done_bp <> coalesce(sum(w.counted_bp), 0)
"""


# What rounds of providers hold as counted is what bonuses were told, once for each bet.
COUNTED = """
SELECT r.grant_id, r.amount, t.amount FROM (
    SELECT provider AS source, cast(p->>0 AS bigint) AS grant_id,
        sum(cast(p->>3 AS numeric) + cast(p->>4 AS numeric)) AS amount
    FROM casino_rounds CROSS JOIN jsonb_array_elements(coalesce(parts, '[]')) AS p
    WHERE cast(p->>2 AS boolean) GROUP BY 1, 2
) r FULL JOIN (
    SELECT source, grant_id, sum(cash + bonus) AS amount FROM (
        SELECT source, grant_id, cash, bonus FROM wagers UNION ALL
        SELECT source, grant_id, cash, bonus FROM waiting_wagers
    ) w WHERE source IN (SELECT provider FROM casino_rounds)
    GROUP BY 1, 2 HAVING sum(cash + bonus) <> 0
) t USING (source, grant_id)
WHERE r.amount IS DISTINCT FROM t.amount
"""


async def rows(query: str, **values: Any) -> list[tuple[Any, ...]]:
    async with session.transaction() as opened:
        found = await opened.execute(text(query), values)
        holds = isinstance(found, CursorResult) and found.returns_rows
        return [tuple(row) for row in found.all()] if holds else []


async def value(query: str, **values: Any) -> Any:
    [[found]] = await rows(query, **values)
    return found


async def run(*commands: Command) -> list[Answer]:
    async with session.transaction() as opened:
        answers: Sequence[Answer | KeyReused] = await run_many(opened, commands)
    assert not any(isinstance(one, KeyReused) for one in answers)
    return [one for one in answers if isinstance(one, Answer)]


async def one(command: Command) -> Answer:
    [answer] = await run(command)
    return answer


async def conserved() -> None:
    assert await rows(CONSERVED) == []
    assert await rows(COUNTED) == []


def terms(**said: Any) -> Terms:
    return Terms(**{"asset": USD, "multiplier_bp": 10_000, "most_grants": None, **said})


@dataclass(frozen=True, kw_only=True)
class Bets(Command):
    """Moves money of one purse; `places` is where the stake's split is kept."""

    purse: Purse
    bet: str
    amount: int
    splits: dict[str, Split] = field(repr=False, compare=False)

    @property
    def verb(self) -> str:
        return type(self).__name__.lower()

    @property
    def name(self) -> str:
        return f"{self.purse.player_id}-{self.bet}"

    def asked(self) -> Mapping[str, Any]:
        return {"bet": self.bet, "amount": str(self.amount)}

    def accounts(self) -> Iterable[Account]:
        return self.purse.accounts()

    def rows(self) -> Iterable[tuple[type[Shelf[Any, Any]], Any]]:
        return self.purse.rows()


@dataclass(frozen=True, kw_only=True)
class Place(Bets):
    def decide(self, desk: Desk) -> Answer:
        available = self.purse.available(desk)
        split = self.purse.split(desk, self.amount)
        desk.books.post(Transfer("stake", self.purse.paid(split)))
        self.splits[self.bet] = split
        return Answer({"split": list(split), "available": str(available)})


@dataclass(frozen=True, kw_only=True)
class Settle(Bets):
    """What a bet wins, or as a refund what it had staked."""

    ending: Literal["win", "refund", "unsettle"] = "win"

    def decide(self, desk: Desk) -> Answer:
        stake, purse = self.splits[self.bet], self.purse
        if self.ending == "unsettle":
            purse.unsettled(desk, source="test", bet=self.name, stake=stake)
            return Answer({})
        back = stake if self.ending == "refund" else purse.won(stake, self.amount)
        if postings := purse.given(purse.returned(desk, back)):
            desk.books.post(Transfer(self.ending, postings))
        if self.ending == "win":
            purse.settled(desk, source="test", bet=self.name, stake=stake)
        return Answer({})


@dataclass
class Player:
    """Somebody who bets at a casino, and what their bets were paid with."""

    casino_id: int
    casino: str
    number: int
    splits: dict[str, Split] = field(default_factory=dict)

    @property
    def wallet(self) -> Wallet:
        return Wallet(self.casino_id, self.number, USD)

    @property
    def said(self) -> dict[str, Any]:
        key = f"key-{next(_numbers)}"
        return {"casino_id": self.casino_id, "scope": "wagering", "key": key, "actor": "tests"}

    def purse(self, game: str | None = "slots/book") -> Purse:
        return Purse(self.casino_id, self.number, USD, game)

    async def define(self, code: str = "welcome", **said: Any) -> Answer:
        return await one(Define(**self.said, code=code, terms=terms(**said)))

    def grant(self, amount: int, campaign: str = "welcome", **more: Any) -> Grant:
        said = {**self.said, "casino": self.casino, "player_id": self.number, "asset": USD, **more}
        return Grant(**said, campaign=campaign, amount=amount)

    async def given(self, amount: int, cash: int = 0, locked: int = 0, **said: Any) -> int:
        """A bonus by terms of its own, and some cash, of it `locked`; the grant's number."""
        await self.topped(cash)
        await self.define(f"of-{self.number}", **said)
        answer = await one(self.grant(amount, f"of-{self.number}", locked=locked))
        assert answer.code is None, answer
        return int(answer.body["grant"])

    async def topped(self, cash: int) -> None:
        if cash:
            mine = self.wallet.cash.name
            move = {"type": "top_up", "source": TREASURY, "target": mine, "casino": self.casino}
            said = {**self.said, **move, "player_id": self.number, "asset": USD, "amount": cash}
            assert (await one(Move(**said))).code is None

    def place(self, bet: str, amount: int, game: str | None = "slots/book") -> Place:
        purse = self.purse(game)
        return Place(**self.said, purse=purse, bet=bet, amount=amount, splits=self.splits)

    def settle(self, bet: str, amount: int = 0, ending: Any = "win", **more: Any) -> Settle:
        purse = self.purse(**more)
        said = {**self.said, "purse": purse, "bet": bet, "splits": self.splits, "amount": amount}
        return Settle(**said, ending=ending)

    async def played(self, bet: str, amount: int, won: int = 0, **more: Any) -> None:
        """A bet placed and settled at once."""
        for command in (self.place(bet, amount, **more), self.settle(bet, won, **more)):
            answer = await one(command)
            assert answer.code is None, answer

    def forfeit(self, grant: int, reason: str = "rule", **more: Any) -> Forfeit:
        said = {**self.said, "player_id": self.number, "asset": USD, "grant_id": grant, **more}
        return Forfeit(**said, reason=reason)

    async def balances(self) -> tuple[int, int]:
        """Cash and bonus."""
        query = "SELECT name, balance::bigint FROM accounts WHERE casino_id = :c AND name LIKE :n"
        found = dict(await rows(query, c=self.casino_id, n=f"player:{self.number}:%"))
        return (found.get(self.wallet.cash.name, 0), found.get(self.wallet.bonus.name, 0))

    async def state(self, grant: int) -> tuple[str, int]:
        """Of a grant: its state, and what is done in basis points."""
        [found] = await rows("SELECT state, done_bp::bigint FROM grants WHERE id = :g", g=grant)
        return found[0], found[1]

    async def told(self) -> list[tuple[str, dict[str, Any]]]:
        """Messages about bonuses to this player, in their order."""
        query = (
            "SELECT type, data FROM outbox WHERE casino = :casino AND player = :player"
            " AND type LIKE 'bonus.%' ORDER BY id"
        )
        return [
            (type, data)
            for type, data in await rows(query, casino=self.casino, player=str(self.number))
        ]


async def counted(player: Player, batch: int = wagers.BATCH) -> wagers.Counted:
    async with session.transaction() as opened:
        return await wagers.count(opened, player.casino_id, batch=batch)


async def ended(player: Player) -> list[Answer]:
    """What the worker does when counting is through."""
    async with session.transaction() as opened:
        due = await wagers.due(opened, player.casino_id)
        answers = await run_many(opened, due) if due else []
        return [one for one in answers if isinstance(one, Answer)]


async def work(player: Player) -> list[Answer]:
    while (await counted(player)).more:
        pass
    return await ended(player)


async def hours_later(grant: int) -> None:
    """As if a grant had been given long ago: triggers rest for a moment."""
    async with session.transaction() as opened:
        await opened.execute(text("SET LOCAL session_replication_role = replica"))
        query = "UPDATE grants SET expires_at = now() - interval '1 min' WHERE id = :grant"
        await opened.execute(text(query), {"grant": grant})
