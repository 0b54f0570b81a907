"""What is set aside cannot be spent otherwise; it is captured, released or expires, once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from db.session import transaction
from ledger import posting
from ledger.accounts import Account
from ledger.books import Books
from ledger.errors import HoldEnded, HoldExceeded, InsufficientFunds, VersionMismatch
from ledger.transfers import Posting, Transfer, move
from tests.ledger.conftest import USD, Purse, rows

TREASURY = Account(1, "system:treasury", USD)
HOUSE = Account(1, "house:stakes", USD)


class Opened:
    """The books at a player's purse, the treasury and the house; written at the end."""

    def __init__(self, purse: Purse, *ids: int) -> None:
        self.accounts, self.ids = [purse.account, TREASURY, HOUSE], ids

    async def __aenter__(self) -> Books:
        self.context = transaction()
        self.session = await self.context.__aenter__()
        self.books, _ = await posting.opened(self.session, self.accounts, holds=self.ids)
        return self.books

    async def __aexit__(self, *raised: object) -> None:
        if raised[0] is None:
            await posting.written(self.session, self.books)
        await self.context.__aexit__(*raised)  # type: ignore[arg-type]


def top_up(purse: Purse, amount: int) -> Transfer:
    return move("top_up", source=TREASURY, target=purse.account, amount=amount)


def spend(purse: Purse, amount: int) -> Transfer:
    return move("spend", source=purse.account, target=HOUSE, amount=amount)


async def standing(purse: Purse) -> tuple[int, int]:
    [found] = await rows(
        "SELECT balance::int, held::int FROM accounts WHERE name = :name", name=purse.account.name
    )
    return found[0], found[1]


async def test_what_is_held_is_not_spent(purse: Purse) -> None:
    async with Opened(purse) as books:
        books.post(top_up(purse, 100))
        held = books.hold(purse.account, 60)
        with pytest.raises(InsufficientFunds) as refused:
            books.post(spend(purse, 41))
        assert refused.value.evidence["available"] == "40"
        with pytest.raises(InsufficientFunds):
            books.hold(purse.account, 41)
        books.post(spend(purse, 40))
    assert await standing(purse) == (60, 60)
    async with Opened(purse, held.id) as books:
        books.capture(held.id, spend(purse, 60))
    assert await standing(purse) == (0, 0)


async def test_a_hold_is_captured_in_parts_and_the_rest_released(purse: Purse) -> None:
    async with Opened(purse) as books:
        books.post(top_up(purse, 100))
        id = books.hold(purse.account, 100).id
    async with Opened(purse, id) as books:
        books.capture(id, spend(purse, 30), final=False)
        with pytest.raises(HoldExceeded):
            books.capture(id, spend(purse, 71))
        books.capture(id, spend(purse, 20))
        with pytest.raises(HoldEnded):
            books.release(id)
    assert await standing(purse) == (50, 0)
    assert await rows("SELECT state, remaining::int FROM holds WHERE id = :id", id=id) == [
        ("captured", 0)
    ]
    async with Opened(purse, id) as books:
        with pytest.raises(HoldEnded):
            books.capture(id, spend(purse, 1))


async def test_a_hold_made_and_ended_in_one_breath_leaves_no_trace_on_the_account(
    purse: Purse,
) -> None:
    async with Opened(purse) as books:
        books.post(top_up(purse, 10))
        assert books.release(books.hold(purse.account, 10).id) == 10
    assert await standing(purse) == (10, 0)


async def test_a_hold_past_its_time_is_only_expired(purse: Purse) -> None:
    async with Opened(purse) as books:
        books.post(top_up(purse, 10))
        soon = books.now + timedelta(microseconds=1)
        id = books.hold(purse.account, 10, expires_at=soon).id
    async with Opened(purse, id) as books:
        with pytest.raises(HoldEnded, match="expired"):
            books.capture(id, spend(purse, 10))
        assert books.release(id, state="expired") == 10
    assert await standing(purse) == (10, 0)


async def test_an_attempt_that_fails_leaves_nothing_of_itself(purse: Purse) -> None:
    async with Opened(purse) as books:
        books.post(top_up(purse, 100))
        kept = books.hold(purse.account, 10)

        def doomed() -> None:
            with books.attempt():
                books.capture(kept.id, spend(purse, 5), final=False)
                books.hold(purse.account, 20)
                books.post(top_up(purse, 7))
                books.post(spend(purse, 10_000))

        with pytest.raises(InsufficientFunds):
            doomed()
        line = books.line(purse.account)
        assert (line.balance, line.held, line.version) == (100, 10, 1)
        assert (kept.remaining, kept.state) == (10, "open")
    assert await standing(purse) == (100, 10)
    assert await purse.entries() == [(1, 100, 0, 100)]


async def test_an_attempt_within_another_is_taken_back_alone_or_with_it(purse: Purse) -> None:
    async with Opened(purse) as books:
        books.post(top_up(purse, 100))
        line = books.line(purse.account)

        def doomed(*, inner: bool) -> None:
            with books.attempt():
                books.post(spend(purse, 1))
                if not inner:
                    books.post(spend(purse, 10_000))

        with books.attempt():
            books.post(spend(purse, 10))
            with pytest.raises(InsufficientFunds):
                doomed(inner=False)
            assert (line.balance, line.version) == (90, 2)

        def outer() -> None:
            with books.attempt():
                doomed(inner=True)
                assert line.balance == 89
                books.post(spend(purse, 10_000))

        with pytest.raises(InsufficientFunds):
            outer()
        assert (line.balance, line.version) == (90, 2)
    assert [entry[2:] for entry in await purse.entries()] == [(0, 100), (100, 90)]


async def test_a_capture_that_is_refused_keeps_its_hold(purse: Purse) -> None:
    async with Opened(purse) as books:
        books.post(top_up(purse, 100))
        held = books.hold(purse.account, 50)
        postings = (Posting(purse.account, -50), Posting(HOUSE, 50))
        with pytest.raises(VersionMismatch):
            books.capture(held.id, Transfer("spend", postings, expect={purse.account: 7}))
        assert (books.line(purse.account).held, held.remaining) == (50, 50)
