"""Books with one asset, and a player for each test."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import text

from db import session
from ledger.accounts import Account, cash

USD = "iso4217:USD"
_players = itertools.count(1000, 10)


@dataclass(frozen=True)
class Purse:
    """The cash account of a player that no other test knows."""

    number: int

    @property
    def account(self) -> Account:
        return cash(1, self.number, USD)

    @property
    def name(self) -> str:
        return f"ref-{self.number}"

    async def balance(self) -> int:
        [(balance,)] = await rows(
            "SELECT balance::bigint FROM accounts WHERE name = :name", name=self.account.name
        )
        return int(balance)

    async def entries(self) -> list[tuple[Any, ...]]:
        return await rows(
            "SELECT e.version, e.amount::bigint, e.before::bigint, e.after::bigint FROM entries e"
            " JOIN accounts a ON a.id = e.account_id WHERE a.name = :name ORDER BY e.version",
            name=self.account.name,
        )


async def rows(query: str, **values: Any) -> list[tuple[Any, ...]]:
    async with session.transaction() as opened:
        return [tuple(row) for row in (await opened.execute(text(query), values)).all()]


@pytest.fixture(scope="module", autouse=True)
async def books(database_url: str) -> AsyncIterator[str]:
    session.configure(database_url)
    async with session.transaction() as opened:
        await opened.execute(text(f"INSERT INTO assets VALUES ('{USD}', 'USD', 2)"))
    yield database_url
    await session.close()


@pytest.fixture
def purse() -> Purse:
    return Purse(next(_players))
