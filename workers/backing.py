"""What a table or a booth of pairs stands on: its casino, what is staked there, and its bond."""

from __future__ import annotations

from casino.sources import native
from chains.errors import ChainError
from chains.manifest import Manifest
from chains.solana import send as solana
from settings import PairsSetting, Settings, TableSetting
from workers import senders
from workers.bonds import EvmBond, PairBond, SolanaBond
from workers.leader import Connection

ASSET = b"INSERT INTO assets (id, symbol, scale) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
CASINO = b"INSERT INTO casinos (slug, name) VALUES (%(slug)s, %(slug)s) ON CONFLICT DO NOTHING"
CASINO_ID = b"SELECT id FROM casinos WHERE slug = %s"


class NoKey(ChainError):
    """Nobody may commit for this table, or for pairs."""


async def housed(
    connection: Connection, setting: TableSetting | PairsSetting, means: Manifest, network: str
) -> tuple[int, str, str]:
    """The casino's number and slug, and the asset; made when they are the manifest's, and new."""
    asset = setting.asset or native(network)
    if setting.asset is None:
        await connection.execute(ASSET, (asset, means.symbol, means.decimals))
    slug = setting.casino or means.casino
    await connection.execute(CASINO, {"slug": slug})
    [(casino_id,)] = await (await connection.execute(CASINO_ID, (slug,))).fetchall()
    return casino_id, slug, asset


async def met(
    settings: Settings,
    setting: TableSetting | PairsSetting,
    expected: str,
    wallets: senders.Wallets,
) -> PairBond | None:
    """The bond that a setting names, or None without a key for its chain. Raises `ChainError`."""
    one = senders.planned(settings, setting)
    if one.key is None:
        return None
    wallet = senders.wallet(settings, one, wallets)
    wallet.rpc.node.expected = expected
    await senders.identify(wallet.rpc, one.network)
    interface = one.means.interface_json()
    if isinstance(wallet, solana.Sender):
        return await SolanaBond.meet(wallet, one.means.address, interface)
    depth = settings.confirmations.get(one.network.name, one.network.confirmations)
    return await EvmBond.meet(wallet, one.means.address, interface, depth)
