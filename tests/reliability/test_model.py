"""Whatever is asked in whatever order, the books say what a model of a few lines says."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import psycopg
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from casino.commands import Answer, Command, Desk, KeyReused, run_many
from casino.wallets import REVENUE, TREASURY, Move
from db import session
from ledger.accounts import Account, cash
from ledger.transfers import MOST, move
from tests.reliability import LONG
from tests.reliability.bank import ASSET

STEPS = 25
EXAMPLES = 400 if LONG else 10
PLAYERS = st.integers(1, 3)
AMOUNTS = st.one_of(st.integers(1, 120), st.sampled_from([10**30, 10**77]))
_runs = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class Reserve(Command):
    """Set money of a player aside."""

    player_id: int
    amount: int
    verb = "test.reserve"

    def asked(self) -> Mapping[str, Any]:
        return {"player": self.player_id, "amount": str(self.amount)}

    def accounts(self) -> Iterable[Account]:
        return (cash(1, self.player_id, ASSET),)

    def decide(self, desk: Desk) -> Answer:
        held = desk.books.hold(cash(1, self.player_id, ASSET), self.amount)
        return Answer({"hold": held.id})


@dataclass(frozen=True, kw_only=True)
class Take(Command):
    """Spend of what was set aside, or give the rest of it back."""

    hold_id: int
    player_id: int | None
    amount: int | None
    final: bool
    verb = "test.take"

    def asked(self) -> Mapping[str, Any]:
        return {"hold": self.hold_id, "amount": self.amount, "final": self.final}

    def accounts(self) -> Iterable[Account]:
        if self.player_id is None:
            return ()
        return (cash(1, self.player_id, ASSET), Account(1, REVENUE, ASSET))

    def holds(self) -> Iterable[int]:
        return (self.hold_id,)

    def decide(self, desk: Desk) -> Answer:
        if self.amount is None:
            return Answer({"freed": str(desk.books.release(self.hold_id))})
        mine, house = self.accounts()
        spent = move("spend", source=mine, target=house, amount=self.amount)
        posted = desk.books.capture(self.hold_id, spent, final=self.final)
        return Answer({}, transfer_id=posted.id)


@dataclass
class Reserved:
    player: int
    remaining: int


class Clerk(RuleBasedStateMachine):
    """The model: balances, what is set aside, and what was answered under which key."""

    url = ""
    house: ClassVar[dict[str, int]] = {}  # of all runs, as they share the books

    def __init__(self) -> None:
        super().__init__()
        self.base = next(_runs) * 10
        self.balances = dict.fromkeys((1, 2, 3), 0)
        self.holds: dict[int, Reserved] = {}
        self.answered: dict[str, tuple[Command, Answer]] = {}
        self.keys = itertools.count(1)
        self.runner = asyncio.Runner()
        self.runner.run(self.open())

    async def open(self) -> None:
        session.configure(self.url)

    def teardown(self) -> None:
        self.runner.run(session.close())
        self.runner.close()

    def run(self, *commands: Command) -> list[Answer | KeyReused]:
        async def decided() -> list[Answer | KeyReused]:
            async with session.transaction() as opened:
                return await run_many(opened, commands)

        return self.runner.run(decided())

    def named(self) -> dict[str, Any]:
        key = f"{self.base}-{next(self.keys)}"
        return {"casino_id": 1, "scope": "model", "key": key, "actor": "model"}

    def moving(self, type: str, player: int, other: int, amount: int) -> Move:
        mine = f"player:{self.base + player}:cash"
        source, target = {
            "top_up": (TREASURY, mine),
            "spend": (mine, REVENUE),
            "transfer": (mine, f"player:{self.base + other}:cash"),
        }[type]
        return Move(
            **self.named(),
            casino="house",
            type=type,
            player_id=self.base + player,
            asset=ASSET,
            amount=amount,
            source=source,
            target=target,
        )

    def counts(self, who: int | str) -> int:
        return self.house[who] if isinstance(who, str) else self.balances[who]

    def add(self, who: int | str, amount: int) -> None:
        if isinstance(who, str):
            self.house[who] += amount
        else:
            self.balances[who] += amount

    def free(self, player: int) -> int:
        held = sum(one.remaining for one in self.holds.values() if one.player == player)
        return self.balances[player] - held

    def expect(self, command: Command, answer: Answer | KeyReused, fits: bool, short: str) -> bool:
        """Hold an answer to what the model thinks of it; whether it was accepted."""
        assert isinstance(answer, Answer)
        assert answer.code == (None if fits else short)
        self.answered[command.key] = (command, answer)
        return fits

    @rule(
        asked=st.lists(
            st.tuples(
                st.sampled_from(["top_up", "spend", "transfer"]), PLAYERS, PLAYERS, AMOUNTS
            ).filter(lambda one: one[1] != one[2]),
            min_size=1,
            max_size=5,
        )
    )
    def several_moves_are_decided_in_their_order(
        self, asked: list[tuple[str, int, int, int]]
    ) -> None:
        commands = [self.moving(*one) for one in asked]
        for command, answer, (type, player, other, amount) in zip(
            commands, self.run(*commands), asked, strict=True
        ):
            targets: dict[str, int | str]
            targets = {"top_up": player, "spend": "revenue", "transfer": other}
            given = targets[type]
            taken: int | str = "treasury" if type == "top_up" else player
            counts = self.counts(given) + amount <= MOST and self.counts(taken) - amount >= -MOST
            funded = type == "top_up" or self.free(player) >= amount
            short = "INSUFFICIENT_FUNDS" if counts else "LIMIT_EXCEEDED"
            if self.expect(command, answer, counts and funded, short):
                self.add(given, amount)
                self.add(taken, -amount)

    @rule(player=PLAYERS, amount=AMOUNTS)
    def money_is_set_aside(self, player: int, amount: int) -> None:
        command = Reserve(**self.named(), player_id=self.base + player, amount=amount)
        [answer] = self.run(command)
        if self.expect(command, answer, self.free(player) >= amount, "INSUFFICIENT_FUNDS"):
            assert isinstance(answer, Answer)
            self.holds[answer.body["hold"]] = Reserved(player, amount)

    @precondition(lambda self: self.holds)
    @rule(data=st.data(), amount=st.integers(1, 120), final=st.booleans())
    def of_it_some_is_taken(self, data: st.DataObject, amount: int, final: bool) -> None:
        id = data.draw(st.sampled_from(sorted(self.holds)))
        held = self.holds[id]
        command = Take(
            **self.named(),
            hold_id=id,
            player_id=self.base + held.player,
            amount=amount,
            final=final,
        )
        [answer] = self.run(command)
        ended = held.remaining == 0
        short = "HOLD_ENDED" if ended else "HOLD_EXCEEDED"
        if self.expect(command, answer, not ended and held.remaining >= amount, short):
            self.add(held.player, -amount)
            self.add("revenue", amount)
            held.remaining = 0 if final else held.remaining - amount

    @precondition(lambda self: self.holds)
    @rule(data=st.data())
    def the_rest_is_given_back(self, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from(sorted(self.holds)))
        held = self.holds[id]
        command = Take(
            **self.named(),
            hold_id=id,
            player_id=self.base + held.player,
            amount=None,
            final=True,
        )
        [answer] = self.run(command)
        if self.expect(command, answer, held.remaining > 0, "HOLD_ENDED"):
            held.remaining = 0

    @precondition(lambda self: self.answered)
    @rule(data=st.data())
    def asked_again_it_is_answered_as_before(self, data: st.DataObject) -> None:
        command, first = self.answered[data.draw(st.sampled_from(sorted(self.answered)))]
        [again, twice] = self.run(command, command)
        for answer in (again, twice):
            assert isinstance(answer, Answer)
            assert (answer.code, answer.body, answer.replayed) == (first.code, first.body, True)

    @precondition(lambda self: any(isinstance(c, Move) for c, _ in self.answered.values()))
    @rule(data=st.data())
    def a_key_for_something_else_moves_nothing(self, data: st.DataObject) -> None:
        moves = sorted(k for k, (c, _) in self.answered.items() if isinstance(c, Move))
        command, _ = self.answered[data.draw(st.sampled_from(moves))]
        assert isinstance(command, Move)
        [answer] = self.run(replace(command, amount=command.amount + 1))
        assert isinstance(answer, KeyReused)

    @invariant()
    def the_books_say_what_the_model_says(self) -> None:
        names = [f"player:{self.base + player}:cash" for player in self.balances]
        with psycopg.connect(self.url) as connection:
            rows = connection.execute(
                "SELECT name, balance, held, (SELECT coalesce(sum(amount), 0) FROM entries e"
                " WHERE e.account_id = a.id) FROM accounts a WHERE name = ANY(%s)",
                (names,),
            ).fetchall()
            [(total,)] = connection.execute("SELECT coalesce(sum(balance), 0) FROM accounts")
        found = {name: (int(balance), int(held), int(sum)) for name, balance, held, sum in rows}
        for player, name in zip(self.balances, names, strict=True):
            balance, held = self.balances[player], self.balances[player] - self.free(player)
            assert found.get(name, (0, 0, 0)) == (balance, held, balance)
        assert total == 0


def test_the_books_follow_a_model_step_by_step(bank_url: str) -> None:
    Clerk.url, Clerk.house = bank_url, {"treasury": 0, "revenue": 0}
    run_state_machine_as_test(
        Clerk,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=not LONG,
            suppress_health_check=list(HealthCheck),
        ),
    )
