"""What a listener follows: a program on a network, checked against its node before it writes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from loguru import logger
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from casino.sources import Followed, followed
from chains import manifest, networks
from chains.errors import RpcError, WrongChain
from chains.evm import rpc as evm_rpc
from chains.evm.rpc import Rpc as EvmRpc
from chains.manifest import Manifest
from chains.networks import Network
from chains.solana.rpc import Rpc as SolanaRpc
from settings import Settings, SourceSetting

AnyRpc = EvmRpc | SolanaRpc
ROOMS: dict[str, type[AnyRpc]] = {"evm": EvmRpc, "solana": SolanaRpc}
ANSWER_S = 5.0


class Rpc(Protocol):
    """What both chains' nodes answer."""

    async def network(self) -> str: ...
    async def head(self) -> int: ...
    async def finalized(self, depth: int) -> int: ...
    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Polled:
    """What a poll brought: the node's head, pages to send, and whether our edge moved."""

    head: int
    pages: list[int]
    moved: bool


class Listener(Protocol):
    """What the loop asks of a chain."""

    source: Followed
    final: int  # the newest position that the node calls finalized, as the loop learns it

    @property
    def doubt(self) -> str | None:
        """What cannot be decided, in words, although nothing fails."""
        ...

    async def poll(self) -> Polled: ...
    async def backfill(self) -> list[int] | None: ...
    async def finalize(self, finalized: int) -> int: ...


@dataclass(frozen=True, slots=True)
class Planned:
    """A source as settings and manifest describe it."""

    means: Manifest
    network: Network
    urls: tuple[str, ...]
    ws_url: str | None


def plan(settings: Settings) -> list[Planned]:
    """All sources of the settings. Raises `ChainError` with one line on the first mistake."""
    return [_planned(settings, wanted) for wanted in settings.sources]


def _planned(settings: Settings, wanted: SourceSetting) -> Planned:
    folders = [settings.programs_dir] if settings.programs_dir else []
    means = manifest.load(wanted.program, folders).located(
        network=wanted.network, address=wanted.address, start=wanted.start, casino=wanted.casino
    )
    means.validate()
    network = networks.load(means.network)
    if network.chain != means.chain:
        raise WrongChain(f"program {means.name} is for {means.chain}, {network.name} is not")
    urls = tuple(settings.rpc.get(network.name, ()))
    if not urls:
        raise WrongChain(f"no RPC URL is set for network {network.name} (FAIRHOUSE_RPC)")
    return Planned(means, network, urls, settings.ws.get(network.name))


def rpcs(settings: Settings, planned: Sequence[Planned]) -> dict[str, AnyRpc]:
    """One room to ask in for each network: its sources share the providers' budgets."""
    made: dict[str, AnyRpc] = {}
    for one in planned:
        if one.network.name not in made:
            room = ROOMS[one.network.chain]
            made[one.network.name] = room(
                one.urls,
                rate=settings.rpc_rate,
                concurrency=settings.rpc_concurrency,
                timeout_s=settings.rpc_timeout_s,
            )
    return made


async def check(made: AsyncEngine, planned: Sequence[Planned], rpcs: dict[str, AnyRpc]) -> None:
    """Before anything is written: every node that answers serves the chain it should.

    Raises `WrongChain`. Nodes and databases that do not answer are checked when they do.
    """
    pinned = await _pinned(made)
    for network in {one.network.name: one.network for one in planned}.values():
        try:
            async with asyncio.timeout(ANSWER_S):
                found = await identity(rpcs[network.name], network)
        except (RpcError, TimeoutError) as error:
            logger.warning("{} does not answer yet: {}", network.name, error)
            continue
        for expected in (network.caip2, pinned.get(network.name)):
            evm_rpc.agree(expected or found, found, network.name)


async def identity(rpc: AnyRpc, network: Network) -> str:
    """The CAIP-2 id of the chain that a network's node serves. Raises `RpcError`, `WrongChain`."""
    try:
        return await rpc.network()
    except WrongChain as error:
        raise WrongChain(f"network {network.name}: {error}") from error


async def _pinned(made: AsyncEngine) -> dict[str, str]:
    try:
        async with made.connect() as connection:
            found = await connection.execute(text("SELECT name, network FROM networks"))
            return {row[0]: row[1] for row in found}
    except (SQLAlchemyError, OSError) as error:
        logger.warning("the database does not answer yet: {}", error)
        return {}


PIN = """
INSERT INTO networks (network, name, chain) VALUES (:network, :name, :chain)
ON CONFLICT DO NOTHING
"""
CASINO = "INSERT INTO casinos (slug, name) VALUES (:slug, :slug) ON CONFLICT DO NOTHING"
SOURCE = """
INSERT INTO sources (program, network, address, casino_id, start)
SELECT :program, :network, :address, id, :start FROM casinos WHERE slug = :slug
ON CONFLICT (network, address) DO UPDATE SET program = excluded.program, error = NULL RETURNING id
"""


async def register(session: AsyncSession, planned: Planned, found: str) -> Followed:
    """Pin the network, note the source. Raises `WrongChain` when the name means another chain."""
    name = planned.network.name
    if planned.network.caip2 is not None:
        evm_rpc.agree(planned.network.caip2, found, name)
    pinned = await session.execute(
        text("SELECT network FROM networks WHERE name = :name"), {"name": name}
    )
    before = pinned.scalar_one_or_none()
    if before is not None:
        evm_rpc.agree(before, found, name)
    means = planned.means
    await session.execute(
        text(PIN), {"network": found, "name": name, "chain": planned.network.chain}
    )
    await session.execute(text(CASINO), {"slug": means.casino})
    made = await session.execute(
        text(SOURCE),
        {
            "program": means.name,
            "network": found,
            "address": means.address,
            "start": means.start,
            "slug": means.casino,
        },
    )
    asset = f"{found}/slip44:{means.asset_slip44}"
    return await followed(session, made.scalar_one(), asset=asset)


async def misled(session: AsyncSession, planned: Planned, error: str) -> None:
    """Say at a source that its node serves another chain, also at one not followed before.

    Of that one the network's id must be known: nothing is pinned on the word of a wrong node.
    """
    if planned.network.caip2 is not None:
        with contextlib.suppress(WrongChain):  # pinned as another chain: it was followed before
            await register(session, planned, planned.network.caip2)
    await unreachable(session, planned, error)


UNREACHABLE = """
UPDATE sources s SET error = :error FROM networks n
WHERE n.network = s.network AND n.name = :name AND s.address = :address
"""


async def unreachable(session: AsyncSession, planned: Planned, error: str) -> None:
    """Say at a source that was followed before what is wrong with its node."""
    values = {"error": error[:500], "name": planned.network.name, "address": planned.means.address}
    await session.execute(text(UNREACHABLE), values)
