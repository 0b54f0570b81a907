"""Calls in any order, doubled and at once: they end where the table says, and nowhere else."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any

import pytest

from casino.providers.dialect import Verb
from tests.api.providers.conftest import House
from tests.api.providers.speakers import Seat, Speaker, fresh

STAKE, WIN = 100, 250
MESSAGES = ("debit", "credit", "rollback", "duplicate")
ORDERS = list(itertools.permutations(MESSAGES))


def ends(order: Sequence[str]) -> tuple[int, str]:
    """The table: what a player has won or lost in the end, and what became of the bet."""
    bet, won = "none", 0
    seen: set[str] = set()
    for one in ("debit" if message == "duplicate" else message for message in order):
        if one in seen:
            continue
        seen.add(one)
        if one == "debit" and bet == "none":
            bet = "done"
        elif one == "credit" and bet == "done":
            won, bet = WIN, "paid"
        elif one == "rollback" and bet in ("none", "done"):
            bet = "tombstone" if bet == "none" else "returned"
    stake = STAKE if bet in ("done", "paid") else 0
    return won - stake, "done" if bet == "paid" else bet


class Story:
    """A bet, its payout, its rollback, and the bet once more."""

    def __init__(self, speaker: Speaker, seat: Seat) -> None:
        self.speaker, self.seat, self.bet = speaker, seat, fresh("bet")
        round, win, back = fresh("round"), fresh("win"), fresh("back")
        debit = speaker.body("debit", seat, id=self.bet, amount=STAKE, round=round)
        said: dict[str, Any] = {"round": round, "target": self.bet}
        self.calls: dict[str, tuple[Verb, dict[str, Any]]] = {
            "debit": ("debit", debit),
            "duplicate": ("debit", debit),
            "credit": ("credit", speaker.body("credit", seat, id=win, amount=WIN, **said)),
            "rollback": ("rollback", speaker.body("rollback", seat, id=back, **said)),
        }

    async def send(self, message: str, *, to: int = 0) -> None:
        verb, body = self.calls[message]
        answer = await self.speaker.send(verb, body, to=to)
        assert answer.status < 500, answer

    async def ended(self, house: House, since: int) -> tuple[int, str]:
        """As the table says it."""
        [(state,)] = await house.rows(
            "SELECT state FROM casino_calls WHERE id = %s AND provider = %s",
            (self.bet, self.speaker.name),
        )
        return await house.cash(self.seat) - since, state


async def test_every_order_ends_as_the_table_says(house: House, speaker: Speaker) -> None:
    """Reliability test 4, one call after the other."""
    wrong, seat = {}, await house.seat(speaker, balance=10_000)
    for order in ORDERS:
        story, since = Story(speaker, seat), await house.cash(seat)
        for place, message in enumerate(order):
            await story.send(message, to=place % 2)
        ended = await story.ended(house, since)
        if ended != ends(order):
            wrong[order] = (ended, ends(order))
    assert wrong == {}


async def test_calls_at_once_end_as_some_order_would(house: House, speaker: Speaker) -> None:
    """Reliability test 4, at once and at two processes."""
    possible, seat = {ends(order) for order in ORDERS}, await house.seat(speaker, balance=10_000)
    for order in ORDERS:
        story, since = Story(speaker, seat), await house.cash(seat)
        sent = [story.send(message, to=place % 2) for place, message in enumerate(order)]
        await asyncio.gather(*sent)
        assert await story.ended(house, since) in possible


@pytest.mark.parametrize("first", [0, 1])
async def test_a_rollback_that_races_its_bet_leaves_nothing_taken(
    house: House, speaker: Speaker, seat: Seat, first: int
) -> None:
    """40"""
    ended = []
    for _ in range(10):
        story = Story(speaker, seat)
        sent = ("debit", "rollback") if first else ("rollback", "debit")
        await asyncio.gather(*(story.send(message, to=to) for to, message in enumerate(sent)))
        ended.append(await story.ended(house, 1000))
    assert set(ended) <= {(0, "returned"), (0, "tombstone")}
