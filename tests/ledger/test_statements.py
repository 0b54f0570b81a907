"""Statements say what the entries say: page by page, at any moment, without reading all of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from db.session import driver, transaction
from ledger import posting, statements
from ledger.accounts import Account
from ledger.statements import Balance, Place, Recorded
from ledger.transfers import Posting, Transfer, move
from tests.ledger.conftest import USD, Purse, rows

TREASURY = Account(1, "system:treasury", USD)
REVENUE = Account(1, "system:revenue", USD)
TICK = timedelta(microseconds=1)


async def post(*transfers: Transfer) -> None:
    """Each in a batch of its own, so that each has its own time."""
    for one in transfers:
        async with transaction() as session:
            await posting.post_many(session, [one])


async def balances(*accounts: Account, at: datetime | None = None) -> list[Balance]:
    async with transaction() as session:
        names = [account.name for account in accounts]
        return await statements.balances(await driver(session), 1, names, at=at)


async def entries(numbers: Sequence[int], **asked: Any) -> list[Recorded]:
    async with transaction() as session:
        return await statements.entries(await driver(session), numbers, **asked)


async def pages(numbers: Sequence[int], **asked: Any) -> list[Recorded]:
    """All pages, joined."""
    found, before = [], None
    while page := await entries(numbers, before=before, **asked):
        found += page
        before = page[-1].place
        assert len(found) < 1000
    return found


def top_up(account: Account, amount: int = 10, type: str = "top_up") -> Transfer:
    return move(type, source=TREASURY, target=account, amount=amount, description="welcome")


def spend(account: Account, amount: int = 3) -> Transfer:
    return move("spend", source=account, target=REVENUE, amount=amount, reference=account.name)


async def number(account: Account) -> int:
    [found] = await balances(account)
    return found.id


async def test_an_entry_says_what_moved_why_and_who_was_on_the_other_side(purse: Purse) -> None:
    await post(top_up(purse.account), spend(purse.account))
    last, first = await entries([await number(purse.account)])
    assert (first.amount, first.before, first.after, first.place.version) == (10, 0, 10, 1)
    assert (first.type, first.description, first.others) == ("top_up", "welcome", (TREASURY.name,))
    assert (last.amount, last.before, last.after, last.place.version) == (-3, 10, 7, 2)
    assert (last.reference, last.others) == (purse.account.name, (REVENUE.name,))
    assert last.at > first.at


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
async def test_pages_joined_are_all_entries_once_also_where_one_moment_has_several(
    purse: Purse, limit: int
) -> None:
    """One transfer moves an account twice, another moves both: each at one moment."""
    other = Account(1, f"player:{purse.number + 1}:cash", USD)
    twice = Transfer(
        "split",
        (Posting(TREASURY, -9), Posting(purse.account, 4), Posting(purse.account, 5)),
    )
    halves = (Posting(TREASURY, -9), Posting(purse.account, 4), Posting(other, 5))
    both = Transfer("both", halves)
    for _ in range(3):
        async with transaction() as session:
            await posting.post_many(session, [top_up(purse.account), twice, both, top_up(other)])
    numbers = [await number(purse.account), await number(other)]
    whole = await entries(numbers, limit=1000)
    assert len({one.place for one in whole}) == 18
    assert [one.at for one in whole] == sorted((one.at for one in whole), reverse=True)
    assert len({one.at for one in whole}) == 12
    assert await pages(numbers, limit=limit) == whole


async def test_a_page_stays_where_it_is_when_more_entries_come(purse: Purse) -> None:
    await post(*(top_up(purse.account, amount) for amount in (1, 2, 3, 4)))
    numbers = [await number(purse.account)]
    first = await entries(numbers, limit=2)
    await post(top_up(purse.account, 5))
    second = await entries(numbers, before=first[-1].place, limit=2)
    assert [one.amount for one in first + second] == [4, 3, 2, 1]


async def test_entries_are_picked_by_type_and_by_time(purse: Purse) -> None:
    await post(top_up(purse.account), spend(purse.account), top_up(purse.account, type="bonus"))
    numbers = [await number(purse.account)]
    bonus, spent, bought = await entries(numbers)
    assert await entries(numbers, type="spend") == [spent]
    assert await entries(numbers, type="withdrawal") == []
    assert await entries(numbers, since=spent.at) == [bonus, spent]
    assert await entries(numbers, until=spent.at) == [bought]
    assert await entries(numbers, since=spent.at, until=bonus.at) == [spent]
    assert await entries(numbers, since=spent.at + TICK, until=bonus.at) == []


async def test_the_place_of_another_account_is_no_place_of_this_page(purse: Purse) -> None:
    await post(top_up(purse.account))
    numbers = [await number(purse.account)]
    treasury = Place(await number(TREASURY), 1)
    assert await entries(numbers, before=treasury) == []


async def test_a_balance_now_says_what_of_it_is_set_aside(purse: Purse) -> None:
    await post(top_up(purse.account, 50))
    async with transaction() as session:
        books, _ = await posting.opened(session, [purse.account])
        books.hold(purse.account, 20)
        await posting.written(session, books)
    [found] = await balances(purse.account)
    assert (found.balance, found.held, found.available, found.version) == (50, 20, 30, 1)
    [then] = await balances(purse.account, at=found.at)
    assert (then.balance, then.held, then.available) == (50, None, None)


async def test_a_balance_as_of_any_moment_is_that_of_the_last_entry_up_to_it(purse: Purse) -> None:
    amounts = [7, 1, 12, 5, 3, 30, 2]
    await post(*(top_up(purse.account, amount) for amount in amounts))
    found = (await entries([await number(purse.account)]))[::-1]
    for place, entry in enumerate(found):
        for at, stands in ((entry.at - TICK, place), (entry.at, place + 1)):
            [then] = await balances(purse.account, at=at)
            assert (then.balance, then.version) == (sum(amounts[:stands]), stands)
    [later] = await balances(purse.account, at=found[-1].at + timedelta(days=1))
    [now] = await balances(purse.account)
    assert (later.balance, later.version, later.at) == (now.balance, now.version, now.at)


LONG = 40_000
FILL = [
    "SET LOCAL ROLE fairhouse_ledger",
    "INSERT INTO accounts (casino_id, name, asset, colour)"
    " SELECT 9, name, :asset, 'cash' FROM unnest(ARRAY['house:long', 'house:far']) AS n(name)",
    "INSERT INTO transfers (id, casino_id, type, at)"
    " SELECT -i, 9, 'x', to_timestamp(i) FROM generate_series(1, :long) i",
    "INSERT INTO entries (account_id, version, transfer_id, amount, before, after, at)"
    " SELECT a.id, i, -i, s.sign, s.sign * (i - 1), s.sign * i, to_timestamp(i)"
    " FROM generate_series(1, :long) i, accounts a,"
    " LATERAL (SELECT CASE a.name WHEN 'house:long' THEN 1 ELSE -1 END AS sign) s"
    " WHERE a.casino_id = 9",
    "RESET ROLE",
    "ANALYZE",
]


async def test_a_long_account_is_never_read_whole() -> None:
    """A page, and a balance of long ago, cost a few blocks of an account with 40,000 entries."""
    async with transaction() as session:
        for statement in FILL:
            await session.execute(text(statement), {"asset": USD, "long": LONG})
    [long] = await of_casino(9)
    middle = datetime.fromtimestamp(LONG // 3, tz=long.at.tzinfo if long.at else None)
    spent = {
        "then": await blocks(statements.THEN, [middle, 9, ["house:long"]]),
        "first": await blocks(statements.ENTRIES, page(long.id, None)),
        "middle": await blocks(statements.ENTRIES, page(long.id, LONG // 2, until=middle)),
    }
    [[whole]] = await rows("SELECT pg_relation_size('entries') / 8192")
    assert max(spent.values()) < whole / 4, (spent, whole)


async def of_casino(casino_id: int) -> list[Balance]:
    async with transaction() as session:
        return await statements.balances(await driver(session), casino_id, ["house:long"])


def page(account: int, version: int | None, **changed: Any) -> dict[str, Any]:
    times = {"since": statements.BEGINNING, "until": statements.END, **changed}
    edge = {"account": version and account, "version": version}
    return {"accounts": [account], **edge, "type": None, "limit": 5, **times}


async def blocks(query: bytes, values: Any) -> int:
    """How many blocks a query touches, those of the functions it calls included."""
    async with transaction() as session:
        asked = b"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)" + query
        cursor = await (await driver(session)).execute(asked, values)
        row = await cursor.fetchone()
    assert row is not None
    [plan] = row[0] if isinstance(row[0], list) else json.loads(row[0])
    return int(plan["Plan"]["Shared Hit Blocks"]) + int(plan["Plan"]["Shared Read Blocks"])
