"""Asking: which node is asked about which chain, and whether it is of that chain."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import TypeVar

from chains import networks
from chains.errors import ChainError
from chains.evm.rpc import Rpc as EvmRpc
from chains.networks import Network
from chains.solana.rpc import Rpc as SolanaRpc
from cli.facts import evm, solana
from cli.proofs import Refused
from games.fairness.rounds import BLOCK, Beacon, of_chain
from games.fairness.verify import Facts, PairProof, RoundProof
from settings import Settings

RPCS: dict[str, type[EvmRpc] | type[SolanaRpc]] = {"evm": EvmRpc, "solana": SolanaRpc}
KINDS = {"eip155": "evm", "solana": "solana"}

AnyRpc = EvmRpc | SolanaRpc
R = TypeVar("R", bound=EvmRpc | SolanaRpc)


@dataclass(frozen=True, slots=True)
class Nodes:
    """Which nodes may be asked: a person's own choice first, then those of the settings."""

    settings: Settings
    rpc: str | None = None
    beacon_rpc: str | None = None


async def read(proof: RoundProof | PairProof, nodes: Nodes) -> Facts:
    """What the chains have of it. Raises `Refused`, or `ChainError` for a node's failure."""
    if isinstance(proof, PairProof):
        chain, beacon = proof.pair.chain, proof.activation.beacon
        facts = await _of_pair(proof, nodes)
    else:
        chain, beacon = proof.round.chain, proof.beacon.beacon
        facts = await _of_round(proof, nodes)
    if beacon.kind != BLOCK:
        return facts
    async with _of_beacon(beacon, chain, nodes) as blocks:
        if blocks is None:
            return facts
        return replace(facts, block=await evm.read_block(blocks, beacon.round))


async def _of_round(proof: RoundProof, nodes: Nodes) -> Facts:
    chain = proof.round.chain.decode()
    async with _of_chain(chain, nodes) as rpc:
        if isinstance(rpc, SolanaRpc):
            return await solana.read_facts(rpc, proof)
        depth = networks.depth_of(chain, nodes.settings.confirmations)
        return await evm.read_facts(rpc, proof, depth=depth)


async def _of_pair(proof: PairProof, nodes: Nodes) -> Facts:
    """When it was final names its beacon: no setting of one's own may say that otherwise."""
    chain = proof.pair.chain.decode()
    async with _of_chain(chain, nodes) as rpc:
        if isinstance(rpc, SolanaRpc):
            return await solana.read_pair_facts(rpc, proof)
        return await evm.read_pair_facts(rpc, proof, depth=networks.depth_of(chain))


@contextlib.asynccontextmanager
async def _of_chain(chain: str, nodes: Nodes) -> AsyncIterator[AnyRpc]:
    kind = KINDS.get(chain.partition(":")[0])
    if kind is None:
        raise Refused(f"nothing is read from {chain}: only from eip155 and solana")
    async with contextlib.AsyncExitStack() as stack:
        if nodes.rpc is not None:
            rpc = _opened(stack, RPCS[kind], [nodes.rpc], nodes.settings)
            if (found := await rpc.network()) != chain:
                raise Refused(f"the proof is of {chain}, and the node of --rpc is of {found}")
            yield rpc
            return
        for network, urls in _set(nodes.settings, kind):
            if network.caip2 not in (None, chain):
                continue
            rpc = _opened(stack, RPCS[kind], urls, nodes.settings)
            if (found := await rpc.network()) == chain:
                yield rpc
                return
            if network.caip2 is not None:
                raise Refused(f"the proof is of {chain}, and the node of {network.name} of {found}")
        raise Refused(f"the settings name no node of {chain}: say one with --rpc")


@contextlib.asynccontextmanager
async def _of_beacon(beacon: Beacon, chain: bytes, nodes: Nodes) -> AsyncIterator[EvmRpc | None]:
    """The node of the chain whose block was the beacon; None when nobody has named one."""
    wanted = beacon.chain_hash
    async with contextlib.AsyncExitStack() as stack:
        own = of_chain(chain) == wanted
        named = nodes.beacon_rpc or (nodes.rpc if own else None)
        if named is not None:
            rpc = _opened(stack, EvmRpc, [named], nodes.settings)
            if of_chain((found := await rpc.network()).encode()) != wanted:
                raise Refused(f"the beacon is a block of another chain than {found}")
            yield rpc
            return
        for network, urls in _set(nodes.settings, "evm"):
            if network.caip2 and of_chain(network.caip2.encode()) != wanted:
                continue
            rpc = _opened(stack, EvmRpc, urls, nodes.settings)
            with contextlib.suppress(ChainError):  # another one of the settings may be it
                if of_chain((await rpc.network()).encode()) == wanted:
                    yield rpc
                    return
        yield None


def _opened(
    stack: contextlib.AsyncExitStack, made: type[R], urls: list[str], settings: Settings
) -> R:
    rpc = made(urls, rate=settings.rpc_rate, timeout_s=settings.rpc_timeout_s)
    stack.push_async_callback(rpc.close)
    return rpc


def _known() -> list[Network]:
    return [networks.load(name) for name in networks.names()]


def _set(settings: Settings, kind: str) -> list[tuple[Network, list[str]]]:
    """The networks of a kind that the settings have nodes of."""
    known = {network.name: network for network in _known() if network.chain == kind}
    return [(known[name], urls) for name, urls in settings.rpc.items() if name in known]
