"""Beacons that the settings name, for whoever waits for one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from chains import networks
from chains.beacons import Beacon
from chains.beacons.block import FirstBlock
from chains.beacons.drand import Drand
from chains.errors import ChainError
from chains.evm.rpc import Rpc
from settings import PairsSetting, Settings, TableSetting
from workers import senders
from workers.leader import Connection

DRAND = "drand"

Setting = TableSetting | PairsSetting
Find = Callable[[str], Awaitable[Beacon | None]]
FindFor = Callable[[Setting, str], Awaitable[Beacon | None]]


@dataclass
class Sources:
    """The beacons of one process: one client each, whichever of its tables ask.

    `find` is where one that is not held yet comes from; None while its chain is unknown.
    """

    find: FindFor
    held: dict[tuple[str, int], Beacon] = field(default_factory=dict)
    _finding: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def of(self, setting: Setting, name: str) -> Beacon | None:
        """Raises `ChainError` for one that the settings do not reach."""
        # Who waits for more blocks on top may see another one drawn; drand has no such choice.
        which = (name, 0 if name == DRAND else setting.confirmations)
        async with self._finding:
            if which not in self.held:
                found = await self.find(setting, name)
                if found is None:
                    return None
                self.held[which] = found
        return self.held[which]

    async def close(self) -> None:
        for beacon in self.held.values():
            await beacon.close()


@dataclass
class Beacons:
    """A table's beacons by the names that batches are bound to.

    A batch keeps its own when settings change. `find` is where one that is not held yet comes from;
    None while its chain is unknown. `patience_s` is the table's, however many ask one beacon.
    """

    held: dict[str, Beacon] = field(default_factory=dict)
    find: Find | None = None
    patience_s: float | None = None

    async def named(self, name: str) -> Beacon | None:
        """Raises `ChainError` for one that the settings do not reach."""
        if name not in self.held and self.find is not None:
            found = await self.find(name)
            if found is not None:
                self.held[name] = found
        return self.held.get(name)


async def beaconed(
    settings: Settings,
    setting: Setting,
    connection: Connection,
    named: str | None = None,
) -> Beacon | None:
    """The beacon that batches of the setting name, or the one that is `named`, which older ones do.

    None while its chain is unknown. Raises `ChainError` when no node of that chain is set.
    """
    named = named or setting.beacon
    if named == DRAND:
        timeout_s = settings.drand_timeout_s
        return Drand(settings.drand_urls, patience_s=setting.patience, timeout_s=timeout_s)
    name = named.removeprefix("block:")
    network = networks.load(name)
    caip2 = await senders.pinned(connection, network)
    urls = settings.rpc.get(name, [])
    if not urls:
        raise ChainError(f"no RPC URL is set for network {name}, the beacon of {setting.name}")
    if caip2 is None:
        return None
    return FirstBlock(
        Rpc(urls, rate=settings.rpc_rate, timeout_s=settings.rpc_timeout_s),
        caip2,
        confirmations=setting.confirmations,
        patience_s=setting.patience,
    )
