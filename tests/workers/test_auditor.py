"""The auditor: rows get their seals, holds end, and a broken law is told until it heals."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from loguru import logger

from casino import breaches, seals
from casino.invariants import LAWS
from casino.invariants.laws import Finding, Window
from db import session
from db.session import transaction
from local.forks import fork
from local.process import Child
from tests.casino.test_holds import held, standing
from tests.casino.written import counted, execute, rows, value, verdict, written
from workers import auditor

DAY_S = 86_400
BREAK = "UPDATE accounts SET balance = balance + {} WHERE name = 'system:treasury'"
LAW = "SELECT holds, faults, error, full_at, reach FROM laws WHERE name = 'sums'"
BREACHES = (
    "SELECT faults, evidence, ended_at IS NOT NULL FROM breaches WHERE law = 'sums' ORDER BY id"
)


@pytest.fixture
async def books(fresh_database: Callable[[], str]) -> AsyncIterator[str]:
    url = fresh_database()
    session.configure(url)
    await counted()
    await written(2)
    yield url
    await session.close()


@pytest.fixture
def said() -> Iterator[list[str]]:
    """What is logged, from the level INFO on."""
    lines: list[str] = []
    sink = logger.add(lambda line: lines.append(line), level="INFO", format="{level} {message}")
    yield lines
    logger.remove(sink)


async def by_hand(statement: str) -> None:
    async with transaction() as opened:
        await execute(opened, "SET LOCAL session_replication_role = replica")
        await execute(opened, statement)


async def asked(query: str) -> list[tuple[Any, ...]]:
    async with transaction() as opened:
        return await execute(opened, query)


async def test_a_broken_law_is_told_once_kept_with_evidence_and_heals(
    books: str, said: list[str]
) -> None:
    await auditor.check(full_s=DAY_S)
    assert await value("SELECT bool_and(holds) FROM laws") is True
    assert len(await asked("SELECT name FROM laws")) == len(LAWS)
    assert said == []

    await by_hand(BREAK.format(5))
    for _ in range(2):
        await auditor.check(full_s=DAY_S)
    [(holds, faults, error, *_)] = await asked(LAW)
    assert (holds, faults, error) == (False, 1, None)
    [(count, evidence, ended)] = await asked(BREACHES)
    assert (count, ended) == (1, False)
    assert evidence[0]["evidence"]["sum"] == "5"
    broken = [line for line in said if line.startswith("ERROR the law sums is broken")]
    assert len(broken) == 1
    assert "sum to 5" in broken[0]

    await by_hand(BREAK.format(-5))
    await auditor.check(full_s=DAY_S)
    assert (await asked(LAW))[0][:2] == (True, 0)
    assert [ended for *_, ended in await asked(BREACHES)] == [True]
    assert said[-1].strip() == "INFO the law sums holds again"


async def test_the_second_look_is_at_what_is_new_until_a_day_has_passed(books: str) -> None:
    await auditor.check(full_s=DAY_S)
    [(*_, full_at, reach)] = await asked(LAW)
    async with transaction() as opened:
        window = (await breaches.windows(opened, full_s=DAY_S))["sums"]
    assert (window.since, window.whole) == (reach, False)
    await written(1)
    await auditor.check(full_s=DAY_S)
    [(*_, again_at, further)] = await asked(LAW)
    assert again_at == full_at
    assert further > reach
    await auditor.check(full_s=0)
    assert (await asked(LAW))[0][3] > full_at


async def test_what_broke_in_the_past_stays_broken_until_it_is_mended(books: str) -> None:
    """A fault that only a look at everything finds is not forgotten by the next look."""
    await auditor.check(full_s=DAY_S)
    await by_hand("UPDATE entries SET before = before + 1, after = after + 1 WHERE version = 1")
    await auditor.check(full_s=DAY_S)
    stands = "SELECT holds FROM laws WHERE name = 'entries'"
    assert await value(stands) is True
    await auditor.check(full_s=0)
    assert await value(stands) is False
    await auditor.check(full_s=DAY_S)
    assert await value(stands) is False
    await by_hand("UPDATE entries SET before = before - 1, after = after - 1 WHERE version = 1")
    await auditor.check(full_s=DAY_S)
    assert await value(stands) is True


async def test_a_check_that_fails_says_nothing_about_the_law(books: str) -> None:
    await auditor.check(full_s=DAY_S)
    await by_hand("ALTER TABLE holds RENAME TO elsewhere")
    await auditor.check(full_s=DAY_S)
    known = await asked("SELECT name, holds FROM laws WHERE error IS NOT NULL ORDER BY name")
    assert known == [("holds", True), ("lapses", True)]
    await by_hand("ALTER TABLE elsewhere RENAME TO holds")
    await auditor.check(full_s=DAY_S)
    assert await value("SELECT count(*) FROM laws WHERE error IS NOT NULL OR NOT holds") == 0


async def test_a_law_that_was_given_up_is_forgotten_and_its_breach_ends(books: str) -> None:
    async with transaction() as opened:
        await breaches.keep(opened, Finding("old", faults=(), error="gone"))
        await breaches.keep(opened, Finding("older", faults=(), began=Window()))
    await auditor.check(full_s=DAY_S)
    assert len(await asked("SELECT name FROM laws")) == len(LAWS)


async def test_the_process_seals_ends_holds_and_checks_while_another_waits(
    books: str, tmp_path: Path
) -> None:
    mine, _ = await held(25)
    children = [start(books, f"auditor-{n}", tmp_path) for n in range(2)]
    try:
        await until(lambda: told(children, "leading the audit") == 1)
        while await standing(mine) != (100, 0):
            await asyncio.sleep(0.02)
        await until_all_is_sealed()
        leader = next(one for one in children if told([one], "leading"))
        leader.process.kill()
        leader.process.wait()
        await until(lambda: told(children, "leading the audit") == 2)
        await written(3)
        await until_all_is_sealed()
        found = await verdict()
        assert (found.bad, found.rows) == (None, await rows())
        lines = [line for one in children for line in one.log.read_text().splitlines()]
        kept = [line.partition("fairhouse checkpoint")[2] for line in lines]
        assert str(found.checkpoint).removeprefix("fairhouse checkpoint") in kept
    finally:
        codes = [await one.stop() for one in children]
    assert sorted(codes) == [-9, 0]


def start(url: str, name: str, folder: Path) -> Child:
    settings = {"FAIRHOUSE_DATABASE_URL": url, "FAIRHOUSE_SEAL_S": "0.1", "FAIRHOUSE_LAWS_S": "0.1"}
    environment = {**os.environ, **settings}
    return fork(name, ["run", "auditor"], log=folder / f"{name}.log", env=environment)


def told(children: list[Child], words: str) -> int:
    return sum(words in one.log.read_text() for one in children)


async def until(true: Callable[[], bool], seconds: float = 20) -> None:
    started = time.monotonic()
    while not true():
        assert time.monotonic() - started < seconds, "it did not come about"
        await asyncio.sleep(0.02)


async def until_all_is_sealed(seconds: float = 20) -> None:
    started = time.monotonic()
    while True:
        async with transaction() as opened:
            last = await seals.checkpoint(opened)
        if last is not None and last.rows == await rows():
            return
        assert time.monotonic() - started < seconds, "not all is sealed"
        await asyncio.sleep(0.02)
