"""Every instance shows its own sign of life, and what is gone is not remembered for ever."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from local.forks import fork
from local.process import Child
from workers.heartbeat import FORGET_S, beating

OLD = (
    "INSERT INTO heartbeats (process, host, pid, at)"
    f" VALUES ('relay', 'gone', 7, now() - interval '{FORGET_S + 60} s'),"
    f" ('relay', 'silent', 7, now() - interval '{FORGET_S - 60} s')"
)
WHO = "SELECT process, host FROM heartbeats WHERE process = 'relay'"
PIDS = "SELECT pid FROM heartbeats ORDER BY pid"


@pytest.fixture
def url(fresh_database: Callable[[], str]) -> str:
    return fresh_database()


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(query.encode())
        return cursor.fetchall() if cursor.description else []


async def until(url: str, query: str, *wanted: tuple[Any, ...]) -> None:
    async with asyncio.timeout(60):
        while rows(url, query) != list(wanted):
            await asyncio.sleep(0.05)


def relay(url: str, name: str, folder: Path) -> Child:
    environment = os.environ | {"FAIRHOUSE_DATABASE_URL": url}
    return fork(name, ["run", "relay"], log=folder / f"{name}.log", env=environment)


async def test_two_instances_are_two_rows_and_one_that_stops_takes_its_own_away(
    url: str, tmp_path: Path
) -> None:
    children = [relay(url, name, tmp_path) for name in ("first", "second")]
    first, second = (child.pid for child in children)
    try:
        await until(url, PIDS, *sorted([(first,), (second,)]))
        assert await children[0].stop() == 0
        assert rows(url, PIDS) == [(second,)]
        # One that is killed has no time to say so.
        children[1].process.kill()
        children[1].process.wait()
        assert rows(url, PIDS) == [(second,)]
    finally:
        for child in children:
            await child.stop()


async def test_an_instance_that_was_killed_long_ago_is_forgotten_by_the_others(url: str) -> None:
    rows(url, OLD)
    with beating(url, "api"):
        await until(url, WHO, ("relay", "silent"))
