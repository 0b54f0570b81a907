"""What the demo stands on: servers and chains of its own, our contracts, an empty database."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from eth_account import Account
from psycopg import sql
from solders.keypair import Keypair

from chains.evm import send as evm
from chains.solana import send as solana
from chains.solana.rpc import Rpc as SolanaRpc
from contracts import build_evm
from contracts.solana import build as build_solana
from db import migrate
from local import anvil, deploy, players, postgres, redis, surfpool
from local.process import StartFailed, alive

DATABASE = "fairhouse"
EVM_VAULT, SOLANA_VAULT = 5_000 * players.ETHER, 700 * players.SOL
EVM_BOND, SOLANA_BOND = 2_000 * players.ETHER, 50 * players.SOL
FUNDS = 100 * players.SOL  # for the fees of the keeper
SLOT_MS = 100

# A table on each chain, played for the sample's gold coins; the chain's coin backs what they win.
TABLES: dict[str, dict[str, object]] = {
    name: {
        "name": game,
        "game": game,
        "beacon": "block:evm-local",
        "batch": 32,
        "reveal_window": 120,
        "max_liability": coin // 20,
        "most": 100,
        "most_win": 10_000,
        "most_player": 500,
        "coins": coin // 10**6,
    }
    for name, game, coin in (
        ("evm-local", "numbers", players.ETHER),
        ("solana-local", "dice", players.SOL),
    )
}
# Pairs for the same coins, committed to the bond on the EVM.
PAIRS: dict[str, object] = {
    "beacon": "block:evm-local",
    "games": dict.fromkeys(("dice", "limbo", "coinflip", "crash", "numbers"), ""),
    "most": 100,
    "most_win": 10_000,
    "most_player": 10_000,
}
Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Place:
    """A network with our contract on it."""

    name: str
    network: str
    rpc_url: str
    ws_url: str
    program: str
    manifest: str
    interface: Path
    bond: str

    @property
    def bond_manifest(self) -> str:
        return self.manifest.replace("casino", "bond")


@dataclass
class Grounds:
    """Everything that must be known to run the house."""

    database_url: str = ""
    redis_url: str = ""
    places: dict[str, Place] = field(default_factory=dict)
    pids: dict[str, int] = field(default_factory=dict)
    keeper_evm_key: str = ""
    keeper_solana_key: str = ""
    signer_key: str = field(default_factory=lambda: secrets.token_hex(32))
    bettors: dict[str, players.EvmPlayers | players.SolanaPlayers] = field(default_factory=dict)

    @property
    def signer(self) -> str:
        """The address that signs roots of bets."""
        return str(Account.from_key(self.signer_key).address).lower()

    def environment(self, casino: str) -> dict[str, str]:
        """What the processes are told."""
        places = self.places.values()
        return {
            "FAIRHOUSE_ENVIRONMENT": "development",
            "FAIRHOUSE_DATABASE_URL": self.database_url,
            "FAIRHOUSE_REDIS_URL": self.redis_url,
            "FAIRHOUSE_RPC": json.dumps({place.name: [place.rpc_url] for place in places}),
            "FAIRHOUSE_WS": json.dumps({place.name: place.ws_url for place in places}),
            "FAIRHOUSE_SOURCES": json.dumps(
                [
                    {"program": manifest, "address": address, "casino": casino}
                    for place in places
                    for manifest, address in (
                        (place.manifest, place.program),
                        (place.bond_manifest, place.bond),
                    )
                ]
            ),
            "FAIRHOUSE_TABLES": json.dumps(
                [
                    {**TABLES[place.name], "program": place.bond_manifest, "address": place.bond}
                    | {"casino": casino, "asset": f"casino:{casino}/GOLD_COINS"}
                    for place in places
                ]
            ),
            "FAIRHOUSE_PAIRS": json.dumps(
                {
                    **PAIRS,
                    "program": self.places["evm"].bond_manifest,
                    "address": self.places["evm"].bond,
                    "casino": casino,
                    "asset": f"casino:{casino}/GOLD_COINS",
                }
            ),
            "FAIRHOUSE_SIGNER_KEY": self.signer_key,
            "FAIRHOUSE_KEEPER_EVM_KEY": self.keeper_evm_key,
            "FAIRHOUSE_KEEPER_SOLANA_KEY": self.keeper_solana_key,
            "FAIRHOUSE_SEED_KEY": secrets.token_hex(32),
            "FAIRHOUSE_RPC_RATE": "1000",
        }


@contextlib.asynccontextmanager
async def prepared(folder: Path, told: Told) -> AsyncIterator[Grounds]:
    """Start everything at once; it stops when the block ends."""
    grounds = Grounds()
    async with contextlib.AsyncExitStack() as stack:
        async with asyncio.TaskGroup() as tasks:
            for lane in (_postgres, _redis, _evm, _solana):
                tasks.create_task(_lane(lane, folder, stack, grounds, told))
        yield grounds


async def _lane(
    lane: Callable[..., object],
    folder: Path,
    stack: contextlib.AsyncExitStack,
    grounds: Grounds,
    told: Told,
) -> None:
    began = time.monotonic()
    done = await lane(folder, stack, grounds)  # type: ignore[misc]
    told(f"{done} ({time.monotonic() - began:.1f} s)")


async def _postgres(folder: Path, stack: contextlib.AsyncExitStack, grounds: Grounds) -> str:
    data = folder / "postgres"
    await _let_go(data)
    try:
        server = await stack.enter_async_context(postgres.start(data, fsync=False))
    except StartFailed:  # left behind by another version, or broken: the demo keeps nothing
        await asyncio.to_thread(shutil.rmtree, data, True)
        server = await stack.enter_async_context(postgres.start(data, fsync=False))
    grounds.pids["postgres"] = server.pid
    name = sql.Identifier(DATABASE)
    async with await psycopg.AsyncConnection.connect(server.url, autocommit=True) as connection:
        await connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        await connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
    grounds.database_url = server.database(DATABASE)
    await asyncio.to_thread(migrate.upgrade, grounds.database_url)
    return "PostgreSQL with an empty, migrated database"


async def _let_go(data: Path) -> None:
    """Wait for a server of a demo that was killed: it stops by itself."""
    held = data / "postmaster.pid"
    for _ in range(200):
        try:
            pid = int(held.read_text().split()[0])
        except (FileNotFoundError, ValueError, IndexError):
            return
        if not alive(pid) or "postgres" not in _command(pid):
            return
        await asyncio.sleep(0.05)


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text()
    return ""


async def _redis(folder: Path, stack: contextlib.AsyncExitStack, grounds: Grounds) -> str:
    server = await stack.enter_async_context(redis.start(folder / "redis"))
    grounds.redis_url, grounds.pids["redis"] = server.url, server.pid
    return "Redis"


async def _evm(folder: Path, stack: contextlib.AsyncExitStack, grounds: Grounds) -> str:
    node = await stack.enter_async_context(anvil.start(folder / "anvil"))
    grounds.pids["anvil"] = node.pid
    grounds.keeper_evm_key = players.evm_key(1)
    keeper = Account.from_key(grounds.keeper_evm_key).address
    async with evm.Sender(node.rpc_url, players.evm_key(0)) as owner:
        address = await deploy.to_evm(owner, keeper, vault=EVM_VAULT)
        bond = await deploy.bond_to_evm(owner, keeper, grounds.signer, bond=EVM_BOND)
    grounds.places["evm"] = Place(
        "evm-local",
        "eip155:31337",
        node.rpc_url,
        node.ws_url,
        address,
        "casino_evm",
        build_evm.ABI,
        bond,
    )
    bettors = grounds.bettors["evm"] = players.EvmPlayers(node.rpc_url, address)
    stack.push_async_callback(bettors.close)
    return f"Anvil with our contract at {address}"


async def _solana(folder: Path, stack: contextlib.AsyncExitStack, grounds: Grounds) -> str:
    node = await stack.enter_async_context(
        surfpool.start(folder / "surfpool", slot_time_ms=SLOT_MS)
    )
    grounds.pids["surfpool"] = node.pid
    keeper = Keypair()
    grounds.keeper_solana_key = str(keeper)
    reader = SolanaRpc([node.rpc_url])
    try:
        network = await reader.network()
    finally:
        await reader.close()
    async with solana.Sender(node.rpc_url, node.payer) as owner:
        address = await deploy.to_solana(owner, keeper, network, vault=SOLANA_VAULT)
        raw = bytes.fromhex(grounds.signer[2:])
        bond = await deploy.bond_to_solana(owner, keeper.pubkey(), raw, network, bond=SOLANA_BOND)
        bettors = grounds.bettors["solana"] = players.SolanaPlayers(node.rpc_url, address)
        stack.push_async_callback(bettors.close)
        await bettors.fund(owner, keeper.pubkey(), FUNDS)
    grounds.places["solana"] = Place(
        "solana-local",
        network,
        node.rpc_url,
        node.ws_url,
        address,
        "casino_solana",
        build_solana.IDL,
        bond,
    )
    return f"Surfpool with our program at {address}"


def inherited() -> dict[str, str]:
    """The environment as it is, for children: their settings read it, not we."""
    return dict(os.environ)
