"""A custody with players in it, for tests of money that comes from a chain and goes there."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from casino import custodies, deposits, finality, pages, withdrawals
from casino.commands import Answer, Command, KeyReused, run_many
from casino.custodies import Custody, Figures
from casino.sources import Followed
from casino.withdrawals import Decision, Request, Withdrawal
from chains.chain import Fact
from db.session import transaction
from settings import WithdrawalLimits
from tests.casino.conftest import Says, rows

LIMITS = WithdrawalLimits(least=5, most=1_000, automatic=50, automatic_daily=80)
_keys = itertools.count(1)
_players = itertools.count(1)


@dataclass
class Till:
    """One custody, what is done with it, and what books and chain say of it."""

    source: Followed
    custody: Custody
    asked: dict[str, Request] = field(default_factory=dict)

    @classmethod
    async def over(cls, source: Followed) -> Till:
        async with transaction() as session:
            found = await custodies.met(
                session,
                network="evm-local",
                address=source.address,
                slip44=60,
                symbol="ETH",
                decimals=18,
            )
        assert found is not None
        return cls(source, found)

    async def apply(self, *facts: Fact, final: bool = True) -> None:
        """Facts of a chain on which nobody else has these txs."""
        told = [msgspec.structs.replace(one, tx=self.tx(one.tx)) for one in facts]
        async with transaction() as session:
            await pages.apply(session, self.source, told, fresh=True, final=final)

    def tx(self, name: str) -> str:
        return f"{name}-{self.source.id}"

    async def promote(self, **reach: Any) -> None:
        async with transaction() as session:
            await finality.promote(session, self.source, **reach)

    async def retract(self, *names: str) -> None:
        async with transaction() as session:
            await finality.retract(session, self.source, txs=[self.tx(name) for name in names])

    async def credit(self, limit: int = deposits.BATCH) -> int:
        async with transaction() as session:
            return await deposits.credit(session, self.custody, limit=limit)

    async def player(self, amount: int) -> int:
        """A new player who brought so much; the id."""
        number = next(_players)
        await self.apply(deposit(number, f"player{number}", amount))
        await self.credit()
        [(id,)] = await rows(
            "SELECT player_id FROM player_identities WHERE external_id = %s AND casino_id = %s",
            (f"player{number}", self.custody.casino_id),
        )
        return int(id)

    def request(self, player: int, amount: int, address: str, **changed: Any) -> Request:
        values = {"key": f"key-{next(_keys)}", "limits": LIMITS, "custody": self.custody, **changed}
        return Request(
            casino_id=self.custody.casino_id,
            scope="tests",
            actor="service",
            player_id=player,
            amount=amount,
            address=address,
            **values,
        )

    async def run(self, *commands: Command) -> list[Answer]:
        async with transaction() as session:
            answers: list[Answer | KeyReused] = await run_many(session, commands)
        return [one for one in answers if isinstance(one, Answer)]

    async def decide(self, one: Withdrawal, *, approved: bool, reason: str = "because") -> Answer:
        [answer] = await self.run(
            Decision(
                casino_id=self.custody.casino_id,
                casino=self.custody.casino,
                scope="tests",
                key=f"key-{next(_keys)}",
                actor="eve",
                request=one.request,
                hold_id=one.hold_id,
                account=one.account,
                reason=reason,
                approved=approved,
            )
        )
        return answer

    async def withdrawal(self, answer: Answer) -> Withdrawal:
        query = f"SELECT {withdrawals.NAMED} FROM withdrawals w WHERE id = %s"
        [row] = await rows(query, (int(answer.body["id"]),))
        return withdrawals.found(row)

    async def settle(self) -> Sequence[Withdrawal]:
        async with transaction() as session:
            ended = await withdrawals.settle(session, self.custody)
        assert ended.refused == {}
        return ended.done

    async def balances(self) -> dict[str, int]:
        """What the books say, players by their address."""
        found = await rows(
            "SELECT coalesce(i.external_id, a.name), a.balance FROM accounts a"
            " LEFT JOIN player_identities i ON a.name = format('player:%%s:cash', i.player_id)"
            " WHERE a.casino_id = %s",
            (self.custody.casino_id,),
        )
        return {name: int(balance) for name, balance in found if balance}

    async def purse(self, player: int) -> tuple[int, int]:
        """A player's balance, and how much of it is held."""
        [(balance, held)] = await rows(
            "SELECT balance::bigint, held::bigint FROM accounts WHERE name = %s",
            (f"player:{player}:cash",),
        )
        return int(balance), int(held)

    async def figures(self) -> Figures:
        async with transaction() as session:
            found = await custodies.figures(session)
        [mine] = [one for one in found if one.custody == self.custody]
        return mine


def deposit(number: int, player: str, amount: int, position: int = 1) -> Fact:
    return Says.other("deposited", number, position, player=player, amount=amount)


def paid(one: Withdrawal, position: int = 5, **changed: Any) -> Fact:
    """What the chain says of a withdrawal that was paid."""
    said = {"player": one.address, "amount": one.amount, "request": one.request, **changed}
    return Says.other("withdrawn", 1_000_000 + one.id, position, **said)
