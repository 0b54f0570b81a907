"""No SQL statement breaks the books, whoever writes it; the ledger's own role may only add."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import errors

from db.session import transaction
from ledger import posting
from ledger.accounts import Account
from ledger.transfers import move
from tests.ledger.conftest import USD, Purse

TREASURY = Account(1, "system:treasury", USD)


@pytest.fixture
def hand(books: str) -> Iterator[psycopg.Connection[Any]]:
    """Somebody with all rights and a terminal."""
    with psycopg.connect(books) as connection:
        yield connection
        connection.rollback()


@pytest.fixture
async def funded(purse: Purse) -> tuple[int, int]:
    """Numbers of an account with 100 and of the treasury."""
    async with transaction() as session:
        books, _ = await posting.opened(session, [purse.account, TREASURY])
        books.post(move("top_up", source=TREASURY, target=purse.account, amount=100))
        await posting.written(session, books)
    return books.line(purse.account).id, books.line(TREASURY).id


def transfer(hand: psycopg.Connection[Any], id: int) -> None:
    hand.execute(
        "INSERT INTO transfers (id, casino_id, type, at) VALUES (%s, 1, 'hand', now())", (id,)
    )


def enter(hand: psycopg.Connection[Any], *rows: tuple[int, int, int, int], of: int = -1) -> None:
    """Entries of a transfer: account, steps after its last version, amount, error in `before`."""
    values = ", ".join(
        f"({id}, (SELECT version FROM accounts WHERE id = {id}) + {step}, {of}, {amount},"
        f" (SELECT balance FROM accounts WHERE id = {id}) + {off},"
        f" (SELECT balance FROM accounts WHERE id = {id}) + {off} + {amount}, now())"
        for id, step, amount, off in rows
    )
    hand.execute(
        "INSERT INTO entries (account_id, version, transfer_id, amount, before, after, at)"
        f" VALUES {values}".encode()
    )


async def test_entries_that_keep_every_law_move_their_accounts(
    hand: psycopg.Connection[Any], funded: tuple[int, int]
) -> None:
    player, treasury = funded
    transfer(hand, -1)
    enter(hand, (player, 1, -40, 0), (treasury, 1, 40, 0))
    found = hand.execute("SELECT balance FROM accounts WHERE id = %s", (player,)).fetchone()
    assert found == (60,)


async def test_nothing_is_added_to_a_transfer_later_on(
    hand: psycopg.Connection[Any], funded: tuple[int, int]
) -> None:
    player, treasury = funded
    transfer(hand, -2)
    enter(hand, (player, 1, -40, 0), (treasury, 1, 40, 0), of=-2)
    hand.commit()
    with pytest.raises(errors.ForeignKeyViolation, match="did not make"):
        enter(hand, (player, 1, -10, 0), (treasury, 1, 10, 0), of=-2)


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        pytest.param([(0, 1, 5, 0)], errors.CheckViolation, id="one leg"),
        pytest.param([(0, 1, 5, 0), (1, 1, -4, 0)], errors.CheckViolation, id="a sum"),
        pytest.param([(0, 2, 5, 0), (1, 1, -5, 0)], errors.CheckViolation, id="a gap"),
        pytest.param([(0, 0, 5, 0), (1, 1, -5, 0)], errors.UniqueViolation, id="a repeat"),
        pytest.param([(0, 1, 5, 1), (1, 1, -5, 0)], errors.CheckViolation, id="another start"),
        pytest.param([(0, 1, -101, 0), (1, 1, 101, 0)], errors.CheckViolation, id="below zero"),
        pytest.param([(0, 1, 0, 0), (1, 1, 0, 0)], errors.CheckViolation, id="nothing"),
    ],
)
async def test_entries_that_break_a_law_are_refused(
    hand: psycopg.Connection[Any],
    funded: tuple[int, int],
    rows: list[tuple[int, int, int, int]],
    error: type[Exception],
) -> None:
    transfer(hand, -1)
    with pytest.raises(error):
        enter(hand, *((funded[place], step, amount, off) for place, step, amount, off in rows))


async def test_entries_without_a_transfer_are_refused(
    hand: psycopg.Connection[Any], funded: tuple[int, int]
) -> None:
    with pytest.raises(errors.ForeignKeyViolation):
        enter(hand, (funded[0], 1, 5, 0), (funded[1], 1, -5, 0))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE accounts SET balance = balance + 1",
        "UPDATE accounts SET held = 0",
        "UPDATE accounts SET version = 0",
        "UPDATE accounts SET asset = 'iso4217:EUR'",
        "DELETE FROM accounts",
        "UPDATE entries SET amount = amount",
        "DELETE FROM entries",
        "TRUNCATE entries",
        "UPDATE transfers SET type = 'gift'",
        "DELETE FROM transfers",
        "DELETE FROM holds",
        "TRUNCATE accounts, holds",
    ],
)
async def test_what_stands_is_never_changed_by_hand(
    hand: psycopg.Connection[Any], funded: tuple[int, int], statement: str
) -> None:
    with pytest.raises(errors.InsufficientPrivilege, match="never allowed"):
        hand.execute(statement.encode())


async def test_an_account_begins_with_nothing(hand: psycopg.Connection[Any]) -> None:
    with pytest.raises(errors.CheckViolation, match="begins with nothing"):
        hand.execute(
            "INSERT INTO accounts (casino_id, name, asset, colour, balance)"
            " VALUES (1, 'house:gift', 'iso4217:USD', 'cash', 5)"
        )


async def test_whoever_owns_the_database_must_become_the_ledger_to_write(
    books: str, funded: tuple[int, int]
) -> None:
    """A login like the one that migrates, without a superuser's powers."""
    with psycopg.connect(books, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS plain_login")
        connection.execute("CREATE ROLE plain_login")
        connection.execute("GRANT fairhouse_ledger TO plain_login WITH INHERIT FALSE, SET TRUE")
        connection.execute("SET ROLE plain_login")
        assert connection.execute("SELECT count(*) FROM entries").fetchone() is not None
        for table in ("entries", "transfers", "holds", "accounts"):
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(f"INSERT INTO {table} DEFAULT VALUES".encode())
        connection.execute("SET ROLE fairhouse_ledger")
        with connection.transaction(force_rollback=True):
            transfer(connection, -1)
        for statement in (
            "DELETE FROM entries",
            "UPDATE transfers SET type = 'x'",
            "DROP TABLE holds",
        ):
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(statement.encode())
        connection.execute("RESET ROLE")
        connection.execute("DROP ROLE plain_login")
