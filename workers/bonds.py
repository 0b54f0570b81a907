"""What the keeper does with a bond, the same on each chain: look, commit, anchor, reveal."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from solders.pubkey import Pubkey

from chains import networks
from chains.errors import ChainError, RpcError
from chains.evm import send as evm
from chains.evm.decode import Decoder
from chains.evm.logs import raws
from chains.evm.ranges import RangeTooLarge
from chains.solana import send as solana
from chains.solana.decode import Decoder as SolanaDecoder
from chains.solana.decode import candidates
from chains.solana.rpc import PAGE, Commitment, Signature
from games.fairness.rounds import BLOCK, DRAND, Schedule

KINDS = {DRAND: 1, BLOCK: 2}
NAMES = {number: kind for kind, number in KINDS.items()}
EMPTY = bytes(32)
LOOK_BACK = 5_000  # blocks in which a commitment is looked for
TOGETHER_S = 0.4  # what was final so lately is asked for once
SPAN = 1_000  # blocks in one question for one that is known to be there
# The accounts of the Solana program, as contracts/idl declares them.
BOND = struct.Struct("<8x32x32x20s?BBxQQ64s")
TABLE = struct.Struct("<8xQQ")
BATCH = struct.Struct("<8x32s32s20sBBH32xQQQQIIIx3x32s32s")
NUMBERING = struct.Struct("<8xQ")
PAIRS = struct.Struct("<8x32sQHB5x32s")


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
class CommittedPairs:
    """A commitment of pairs as a chain holds it; `revealed` are bits, place 0 the lowest.

    `kind` is that of the beacon which activates them.
    """

    root: bytes
    count: int
    kind: bytes
    revealed: int


@dataclass(frozen=True, slots=True)
class LandedPairs:
    """The tx that committed pairs, as `Landed`; `final_at` is when it could not be undone any more.

    Unix seconds, by the rule of docs/fairness/proof.md: every verifier finds the same, and it
    names the beacon that activates these pairs.
    """

    tx: str
    position: int
    time: int
    final_at: int


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


class PairBond(Bond, Protocol):
    """A bond that holds commitments of pairs, too."""

    async def following_pairs(self) -> int:
        """The number that the next commitment of pairs must have, as it stands now."""

    async def committed_pairs(self, number: int, *, finalized: bool) -> CommittedPairs | None: ...
    async def landed_pairs(self, number: int) -> LandedPairs | None:
        """Where pairs were committed, once nothing that it says can change any more."""

    async def commit_pairs(self, number: int, root: bytes, count: int, kind: bytes) -> str: ...
    async def reveal_pair(
        self,
        number: int,
        place: int,
        account: bytes,
        epoch: int,
        seed: bytes,
        proof: Sequence[bytes],
    ) -> str:
        """Anybody who has heard of the seed may do so first: then this raises `SendRefused`."""

    async def waits(self, tx: str) -> bool:
        """Whether a tx that was sent here may still land by itself, as far as is known."""


class EvmBond:
    """The contract of contracts/evm/src/Bond.sol; `depth` decides what is final without a word."""

    most_anchored = 32

    def __init__(
        self, sender: evm.Sender, address: str, interface: Any, network: str, depth: int = 0
    ) -> None:
        self.network, self.chain, self.address = network, network.encode(), address
        self._sender, self._contract = sender, evm.Program(interface, address)
        self._decoder, self._depth = Decoder(interface, address), depth
        self._made: dict[int, Landed] = {}
        self._final: tuple[float, int] | None = None

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

    async def following_pairs(self) -> int:
        return int(await self._read("nextPairs"))

    async def committed_pairs(self, number: int, *, finalized: bool) -> CommittedPairs | None:
        return await self._pairs(number, await self._height() if finalized else None)

    async def landed_pairs(self, number: int) -> LandedPairs | None:
        rpc, depth = self._sender.rpc, networks.depth_of(self.network)
        final = await self._height()
        if number not in self._made:
            if await self._pairs(number, final) is None:
                return None
            self._made[number] = await self._pairs_made(number, final)
        made = self._made[number]
        final_at = await rpc.final_at(made.position, depth)
        if final_at is None or made.position + depth > final:
            return None
        del self._made[number]
        return LandedPairs(made.tx, made.position, made.time, final_at)

    async def commit_pairs(self, number: int, root: bytes, count: int, kind: bytes) -> str:
        return await self._send("commitPairs", [number, root, count, KINDS[kind]])

    async def reveal_pair(
        self,
        number: int,
        place: int,
        account: bytes,
        epoch: int,
        seed: bytes,
        proof: Sequence[bytes],
    ) -> str:
        args = [number, place, account.decode(), epoch, seed, list(proof)]
        return await self._send("revealPair", args)

    async def waits(self, tx: str) -> bool:
        return await self._sender.waits(tx)

    async def renew(self) -> None:
        await self._sender.renew()

    async def clock(self) -> float:
        [head] = await self._sender.rpc.headers([await self._sender.rpc.head()])
        return float(int(head.timestamp, 16))

    async def lag(self) -> float | None:
        return await self._sender.rpc.lag(self._depth)

    async def close(self) -> None:
        await self._sender.__aexit__()

    async def _height(self) -> int:
        """What is final, asked for once for all pairs that are looked at together."""
        if self._final is None or time.monotonic() - self._final[0] > TOGETHER_S:
            self._final = time.monotonic(), await self._sender.rpc.finalized(self._depth)
        return self._final[1]

    async def _pairs(self, number: int, at: int | None) -> CommittedPairs | None:
        root, count, kind, revealed = await self._read("pairsAt", [number], at)
        return CommittedPairs(root, count, NAMES[kind], revealed) if count else None

    async def _pairs_made(self, number: int, upper: int) -> Landed:
        """Where pairs that the contract has by `upper` were committed, however long ago."""
        span = SPAN
        while upper >= 0:
            lower = max(0, upper - span + 1)
            try:
                logs = await self._sender.rpc.logs(self.address, lower, upper, old=True)
            except RangeTooLarge as error:
                if span == 1:
                    raise
                span = min(error.hint or span, span // 2)
                continue
            for raw in raws(logs, self.address):
                name, said = self._decoder.decode(raw.kind, raw.body)
                if name == "PairsCommitted" and said["number"] == number:
                    [header] = await self._sender.rpc.headers([raw.position])
                    return Landed(raw.tx, raw.position, int(header.timestamp, 16))
            upper = lower - 1
        raise RpcError(f"{self.network}: no logs of the pairs {number}, which were committed")

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
        self._decoder = SolanaDecoder(interface, address)

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
        said = {"table": table, "first": first}
        return await self._made("RoundsCommitted", said, *_batch_seeds(table, first))

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

    async def following_pairs(self) -> int:
        data = await self._account((b"pairs",), "confirmed")
        return 0 if data is None else int(NUMBERING.unpack_from(data)[0])

    async def committed_pairs(self, number: int, *, finalized: bool) -> CommittedPairs | None:
        data = await self._account(_pairs_seeds(number), "finalized" if finalized else "confirmed")
        if data is None:
            return None
        if len(data) < PAIRS.size:
            raise RpcError(f"{self.network}: the account of pairs came cut off")
        root, _, count, kind, revealed = PAIRS.unpack_from(data)
        return CommittedPairs(root, count, NAMES[kind], int.from_bytes(revealed, "little"))

    async def landed_pairs(self, number: int) -> LandedPairs | None:
        made = await self._made("PairsCommitted", {"number": number}, *_pairs_seeds(number))
        if made is None:
            return None
        final_at = await self._sender.rpc.final_at(made.position)
        if final_at is None:
            return None
        return LandedPairs(made.tx, made.position, made.time, final_at)

    async def commit_pairs(self, number: int, root: bytes, count: int, kind: bytes) -> str:
        args = {"number": number, "root": root, "count": count, "kind": KINDS[kind]}
        return await self._send("commit_pairs", args, keeper=self._sender.key.pubkey())

    async def reveal_pair(
        self,
        number: int,
        place: int,
        account: bytes,
        epoch: int,
        seed: bytes,
        proof: Sequence[bytes],
    ) -> str:
        args = {"number": number, "place": place, "account": account.decode(), "epoch": epoch}
        return await self._send("reveal_pair", args | {"seed": seed, "proof": list(proof)})

    async def waits(self, tx: str) -> bool:
        """It lands within its blockhash's life or never, and a second one does no harm."""
        return await asyncio.sleep(0, False)

    async def renew(self) -> None:
        """Nothing waits here: a tx lands within its blockhash's life, or never."""
        await asyncio.sleep(0)

    async def clock(self) -> float:
        return float(await self._sender.rpc.clock())

    async def lag(self) -> float | None:
        return await self._sender.rpc.lag()

    async def close(self) -> None:
        await self._sender.__aexit__()

    async def _made(self, event: str, said: dict[str, Any], *seeds: bytes) -> Landed | None:
        """The final tx in which the program said so of an account.

        It need not be the account's first: anybody may send lamports there before.
        """
        for one in reversed(await self._history(str(self._program.derive(*seeds)))):
            if one.err is not None or one.block_time is None:
                continue
            answer = await self._sender.rpc.transaction(one.signature, commitment="finalized")
            for raw in candidates(answer, self.address, ("cpi",)) if answer else ():
                name, found = self._decoder.decode(raw.kind, raw.body)
                if name == event and said.items() <= found.items():
                    return Landed(one.signature, one.slot, one.block_time)
        return None

    async def _history(self, address: str) -> list[Signature]:
        """The final txs that touched an account, the newest first."""
        found: list[Signature] = []
        while True:
            before = found[-1].signature if found else None
            page = await self._sender.rpc.signatures(
                address, before=before, until=None, commitment="finalized"
            )
            found += page
            if len(page) < PAGE:
                return found

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
        # One without data is nobody's yet: anybody may send lamports there before it is made.
        return await self._sender.read(self._program.derive(*seeds), at=at) or None


def _batch_seeds(table: str, first: int) -> tuple[bytes, ...]:
    return b"batch", table.encode(), first.to_bytes(8, "little")


def _pairs_seeds(number: int) -> tuple[bytes, ...]:
    return b"pairs", number.to_bytes(8, "little")
