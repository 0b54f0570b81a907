"""What the keeper does with a bond, the same on each chain: look, commit, anchor, reveal."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from solders.pubkey import Pubkey

from chains.errors import ChainError, RpcError
from chains.evm import send as evm
from chains.evm.decode import Decoder
from chains.evm.logs import raws
from chains.solana import send as solana
from chains.solana.rpc import Commitment
from games.fairness.rounds import BLOCK, DRAND, Schedule

KINDS = {DRAND: 1, BLOCK: 2}
EMPTY = bytes(32)
LOOK_BACK = 5_000  # blocks in which a commitment is looked for
# The accounts of the Solana program, as contracts/idl declares them.
BOND = struct.Struct("<8x32x32x20s?BBxQQ64s")
TABLE = struct.Struct("<8xQQ")
BATCH = struct.Struct("<8x32s32s20sBBH32xQQQQIIIx3x32s32s")


@dataclass(frozen=True, slots=True)
class Standing:
    """A bond: who signs roots of bets for what is committed from now on, and what is not locked.

    Bettors claim for `claim_window` seconds after a seed is overdue.
    """

    signer: bytes
    free: int
    paused: bool
    claim_window: int


@dataclass(frozen=True, slots=True)
class Committed:
    """A batch as a chain holds it; `revealed` are bits, the first round's the lowest."""

    root: bytes
    revealed: int
    held: int


@dataclass(frozen=True, slots=True)
class Landed:
    """The tx that committed a batch; `position` is its height or slot, `time` that block's."""

    tx: str
    position: int
    time: int


@dataclass(frozen=True, slots=True)
class Statement:
    """What was signed at a round's close."""

    root: bytes
    count: int
    liability: int


class Bond(Protocol):
    """One bond contract, and the keeper's hand on it.

    What is read `finalized` no reorg takes back. `lag` is how many seconds finality is behind, None
    where that cannot be seen now.
    """

    network: str
    chain: bytes
    address: str
    most_anchored: int

    async def standing(self) -> Standing: ...
    async def following(self, table: str) -> int:
        """The first round of a table that no commitment has, as it stands now."""

    async def committed(self, table: str, first: int, *, finalized: bool) -> Committed | None: ...
    async def landed(self, table: str, first: int) -> Landed | None:
        """Where a batch was committed, once the final chain has it."""

    async def anchored(self, table: str, first: int, numbers: Sequence[int]) -> list[bool]:
        """Whether the final chain holds a statement for each of some rounds of a batch."""

    async def commit(self, table: str, root: bytes, schedule: Schedule) -> str: ...
    async def anchor(
        self, table: str, first: int, start: int, statements: Sequence[Statement]
    ) -> str: ...
    async def reveal(
        self, table: str, first: int, number: int, seed: bytes, proof: Sequence[bytes]
    ) -> str: ...
    async def release(self, table: str, first: int) -> str: ...
    async def renew(self) -> None: ...
    async def clock(self) -> float:
        """The chain's own time, in unix seconds: what its contract goes by."""

    async def lag(self) -> float | None: ...
    async def close(self) -> None: ...


class EvmBond:
    """The contract of contracts/evm/src/Bond.sol; `depth` decides what is final without a word."""

    most_anchored = 32

    def __init__(
        self, sender: evm.Sender, address: str, interface: Any, network: str, depth: int = 0
    ) -> None:
        self.network, self.chain, self.address = network, network.encode(), address
        self._sender, self._contract = sender, evm.Program(interface, address)
        self._decoder, self._depth = Decoder(interface, address), depth

    @classmethod
    async def meet(
        cls, sender: evm.Sender, address: str, interface: Any, depth: int = 0
    ) -> EvmBond:
        """Raises `ChainError` when there is none at the address."""
        bond = cls(sender, address, interface, await sender.rpc.network(), depth)
        await bond.standing()
        return bond

    async def standing(self) -> Standing:
        _, _, signer, paused, window, _, _, free = await self._read("standing")
        return Standing(bytes.fromhex(signer[2:]), free, paused, window)

    async def following(self, table: str) -> int:
        following, _ = await self._read("tables", [table])
        return int(following)

    async def committed(self, table: str, first: int, *, finalized: bool) -> Committed | None:
        at = await self._sender.rpc.finalized(self._depth) if finalized else None
        root, _, _, count, *_, held, revealed, _ = await self._read("batchAt", [table, first], at)
        return Committed(root, revealed, held) if count else None

    async def landed(self, table: str, first: int) -> Landed | None:
        rpc = self._sender.rpc
        upper = await rpc.finalized(self._depth)
        logs = await rpc.logs(self.address, max(0, upper - LOOK_BACK), upper)
        for raw in raws(logs, self.address):
            name, said = self._decoder.decode(raw.kind, raw.body)
            if name == "RoundsCommitted" and (said["table"], said["first"]) == (table, first):
                [header] = await rpc.headers([raw.position])
                return Landed(raw.tx, raw.position, int(header.timestamp, 16))
        return None

    async def anchored(self, table: str, first: int, numbers: Sequence[int]) -> list[bool]:
        at = await self._sender.rpc.finalized(self._depth)
        found = [await self._read("roundAt", [table, number], at) for number in numbers]
        return [statement != EMPTY for statement, _ in found]

    async def commit(self, table: str, root: bytes, schedule: Schedule) -> str:
        times = (schedule.opens, schedule.period, schedule.lead, schedule.reveal_window)
        kind = KINDS[schedule.kind]
        args = [table, root, schedule.first, schedule.count, kind, times, schedule.max_liability]
        return await self._send("commit", args)

    async def anchor(
        self, table: str, first: int, start: int, statements: Sequence[Statement]
    ) -> str:
        roots = [one.root for one in statements]
        counts, liabilities = [one.count for one in statements], [s.liability for s in statements]
        return await self._send("anchor", [table, first, start, roots, counts, liabilities])

    async def reveal(
        self, table: str, first: int, number: int, seed: bytes, proof: Sequence[bytes]
    ) -> str:
        return await self._send("reveal", [table, first, number, seed, list(proof)])

    async def release(self, table: str, first: int) -> str:
        return await self._send("release", [table, first])

    async def renew(self) -> None:
        await self._sender.renew()

    async def clock(self) -> float:
        [head] = await self._sender.rpc.headers([await self._sender.rpc.head()])
        return float(int(head.timestamp, 16))

    async def lag(self) -> float | None:
        return await self._sender.rpc.lag(self._depth)

    async def close(self) -> None:
        await self._sender.__aexit__()

    async def _read(self, verb: str, args: Sequence[object] = (), at: int | None = None) -> Any:
        return await self._sender.read(self._contract, verb, args, at=at)

    async def _send(self, verb: str, args: Sequence[object]) -> str:
        return await self._sender.send(self._contract.call(verb, args))


class SolanaBond:
    """The program of contracts/solana/src/bond.c."""

    most_anchored = 16  # as many as fit into a tx

    def __init__(self, sender: solana.Sender, address: str, interface: Any, network: str) -> None:
        self.network, self.chain, self.address = network, network.encode(), address
        self._sender, self._program = sender, solana.Program(interface, address)

    @classmethod
    async def meet(cls, sender: solana.Sender, address: str, interface: Any) -> SolanaBond:
        """Raises `ChainError` when there is none at the address."""
        bond = cls(sender, address, interface, await sender.rpc.network())
        fields = BOND.unpack_from(await bond._bond())
        bond.chain = fields[6][: fields[3]]  # commitments are bound to the contract's own word
        return bond

    async def standing(self) -> Standing:
        data = await self._bond()
        signer, paused, _, _, window, locked, _ = BOND.unpack_from(data)
        lamports = await self._sender.rpc.balance(str(self._program.derive(b"bond")))
        rent = await self._sender.rpc.rent(len(data))
        return Standing(signer, max(0, lamports - locked - rent), paused, window)

    async def following(self, table: str) -> int:
        data = await self._account((b"table", table.encode()), "confirmed")
        return 0 if data is None else int(TABLE.unpack_from(data)[0])

    async def committed(self, table: str, first: int, *, finalized: bool) -> Committed | None:
        data = await self._batch(table, first, "finalized" if finalized else "confirmed")
        if data is None:
            return None
        _, root, *_, held, _, _, _, revealed, _ = BATCH.unpack_from(data)
        return Committed(root, int.from_bytes(revealed, "little"), held)

    async def landed(self, table: str, first: int) -> Landed | None:
        address = str(self._program.derive(*_batch_seeds(table, first)))
        found = await self._sender.rpc.signatures(
            address, before=None, until=None, commitment="finalized"
        )
        made = [one for one in found if one.err is None and one.block_time is not None]
        if not made:
            return None
        oldest = made[-1]  # what made the account
        return Landed(oldest.signature, oldest.slot, oldest.block_time or 0)

    async def anchored(self, table: str, first: int, numbers: Sequence[int]) -> list[bool]:
        data = await self._batch(table, first, "finalized")
        if data is None:
            return [False for _ in numbers]
        places = (BATCH.size + 32 * (number - first) for number in numbers)
        return [data[at : at + 32] not in (EMPTY, b"") for at in places]

    async def commit(self, table: str, root: bytes, schedule: Schedule) -> str:
        args = {
            "table": table,
            "root": root,
            "first": schedule.first,
            "count": schedule.count,
            "kind": KINDS[schedule.kind],
            "opens": schedule.opens,
            "period": schedule.period,
            "lead": schedule.lead,
            "reveal_window": schedule.reveal_window,
            "max_liability": schedule.max_liability,
        }
        return await self._send("commit", args, keeper=self._sender.key.pubkey())

    async def anchor(
        self, table: str, first: int, start: int, statements: Sequence[Statement]
    ) -> str:
        args = {
            "table": table,
            "first": first,
            "start": start,
            "roots": [one.root for one in statements],
            "counts": [one.count for one in statements],
            "liabilities": [one.liability for one in statements],
        }
        return await self._send("anchor", args, keeper=self._sender.key.pubkey())

    async def reveal(
        self, table: str, first: int, number: int, seed: bytes, proof: Sequence[bytes]
    ) -> str:
        args = {"table": table, "first": first, "round": number, "seed": seed}
        return await self._send("reveal", args | {"proof": list(proof)})

    async def release(self, table: str, first: int) -> str:
        data = await self._batch(table, first, "confirmed")
        if data is None:
            raise ChainError(f"{self.network}: the batch from {first} of {table} is released")
        payer = Pubkey(BATCH.unpack_from(data)[0])
        return await self._send("release", {"table": table, "first": first}, payer=payer)

    async def renew(self) -> None:
        """Nothing waits here: a tx lands within its blockhash's life, or never."""
        await asyncio.sleep(0)

    async def clock(self) -> float:
        return float(await self._sender.rpc.clock())

    async def lag(self) -> float | None:
        return await self._sender.rpc.lag()

    async def close(self) -> None:
        await self._sender.__aexit__()

    async def _send(self, verb: str, args: dict[str, Any], **accounts: Pubkey) -> str:
        return await self._sender.send([self._program.call(verb, args, accounts)])

    async def _bond(self) -> bytes:
        data = await self._account((b"bond",), "confirmed")
        if data is None or len(data) < BOND.size:
            raise ChainError(f"there is no bond at {self.address} on {self.network} yet")
        return data

    async def _batch(self, table: str, first: int, at: Commitment) -> bytes | None:
        data = await self._account(_batch_seeds(table, first), at)
        if data is not None and len(data) < BATCH.size:
            raise RpcError(f"{self.network}: the account of a batch came cut off")
        return data

    async def _account(self, seeds: Sequence[bytes], at: Commitment) -> bytes | None:
        return await self._sender.read(self._program.derive(*seeds), at=at)


def _batch_seeds(table: str, first: int) -> tuple[bytes, ...]:
    return b"batch", table.encode(), first.to_bytes(8, "little")
