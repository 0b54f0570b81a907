"""Both local chains with our casino on them, and the processes that read them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from eth_account import Account

from chains.evm import send as evm
from chains.solana import send as solana
from chains.solana.rpc import Rpc as SolanaRpc
from contracts import build_evm
from contracts.solana import build as build_solana
from games.fairness import bets, merkle
from local import anvil, deploy, redis, surfpool
from local.forks import fork
from local.postgres import Postgres
from local.process import Child
from tests.conftest import copied

EVM_KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"  # anvil's first
ETHER, SOL = 10**18, 10**9
SEEDS = [secrets.token_bytes(32) for _ in range(64)]
PROCESSES = ("indexer", "worker chain", "worker interpretation", "worker stats", "relay")


class Line:
    """Both chains with our casino on them, and the processes that read them."""

    def __init__(self, folder: Path, database_url: str, redis_url: str) -> None:
        self.folder, self.database_url, self.redis_url = folder, database_url, redis_url
        self.children: dict[str, Child] = {}
        self.environment: dict[str, str] = {}
        self.evm: Any = None
        self.solana: Any = None
        self.pids: dict[str, int] = {}
        self.evm_url = self.solana_url = ""

    def start(self, *names: str) -> None:
        for name in names:
            words = ["run", *name.split("/")[0].split()]
            log = self.folder / f"{name.replace('/', '-')}.log"
            self.children[name] = fork(name, words, log=log, env=self.environment)

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


@contextlib.asynccontextmanager
async def laid(folder: Path, database_url: str) -> AsyncIterator[Line]:
    """A line that nothing runs on yet; what was started is stopped at the end."""
    async with contextlib.AsyncExitStack() as stack:
        store = await stack.enter_async_context(redis.start(folder / "redis"))
        ether = await stack.enter_async_context(anvil.start(folder / "anvil"))
        sol = await stack.enter_async_context(surfpool.start(folder / "surfpool"))
        made = Line(folder, database_url, store.url)
        made.evm_url, made.solana_url = ether.rpc_url, sol.rpc_url
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
            "DATABASE_URL": database_url,
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


@pytest.fixture
def own_database(postgres_server: Postgres, template_database: str) -> Iterator[str]:
    """A database of this test alone: a network's name is pinned to one chain for good."""
    with copied(postgres_server, template_database) as url:
        yield url


@pytest.fixture
async def line(tmp_path: Path, own_database: str) -> AsyncIterator[Line]:
    async with laid(tmp_path, own_database) as made:
        yield made
