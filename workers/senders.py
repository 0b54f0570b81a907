"""Senders: the keeper's hot keys, one for each network, and the nodes that they speak through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eth_account.signers.local import LocalAccount
from solders.keypair import Keypair

from chains import manifest, networks
from chains.errors import ChainError, WrongChain
from chains.evm import rpc as evm_rpc
from chains.evm import send as evm
from chains.manifest import Manifest
from chains.networks import Network
from chains.solana import rpc as solana_rpc
from chains.solana import send as solana
from settings import Settings
from workers import houses
from workers.leader import Connection

GWEI = 10**9
PINNED = "SELECT network FROM networks WHERE name = %s"


@dataclass(frozen=True, slots=True)
class Planned:
    """A casino as settings and manifest describe it; without a key nobody keeps it."""

    means: Manifest
    network: Network
    urls: Sequence[str]
    key: LocalAccount | Keypair | None


Wallets = dict[str, evm.Sender | solana.Sender]  # by the network's name


def planned(settings: Settings, source: Any) -> Planned:
    """What settings and manifest say of a casino. Raises `ChainError` on the first mistake."""
    folders = [settings.programs_dir] if settings.programs_dir else []
    means = manifest.load(source.program, folders).located(
        network=source.network, address=source.address
    )
    means.validate()
    network = networks.load(means.network)
    key: LocalAccount | Keypair | None = None
    if network.chain == "evm" and settings.keeper_evm_key:
        key = houses.account(settings.keeper_evm_key)
    if network.chain == "solana" and settings.keeper_solana_key:
        key = houses.keypair(settings.keeper_solana_key)
    urls = settings.rpc.get(network.name, [])
    if key is not None and not urls:
        raise ChainError(f"no RPC URL is set for network {network.name} (FAIRHOUSE_RPC)")
    return Planned(means, network, urls, key)


async def pinned(connection: Connection, network: Network) -> str | None:
    """The one chain that a network's name may stand for, as far as that is settled."""
    row = await (await connection.execute(PINNED, (network.name,))).fetchone()
    before = None if row is None else str(row[0])
    if network.caip2 is not None and before is not None:
        evm_rpc.agree(network.caip2, before, network.name)
    return network.caip2 or before


def asked(settings: Settings, one: Planned, expected: str | None) -> evm_rpc.Rpc | solana_rpc.Rpc:
    """All URLs of a network to ask in turn; one that serves another chain is never asked."""
    room = evm_rpc.Rpc if one.network.chain == "evm" else solana_rpc.Rpc
    rpc = room(
        one.urls,
        rate=settings.rpc_rate,
        concurrency=settings.rpc_concurrency,
        timeout_s=settings.rpc_timeout_s,
    )
    rpc.node.expected = expected
    return rpc


async def identify(rpc: evm_rpc.Rpc | solana_rpc.Rpc, network: Network) -> None:
    """Raises `WrongChain` when no node serves what the network's name stands for."""
    try:
        await rpc.network()
    except WrongChain as error:
        said = f"the RPC of network {network.name} is another chain's: {error}"
        raise WrongChain(said) from None


def wallet(settings: Settings, one: Planned, wallets: Wallets) -> evm.Sender | solana.Sender:
    name = one.network.name
    if name not in wallets:
        rpc = asked(settings, one, None)
        if isinstance(rpc, evm_rpc.Rpc):
            assert isinstance(one.key, LocalAccount)
            most_fee = int(settings.keeper_max_fee_gwei * GWEI)
            renew_s = settings.keeper_renew_s
            wallets[name] = evm.Sender(rpc, one.key.key, most_fee=most_fee, renew_s=renew_s)
        else:
            assert isinstance(one.key, Keypair)
            most_price = settings.keeper_max_price_microlamports
            wallets[name] = solana.Sender(rpc, one.key, reuse_s=1.0, most_price=most_price)
    return wallets[name]
