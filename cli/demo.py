"""The demo: two local chains, every process of the house, and players who bet for real."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg

from cli import grounds, keys, processes, report, samples
from cli.grounds import Grounds
from cli.household import Household, TooManyRestarts
from local import forks, guests, players
from local.process import StartFailed, accepts
from settings import Settings

__all__ = ["Demo", "Refused", "StartFailed", "TooManyRestarts"]

READY_S = 120.0
LOCAL = {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1"}

SUPPLIED = "SELECT count(*) FROM seed_batches WHERE state = 'confirmed'"
STANDING = """
SELECT count(*), count(*) FILTER (WHERE status = 'settled') FROM bets
"""


class Refused(Exception):
    """The demo cannot start here; the message is the one line to show."""


@dataclass
class Demo:
    """What was asked for, and what came of it."""

    settings: Settings
    headless: bool = False
    seconds: float | None = None
    report: Path | None = None
    rates: Mapping[str, float] = field(default_factory=lambda: {"evm": 2.0, "solana": 1.0})
    wake: bool = True
    began: float = field(default_factory=time.monotonic)
    api_key: str = ""
    tallies: dict[str, players.Tally] = field(default_factory=dict)
    party: guests.Party = field(default_factory=guests.Party)
    ok: bool = True

    @property
    def folder(self) -> Path:
        return self.settings.data.resolve()

    @property
    def api_url(self) -> str:
        host = self.settings.api_host
        return f"http://{LOCAL.get(host, host)}:{self.settings.api_port}"

    @property
    def feed_url(self) -> str:
        host = self.settings.feed_host
        return f"ws://{LOCAL.get(host, host)}:{self.settings.feed_port}/ws"

    async def run(self) -> None:
        """Start everything, play, and stop it again. Raises `Refused` when that cannot be."""
        with alone(self.folder):
            await self._ports_are_free()
            forks.preload(processes.modules())
            forks.warm()
            try:
                async with (
                    grounds.prepared(self.folder, self.say) as ground,
                    self._house(ground) as house,
                ):
                    with told_to_others(self.folder, self._description(ground, house)):
                        self._welcome()
                        await self._play(ground, house)
            finally:
                self.say("everything is stopped")

    @contextlib.asynccontextmanager
    async def _house(self, ground: Grounds) -> AsyncIterator[Household]:
        """All processes, once they answer; watched for the length of the block."""
        casino = self.settings.default_casino
        await samples.give(self.settings.model_copy(update={"database_url": ground.database_url}))
        given = ground.environment(casino)
        self.api_key, kept = keys.fresh("demo", (*keys.WALLETS, "rounds:bet", "pairs:play"))
        given["FAIRHOUSE_API_KEYS"] = keys.written([*self.settings.api_keys, kept])
        if not self.wake:
            given["FAIRHOUSE_WS"] = "{}"
        house = Household(self.folder / "logs", {**grounds.inherited(), **given})
        for name in processes.everything():
            house.start(name)
        watching = asyncio.create_task(house.watch(self.say))
        try:
            ready = asyncio.create_task(self._ready(ground))
            await asyncio.wait({ready, watching}, return_when=asyncio.FIRST_COMPLETED)
            if not ready.done():
                ready.cancel()
                await watching  # raises why a process does not stay up
            await ready
            yield house
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
            await house.stop()

    async def _ready(self, ground: Grounds) -> None:
        deadline = asyncio.get_running_loop().time() + READY_S
        conditions: list[tuple[str, Callable[[], Awaitable[bool]]]] = [
            ("the feed takes connections", self._feed_answers),
            ("seeds are committed and final on both chains", lambda: self._supplied(ground)),
        ]
        if "api" in processes.LOOPS:
            conditions.append(("the API says it is well", self._api_answers))
        for what, answers in conditions:
            while True:
                with contextlib.suppress(OSError, httpx.HTTPError, psycopg.Error):
                    if await answers():
                        break
                if asyncio.get_running_loop().time() > deadline:
                    raise Refused(f"after {READY_S:.0f} s it is still not so that {what}")
                await asyncio.sleep(0.1)
            self.say(what)

    async def _feed_answers(self) -> bool:
        return await accepts(self.settings.feed_port)

    async def _api_answers(self) -> bool:
        async with httpx.AsyncClient(timeout=2) as client:
            return (await client.get(f"{self.api_url}/health")).status_code == 200

    async def _supplied(self, ground: Grounds) -> bool:
        async with await psycopg.AsyncConnection.connect(ground.database_url) as connection:
            row = await (await connection.execute(SUPPLIED)).fetchone()
            return row is not None and row[0] >= len(ground.places)

    async def _play(self, ground: Grounds, house: Household) -> None:
        """Let the players bet until time is up or we are told to stop."""
        if self.headless:
            measured = await report.measure(self, ground, house)
            self.ok = measured["ok"]
            text = json.dumps(measured, indent=2)
            if self.report is not None:
                self.report.write_text(text + "\n")
            else:
                print(text)
            return
        async with self.betting(ground):
            await self._show(ground)

    @contextlib.asynccontextmanager
    async def betting(self, ground: Grounds) -> AsyncIterator[None]:
        """Players at their rates for the length of a block; what they began is sent."""
        tasks = []
        for name, bettors in ground.bettors.items():
            if self.rates.get(name, 0) > 0:
                tally = self.tallies[name] = players.Tally()
                tasks.append(
                    asyncio.create_task(players.play(bettors.bet, self.rates[name], tally))
                )
        if "api" in processes.LOOPS:
            played = guests.play(self.api_url, self.api_key, "GOLD_COINS", self.party)
            tasks.append(asyncio.create_task(played))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _show(self, ground: Grounds) -> None:
        """A line that moves in a terminal, a line every ten seconds elsewhere."""
        terminal, pause = sys.stdout.isatty(), 1.0 if sys.stdout.isatty() else 10.0
        end = asyncio.get_running_loop().time() + (self.seconds or float("inf"))
        while asyncio.get_running_loop().time() < end:
            await asyncio.sleep(min(pause, max(0.0, end - asyncio.get_running_loop().time())))
            sent = sum(len(tally.sent) for tally in self.tallies.values())
            with contextlib.suppress(psycopg.Error):
                async with await psycopg.AsyncConnection.connect(ground.database_url) as connection:
                    row = await (await connection.execute(STANDING)).fetchone()
                bets, settled = row or (0, 0)
                line = f"{sent} bets sent, {bets} indexed, {settled} settled; "
                line += f"{self.party.placed} on rounds, {self.party.pair_bets} of pairs"
                print(f"\r  {line}  " if terminal else f"  {line}", end="" if terminal else "\n")
                sys.stdout.flush()

    async def _ports_are_free(self) -> None:
        """A house that was just killed may need a moment to leave its ports."""
        for what, port in (("API", self.settings.api_port), ("FEED", self.settings.feed_port)):
            for attempt in range(50):
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    try:
                        probe.bind(("127.0.0.1", port))
                        break
                    except OSError as error:
                        if attempt == 49:
                            raise Refused(
                                f"port {port} is taken: set FAIRHOUSE_{what}_PORT to a free one"
                            ) from error
                await asyncio.sleep(0.1)

    def _description(self, ground: Grounds, house: Household) -> dict[str, Any]:
        return {
            "ready": True,
            "api_url": self.api_url,
            "feed_url": self.feed_url,
            "api_key": self.api_key,
            "database_url": ground.database_url,
            "redis_url": ground.redis_url,
            "networks": [
                {
                    "network": place.network,
                    "name": place.name,
                    "rpc_url": place.rpc_url,
                    "ws_url": place.ws_url,
                    "program": place.program,
                    "idl" if place.network.startswith("solana:") else "abi": str(place.interface),
                }
                for place in ground.places.values()
            ],
            "processes": {"demo": os.getpid(), **ground.pids, **house.pids()},
        }

    def _welcome(self) -> None:
        took = time.monotonic() - self.began
        print(
            f"\n  The house is open after {took:.1f} s. Players are betting on both chains.\n\n"
            f"    page    {self.api_url}/\n    wallet  {self.api_url}/wallet#key={self.api_key}\n"
            f"    docs    {self.api_url}/docs\n    feed    {self.feed_url}\n"
            f"    logs    {self.folder / 'logs'}\n\n  Ctrl-C stops everything.\n",
            flush=True,
        )

    def say(self, what: str) -> None:
        print(f"  {time.monotonic() - self.began:5.1f} s  {what}", flush=True)


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the data folder. Raises `Refused` when another demo does."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "demo.lock").open("a+") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(f"a demo runs in {folder} already: set FAIRHOUSE_DATA") from None
        for log in (folder / "logs").glob("*.log"):
            log.unlink()
        yield


@contextlib.contextmanager
def told_to_others(folder: Path, description: Mapping[str, Any]) -> Iterator[None]:
    """`demo.json` for other programs, for as long as the house is open; written whole or not.

    It holds a key, so it is for this user alone.
    """
    path, draft = folder / "demo.json", folder / "demo.json.new"
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(description, indent=2) + "\n")
    draft.replace(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
