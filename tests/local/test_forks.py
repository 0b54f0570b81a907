"""A forked process is one like any other: it is told, stopped, and dies with its parent."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.forks import fork
from local.process import Child, alive
from tests.typed import fairhouse

NOWHERE = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:9/x"}
PARENT = """
import sys, time
from pathlib import Path
from local.forks import fork
child = fork("relay", ["run", "relay"], log=Path(sys.argv[1]), env={"DATABASE_URL": sys.argv[2]})
print(child.pid, flush=True)
"""
STAYS = PARENT + "time.sleep(600)"
TOLD = """
import asyncio, signal, sys, time
from pathlib import Path
from local import forks
told = []
signal.signal(signal.SIGTERM, lambda *_: told.append(True))
forks.preload(())
log, url = sys.argv[1:]
child = forks.fork("relay", ["run", "relay"], log=Path(log), env={"DATABASE_URL": url})
while not child.log.read_text():
    time.sleep(0.02)
print("begun", flush=True)
while not told:
    time.sleep(0.02)
print(child.process.poll(), asyncio.run(child.stop()), flush=True)
"""
FAILS = PARENT + "raise RuntimeError('a mistake of ours')"


def until_gone(pid: int) -> bool:
    deadline = time.monotonic() + 30
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not alive(pid)


@pytest.fixture
def relay(database_url: str, tmp_path: Path) -> Iterator[Child]:
    """A process that stays until it is told to stop."""
    environment = {"DATABASE_URL": database_url, "FAIRHOUSE_REDIS_URL": "redis://127.0.0.1:9"}
    child = fork("relay", ["run", "relay"], log=tmp_path / "relay.log", env=environment)
    yield child
    child.process.kill()
    child.process.wait()


async def begun(child: Child) -> None:
    async with asyncio.timeout(60):
        while not child.log.read_text():
            await asyncio.sleep(0.02)


def test_what_is_said_and_what_is_complained_of_are_told_apart() -> None:
    done = fairhouse("--help", env={})
    assert (done.returncode, done.stderr) == (0, "")
    assert "verify" in done.stdout
    done = fairhouse("run", "nothing", env={})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("there is no process 'nothing'")


def test_it_has_the_environment_that_it_was_given_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FAIRHOUSE_SEED_KEY", "none of yours")
    assert "seed_key" not in fairhouse("run", "nothing", env={}).stderr
    said = fairhouse("run", "nothing", env={"FAIRHOUSE_SEED_KEY": "short"}).stderr
    assert said.strip() == "seed_key: must be 32 bytes in hex"


async def test_it_stops_when_told_and_says_how_it_ended(relay: Child) -> None:
    await begun(relay)
    assert relay.process.poll() is None
    assert await relay.stop() == 0
    assert not alive(relay.pid)


async def test_a_killed_one_is_known_by_its_signal(relay: Child) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        relay.process.wait(0.01)
    relay.process.kill()
    assert await asyncio.to_thread(relay.process.wait) == -signal.SIGKILL
    assert relay.process.returncode == -signal.SIGKILL


async def test_its_end_is_the_same_for_who_waits_and_for_who_looks(relay: Child) -> None:
    """It can be read once from the fork server."""
    waiting = [asyncio.create_task(asyncio.to_thread(relay.process.wait)) for _ in range(4)]
    await asyncio.sleep(0.1)
    relay.process.kill()
    while relay.process.poll() is None:
        pass
    assert [relay.process.poll(), *await asyncio.gather(*waiting)] == [-signal.SIGKILL] * 5


def test_it_ends_with_a_parent_that_is_killed_outright(database_url: str, tmp_path: Path) -> None:
    words = [sys.executable, "-c", STAYS, str(tmp_path / "log"), database_url]
    parent = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout as said:
        pid = int(said.readline())
    assert alive(pid)
    parent.kill()
    parent.wait()
    assert until_gone(pid)


def test_a_parent_that_fails_ends_and_its_child_with_it(database_url: str, tmp_path: Path) -> None:
    words = [sys.executable, "-c", FAILS, str(tmp_path / "log"), database_url]
    parent = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert parent.returncode == 1
    assert parent.stderr.rstrip().endswith("RuntimeError: a mistake of ours")
    assert until_gone(int(parent.stdout))


def test_what_a_terminal_tells_all_of_a_command_at_once_is_for_its_parent_alone(
    database_url: str, tmp_path: Path
) -> None:
    """Who asked for the forks stops them, in his order, and hears how they ended."""
    words = [sys.executable, "-c", TOLD, str(tmp_path / "log"), database_url]
    parent = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert parent.stdout is not None
    with parent.stdout as said:
        assert said.readline() == "begun\n"
        os.killpg(parent.pid, signal.SIGTERM)
        assert said.readline() == "None 0\n"
    assert parent.wait() == 0


async def test_it_ends_with_the_one_that_forks_and_the_next_comes_from_a_new_one(
    relay: Child,
) -> None:
    await begun(relay)
    forks = int(Path(f"/proc/{relay.pid}/stat").read_text().rpartition(")")[2].split()[1])
    assert forks != os.getpid()
    os.kill(forks, signal.SIGKILL)
    assert await asyncio.to_thread(until_gone, relay.pid)
    done = await asyncio.to_thread(fairhouse, "--help", env={})
    assert done.returncode == 0
