"""Books to be shaken, and what must be true of them whatever happened."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest

from db import session
from local.postgres import Postgres
from tests.conftest import copied
from tests.reliability.bank import ASSET

ROOT = Path(__file__).parents[2]

# Each names what is wrong, and finds nothing in books that are right.
LAWS = {
    "an asset and colour that do not sum to zero": """
        SELECT asset, colour, sum(balance) FROM accounts
        GROUP BY asset, colour HAVING sum(balance) <> 0""",
    "an account that its entries do not add up to": """
        SELECT a.name, a.balance, sum(e.amount) FROM accounts a LEFT JOIN entries e
        ON e.account_id = a.id GROUP BY a.id HAVING a.balance <> coalesce(sum(e.amount), 0)""",
    "a player below nothing": """
        SELECT name, balance FROM accounts WHERE name LIKE 'player:%%' AND balance < 0""",
    "entries that do not go on from each other": """
        SELECT * FROM (SELECT account_id, version, before, at,
            lag(after, 1, 0::numeric) OVER own AS was, lag(version, 1, 0::bigint) OVER own AS old,
            lag(at) OVER own AS earlier
        FROM entries WINDOW own AS (PARTITION BY account_id ORDER BY version)) e
        WHERE before <> was OR version <> old + 1 OR at <= earlier""",
    "an accepted request without its transfer, or a transfer nobody asked for": """
        SELECT r.key, t.id FROM (SELECT * FROM requests WHERE scope = 'bank') r
        FULL JOIN transfers t ON t.id = r.transfer_id
        WHERE (r.key IS NULL) <> (t.id IS NULL) AND (r.code IS NULL OR t.id IS NOT NULL)""",
    "a transfer told never or twice": """
        SELECT t.id, count(o.id) FROM transfers t
        LEFT JOIN outbox o ON o.type = 'wallet.moved' AND o.data->>'transfer' = t.id::text
        GROUP BY t.id HAVING count(o.id) NOT IN (1, 2)""",
}


def broken(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """The laws that do not hold, with what breaks them."""
    with psycopg.connect(url) as connection:
        found = {law: connection.execute(query.encode()).fetchall() for law, query in LAWS.items()}
    return {law: rows[:5] for law, rows in found.items() if rows}


def ask(url: str, query: str, *values: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode(), values).fetchall()


def begin(url: str) -> None:
    """The asset that the bank counts."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO assets VALUES (%s, 'USD', 2) ON CONFLICT DO NOTHING", (ASSET,)
        )


def banker(url: str, *numbers: int, told: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """A bank process, with what it is `told` in its environment; its answers come out as lines."""
    words = [sys.executable, "-m", "tests.reliability.bank", url, *map(str, numbers)]
    env = {**os.environ, "PYTHONPATH": ".", **(told or {})}
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=env)


@pytest.fixture
def bank_url(postgres_server: Postgres, template_database: str) -> Iterator[str]:
    """Fresh books for one test."""
    with copied(postgres_server, template_database) as url:
        begin(url)
        yield url


@pytest.fixture
async def here(bank_url: str) -> AsyncIterator[str]:
    """This process at those books."""
    session.configure(bank_url, lock_timeout_ms=2000)
    yield bank_url
    await session.close()
