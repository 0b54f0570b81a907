"""What the keeper does on each chain, in the same words: look, commit, settle, refund."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from eth_account import Account
from eth_account.signers.local import LocalAccount
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from chains.errors import ChainError, RpcError
from chains.evm import rpc as evm_rpc
from chains.evm import send as evm
from chains.evm.send import SendRefused as EvmRefused
from chains.solana import rpc as solana_rpc
from chains.solana import send as solana
from chains.solana.send import SendRefused as SolanaRefused
from workers.tills import EvmTill, SolanaTill, Till

REFUSED = (EvmRefused, SolanaRefused)
# The fields of the Solana account that stand before its batches, as contracts/idl declares them.
HOUSE = struct.Struct("<8x32x32x4QH5Bx64s")
BATCH = struct.Struct("<32sQQII")


@dataclass(frozen=True, slots=True)
class State:
    """How far a contract came: indexes below `next_index` are used, the rest is committed."""

    next_index: int
    committed_up_to: int


@dataclass(frozen=True, slots=True)
class OpenBet:
    """A bet that waits for its seed."""

    id: int
    index: int
    player: str
    client_seed: str
    deadline: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Seeds drawn together: `count` indexes from `first` under one root."""

    first: int
    count: int
    root: bytes
    reveal_by: int


class Foreign(ChainError):
    """The chain holds a commitment of somebody else where a batch of ours should be."""

    def __init__(self, network: str, batch: Batch) -> None:
        super().__init__(f"{network}: the seeds committed from {batch.first} are not ours")


class BadKey(ChainError):
    """A key in the settings that is none; what it says is not shown."""

    def __init__(self, chain: str) -> None:
        super().__init__(f"FAIRHOUSE_KEEPER_{chain.upper()}_KEY is no {chain} key")


class House(Protocol):
    """One casino contract, and the keeper's hand on it.

    `lag` is how many seconds finality is behind, None where that cannot be seen now; `waits`
    whether a tx that was sent has not landed and is still worked on.
    """

    network: str
    chain: bytes
    program: bytes
    address: str
    reveal_window: int

    async def state(self, *, finalized: bool = False) -> State: ...
    async def committed(self, batch: Batch) -> bool: ...
    async def commit(self, batch: Batch) -> str: ...
    async def confirm(self, tx: str) -> int: ...
    async def settle(self, bet: OpenBet, seed: bytes, proof: Sequence[bytes]) -> str: ...
    async def refund(self, bet: OpenBet) -> str: ...
    async def renew(self) -> None: ...
    async def waits(self, tx: str) -> bool: ...
    async def lag(self) -> float | None: ...
    async def close(self) -> None: ...


class EvmHouse:
    """The contract of contracts/evm; `depth` decides what is final where the node has no word."""

    def __init__(
        self, sender: evm.Sender, address: str, interface: Any, network: str, depth: int = 0
    ) -> None:
        self.network, self.chain = network, network.encode()
        self.address, self.program = address, bytes.fromhex(address[2:])
        self.reveal_window = 0
        self._sender, self._contract = sender, evm.Program(interface, address)
        self._depth = depth

    @classmethod
    async def meet(
        cls, sender: evm.Sender, address: str, interface: Any, depth: int = 0
    ) -> EvmHouse:
        house = cls(sender, address, interface, await sender.rpc.network(), depth)
        house.reveal_window = await evm_window(sender.rpc, address, interface)
        return house

    async def state(self, *, finalized: bool = False) -> State:
        at = await self._sender.rpc.finalized(self._depth) if finalized else None
        verbs = ("nextIndex", "committedUpTo")
        found = [await self._sender.read(self._contract, verb, at=at) for verb in verbs]
        return State(*found)

    async def committed(self, batch: Batch) -> bool:
        """Whether the final chain holds this batch. Raises `Foreign` when it holds another."""
        if (await self.state(finalized=True)).committed_up_to <= batch.first:
            return False
        at = max(await self._sender.read(self._contract, "current") - 1, 0)
        stepped = 0
        while at >= 0:
            root, first, _, _ = await self._sender.read(self._contract, "commitments", [at])
            if first == batch.first:
                break
            step = 1 if first < batch.first else -1
            if step == -stepped:
                raise Foreign(self.network, batch)  # it lies between two others
            at, stepped = at + step, step
        if at < 0 or root != batch.root:
            raise Foreign(self.network, batch)
        return True

    async def commit(self, batch: Batch) -> str:
        args = [batch.root, batch.first, batch.count, 0, batch.reveal_by]
        return await self._sender.send(self._contract.call("commit", args))

    async def confirm(self, tx: str) -> int:
        return await self._sender.confirm(tx)

    async def settle(self, bet: OpenBet, seed: bytes, proof: Sequence[bytes]) -> str:
        return await self._sender.send(
            self._contract.call("settleBet", [bet.index, seed, list(proof)])
        )

    async def refund(self, bet: OpenBet) -> str:
        return await self._sender.send(self._contract.call("refundBet", [bet.index]))

    async def renew(self) -> None:
        await self._sender.renew()

    async def waits(self, tx: str) -> bool:
        return await self._sender.waits(tx)

    async def lag(self) -> float | None:
        return await self._sender.rpc.lag(self._depth)

    async def close(self) -> None:
        await self._sender.__aexit__()

    def till(self) -> Till:
        """Where its withdrawals are paid."""
        return EvmTill(self._sender, self._contract, self._depth)


class SolanaHouse:
    """The program of contracts/solana."""

    def __init__(self, sender: solana.Sender, address: str, interface: Any, network: str) -> None:
        self.network, self.chain = network, network.encode()
        self.address = address
        self.reveal_window = 0
        self._sender, self._casino = sender, solana.Program(interface, address)
        self.program = bytes(self._casino.address)
        self._account = self._casino.derive(b"house")

    @classmethod
    async def meet(cls, sender: solana.Sender, address: str, interface: Any) -> SolanaHouse:
        house = cls(sender, address, interface, await sender.rpc.network())
        fields, _ = await house._read(finalized=False)
        house.reveal_window = fields[0]
        house.chain = fields[10][: fields[9]]  # commitments are bound to the contract's own word
        return house

    async def state(self, *, finalized: bool = False) -> State:
        fields, _ = await self._read(finalized=finalized)
        return State(fields[1], fields[2])

    async def committed(self, batch: Batch) -> bool:
        """Whether the final chain holds this batch. Raises `Foreign` when it holds another."""
        fields, data = await self._read(finalized=True)
        if fields[2] <= batch.first:
            return False
        held = {
            first: root
            for root, first, _, _, _ in (
                BATCH.unpack_from(data, HOUSE.size + at * BATCH.size) for at in range(fields[8])
            )
        }
        if held.get(batch.first, batch.root) != batch.root:  # a used up batch is not kept
            raise Foreign(self.network, batch)
        return True

    async def commit(self, batch: Batch) -> str:
        args = {"root": batch.root, "first": batch.first, "count": batch.count, "kind": 0}
        args["reveal_by"] = batch.reveal_by
        keeper = {"keeper": self._sender.key.pubkey()}
        call = self._casino.call("commit", args, keeper)  # its deadline differs from try to try
        return await self._sender.send([call], about=("commit", self.address, batch.first))

    async def confirm(self, tx: str) -> int:
        return await self._sender.confirm(tx)

    async def settle(self, bet: OpenBet, seed: bytes, proof: Sequence[bytes]) -> str:
        args = {"seed": seed, "proof": list(proof)}
        return await self._sender.send([self._casino.call("settle_bet", args, self._accounts(bet))])

    async def refund(self, bet: OpenBet) -> str:
        return await self._sender.send([self._casino.call("refund_bet", {}, self._accounts(bet))])

    async def renew(self) -> None:
        """Nothing waits here: a tx lands within its blockhash's life, or never."""
        await asyncio.sleep(0)

    async def waits(self, tx: str) -> bool:
        """Sending again costs nothing: what has landed fails in the preflight."""
        return False

    async def lag(self) -> float | None:
        return await self._sender.rpc.lag()

    async def close(self) -> None:
        await self._sender.__aexit__()

    def till(self) -> Till:
        """Where its withdrawals are paid."""
        return SolanaTill(self._sender, self._casino, self._locked)

    async def _locked(self) -> int:
        """What open bets may claim from the vault."""
        fields, _ = await self._read(finalized=False)
        return int(fields[3])

    def _accounts(self, bet: OpenBet) -> dict[str, Pubkey]:
        player = Pubkey.from_string(bet.player)
        place = self._casino.derive(
            b"bet", bytes(player), bytes.fromhex(bet.client_seed.removeprefix("0x"))
        )
        return {"bet": place, "player": player}

    async def _read(self, *, finalized: bool) -> tuple[tuple[Any, ...], bytes]:
        at: solana_rpc.Commitment = "finalized" if finalized else "confirmed"
        data = await self._sender.read(self._account, at=at)
        if data is None or len(data) < HOUSE.size:
            raise ChainError(f"there is no casino at {self.address} on {self.network} yet")
        fields = HOUSE.unpack_from(data)
        if len(data) < HOUSE.size + fields[8] * BATCH.size:
            raise RpcError(f"{self.network}: the account of the casino came cut off")
        return fields, data


def outlook(lag: float, window: int) -> str:
    """Whether bets can be settled in time with finality so far behind: well, tight or hopeless."""
    if lag >= window:
        return "hopeless"
    return "tight" if lag * 2 > window else "well"


async def evm_window(rpc: evm_rpc.Rpc, address: str, interface: Any) -> int:
    """The reveal window of a contract, in seconds."""
    return int(await evm.read(rpc, evm.Program(interface, address), "revealWindow"))


async def solana_window(rpc: solana_rpc.Rpc, address: str, interface: Any) -> int:
    """The reveal window of a program, in seconds."""
    data = await rpc.data(str(solana.Program(interface, address).derive(b"house")))
    if data is None or len(data) < HOUSE.size:
        raise ChainError(f"there is no casino at {address} yet")
    return int(HOUSE.unpack_from(data)[0])


def keypair(text: str) -> Keypair:
    """A Solana key as base58, or as the JSON array of a key file. Raises `BadKey`."""
    try:
        if text.lstrip().startswith("["):
            return Keypair.from_bytes(bytes(json.loads(text)))
        return Keypair.from_base58_string(text)
    except (ValueError, TypeError, OverflowError):
        raise BadKey("solana") from None


def account(text: str) -> LocalAccount:
    """An EVM key as hex. Raises `BadKey`."""
    try:
        made: LocalAccount = Account.from_key(text)
    except (ValueError, TypeError):
        raise BadKey("evm") from None
    return made
