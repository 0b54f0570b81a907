"""The books and the audit log, put to the proof by a person at a terminal."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from casino.invariants import LAWS
from casino.seals import COLUMNS, Verdict
from cli import verify as rooms
from db import session
from settings import Settings
from tests import typed
from tests.casino.written import counted, sealed, written

Verify = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module", autouse=True)
async def books(database_url: str) -> str:
    session.configure(database_url)
    await counted()
    await written(4)
    await sealed(most=20)
    await session.close()
    return database_url


@pytest.fixture
def verify(books: str) -> Verify:
    def run(*words: str, url: str = books) -> subprocess.CompletedProcess[str]:
        return typed.fairhouse("verify", *words, env={**os.environ, "FAIRHOUSE_DATABASE_URL": url})

    return run


def by_hand(url: str, *statements: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("SET LOCAL session_replication_role = replica")
        for statement in statements:
            connection.execute(statement.encode())


async def test_a_broken_law_is_named_with_its_evidence_and_ends_with_one(
    books: str, verify: Verify
) -> None:
    well = await asyncio.to_thread(verify, "books", "--json")
    assert (well.returncode, well.stderr) == (0, "")
    assert [(one["law"], one["holds"]) for one in json.loads(well.stdout)] == [
        (law.name, True) for law in LAWS
    ]
    by_hand(books, "UPDATE accounts SET balance = balance + 7 WHERE name = 'system:treasury'")
    done = await asyncio.to_thread(verify, "books", "--law", "floors", "--law", "sums")
    by_hand(books, "UPDATE accounts SET balance = balance - 7 WHERE name = 'system:treasury'")
    assert (done.returncode, done.stderr) == (1, "")
    marks = [line.split()[:2] for line in done.stdout.splitlines()]
    assert marks == [["✓", "floors"], ["✗", "sums"], ["iso4217:USD", "cash"]]
    assert "cash of casino 1 sum to 7" in done.stdout


async def test_a_tail_that_was_cut_off_is_found_by_the_checkpoint_that_was_kept(
    books: str, verify: Verify, tmp_path: Path
) -> None:
    file = tmp_path / "checkpoints"
    kept = await asyncio.to_thread(verify, "checkpoint")
    file.write_text(kept.stdout)
    whole = await asyncio.to_thread(verify, "audit", "--checkpoint", str(file))
    assert (whole.returncode, whole.stderr) == (0, "")
    assert whole.stdout.splitlines()[-1] == kept.stdout.strip()

    # Cut off, the log looks whole to whoever has kept nothing.
    last = "(SELECT max(lower) FROM seals)"
    cut = [f"DELETE FROM {one} WHERE xact >= {last}" for one in COLUMNS]
    by_hand(books, *cut, "DELETE FROM seals WHERE n = (SELECT max(n) FROM seals)")
    assert (await looked(books, None)).bad is None
    done = await asyncio.to_thread(verify, "audit", "--checkpoint", str(file), "--json")
    said = json.loads(done.stdout)
    assert (done.returncode, said["bad"]["index"]) == (1, said["rows"])
    assert "ends before a checkpoint" in said["bad"]["said"]


async def looked(url: str, kept: Path | None) -> Verdict:
    return await rooms.audit(settings(url), kept, lambda done, whole: None)


def settings(url: str) -> Settings:
    return Settings(database_url=url)


async def test_what_cannot_be_verified_is_said_in_a_line(
    books: str, verify: Verify, tmp_path: Path
) -> None:
    for name, content in (("wrong", b"\xff\xfe"), ("empty", b"\n"), ("other", b"checkpoint 1")):
        file = tmp_path / name
        file.write_bytes(content)
        with pytest.raises(rooms.Refused, match="checkpoint"):
            await looked(books, file)
    with pytest.raises(rooms.Refused, match="cannot be read"):
        await looked(books, tmp_path / "missing")
    with pytest.raises(rooms.Refused, match="cannot be reached"):
        await looked("postgresql://fairhouse@127.0.0.1:1/none", None)
    bare = books.rsplit("/", 1)[0] + "/postgres"
    with pytest.raises(rooms.Refused, match="lacks what is asked for"):
        await looked(bare, None)
    done = await asyncio.to_thread(verify, "books", url=bare)
    line = "the database lacks what is asked for: fairhouse migrate\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line)
