"""Clocks that are wrong by ten minutes, or jump: the books go by one clock, and never backwards."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from db import migrate
from local import postgres
from tests.reliability.conftest import ask, banker, begin, broken

FAKED = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
JUMPS_S = (600, 0, -600, -601, 600, -600, 0)
pytestmark = pytest.mark.skipif(FAKED is None, reason="needs Debian's faketime, as CI installs it")


def wrong(**said: str) -> Mapping[str, str]:
    """What makes a process believe in another time; how long things take, it still knows."""
    return {"LD_PRELOAD": str(FAKED), "DONT_FAKE_MONOTONIC": "1", "FAKETIME_NO_CACHE": "1", **said}


@dataclass(frozen=True)
class Clock:
    """A server's clock, which can be set."""

    url: str
    file: Path

    def set(self, seconds: int) -> None:
        """So much ahead of ours, or behind it; written whole, as it is read at any moment."""
        draft = self.file.with_suffix(".new")
        draft.write_text(f"{seconds:+d}\n")
        draft.rename(self.file)


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Clock]:
    """A server of its own by whose clock the books go."""
    with tempfile.TemporaryDirectory(prefix="fairhouse-tests-") as name:
        os.chmod(name, 0o755)
        made = Clock("", Path(name) / "clock")
        made.set(0)
        with monkeypatch.context() as inherited:
            for key, value in wrong(FAKETIME_TIMESTAMP_FILE=str(made.file)).items():
                inherited.setenv(key, value)
            server = postgres.start(Path(name) / "postgres", fsync=False)
            started = await server.__aenter__()
        try:
            await asyncio.to_thread(migrate.upgrade, started.url)
            begin(started.url)
            yield Clock(started.url, made.file)
        finally:
            await server.__aexit__(None, None, None)


def ahead_s(url: str) -> int:
    """How far the server's clock is ahead of ours, to ten seconds."""
    query = "SELECT extract(epoch FROM clock_timestamp())::float8 - %s"
    [(found,)] = ask(url, query, time.time())
    return round(float(found) / 10) * 10


async def test_books_whose_clock_jumps_keep_the_order_of_their_entries(clock: Clock) -> None:
    process = banker(clock.url, 1, 1, 4_000, 8, 1)
    reached = []
    for seconds in JUMPS_S:
        clock.set(seconds)
        reached.append(ahead_s(clock.url))
        await asyncio.sleep(0.3)
    out, _ = await asyncio.to_thread(process.communicate, timeout=60)
    assert reached == [600, 0, -600, -600, 600, -600, 0]
    assert not [line for line in out.splitlines() if line.startswith("!")]
    assert len(out.splitlines()) == 4_000
    assert broken(clock.url) == {}


async def test_processes_whose_clocks_are_wrong_write_the_time_of_the_books(bank_url: str) -> None:
    clocks = (wrong(FAKETIME="+0"), wrong(FAKETIME="+10m"), wrong(FAKETIME="-10m"))
    made = [banker(bank_url, 1 + n, 3, 300, 8, 1, told=told) for n, told in enumerate(clocks)]
    for process in made:
        out, _ = await asyncio.to_thread(process.communicate, timeout=60)
        assert len([line for line in out.splitlines() if not line.startswith("!")]) == 300
    [(wide, asked)] = ask(
        bank_url,
        "SELECT extract(epoch FROM max(e.at) - min(e.at)), (SELECT extract(epoch FROM"
        " max(at) - min(at)) FROM requests) FROM entries e",
    )
    assert wide < 120
    assert asked < 120
    assert broken(bank_url) == {}
