"""Facts of a round on Solana, from any node that still has the transactions of its batch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chains import manifest
from chains.errors import RpcError
from chains.solana.address import derived, write
from chains.solana.decode import Decoder, candidates
from chains.solana.rpc import PAGE, Commitment, Rpc, Signature
from cli.facts import words
from games.fairness.rounds import Schedule
from games.fairness.verify import Anchored, Committed, Facts, Revealed, RoundProof

FINAL: Commitment = "finalized"
STATEMENTS = 240  # where they begin in a batch's account, 32 bytes for each round
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
    """The program that a proof names, and one batch of it, as one node has them finalized."""

    def __init__(self, rpc: Rpc, proof: RoundProof) -> None:
        interface = manifest.load("bond_solana").interface_json()
        self.rpc, self._program = rpc, write(proof.round.program)
        self._decoder = Decoder(interface, self._program)
        first = proof.schedule.first.to_bytes(8, "little")
        self._batch = derived(self._program, b"batch", proof.round.table, first)

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
        data = await self.rpc.data(self._batch, at=FINAL)
        if not data:  # anybody may send lamports to where it was
            return None
        at = STATEMENTS + 32 * place
        if len(data) < at + 32:
            raise RpcError("the node gives a batch that is none", retryable=False)
        return data[at : at + 32]

    async def heard(self, tx: str) -> list[Said]:
        """What the program said in a transaction by calling itself, which nobody else can."""
        answer = await self.rpc.transaction(tx, commitment=FINAL)
        if answer is None:
            raise RpcError(f"the node no longer has the transaction {tx}", retryable=False)
        found = []
        for raw in candidates(answer, self._program, ("cpi",)):
            if raw.time is None:
                raise RpcError(f"the node gives no time of slot {raw.position}", retryable=False)
            name, args = self._decoder.decode(raw.kind, raw.body)
            found.append(Said(name, args, raw.position, int(raw.time.timestamp())))
        return found

    async def said(self, txs: Sequence[str]) -> AsyncIterator[Said]:
        """What it said in several, in their order."""
        for at in range(0, len(txs), TOGETHER):
            for some in await asyncio.gather(*map(self.heard, txs[at : at + TOGETHER])):
                for one in some:
                    yield one


async def read_facts(rpc: Rpc, proof: RoundProof) -> Facts:
    """What the chain has of a round. Raises `ChainError` for a node that cannot say."""
    chain = (await rpc.network()).encode()
    bond = Bond(rpc, proof)
    listed = await bond.history()
    committed = await read_committed(bond, proof, listed)
    schedule = proof.schedule if committed is None else words.batch(committed)
    facts = Facts(chain, committed)
    return await _of_round(bond, proof, schedule, listed, facts)


async def read_committed(
    bond: Bond, proof: RoundProof, listed: Sequence[Signature]
) -> Committed | None:
    """The commitment, if it is in the transaction that the proof names; None if not."""
    tx, table = proof.commitment.tx.decode(), proof.round.table
    if tx not in {one.signature for one in listed}:
        return None
    for one in await bond.heard(tx):
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
    txs = [one.signature for one in listed if since <= (one.block_time or since) <= until]
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
