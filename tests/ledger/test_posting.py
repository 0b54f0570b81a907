"""Transfers stand or fall one by one, against the balances as the ones before left them."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text

from db.session import transaction
from ledger import posting
from ledger.accounts import Account
from ledger.errors import (
    AlreadyReversed,
    Duplicate,
    InsufficientFunds,
    LimitExceeded,
    NotReversible,
    UnknownAccount,
    VersionMismatch,
)
from ledger.transfers import MOST, Posted, Posting, Transfer, move
from tests.ledger.conftest import USD, Purse, rows

TREASURY = Account(1, "system:treasury", USD)
HOUSE = Account(1, "house:stakes", USD)


async def post(*transfers: Transfer) -> list[object]:
    async with transaction() as session:
        return list(await posting.post_many(session, transfers))


async def test_a_transfer_moves_money_and_says_the_balances(purse: Purse) -> None:
    [posted] = await post(
        move("top_up", source=TREASURY, target=purse.account, amount=500, description="welcome")
    )
    assert isinstance(posted, Posted)
    assert posted.balances[purse.account] == 500
    assert await purse.balance() == 500
    assert await purse.entries() == [(1, 500, 0, 500)]


async def test_refusals_see_what_went_before_and_leave_the_rest(purse: Purse) -> None:
    a = move("top_up", source=TREASURY, target=purse.account, amount=100)
    b = move("spend", source=purse.account, target=HOUSE, amount=70)
    answers = await post(b, a, b, b)
    assert [type(one) for one in answers] == [InsufficientFunds, Posted, Posted, InsufficientFunds]
    assert await purse.balance() == 30
    assert await purse.entries() == [(1, 100, 0, 100), (2, -70, 100, 30)]
    refusal = answers[3]
    assert isinstance(refusal, InsufficientFunds)
    assert refusal.evidence["available"] == "30"


async def test_a_reference_stands_once_for_its_type(purse: Purse) -> None:
    def top_up(type: str) -> Transfer:
        return move(type, source=TREASURY, target=purse.account, amount=1, reference=purse.name)

    first = await post(top_up("a"), top_up("a"), top_up("b"))
    assert [type(one) for one in first] == [Posted, Duplicate, Posted]
    assert [type(one) for one in await post(top_up("b"), top_up("c"))] == [Duplicate, Posted]
    assert await purse.balance() == 3


async def test_a_transfer_is_taken_back_once(purse: Purse) -> None:
    [posted] = await post(move("top_up", source=TREASURY, target=purse.account, amount=9))
    assert isinstance(posted, Posted)
    async with transaction() as session:
        found = await posting.reversals(session, [posted.id, 10**15], type="reversal")
    back = found[posted.id]
    assert isinstance(back, Transfer)
    assert isinstance(found[10**15], NotReversible)
    answers = await post(back, back)
    assert [type(one) for one in answers] == [Posted, AlreadyReversed]
    assert [type(one) for one in await post(back)] == [AlreadyReversed]
    assert await purse.balance() == 0
    reversal = answers[0]
    assert isinstance(reversal, Posted)
    async with transaction() as session:
        again = await posting.reversals(session, [reversal.id], type="reversal")
    assert isinstance(again[reversal.id], NotReversible)


async def test_a_caller_may_insist_on_the_version_it_saw(purse: Purse) -> None:
    [seen] = await post(move("top_up", source=TREASURY, target=purse.account, amount=10))
    assert isinstance(seen, Posted)
    spend = Transfer(
        "spend",
        (Posting(purse.account, -1), Posting(HOUSE, 1)),
        expect={purse.account: 1},
    )
    assert [type(one) for one in await post(spend, spend)] == [Posted, VersionMismatch]


async def test_names_without_a_kind_and_assets_without_a_scale_are_unknown(purse: Purse) -> None:
    with pytest.raises(UnknownAccount):
        move("x", source=TREASURY, target=Account(1, "somebody", USD), amount=1)
    stranger = Account(1, purse.account.name, "iso4217:XTS")
    treasury = TREASURY._replace(asset="iso4217:XTS")
    [answer] = await post(move("x", source=treasury, target=stranger, amount=1))
    assert isinstance(answer, UnknownAccount)


async def test_many_at_once_never_lose_an_update(purse: Purse) -> None:
    await post(move("top_up", source=TREASURY, target=purse.account, amount=100))
    other = Account(1, f"player:{purse.number + 1}:cash", USD)

    async def there_and_back(turn: int) -> None:
        ways = [(purse.account, other), (other, purse.account)]
        source, target = ways[turn % 2]
        await post(*(move("x", source=source, target=target, amount=1) for _ in range(5)))

    await asyncio.gather(*(there_and_back(turn) for turn in range(40)))
    async with transaction() as session:
        total = await session.execute(
            text("SELECT sum(balance)::int FROM accounts WHERE name = ANY(:names)"),
            {"names": [purse.account.name, other.name]},
        )
    assert total.scalar() == 100


@pytest.mark.parametrize("minutes", [-10, 10])
async def test_times_go_on_though_the_clock_jumps(purse: Purse, minutes: int) -> None:
    """Ten minutes forward and back again, or back: an account's entries stay in their order."""
    for jump in (0, minutes, 0):
        async with transaction() as session:
            books, _ = await posting.opened(session, [purse.account, TREASURY])
            books.now += timedelta(minutes=jump)
            books.post(move("top_up", source=TREASURY, target=purse.account, amount=1))
            await posting.written(session, books)
    times = await rows(
        "SELECT e.at FROM entries e JOIN accounts a ON a.id = e.account_id"
        " WHERE a.name = :name ORDER BY e.version",
        name=purse.account.name,
    )
    assert len(times) == 3
    assert times == sorted(set(times))


async def test_a_balance_beyond_what_can_be_kept_is_refused(purse: Purse) -> None:
    lender = Account(1, f"house:vault:{purse.name[4:]}", USD)
    first, once, back = await post(
        move("top_up", source=lender, target=purse.account, amount=MOST),
        move("top_up", source=TREASURY, target=purse.account, amount=1),
        move("spend", source=purse.account, target=lender, amount=MOST),
    )
    assert [type(first), type(once), type(back)] == [Posted, LimitExceeded, Posted]
    assert await purse.balance() == 0


async def test_accounts_of_a_transaction_that_failed_are_opened_again(purse: Purse) -> None:
    top_up = move("top_up", source=TREASURY, target=purse.account, amount=1)
    async with transaction() as session:
        for _ in range(2):  # the second time the account is found, and is not there yet
            [posted] = await posting.post_many(session, [top_up])
            assert isinstance(posted, Posted)
        await session.rollback()
    async with transaction() as session:
        [posted] = await posting.post_many(session, [top_up])
    assert isinstance(posted, Posted)
    assert await purse.balance() == 1
