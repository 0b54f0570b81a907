"""A backfill by command, on real chains: with an indexer and without, killed and repeated."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from local.forks import fork
from local.postgres import Postgres
from local.process import free_port
from tests.cli.conftest import Fairhouse
from tests.flow.conftest import Line, own_database

__all__ = ["own_database"]

FAIRHOUSE = Path(sys.executable).parent / "fairhouse"
QUIET = 1_200  # blocks in which nothing happens
BETS = "SELECT network LIKE 'eip155%', count(*)::int FROM bets GROUP BY 1 ORDER BY 1"
READ = "SELECT position, tx, index FROM raw_events ORDER BY 1, 2, 3"
OPEN = "SELECT count(*)::int FROM spans WHERE closed_at IS NULL"


WORDS = ("backfill", "--source", "casino_evm", "--from", "0")


def begun(environment: dict[str, str], stderr: int) -> subprocess.Popen[bytes]:
    """The command at work."""
    return subprocess.Popen([FAIRHOUSE, *WORDS], env=environment, stderr=stderr)


@dataclass
class Past:
    """Where on each chain the newest bet is, long after the others."""

    evm: int
    solana: int
    logs: int


async def node(url: str, method: str, *params: Any) -> Any:
    async with httpx.AsyncClient(timeout=120) as client:
        asked = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return (await client.post(url, json=asked)).json()["result"]


@pytest.fixture(scope="module")
async def past(line: Line) -> Past:
    """Three old bets on both chains, a quiet time, and a new bet."""
    for house in (line.evm, line.solana):
        await house.commit()
        for _ in range(3):
            await house.place()
    await node(line.evm_url, "anvil_mine", hex(QUIET))
    await asyncio.sleep(0.5)
    made = Past(
        int(await node(line.evm_url, "eth_blockNumber"), 16),
        int(await node(line.solana_url, "getSlot", {"commitment": "confirmed"})),
        0,
    )
    await line.evm.place()
    await line.solana.place()
    asked = {"address": line.evm.address, "fromBlock": "0x0", "toBlock": "latest"}
    made.logs = len(await node(line.evm_url, "eth_getLogs", asked))
    return made


@pytest.fixture
def late(line: Line, past: Past, own_database: str) -> dict[str, str]:
    """The environment of a house that follows only what is new, on a database of its own."""
    sources = [
        {"program": "casino_evm", "address": line.evm.address, "start": past.evm},
        {"program": "casino_solana", "address": line.solana.address, "start": past.solana},
    ]
    return {"DATABASE_URL": own_database, "FAIRHOUSE_SOURCES": json.dumps(sources)}


def rows(database_url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        return connection.execute(query.encode()).fetchall()


async def until(database_url: str, query: str, expected: list[tuple[Any, ...]]) -> None:
    deadline = time.monotonic() + 60
    while (found := await asyncio.to_thread(rows, database_url, query)) != expected:
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.05)


@pytest.fixture
def started(line: Line, late: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Processes of that house."""
    children = []

    def start(*names: str) -> None:
        for name in names:
            log = tmp_path / f"{name}.log"
            told = {**line.environment, **late}
            children.append(fork(name, ["run", *name.split()], log=log, env=told))

    yield start
    for child in children:
        child.process.terminate()
    for child in children:
        child.process.wait()


async def test_a_running_indexer_reads_what_a_command_asks_for(
    fairhouse: Fairhouse, late: dict[str, str], past: Past, started: Callable[..., None]
) -> None:
    started("indexer", "worker chain", "worker interpretation")
    await until(late["DATABASE_URL"], BETS, [(False, 1), (True, 1)])
    leader = "SELECT pid FROM pg_locks WHERE locktype = 'advisory'"
    before = await asyncio.to_thread(rows, late["DATABASE_URL"], leader)
    for program in ("casino_evm", "casino_solana"):
        done = await asyncio.to_thread(
            fairhouse, "backfill", "--source", program, "--from", "0", **late
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "of them were not known before" in done.stdout
    assert await asyncio.to_thread(rows, late["DATABASE_URL"], leader) == before
    await until(late["DATABASE_URL"], BETS, [(False, 4), (True, 4)])
    again = await asyncio.to_thread(fairhouse, *WORDS, **late)
    assert again.returncode == 0
    assert "all of them were known" in again.stdout
    old = (
        "SELECT count(*)::int FROM outbox o JOIN bets b ON b.placed_tx = o.data->>'tx'"
        " WHERE o.type = 'bet.placed' AND b.placed_position <"
        f" CASE WHEN b.network LIKE 'eip155%' THEN {past.evm} ELSE {past.solana} END"
    )
    assert rows(late["DATABASE_URL"], old) == [(0,)]


async def test_without_an_indexer_the_command_reads_by_itself(
    fairhouse: Fairhouse, late: dict[str, str], line: Line, past: Past
) -> None:
    done = await asyncio.to_thread(
        fairhouse, "backfill", "--source", line.evm.address.upper(), "--from", "0", **late
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(rows(late["DATABASE_URL"], READ)) == past.logs
    assert rows(late["DATABASE_URL"], OPEN) == [(0,)]
    assert rows(late["DATABASE_URL"], "SELECT program FROM sources") == [("casino_evm",)]
    assert "pages wait for the workers" in done.stdout
    assert " blocks left" in done.stderr or "waiting for the first look" in done.stderr
    done = await asyncio.to_thread(
        fairhouse, "backfill", "--source", "casino_solana", "--from", "0", **late
    )
    assert done.returncode == 0, done.stdout + done.stderr
    listed = rows(
        late["DATABASE_URL"],
        "SELECT s->>0 FROM pages, jsonb_array_elements(signatures) s",
    )
    assert len(listed) == len(set(listed)) >= 5


async def test_a_command_killed_at_work_goes_on_when_it_is_repeated(
    fairhouse: Fairhouse, late: dict[str, str], line: Line, past: Past, tmp_path: Path
) -> None:
    slow = {**late, "FAIRHOUSE_EVM_RANGE": "20", "FAIRHOUSE_RPC_RATE": "150"}
    reached = "SELECT count(*)::int FROM spans WHERE closed_at IS NULL AND reached > {}"
    at = 0
    for _ in range(2):
        child = fork("backfill", WORDS, log=tmp_path / "log", env={**line.environment, **slow})
        try:
            await until(late["DATABASE_URL"], reached.format(at), [(1,)])
        finally:
            child.process.kill()
            child.process.wait()
        at = rows(late["DATABASE_URL"], "SELECT max(reached) FROM spans WHERE closed_at IS NULL")[
            0
        ][0]
        assert 0 < at < past.evm
    done = await asyncio.to_thread(fairhouse, *WORDS, **late)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(rows(late["DATABASE_URL"], READ)) == past.logs
    assert rows(late["DATABASE_URL"], "SELECT count(*)::int FROM spans") == [(2,)]


async def test_a_command_told_to_stop_says_that_it_may_be_repeated(
    late: dict[str, str], line: Line
) -> None:
    slow = {**line.environment, **late, "FAIRHOUSE_EVM_RANGE": "1", "FAIRHOUSE_RPC_RATE": "20"}
    child = begun(slow, subprocess.PIPE)
    await until(late["DATABASE_URL"], OPEN, [(1,)])
    child.terminate()
    _, said = await asyncio.to_thread(child.communicate)
    assert child.returncode == 2
    assert b"the same command goes on where it was" in said
    assert b"Traceback" not in said


async def test_no_more_than_the_asked_blocks_are_waited_for(
    fairhouse: Fairhouse, late: dict[str, str], past: Past
) -> None:
    slow = {**late, "FAIRHOUSE_EVM_RANGE": "100", "FAIRHOUSE_RPC_RATE": "6"}
    done = await asyncio.to_thread(
        fairhouse, "backfill", "--source", "casino_evm", "--from", "10", "--to", "400", **slow
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "391 blocks are read from 10 up" in done.stdout
    # What lies between is no hole: it stands on the span and is read next.
    spans = "SELECT lower, upper, reached >= 400, closed_at IS NULL FROM spans WHERE backfill"
    assert rows(late["DATABASE_URL"], spans) == [(9, past.evm - 1, True, True)]


async def test_a_terminal_shows_a_bar(late: dict[str, str], line: Line) -> None:
    ours, theirs = pty.openpty()
    environment = {**line.environment, **late, "TERM": "xterm", "COLUMNS": "140"}
    slow = {"FAIRHOUSE_EVM_RANGE": "100", "FAIRHOUSE_RPC_RATE": "30"}
    child = begun({**environment, **slow}, theirs)
    os.close(theirs)
    said = await asyncio.to_thread(everything, ours)
    assert child.wait() == 0
    assert "━" in said
    assert " blocks left, " in said
    assert "blocks a second, done in" in said


def everything(descriptor: int) -> str:
    """What a terminal got until its other end was closed."""
    said = b""
    while True:
        try:
            more = os.read(descriptor, 65_536)
        except OSError:
            more = b""
        if not more:
            os.close(descriptor)
            return said.decode(errors="replace")
        said += more


@pytest.mark.parametrize(
    ("words", "changed", "complaint"),
    [
        (["casino_evn", "--from", "0"], {}, "no source 'casino_evn' in the settings"),
        (["casino_evm", "--from", "-1"], {}, "cannot be negative"),
        (["casino_evm", "--from", "9", "--to", "8"], {}, "goes up, not from 9 to 8"),
        (["casino_evm", "--from", "99999999"], {}, "99,999,999 is above"),
        (["casino_solana", "--from", "999999999999"], {}, "999,999,999,999 is above"),
        (["casino_evm", "--from", "0", "--network", "base"], {}, "no source 'casino_evm'"),
        (["casino_evm", "--from", "0"], {"database": "away"}, "the database cannot be reached"),
        (["casino_evm", "--from", "0"], {"rpc": "away"}, "no RPC of evm-local answers"),
        (["casino_evm", "--from", "0"], {"rpc": "base"}, "base is eip155:8453, but its RPC serves"),
        (["casino_evm", "--from", "0"], {"rpc": "none"}, "no RPC URL is set"),
        (["casino_evm", "--from", "x"], {}, "Invalid value for '--from'"),
    ],
)
async def test_what_cannot_be_is_refused_in_a_line_and_nothing_is_written(
    fairhouse: Fairhouse,
    late: dict[str, str],
    line: Line,
    words: list[str],
    changed: dict[str, str],
    complaint: str,
) -> None:
    away = f"127.0.0.1:{free_port()}"
    told = dict(late)
    match changed.get("rpc"):
        case "away":
            told["FAIRHOUSE_RPC"] = json.dumps({"evm-local": [f"http://{away}"]})
        case "none":
            told["FAIRHOUSE_RPC"] = "{}"
        case "base":
            source = {"program": "casino_evm", "network": "base", "address": line.evm.address}
            told["FAIRHOUSE_SOURCES"] = json.dumps([source])
            told["FAIRHOUSE_RPC"] = json.dumps({"base": [line.evm_url]})
    if "database" in changed:
        told["DATABASE_URL"] = f"postgresql://nobody@{away}/x"
    done = await asyncio.to_thread(fairhouse, "backfill", "--source", *words, **told)
    assert done.returncode == 2, done.stdout + done.stderr
    assert complaint in done.stderr
    assert done.stdout == ""
    if "Invalid value" not in complaint:
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    for table in ("networks", "casinos", "sources", "spans", "pages"):
        assert rows(late["DATABASE_URL"], f"SELECT count(*)::int FROM {table}") == [(0,)]


async def test_blocks_above_the_edge_and_a_pinned_name_of_another_chain_are_refused(
    fairhouse: Fairhouse, late: dict[str, str], past: Past
) -> None:
    database = late["DATABASE_URL"]
    words = ["backfill", "--source", "casino_evm", "--from"]
    await asyncio.to_thread(fairhouse, *words, str(past.evm), **late)
    spans = rows(database, "SELECT id, lower, upper FROM spans")
    edge = spans[0][2]
    done = await asyncio.to_thread(fairhouse, *words, str(edge + 1), **late)
    assert done.returncode == 2
    assert f"{edge + 1:,} is above {edge:,}, to where casino_evm on evm-local" in done.stderr
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("ALTER TABLE sources DROP CONSTRAINT sources_network_fkey")
        connection.execute("UPDATE networks SET network = 'eip155:5'")
        connection.execute("UPDATE sources SET network = 'eip155:5'")
    done = await asyncio.to_thread(fairhouse, *words, "0", **late)
    assert done.returncode == 2
    assert "evm-local is eip155:5, but its RPC serves eip155:31337" in done.stderr
    assert rows(database, "SELECT id, lower, upper FROM spans") == spans


async def test_a_database_without_tables_is_named(
    fairhouse: Fairhouse, late: dict[str, str], postgres_server: Postgres
) -> None:
    empty = postgres_server.database("postgres")
    done = await asyncio.to_thread(
        fairhouse,
        "backfill",
        "--source",
        "casino_evm",
        "--from",
        "0",
        **late | {"DATABASE_URL": empty},
    )
    assert done.returncode == 2
    assert "no tables yet: fairhouse migrate" in done.stderr
