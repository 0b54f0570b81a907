"""What is not indexed, as the command says it: each kind of gap, and another try."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import psycopg
import pytest

from local.process import free_port
from tests.cli.conftest import Fairhouse
from tests.flow.conftest import PROCESSES, Line

READ = "SELECT count(*)::int FROM bets"


def change(database_url: str, *statements: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def told(fairhouse: Fairhouse, *words: str, **changed: str) -> tuple[int, list[dict[str, Any]]]:
    """The exit code and what the JSON says."""
    done = fairhouse("gaps", "--json", *words, **changed)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, json.loads(done.stdout)


def kinds(reports: list[dict[str, Any]], program: str) -> list[str]:
    (report,) = [one for one in reports if one["program"] == program]
    return [gap["kind"] for gap in report["gaps"]]


async def test_sources_that_nobody_has_looked_at_are_gaps(fairhouse: Fairhouse) -> None:
    done = await asyncio.to_thread(fairhouse, "gaps")
    assert done.returncode == 1
    assert "casino_evm on evm-local" in done.stdout
    assert "casino_solana on solana-local" in done.stdout
    assert done.stdout.count("no indexer has looked at this source") == 2
    nothing = await asyncio.to_thread(fairhouse, "gaps", FAIRHOUSE_SOURCES="[]")
    assert (nothing.returncode, nothing.stdout.strip()) == (0, "no source is followed")


async def test_a_house_that_runs_has_no_gaps_and_one_that_stands_has(
    fairhouse: Fairhouse, line: Line
) -> None:
    line.start(*PROCESSES)
    for house in (line.evm, line.solana):
        await house.commit()
        await house.place()
    await line.until(READ, [(2,)])
    await line.until("SELECT count(*)::int FROM pages WHERE state <> 'interpreted'", [(0,)])
    done = await asyncio.to_thread(fairhouse, "gaps")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "casino_evm on evm-local: all is indexed up to" in done.stdout
    assert "casino_solana on solana-local: all is indexed up to" in done.stdout
    assert (await asyncio.to_thread(told, fairhouse))[0] == 0
    await line.stop()

    # Given nobody looks any more, and a stretch of each kind is left
    change(
        line.database_url,
        "UPDATE sources SET polled_at = now() - interval '1 min', error = 'polling: [x] lost'"
        " WHERE program = 'casino_evm'",
        "UPDATE sources SET polled_at = now() + interval '1 h' WHERE program = 'casino_solana'",
        "INSERT INTO spans (source_id, lower, upper, reached, backfill)"
        " SELECT id, 0, 9, 4, true FROM sources",
        "INSERT INTO pages (source_id, lower, upper, fresh, state)"
        " SELECT id, 3, 5, false, 'found' FROM sources",
        "INSERT INTO pages (source_id, lower, upper, fresh, state, attempts, error)"
        " SELECT id, 7, 8, false, 'stored', 3, 'RuntimeError: [red]no' FROM sources",
        "INSERT INTO dead_letters (source_id, network, position, tx, index, kind, body, reason)"
        " SELECT id, network, 6, 'x', 0, 'log', '', 'an anonymous log' FROM sources",
    )
    code, reports = await asyncio.to_thread(told, fairhouse)
    assert code == 1
    every = ["open", "waiting", "failing", "dead"]
    assert kinds(reports, "casino_evm") == ["unread", *every]
    assert kinds(reports, "casino_solana") == every
    stretches = {
        report["program"]: [(gap["first"], gap["last"]) for gap in report["gaps"][-4:]]
        for report in reports
    }
    assert stretches == {
        "casino_evm": [(5, 9), (3, 5), (7, 8), (6, 6)],
        "casino_solana": [(0, 4), (3, 5), (7, 8), (6, 6)],
    }
    done = await asyncio.to_thread(fairhouse, "gaps")
    assert done.returncode == 1
    assert "casino_evm on evm-local: polling: [x] lost" in done.stdout
    for said in ("RuntimeError: [red]no", "an anonymous log", "no indexer reads this source"):
        assert said in done.stdout


async def test_what_can_be_read_by_now_is_read_when_told_to_try_again(
    fairhouse: Fairhouse, line: Line
) -> None:
    # Given a bet whose event could not be read in its time, and one that nobody can read
    change(
        line.database_url,
        "DELETE FROM dead_letters",
        "DELETE FROM bets WHERE network LIKE 'eip155%'",
        "INSERT INTO dead_letters (source_id, network, position, tx, index, kind, body, reason)"
        " SELECT source_id, network, position, tx, index, kind, body, 'an old interface'"
        " FROM raw_events WHERE network LIKE 'eip155%'",
        "INSERT INTO dead_letters (source_id, network, position, tx, index, kind, body, reason)"
        " SELECT source_id, network, position, 'y', 0, kind, '', 'gone' FROM raw_events LIMIT 1",
    )
    _, reports = await asyncio.to_thread(told, fairhouse, "--retry")
    assert await line.rows(READ) == [(2,)]
    dead = [gap for one in reports for gap in one["gaps"] if gap["kind"] == "dead"]
    assert [(gap["count"], gap["said"] == "gone") for gap in dead] == [(1, False)]
    assert await line.rows("SELECT attempts FROM dead_letters") == [(2,)]
    assert "failing" not in [gap["kind"] for one in reports for gap in one["gaps"]]
    failed = "SELECT count(*)::int FROM pages WHERE error IS NOT NULL OR attempts > 0"
    assert await line.rows(failed) == [(0,)]


@pytest.mark.parametrize("away", [True, False])
async def test_a_database_that_cannot_say_is_named_in_a_line(
    fairhouse: Fairhouse, line: Line, away: bool
) -> None:
    port = free_port()
    base = line.database_url.rsplit("/", 1)[0]
    url = f"postgresql://me:secret@127.0.0.1:{port}/x" if away else f"{base}/postgres"
    done = await asyncio.to_thread(fairhouse, "gaps", DATABASE_URL=url)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert ("cannot be reached" if away else "fairhouse migrate") in done.stderr
    assert "secret" not in done.stderr
