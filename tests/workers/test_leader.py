"""Leading: whoever of a kind is killed, the other one of its kind goes on within five seconds."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from casino.rounds import tables
from db import session
from db.session import direct
from local.forks import fork
from local.process import Child
from tests.casino.rounds.dealt import ASSET, SIGNER, Dealt

GOES_ON_S = 5
SETUP = f"""
INSERT INTO networks (network, name, chain) VALUES ('eip155:31337', 'evm-local', 'evm');
INSERT INTO assets (id, symbol, scale) VALUES ('{ASSET}', 'EUR', 2);
"""
TABLE = {
    "name": "dice",
    "game": "dice",
    "program": "bond_evm",
    "address": "0x" + "ab" * 20,
    "casino": "tables",
    "asset": ASSET,
    "max_liability": 10**9,
    "most": 1_000,
    "most_win": 100_000,
    "most_player": 1_500,
}
LEADS = {"keeper": "keeping 0 casinos", "dealer": "dealing at 1 tables"}


@pytest.fixture
async def url(fresh_database: Callable[[], str]) -> AsyncIterator[str]:
    made = fresh_database()
    await asked(made, SETUP)
    session.configure(made)
    yield made
    await session.close()


async def asked(url: str, query: str) -> list[tuple[Any, ...]]:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        cursor = await connection.execute(query.encode())
        return await cursor.fetchall() if cursor.description else []


def start(url: str, kind: str, number: int, folder: Path) -> Child:
    settings = {
        "DATABASE_URL": url,
        "FAIRHOUSE_SOURCES": "[]",
        "FAIRHOUSE_TABLES": json.dumps([TABLE]),
        "FAIRHOUSE_SIGNER_KEY": SIGNER.to_hex(),
        "FAIRHOUSE_DRAND_URLS": '["http://127.0.0.1:9"]',
    }
    log = folder / f"{kind}-{number}.log"
    return fork(log.stem, ["run", kind], log=log, env={**os.environ, **settings})


def leading(children: list[Child], kind: str) -> list[Child]:
    mine = [one for one in children if one.name.startswith(kind)]
    return [one for one in mine if LEADS[kind] in one.log.read_text()]


async def until(true: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come about"
        await asyncio.sleep(0.05)


async def test_when_a_leading_keeper_and_dealer_are_killed_the_others_go_on(
    url: str, tmp_path: Path
) -> None:
    """With the lock of the dead one, and, as for the dealer, with the rounds that it was at."""
    children = [start(url, kind, number, tmp_path) for kind in LEADS for number in range(2)]
    try:
        await until(lambda: all(leading(children, kind) for kind in LEADS), 60)
        async with direct() as connection:
            [table] = await tables.all_tables(connection)
        await Dealt(table, {}).batch(30, period=2)
        await closed(url, "now() - interval '1 day'")
        await asyncio.sleep(1.5)  # time for a second one to lead, if it could
        before = {kind: leading(children, kind) for kind in LEADS}
        assert [len(found) for found in before.values()] == [1, 1]
        [[now]] = await asked(url, "SELECT now()::text")
        for [leader] in before.values():
            leader.process.kill()
        for kind in LEADS:
            await until(lambda kind=kind: len(leading(children, kind)) == 2, GOES_ON_S)  # type: ignore[misc]
        await closed(url, f"'{now}'::timestamptz + interval '0.5 s'")
        [[late]] = await asked(url, "SELECT max(closed_at - closes_at) FROM rounds")
        assert late.total_seconds() < GOES_ON_S
    finally:
        codes = [await one.stop() for one in children]
    assert sorted(codes) == [-9, -9, 0, 0]


async def closed(url: str, after: str) -> None:
    """Wait until a round is closed after some moment."""
    async with asyncio.timeout(30):
        while await asked(url, f"SELECT 1 FROM rounds WHERE closed_at > {after} LIMIT 1") == []:
            await asyncio.sleep(0.05)
