"""Killed processes and servers: what was acknowledged stands, the rest once or not at all."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from db import migrate
from local import postgres
from local.process import free_port
from tests.reliability import LONG
from tests.reliability.bank import serve
from tests.reliability.conftest import ask, banker, begin, broken

CYCLES = 100 if LONG else 4
COUNT = 100_000  # more than a process can do before it is killed


@pytest.fixture
async def vault() -> AsyncIterator[Path]:
    """A folder for a server that writes to disk and survives its own death."""
    with tempfile.TemporaryDirectory(prefix="fairhouse-tests-") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder) / "postgres"


def heard(process: subprocess.Popen[str]) -> dict[int, str]:
    """The numbers that a process acknowledged, with their codes, whole lines only."""
    out, _ = process.communicate(timeout=60)
    lines = [line.split() for line in out.splitlines(keepends=True) if line.endswith("\n")]
    return {int(line[0]): line[1] for line in lines if line[0] != "!"}


def compare(url: str, acknowledged: dict[int, str]) -> None:
    stands = {
        int(key): code or "-"
        for key, code in ask(url, "SELECT key, code FROM requests WHERE scope = 'bank'")
    }
    lost = {number: code for number, code in acknowledged.items() if stands.get(number) != code}
    assert not lost
    assert broken(url) == {}


async def test_a_bank_killed_at_any_moment_loses_and_doubles_nothing(bank_url: str) -> None:
    chance, acknowledged, first = random.Random(1), dict[int, str](), 1
    for _ in range(CYCLES):
        process = banker(bank_url, first, 1, COUNT, 32, 1)
        assert process.stdout is not None
        line = process.stdout.readline().split()  # it is at work
        await asyncio.sleep(chance.uniform(0, 0.4))
        process.send_signal(signal.SIGKILL)
        acknowledged |= heard(process)
        acknowledged[int(line[0])] = line[1]
        compare(bank_url, acknowledged)
        # Who got no answer asks again, at another process: half of what comes next stood already.
        first = max(acknowledged) - 16
    [(kept,)] = ask(bank_url, "SELECT count(*) FROM requests WHERE scope = 'bank'")
    assert kept >= len(acknowledged) > 0


async def test_servers_killed_under_a_bank_lose_and_double_nothing(vault: Path) -> None:
    """Backends and the whole server die by turns; the bank goes on by itself."""
    chance, acknowledged = random.Random(2), dict[int, str]()
    port = free_port()
    async with postgres.start(vault, port=port) as server:
        await asyncio.to_thread(migrate.upgrade, server.url)
        begin(server.url)
    url, first = server.url, 1
    for cycle in range(CYCLES):
        async with postgres.start(vault, port=port) as server:
            process = banker(url, first, 1, COUNT, 32, 1)
            assert process.stdout is not None
            line = process.stdout.readline().split()
            await asyncio.sleep(chance.uniform(0, 0.4))
            if cycle % 2:
                end(backends(url))
                await asyncio.sleep(1.0)
                process.send_signal(signal.SIGKILL)
                acknowledged |= heard(process) | {int(line[0]): line[1]}
            else:
                os.kill(server.pid, signal.SIGKILL)
                await asyncio.sleep(0.3)
                process.send_signal(signal.SIGKILL)
                acknowledged |= heard(process) | {int(line[0]): line[1]}
                wait_until_gone(vault)
        async with postgres.start(vault, port=port):
            compare(url, acknowledged)
        first = max(acknowledged) - 16
    assert len(acknowledged) > CYCLES


def backends(url: str) -> list[int]:
    query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
    return [
        pid
        for (pid,) in ask(
            url, f"{query} AND pid <> pg_backend_pid() AND backend_type = %s", "client backend"
        )
    ]


def end(pids: list[int]) -> None:
    for pid in pids[:1]:
        os.kill(pid, signal.SIGKILL)


def wait_until_gone(vault: Path) -> None:
    """A killed server's children notice and leave; until then nobody may take its folder."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = subprocess.run(
            ["pgrep", "-f", "^postgres: "], capture_output=True, text=True, check=False
        ).stdout.split()
        mine = [pid for pid in found if _inside(pid, vault)]
        if not mine:
            return
        time.sleep(0.05)
    raise AssertionError("the server's children stay")


def _inside(pid: str, vault: Path) -> bool:
    try:
        return os.readlink(f"/proc/{pid}/cwd") == str(vault)
    except OSError:
        return False


async def test_an_answer_lost_on_its_way_from_the_server_is_found_again(bank_url: str) -> None:
    """The connection breaks after the commit and before its answer, again and again."""
    host, port = "127.0.0.1", int(bank_url.rsplit(":", 1)[1].split("/")[0])
    drops = iter(range(3, 200, 7))
    told = {"next": next(drops), "seen": 0, "dropped": 0}

    async def between(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(host, port)

        committed = asyncio.Event()

        async def upward() -> None:
            while data := await reader.read(65536):
                if b"COMMIT" in data:
                    told["seen"] += 1
                    if told["seen"] == told["next"]:
                        told["next"], told["dropped"] = next(drops), told["dropped"] + 1
                        committed.set()
                up_writer.write(data)
                await up_writer.drain()
            up_writer.close()

        async def downward() -> None:
            while data := await up_reader.read(65536):
                if committed.is_set():
                    break  # it is durable, and nobody hears of it
                writer.write(data)
                await writer.drain()
            writer.transport.abort()
            up_writer.close()

        await asyncio.gather(upward(), downward(), return_exceptions=True)

    proxy = await asyncio.start_server(between, "127.0.0.1", 0)
    lossy = proxy.sockets[0].getsockname()[1]
    async with proxy:
        await serve(bank_url.replace(f":{port}/", f":{lossy}/"), range(1, 401), 4)
    assert told["dropped"] >= 3
    stands = ask(bank_url, "SELECT count(*), count(DISTINCT key) FROM requests")
    assert stands == [(400, 400)]
    assert broken(bank_url) == {}


def test_a_server_that_went_away_is_said_and_nothing_stands_by_halves(bank_url: str) -> None:
    process = banker(bank_url, 1, 1, 50, 8, 1)
    acknowledged = heard(process)
    assert len(acknowledged) == 50
    with psycopg.connect(bank_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    again = heard(banker(bank_url, 1, 1, 50, 8, 1))
    assert again == acknowledged
