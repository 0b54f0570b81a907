"""An account that somebody keeps locked delays nobody else, and nobody for long."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest
from psycopg.errors import LockNotAvailable

from api.desk import gathered
from api.gatherer import Gatherer
from casino.commands import Answer, Command, KeyReused
from casino.wallets import TREASURY, Move
from tests.reliability.bank import ASSET
from tests.reliability.conftest import ask, broken
from tests.reliability.test_model import Reserve, Take


def top_up(key: str, player: int) -> Move:
    return Move(
        casino_id=1,
        casino="house",
        scope="bank",
        key=key,
        actor="bank",
        type="top_up",
        player_id=player,
        asset=ASSET,
        amount=1,
        source=TREASURY,
        target=f"player:{player}:cash",
    )


async def test_a_locked_account_is_said_to_be_and_the_others_go_on(here: str) -> None:
    gatherer = gathered()
    await asyncio.gather(*(gatherer.ask(top_up(f"before-{n}", n)) for n in range(1, 9)))
    with psycopg.connect(here) as side:
        side.execute("SELECT FROM accounts WHERE name = 'player:3:cash' FOR UPDATE")
        answers = await asyncio.gather(
            *(gatherer.ask(top_up(f"during-{n}", n)) for n in range(1, 9)), return_exceptions=True
        )
        kinds = [type(answer) for answer in answers]
        assert kinds == [Answer, Answer, LockNotAvailable, *[Answer] * 5]
        idle = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND state LIKE 'idle in transaction%%' AND pid <> %s"
        )
        assert ask(here, idle, side.info.backend_pid) == [(0,)]
    [answer] = await asyncio.gather(gatherer.ask(top_up("during-3", 3)))
    assert isinstance(answer, Answer)
    assert (answer.code, answer.replayed, answer.body["balance"]) == (None, False, "2")
    assert broken(here) == {}


async def test_one_locked_account_does_not_make_a_queue_of_all(here: str) -> None:
    """Forty ask for the locked one, one after the other; meanwhile another is served often."""
    gatherer = gathered()
    await asyncio.gather(*(gatherer.ask(top_up(f"before-{n}", n)) for n in (1, 2)))
    with psycopg.connect(here) as side:
        side.execute("SELECT FROM accounts WHERE name = 'player:1:cash' FOR UPDATE")
        stuck = asyncio.create_task(stubborn(gatherer, 40))
        served = 0
        while not stuck.done():
            await gatherer.ask(top_up(f"during-{served}", 2))
            served += 1
        assert stuck.result() == 40
    assert served > 40
    assert broken(here) == {}


async def stubborn(gatherer: Gatherer[Command, Answer | KeyReused], times: int) -> int:
    """How often a locked account was said to be."""
    said = 0
    for n in range(times):
        try:
            await gatherer.ask(top_up(f"stuck-{n}", 1))
        except LockNotAvailable:
            said += 1
    return said


async def test_a_hold_on_a_locked_account_stays_as_it_is(here: str) -> None:
    gatherer = gathered()
    named: Any = {"casino_id": 1, "scope": "bank", "actor": "bank"}
    await gatherer.ask(top_up("before", 1))
    held = await gatherer.ask(Reserve(**named, key="hold", player_id=1, amount=1))
    assert isinstance(held, Answer)
    free = Take(
        **named, key="free", hold_id=held.body["hold"], player_id=None, amount=None, final=True
    )
    with psycopg.connect(here) as side:
        side.execute("SELECT FROM accounts WHERE name = 'player:1:cash' FOR UPDATE")
        with pytest.raises(LockNotAvailable):
            await gatherer.ask(free)
    answer = await gatherer.ask(free)
    assert isinstance(answer, Answer)
    assert (answer.code, answer.body) == (None, {"freed": "1"})


async def test_a_house_account_that_is_free_again_is_waited_for(here: str) -> None:
    gatherer = gathered()
    await gatherer.ask(top_up("before", 1))
    with psycopg.connect(here) as side:
        side.execute(f"SELECT FROM accounts WHERE name = '{TREASURY}' FOR UPDATE".encode())
        asked = [asyncio.create_task(gatherer.ask(top_up(f"key-{n}", n))) for n in range(1, 20)]
        await asyncio.sleep(0.3)
        assert not any(task.done() for task in asked)
        side.rollback()
    answers = await asyncio.gather(*asked)
    assert all(isinstance(answer, Answer) and answer.code is None for answer in answers)
    assert broken(here) == {}
