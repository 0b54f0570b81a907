"""A hold past its time is ended once, by the house, and the money can be spent again."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from casino import holds, seals
from db import session
from db.session import transaction
from ledger import posting
from ledger.accounts import Account, cash
from ledger.transfers import move
from tests.casino.written import USD, counted, execute, value

TREASURY, HOUSE = Account(1, "system:treasury", USD), Account(1, "house:stakes", USD)
SHORTEST = timedelta(microseconds=1)
_players = itertools.count(5000)


@pytest.fixture(autouse=True)
async def books(database_url: str) -> AsyncIterator[None]:
    session.configure(database_url)
    await counted()
    yield
    await session.close()


async def held(*amounts: int, life: timedelta | None = SHORTEST) -> tuple[Account, list[int]]:
    """A player with 100, some of it set aside for so long."""
    mine = cash(1, next(_players), USD)
    async with transaction() as opened:
        books, _ = await posting.opened(opened, [mine, TREASURY])
        books.post(move("top_up", source=TREASURY, target=mine, amount=100))
        until = None if life is None else books.now + life
        made = [books.hold(mine, amount, expires_at=until).id for amount in amounts]
        await posting.written(opened, books)
    return mine, made


async def capture(id: int, account: Account, amount: int, *, final: bool) -> None:
    async with transaction() as opened:
        books, _ = await posting.opened(opened, [account, HOUSE], holds=[id])
        stake = move("stake", source=account, target=HOUSE, amount=amount)
        books.capture(id, stake, final=final)
        await posting.written(opened, books)


async def expire(most: int = holds.BATCH) -> int:
    async with transaction() as opened:
        return await holds.expire(opened, most=most)


async def standing(account: Account) -> tuple[int, int]:
    async with transaction() as opened:
        [found] = await execute(
            opened, "SELECT balance::int, held::int FROM accounts WHERE name = %s", [account.name]
        )
    return found[0], found[1]


async def test_holds_past_their_time_end_and_others_stay() -> None:
    mine, ids = await held(30, 20)
    longer, _ = await held(10, life=timedelta(hours=1))
    forever, _ = await held(10, life=None)
    assert await expire() == 2
    assert await expire() == 0
    assert await standing(mine) == (100, 0)
    assert await standing(longer) == await standing(forever) == (100, 10)
    async with transaction() as opened:
        states = "SELECT state, ended_at IS NOT NULL FROM holds WHERE id = ANY(%s)"
        assert await execute(opened, states, [ids]) == [("expired", True)] * 2


async def test_what_was_captured_before_stays_captured() -> None:
    mine, [id] = await held(60, life=timedelta(hours=1))
    await capture(id, mine, 25, final=False)
    async with transaction() as opened:
        past = "UPDATE holds SET expires_at = now() - interval '1 s' WHERE id = %s"
        await execute(opened, past, [id])
    assert await standing(mine) == (75, 35)
    assert await expire() == 1
    assert await standing(mine) == (75, 0)


async def test_many_holds_end_batch_by_batch_and_a_stop_between_loses_none() -> None:
    owned = [await held(1, 2, 3) for _ in range(5)]
    assert [await expire(most=4) for _ in range(5)] == [4, 4, 4, 3, 0]
    assert [await standing(mine) for mine, _ in owned] == [(100, 0)] * 5


async def test_a_batch_that_dies_before_its_commit_ends_nothing() -> None:
    mine, _ = await held(10)
    with pytest.raises(ZeroDivisionError):
        await dying()
    assert await standing(mine) == (100, 10)
    assert await expire() == 1


async def dying() -> None:
    async with transaction() as opened:
        await holds.expire(opened)
        raise ZeroDivisionError


async def test_two_jobs_at_once_end_each_hold_once() -> None:
    owned = [await held(1) for _ in range(30)]
    noted = "SELECT count(*) FROM audit WHERE action = 'hold.expired'"
    before = await value(noted)
    ended = await asyncio.gather(*(expire() for _ in range(4)))
    assert sum(ended) == 30
    assert await value(noted) == before + 30
    assert [await standing(mine) for mine, _ in owned] == [(100, 0)] * 30


async def test_the_audit_log_says_what_expired_and_how_much_came_back() -> None:
    mine, [id] = await held(40)
    await expire()
    async with transaction() as opened:
        told = "SELECT actor, reason, before, after FROM audit ORDER BY id DESC LIMIT 1"
        [(actor, reason, before, after)] = await execute(opened, told)
        assert (actor, reason) == ("house:auditor", "past its time")
        assert (before["held"], after["held"], before["account"]) == ("40", "0", mine.name)
        assert before["hold"] == str(id)
    async with transaction() as opened:
        assert await seals.seal(opened) is not None
