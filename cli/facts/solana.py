"""Facts of rounds and pairs on Solana, from any node that has the transactions of their batch."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from chains import manifest
from chains.errors import RpcError
from chains.solana.address import derived, write
from chains.solana.decode import Decoder, candidates
from chains.solana.rpc import PAGE, Commitment, Rpc, Signature
from cli.facts import words
from games.fairness.rounds import Schedule
from games.fairness.verify import (
    Anchored,
    Committed,
    Facts,
    PairProof,
    Revealed,
    RoundProof,
)
from games.fairness.verify.proofs import Commitment as Where

FINAL: Commitment = "finalized"
STATEMENTS = 240  # where they begin in a batch's account, 32 bytes for each round
PAIRS = struct.Struct("<8x32s8x2xB5x32s")  # as far as it is read here
MOST_PAGES = 20  # of a thousand transactions that touched one batch
TOGETHER = 8
CLOCKS_DIFFER_S = 60  # between a block's time and the one that a program is told in it


@dataclass(frozen=True, slots=True)
class Said:
    """An event of the program, and when."""

    name: str
    args: Mapping[str, Any]
    position: int
    time: int


class Bond:
    """The program that a proof names, and one batch of it, as one node has them finalized.

    A batch of rounds or of pairs, by the seeds of its account's address.
    """

    def __init__(self, rpc: Rpc, program: bytes, *seeds: bytes) -> None:
        interface = manifest.load("bond_solana").interface_json()
        self.rpc, self._program = rpc, write(program)
        self._decoder = Decoder(interface, self._program)
        self._batch = derived(self._program, *seeds)

    async def history(self) -> list[Signature]:
        """The transactions that touched the batch, the oldest one first."""
        found: list[Signature] = []
        for _ in range(MOST_PAGES):
            before = found[-1].signature if found else None
            page = await self.rpc.signatures(
                self._batch, before=before, until=None, commitment=FINAL
            )
            found += page
            if len(page) < PAGE:
                return [one for one in reversed(found) if one.err is None]
        raise RpcError("too many transactions touched this batch to look at", retryable=False)

    async def statement(self, place: int) -> bytes | None:
        """What the batch's account keeps for one of its rounds; None once it is released."""
        at = STATEMENTS + 32 * place
        data = await self._kept(at + 32)
        return data and data[at : at + 32]

    async def pairs(self) -> tuple[bytes, int, int] | None:
        """Root, kind and revealed bits that the account of a commitment of pairs keeps."""
        data = await self._kept(PAIRS.size)
        if data is None:
            return None
        root, kind, shown = PAIRS.unpack_from(data)
        return root, kind, int.from_bytes(shown, "little")

    async def _kept(self, size: int) -> bytes | None:
        data = await self.rpc.data(self._batch, at=FINAL)
        if not data:  # anybody may send lamports to where it was
            return None
        if len(data) < size:
            raise RpcError("the node gives a batch that is none", retryable=False)
        return data

    async def heard(self, tx: Signature) -> list[Said]:
        """What the program said in a transaction by calling itself, which nobody else can."""
        answer = await self.rpc.transaction(tx.signature, commitment=FINAL)
        if answer is None:
            raise RpcError(f"the node lacks the transaction {tx.signature}", retryable=False)
        found = []
        for raw in candidates(answer, self._program, ("cpi",)):
            if tx.block_time is None:
                raise RpcError(f"the node gives no time of slot {tx.slot}", retryable=False)
            name, args = self._decoder.decode(raw.kind, raw.body)
            found.append(Said(name, args, raw.position, tx.block_time))
        return found

    async def said(self, txs: Sequence[Signature]) -> AsyncIterator[Said]:
        """What it said in several, in their order."""
        for at in range(0, len(txs), TOGETHER):
            for some in await asyncio.gather(*map(self.heard, txs[at : at + TOGETHER])):
                for one in some:
                    yield one


async def read_facts(rpc: Rpc, proof: RoundProof) -> Facts:
    """What the chain has of a round. Raises `ChainError` for a node that cannot say."""
    chain = (await rpc.network()).encode()
    first = proof.schedule.first.to_bytes(8, "little")
    bond = Bond(rpc, proof.round.program, b"batch", proof.round.table, first)
    listed = await bond.history()
    committed = await read_committed(bond, proof, listed)
    schedule = proof.schedule if committed is None else words.batch(committed)
    facts = Facts(chain, committed)
    return await _of_round(bond, proof, schedule, listed, facts)


async def read_committed(
    bond: Bond, proof: RoundProof, listed: Sequence[Signature]
) -> Committed | None:
    """The commitment, if it is in the transaction that the proof names; None if not."""
    tx, table = named(proof.commitment, listed), proof.round.table
    for one in await bond.heard(tx) if tx else ():
        said = one.args
        if (one.name, said.get("table"), said.get("first")) != (
            "RoundsCommitted",
            table.decode(),
            proof.schedule.first,
        ):
            continue
        return Committed(
            program=proof.round.program,
            table=table,
            root=bytes(said["root"]),
            schedule=_schedule(said),
            tx=proof.commitment.tx,
            position=one.position,
            time=one.time,
            final_at=await bond.rpc.final_at(one.position),
        )
    return None


def named(commitment: Where, listed: Sequence[Signature]) -> Signature | None:
    """The transaction in which a proof says that it was committed, if it is one of these."""
    tx = commitment.tx.decode()
    return next((one for one in listed if one.signature == tx), None)


async def read_pair_facts(rpc: Rpc, proof: PairProof) -> Facts:
    """What the chain has of a pair. Raises `ChainError` for a node that cannot say."""
    chain = (await rpc.network()).encode()
    bond = Bond(rpc, proof.program, b"pairs", proof.number.to_bytes(8, "little"))
    listed = await bond.history()
    committed = await read_pairs(bond, proof, listed)
    facts = Facts(chain, committed)
    kept = None if committed is None else await bond.pairs()
    if committed is None or kept is None:
        return facts
    root, kind, shown = kept
    if (root, words.kind(kind)) != (committed.root, committed.kind):
        raise words.contradiction("other pairs than were committed")
    if not shown >> proof.place & 1:
        return facts
    return replace(facts, revealed=await _shown(bond, proof, listed))


async def read_pairs(bond: Bond, proof: PairProof, listed: Sequence[Signature]) -> Committed | None:
    """The commitment of pairs, if it is in the transaction that the proof names; None if not."""
    tx = named(proof.commitment, listed)
    for one in await bond.heard(tx) if tx else ():
        if (one.name, one.args.get("number")) != ("PairsCommitted", proof.number):
            continue
        return Committed(
            program=proof.program,
            table=None,
            root=bytes(one.args["root"]),
            schedule=None,
            tx=proof.commitment.tx,
            position=one.position,
            time=one.time,
            final_at=await bond.rpc.final_at(one.position),
            number=proof.number,
            kind=words.kind(one.args["kind"]),
        )
    return None


async def _shown(bond: Bond, proof: PairProof, listed: Sequence[Signature]) -> Revealed:
    """The seed that the program says it was shown for a place."""
    async for one in bond.said(listed):
        said = (one.name, one.args.get("number"), one.args.get("place"))
        if said == ("PairRevealed", proof.number, proof.place):
            return Revealed(bytes(one.args["seed"]), one.time)
    raise RpcError("the node lacks the transaction that showed the pair", retryable=False)


async def _of_round(
    bond: Bond,
    proof: RoundProof,
    schedule: Schedule,
    listed: Sequence[Signature],
    facts: Facts,
) -> Facts:
    """The facts with what was said of the round between its close and the end of its window."""
    number, table = proof.round.number, proof.round.table.decode()
    if number not in schedule:
        return facts
    since = schedule.closes_at(number) - CLOCKS_DIFFER_S
    until = schedule.reveal_by(number) + CLOCKS_DIFFER_S
    txs = [one for one in listed if since <= (one.block_time or since) <= until]
    kept = await bond.statement(number - schedule.first)
    anchored, revealed = None, None
    async for one in bond.said(txs):
        if one.args.get("table") != table:
            continue
        if one.name == "RootsAnchored" and (root := words.anchored(proof.round, one.args)):
            if kept not in (None, words.digest(proof.round, one.args)):
                raise words.contradiction("another statement than was anchored")
            anchored = Anchored(root, one.time)
        if one.name == "RoundRevealed" and one.args["round"] == number:
            revealed = Revealed(bytes(one.args["seed"]), one.time)
            break
    return Facts(facts.chain, facts.committed, anchored, revealed)


def _schedule(said: Mapping[str, Any]) -> Schedule:
    times = said["schedule"]
    return words.schedule(
        first=said["first"],
        count=said["count"],
        opens=times["opens"],
        period=times["period"],
        lead=times["lead"],
        reveal_window=times["reveal_window"],
        kind=said["kind"],
        max_liability=said["max_liability"],
        signer=bytes(said["signer"]),
    )
