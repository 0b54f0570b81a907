"""`fairhouse demo` as a person runs it: a measured run, and a run that is interrupted."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from websockets.asyncio.client import connect

from cli import report, rounds
from local.process import Child, alive, free_port, spawn

READY_S, STOP_S = 120.0, 20.0
PROCESSES = {
    "demo",
    "postgres",
    "redis",
    "anvil",
    "surfpool",
    "api",
    "feed",
    "indexer",
    "relay",
    "auditor",
    "keeper",
    "dealer",
    "worker chain",
    "worker interpretation",
    "worker stats",
    "worker bonuses",
}


class Run:
    """One demo in a folder of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "FAIRHOUSE_DATA": str(folder),
            "FAIRHOUSE_API_PORT": str(free_port()),
            "FAIRHOUSE_FEED_PORT": str(free_port()),
        }
        command: list[str | Path] = [Path(sys.executable).parent / "fairhouse", "demo", *options]
        self.child: Child = spawn(
            "demo", command, log=folder.parent / "demo.log", env=self.environment
        )

    def said(self) -> str:
        return self.child.log.read_text()

    async def description(self) -> dict[str, Any]:
        """demo.json, once it is there."""
        path = self.folder / "demo.json"
        deadline = time.monotonic() + READY_S
        while not path.exists():
            assert self.child.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            await asyncio.sleep(0.1)
        found: dict[str, Any] = json.loads(path.read_text())
        return found

    async def ended(self, seconds: float) -> int:
        deadline = time.monotonic() + seconds
        while (code := self.child.process.poll()) is None:
            assert time.monotonic() < deadline, self.said()
            await asyncio.sleep(0.1)
        return code


@contextlib.asynccontextmanager
async def demo(folder: Path, *options: str) -> AsyncIterator[Run]:
    run = Run(folder, *options)
    try:
        yield run
    finally:
        await run.child.stop(grace_s=STOP_S)


async def gone(pids: dict[str, int]) -> dict[str, int]:
    """What of these still lives a little later."""
    for _ in range(50):
        left = {name: pid for name, pid in pids.items() if alive(pid)}
        if not left:
            return {}
        await asyncio.sleep(0.1)
    return left


TABLE = {
    "differences": {},
    "settled_with_bets": 2,
    "round_verified": True,
    "bet_verified": True,
}
PAIRS = {"retired": 1, "verified": True}
IDLE = {"settled_with_bets": 0, "round_verified": None, "bet_verified": None}
SPOILED: dict[str, dict[str, Any]] = {
    "a difference": {"differences": {"missing in the feed": ["17"]}},
    "a round's proof that fails": {"round_verified": False},
    "a round's proof that is not whole": {"round_verified": None},
    "a bet's proof that fails": {"bet_verified": False},
    "a bet's proof that is not whole": {"bet_verified": None},
}


def well(tables: dict[str, Any], pairs: dict[str, Any] = PAIRS, *, must: bool = True) -> bool:
    networks = {"eip155:31337": {"differences": {}, "placed": 3}}
    return report.well(networks, tables, pairs, must=must)


@pytest.mark.parametrize("case", SPOILED)
def test_a_run_is_not_well_with_anything_amiss_at_one_table(case: str) -> None:
    assert well({"dice": TABLE, "numbers": TABLE})
    for must in (True, False):
        assert not well({"dice": TABLE, "numbers": TABLE | SPOILED[case]}, must=must)


def test_a_long_run_without_rounds_or_pairs_is_not_well() -> None:
    """It once was, with no round at all."""
    for tables in ({}, {"dice": TABLE, "numbers": TABLE | IDLE}):
        assert not well(tables)
        assert well(tables, must=False)
    pairs = {"retired": 0, "verified": None}
    assert not well({"dice": TABLE}, pairs)
    assert well({"dice": TABLE}, pairs, must=False)
    for verified in (False, None):
        assert not well({"dice": TABLE}, {"retired": 1, "verified": verified}, must=False)


def test_what_the_feed_or_a_guest_knows_otherwise_is_a_difference() -> None:
    said = Counter({"a": 1, "b": 1, "7": 1})
    assert rounds.differences(["a", "b"], [7], said, ["a"]) == {}
    assert rounds.differences(["a"], [7, 8], said + Counter("a"), ["a", "c"]) == {
        "missing in the feed": ["8"],
        "in the feed alone": ["b"],
        "twice in the feed": ["a"],
        "answered and missing in the books": ["c"],
    }


@pytest.mark.timeout(360)
async def test_a_measured_run_finds_nothing_missing_and_nothing_doubled(tmp_path: Path) -> None:
    told = tmp_path / "report.json"
    options = ("--headless", "--for", "30", "--report", str(told))
    async with demo(tmp_path / "data", *options) as run:
        description = await run.description()
        await told_to_others(run, description)
        await refused(run)
        assert await run.ended(300) == 0, run.said()
    measured = json.loads(told.read_text())
    assert measured["ok"] is True
    names = {one["name"] for one in measured["networks"].values()}
    assert names == {"evm-local", "solana-local"}
    for one in measured["networks"].values():
        assert one["differences"] == {}
        assert one["bets_sent"] == one["bets_indexed"] == one["bets_settled"] > 3
        assert one["feed_messages"] == 2 * one["bets_sent"]
        assert one["latency_ms"]["p50"] <= one["latency_ms"]["p99"]
    assert measured["tables"].keys() == {"numbers", "dice"}
    for one in measured["tables"].values():
        assert one["differences"] == {}
        assert one["opened"] >= one["settled"] >= one["settled_with_bets"] >= 1
        assert one["feed_messages"] == one["bets"] + one["settled_with_bets"] > 3
        assert one["void"] == 0
        assert one["latest_close_ms"] >= 0
        assert (one["round_verified"], one["bet_verified"]) == (True, True)
    pairs = measured["pairs"]
    assert pairs["retired"] >= 1
    assert pairs["verified"] is True
    assert await gone(description["processes"]) == {}
    assert not (tmp_path / "data" / "demo.json").exists()


async def told_to_others(run: Run, said: dict[str, Any]) -> None:
    """Other programs find everything by demo.json, and it is as it says."""
    assert said["ready"] is True
    assert set(said["processes"]) == PROCESSES
    for place in said["networks"]:
        interface = place.get("idl") or place["abi"]
        assert json.loads(Path(interface).read_text())
        assert place["rpc_url"].startswith("http")
        assert place["program"]
    async with (
        httpx.AsyncClient(base_url=said["api_url"]) as client,
        connect(said["feed_url"]) as feed,
    ):
        assert (await client.get("/health")).json()["status"] == "ok"
        wallet = "/api/wallets/user_001"
        assert (await client.get(wallet)).status_code == 401
        opened = {"authorization": f"Bearer {said['api_key']}"}
        found = (await client.get(wallet, headers=opened)).json()["balances"]
        assert {one["asset"]["symbol"]: one["available"] for one in found} == {
            "GOLD_COINS": "1000",
            "DIAMONDS": "100",
            "LOYALTY_POINTS": "500",
        }
        assert f"{said['api_url']}/wallet#key={said['api_key']}" in run.said()
        assert (run.folder / "demo.json").stat().st_mode & 0o077 == 0
        assert json.loads(await feed.recv())["type"] == "welcome"
        await feed.send('{"type":"subscribe","channels":["bets"]}')
        seen: set[str] = set()
        async with asyncio.timeout(30):
            while len(seen) < 4:
                heard = json.loads(await feed.recv())
                if heard["type"].startswith("bet."):
                    seen.add(heard["data"]["network"].split(":")[0] + " " + heard["type"])
        assert "eip155 bet.settled" in seen
        assert "solana bet.placed" in seen
    with psycopg.connect(said["database_url"]) as connection:
        row = connection.execute("SELECT count(*) FROM bets").fetchone()
        assert row is not None
        assert row[0] > 0


@pytest.mark.timeout(360)
async def test_ctrl_c_ends_it_and_leaves_nothing(tmp_path: Path) -> None:
    async with demo(tmp_path / "data", "--evm-rate", "5", "--solana-rate", "2") as run:
        said = await run.description()
        os.killpg(run.child.process.pid, signal.SIGINT)  # as a terminal tells all of a command
        assert await run.ended(STOP_S) == 0, run.said()
        assert "everything is stopped" in run.said()
        assert await gone(said["processes"]) == {}


async def refused(run: Run) -> None:
    """A second demo in the same folder, or on the same ports, says why it does not start."""
    second = await asyncio.create_subprocess_exec(
        Path(sys.executable).parent / "fairhouse",
        "demo",
        env=run.environment,
        stderr=asyncio.subprocess.PIPE,
    )
    _, error = await second.communicate()
    assert second.returncode == 2
    assert error.decode().strip().count("\n") == 0
    assert "set FAIRHOUSE_DATA" in error.decode()
