"""Beacons that the settings name, for whoever waits for one."""

from __future__ import annotations

from chains import networks
from chains.beacons import Beacon
from chains.beacons.block import FirstBlock
from chains.beacons.drand import Drand
from chains.errors import ChainError
from chains.evm.rpc import Rpc
from settings import PairsSetting, Settings, TableSetting
from workers import senders
from workers.leader import Connection


async def beaconed(
    settings: Settings, setting: TableSetting | PairsSetting, connection: Connection
) -> Beacon | None:
    """The beacon that batches of the setting name; None while its chain is unknown.

    Raises `ChainError` when no node of that chain is set.
    """
    kind, _, name = setting.beacon.partition(":")
    if kind == "drand":
        timeout_s = settings.drand_timeout_s
        return Drand(settings.drand_urls, patience_s=setting.patience, timeout_s=timeout_s)
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
