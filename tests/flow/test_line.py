"""The whole line: real bets on two chains reach the database and the streams, whatever dies."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from eth_account import Account
from redis.asyncio import Redis

from chains.evm import send as evm
from chains.solana import send as solana
from chains.solana.rpc import Rpc as SolanaRpc
from contracts import build_evm
from contracts.solana import build as build_solana
from games.fairness import bets, merkle
from local import anvil, deploy, redis, surfpool
from local.postgres import Postgres
from local.process import Child, spawn

EVM_KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"  # anvil's first
ETHER, SOL = 10**18, 10**9
SEEDS = [secrets.token_bytes(32) for _ in range(64)]


class Line:
    """Both chains with our casino on them, and the processes that read them."""

    def __init__(self, folder: Path, database_url: str, redis_url: str) -> None:
        self.folder, self.database_url, self.redis_url = folder, database_url, redis_url
        self.children: dict[str, Child] = {}
        self.environment: dict[str, str] = {}
        self.evm: Any = None
        self.solana: Any = None
        self.pids: dict[str, int] = {}

    def start(self, *names: str) -> None:
        for name in names:
            command: list[str | Path] = [
                Path(sys.executable).parent / "fairhouse",
                "run",
                *name.split("/")[0].split(),
            ]
            self.children[name] = spawn(
                name,
                command,
                log=self.folder / f"{name.replace('/', '-')}.log",
                env=self.environment,
            )

    async def stop(self) -> dict[str, int]:
        return {name: await child.stop() for name, child in self.children.items()}

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        async with await psycopg.AsyncConnection.connect(self.database_url) as connection:
            return await (await connection.execute(query.encode())).fetchall()

    async def until(self, query: str, expected: list[tuple[Any, ...]], seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while (found := await self.rows(query)) != expected:
            if time.monotonic() > deadline:
                logs = "\n".join(
                    f"== {name}\n{child.log.read_text()[-1500:]}"
                    for name, child in self.children.items()
                )
                raise AssertionError(f"expected {expected}, found {found}\n{logs}")
            await asyncio.sleep(0.05)


PROCESSES = ("indexer", "worker chain", "worker interpretation", "worker stats", "relay")
SETTLED = "SELECT network LIKE 'eip155%', status, count(*) FROM bets GROUP BY 1, 2 ORDER BY 1, 2"


class EvmHouse:
    def __init__(self, sender: evm.Sender, address: str) -> None:
        self.sender, self.address = sender, address
        self.program = evm.Program(json.loads(build_evm.ABI.read_text()), address)
        raw = bytes.fromhex(address[2:])
        self.tree = merkle.Tree.over(
            [bets.commit(b"eip155:31337", raw, at, seed) for at, seed in enumerate(SEEDS)]
        )

    async def call(self, verb: str, args: list[object], value: int = 0) -> str:
        tx = await self.sender.send(self.program.call(verb, args, value=value))
        await self.sender.confirm(tx)
        return tx

    async def commit(self) -> None:
        reveal_by = int(time.time()) + 86_400
        await self.call("commit", [self.tree.root, 0, len(SEEDS), 0, reveal_by])

    async def place(self) -> str:
        return await self.call("placeBet", [secrets.token_bytes(32), 0, 5_000], ETHER // 100)

    async def settle(self, index: int) -> str:
        return await self.call("settleBet", [index, SEEDS[index], self.tree.proof(index)])


class SolanaHouse:
    def __init__(self, sender: solana.Sender, address: str, chain: str) -> None:
        self.sender, self.address = sender, address
        self.program = solana.Program(json.loads(build_solana.IDL.read_text()), address)
        raw = bytes(self.program.address)
        self.tree = merkle.Tree.over(
            [bets.commit(chain.encode(), raw, at, seed) for at, seed in enumerate(SEEDS)]
        )
        self.clients: list[bytes] = []

    async def call(self, verb: str, args: dict[str, Any], accounts: dict[str, Any]) -> str:
        tx = await self.sender.send([self.program.call(verb, args, accounts)])
        await self.sender.confirm(tx)
        return tx

    async def commit(self) -> None:
        args = {"root": self.tree.root, "first": 0, "count": len(SEEDS), "kind": 0}
        args["reveal_by"] = int(time.time()) + 86_400
        await self.call("commit", args, {"keeper": self.sender.key.pubkey()})

    async def place(self) -> str:
        self.clients.append(secrets.token_bytes(32))
        args = {"client_seed": self.clients[-1], "low": 0, "high": 5_000, "stake": SOL // 100}
        return await self.call("place_bet", args, {"player": self.sender.key.pubkey()})

    async def settle(self, index: int) -> str:
        player = self.sender.key.pubkey()
        bet = self.program.derive(b"bet", bytes(player), self.clients[index])
        args = {"seed": SEEDS[index], "proof": self.tree.proof(index)}
        return await self.call("settle_bet", args, {"bet": bet, "player": player})


@pytest.fixture
def own_database(postgres_server: Postgres, template_database: str) -> str:
    """A database of this test alone: a network's name is pinned to one chain for good."""
    name = f"line_{secrets.token_hex(4)}"
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template_database}".encode())
    return postgres_server.database(name)


@pytest.fixture
async def line(tmp_path: Path, own_database: str) -> AsyncIterator[Line]:
    async with contextlib.AsyncExitStack() as stack:
        store = await stack.enter_async_context(redis.start(tmp_path / "redis"))
        ether = await stack.enter_async_context(anvil.start(tmp_path / "anvil"))
        sol = await stack.enter_async_context(surfpool.start(tmp_path / "surfpool"))
        made = Line(tmp_path, own_database, store.url)
        made.pids = {"redis": store.pid, "anvil": ether.pid, "surfpool": sol.pid}
        key = Account.from_key(EVM_KEY)
        payer = await stack.enter_async_context(evm.Sender(ether.rpc_url, EVM_KEY))
        made.evm = EvmHouse(payer, await deploy.to_evm(payer, key.address, vault=100 * ETHER))
        owner = await stack.enter_async_context(solana.Sender(sol.rpc_url, sol.payer))
        reader = SolanaRpc([sol.rpc_url])
        chain = await reader.network()
        await reader.close()
        address = await deploy.to_solana(owner, sol.payer, chain, vault=100 * SOL)
        made.solana = SolanaHouse(owner, address, chain)
        made.environment = {
            **os.environ,
            "DATABASE_URL": own_database,
            "REDIS_URL": store.url,
            "FAIRHOUSE_RPC_TIMEOUT_S": "2",
            "FAIRHOUSE_RPC": json.dumps(
                {"evm-local": [ether.rpc_url], "solana-local": [sol.rpc_url]}
            ),
            "FAIRHOUSE_WS": json.dumps({"evm-local": ether.ws_url, "solana-local": sol.ws_url}),
            "FAIRHOUSE_SOURCES": json.dumps(
                [
                    {"program": "casino_evm", "address": made.evm.address},
                    {"program": "casino_solana", "address": made.solana.address},
                ]
            ),
        }
        yield made
        await made.stop()


async def test_bets_of_both_chains_reach_database_and_streams(line: Line) -> None:
    line.start(*PROCESSES)
    for house in (line.evm, line.solana):
        await house.commit()
        for _ in range(3):
            await house.place()
        for index in range(2):
            await house.settle(index)
    await line.until(
        SETTLED,
        [(False, "placed", 1), (False, "settled", 2), (True, "placed", 1), (True, "settled", 2)],
    )
    await line.until("SELECT count(*) FROM outbox WHERE published_at IS NULL", [(0,)])
    async with Redis.from_url(line.redis_url) as client:
        kept: Any = await client.xrange("feed:bets")
    told = [json.loads(fields[b"m"]) for _, fields in kept]
    assert [message["seq"] for message in told] == list(range(1, len(told) + 1))
    placed = {m["data"]["tx"] for m in told if m["type"] == "bet.placed"}
    stored = {row[0] for row in await line.rows("SELECT placed_tx FROM bets")}
    assert placed <= stored
    await line.until(
        "SELECT sum(bets)::int, sum(settled)::int FROM casino_stats WHERE bucket = 'total'",
        [(6, 4)],
    )
    assert await line.rows("SELECT count(*) FROM dead_letters") == [(0,)]
    assert set((await line.stop()).values()) == {0}


async def test_an_emptied_redis_and_killed_processes_lose_and_double_nothing(line: Line) -> None:
    line.start(*PROCESSES, "indexer/standby")
    for house in (line.evm, line.solana):
        await house.commit()
        await house.place()
    async with Redis.from_url(line.redis_url) as client:
        await client.flushall()
    for name in ("indexer", "worker chain", "worker interpretation", "relay"):
        os.kill(line.children[name].pid, signal.SIGKILL)
        line.children[name].process.wait()
    for house in (line.evm, line.solana):
        await house.place()
    line.start("worker chain", "worker interpretation", "relay")
    for house in (line.evm, line.solana):
        await house.settle(0)
    await line.until(
        SETTLED,
        [(False, "placed", 1), (False, "settled", 1), (True, "placed", 1), (True, "settled", 1)],
    )
    await line.until(
        "SELECT sum(bets)::int, sum(settled)::int FROM casino_stats WHERE bucket = 'total'",
        [(4, 2)],
    )


@contextlib.contextmanager
def silent(pid: int) -> Iterator[None]:
    """A server that takes connections and answers none of them: the worst way to be away."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextlib.asynccontextmanager
async def closed(database_url: str) -> AsyncIterator[None]:
    """A database that throws everybody out and lets nobody in."""
    server, _, name = database_url.rpartition("/")
    async with await psycopg.AsyncConnection.connect(
        f"{server}/postgres", autocommit=True
    ) as connection:
        await connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
        )
        try:
            yield
        finally:
            await connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())


async def test_whatever_is_away_for_a_while_the_line_recovers_by_itself(line: Line) -> None:
    """Redis, then the database, then each chain's node; nothing is started again by hand."""
    line.start(*PROCESSES)
    for house in (line.evm, line.solana):
        await house.commit()
        await house.place()
    counted = "SELECT count(*)::int FROM bets"
    await line.until(counted, [(2,)])
    with silent(line.pids["redis"]):
        await line.evm.place()
        await asyncio.sleep(7)
    await line.until(counted, [(3,)], 60)
    async with closed(line.database_url):
        await line.evm.place()
        await line.solana.place()
        await asyncio.sleep(4)
    await line.until(counted, [(5,)], 60)
    with silent(line.pids["anvil"]):
        await line.solana.place()
        await line.until(counted, [(6,)])  # one chain does not hold back the other
        await line.until(
            "SELECT error IS NOT NULL FROM sources WHERE program = 'casino_evm'", [(True,)], 60
        )
    await line.evm.place()
    await line.until(counted, [(7,)], 60)
    await line.until("SELECT count(*)::int FROM sources WHERE error IS NOT NULL", [(0,)], 60)
    await line.until("SELECT count(*)::int FROM outbox WHERE published_at IS NULL", [(0,)], 60)
    assert {name: child.process.poll() for name, child in line.children.items()} == dict.fromkeys(
        PROCESSES
    )
    assert set((await line.stop()).values()) == {0}
