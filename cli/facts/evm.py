"""Facts of rounds and pairs on an EVM chain, from any node with eth_call and eth_getLogs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from chains import manifest
from chains.errors import RpcError
from chains.evm import address, logs
from chains.evm.decode import Decoder
from chains.evm.rpc import RangeTooLarge, Rpc
from cli.facts import words
from games.fairness.rounds import Schedule
from games.fairness.verify import (
    Anchored,
    Block,
    Committed,
    Facts,
    PairProof,
    Revealed,
    RoundProof,
)

SPAN = 1_000  # blocks in one question for logs, until a node says that it answers for fewer
WORD = 32
BATCH, ROUND = 12, 2  # words that batchAt and roundAt answer with
COUNT, REVEALED = 3, 10
PAIRS = 4  # words that pairsAt answers with


@dataclass(frozen=True, slots=True)
class Said:
    """An event of the contract, and where."""

    name: str
    args: Mapping[str, Any]
    tx: str
    position: int


class Bond:
    """The contract that a proof names, as one node has it up to its final block.

    What is final is the node's own word, or `depth` blocks below the head where it has none.
    """

    def __init__(self, rpc: Rpc, program: bytes, final: int) -> None:
        interface = manifest.load("bond_evm").interface_json()
        self.rpc, self.final = rpc, final
        self._address = address.write(program)
        self._decoder = Decoder(interface, self._address)

    async def view(self, verb: str, table: str, number: int, size: int) -> list[int]:
        """The first words of what a view of a table and a number answered at the final block."""
        name = table.encode()
        padded = name.ljust(-(-len(name) // WORD) * WORD, b"\0")
        head = b"".join(word.to_bytes(WORD, "big") for word in (2 * WORD, number, len(name)))
        return await self._words(f"{verb}(string,uint64)", head + padded, size)

    async def pairs(self, number: int) -> list[int]:
        """Root, count, kind and revealed bits of a commitment of pairs at the final block."""
        return await self._words("pairsAt(uint64)", number.to_bytes(WORD, "big"), PAIRS)

    async def _words(self, view: str, args: bytes, size: int) -> list[int]:
        data = "0x" + (address.keccak256(view.encode())[:4] + args).hex()
        answer = await self.rpc.call({"to": self._address, "data": data}, at=self.final)
        if not answer:
            raise RpcError(f"there is no contract at {self._address}", retryable=False)
        if len(answer) < size * WORD:
            raise RpcError(f"{view}: an answer of another shape", retryable=False)
        return [int.from_bytes(answer[at : at + WORD], "big") for at in range(0, size * WORD, WORD)]

    async def said(self, lower: int, upper: int) -> AsyncIterator[Said]:
        """The contract's events from one block to another, in order."""
        span = SPAN
        while lower <= upper:
            until = min(lower + span - 1, upper)
            try:
                answer = await self.rpc.logs(self._address, lower, until, old=True)
            except RangeTooLarge as error:
                if span == 1:
                    raise
                span = error.hint or span // 2
                continue
            for raw in logs.raws(answer, self._address):
                name, args = self._decoder.decode(raw.kind, raw.body)
                yield Said(name, args, raw.tx, raw.position)
            lower = until + 1

    async def time(self, position: int) -> int:
        [header] = await self.rpc.headers([position])
        return int(header.timestamp, 16)

    async def first_at(self, moment: int, lower: int) -> int:
        """The first block of a moment or later, from `lower` on; beyond the final if none is."""
        upper = self.final + 1
        while lower < upper:
            middle = (lower + upper) // 2
            if await self.time(middle) >= moment:
                upper = middle
            else:
                lower = middle + 1
        return lower


async def read_facts(rpc: Rpc, proof: RoundProof, *, depth: int) -> Facts:
    """What the chain has of a round. Raises `ChainError` for a node that cannot say.

    `depth` is how many blocks make one final for good, as networks/*.toml say.
    """
    chain = (await rpc.network()).encode()
    bond = Bond(rpc, proof.round.program, await rpc.finalized(depth))
    table, first = proof.round.table.decode(), proof.schedule.first
    committed = await read_committed(bond, proof, depth)
    kept = await bond.view("batchAt", table, first, BATCH)
    final = committed is not None and committed.position <= bond.final
    if committed is not None and final and _bytes(kept[0]) != committed.root:
        raise words.contradiction("another root than was committed")
    schedule = proof.schedule if committed is None else words.batch(committed)
    facts, number = Facts(chain, committed), proof.round.number
    if not kept[COUNT] or number not in schedule:
        return facts
    shown = bool(kept[REVEALED] >> (number - first) & 1)
    return await _of_round(bond, proof, schedule, facts, shown=shown)


async def read_committed(bond: Bond, proof: RoundProof, depth: int) -> Committed | None:
    """The commitment, if it is in the block where the proof says; None if not."""
    at, table = proof.commitment.position, proof.round.table
    if at > await bond.rpc.head():
        return None
    async for one in bond.said(at, at):
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
            root=said["root"],
            schedule=_schedule(said),
            tx=_written(one.tx, proof.commitment.tx),
            position=at,
            time=await bond.time(at),
            final_at=await bond.rpc.final_at(at, depth),
        )
    return None


async def read_pair_facts(rpc: Rpc, proof: PairProof, *, depth: int) -> Facts:
    """What the chain has of a pair. Raises `ChainError` for a node that cannot say."""
    chain = (await rpc.network()).encode()
    bond = Bond(rpc, proof.program, await rpc.finalized(depth))
    committed = await read_pairs(bond, proof, depth)
    facts = Facts(chain, committed)
    if committed is None or committed.position > bond.final:
        return facts
    root, _, kind, shown = await bond.pairs(proof.number)
    if (_bytes(root), words.kind(kind)) != (committed.root, committed.kind):
        raise words.contradiction("other pairs than were committed")
    if not shown >> proof.place & 1:
        return facts
    return replace(facts, revealed=await _shown(bond, proof))


async def read_pairs(bond: Bond, proof: PairProof, depth: int) -> Committed | None:
    """The commitment of pairs, if it is in the block where the proof says; None if not."""
    at = proof.commitment.position
    if at > await bond.rpc.head():
        return None
    async for one in bond.said(at, at):
        if (one.name, one.args.get("number")) != ("PairsCommitted", proof.number):
            continue
        return Committed(
            program=proof.program,
            table=None,
            root=one.args["root"],
            schedule=None,
            tx=_written(one.tx, proof.commitment.tx),
            position=at,
            time=await bond.time(at),
            final_at=await bond.rpc.final_at(at, depth),
            number=proof.number,
            kind=words.kind(one.args["kind"]),
        )
    return None


async def _shown(bond: Bond, proof: PairProof) -> Revealed:
    """The seed that the contract says it was shown for a place, some time after the commitment."""
    async for one in bond.said(proof.commitment.position, bond.final):
        said = (one.name, one.args.get("number"), one.args.get("place"))
        if said == ("PairRevealed", proof.number, proof.place):
            return Revealed(one.args["seed"], await bond.time(one.position))
    raise RpcError(f"the node has no logs of the pairs {proof.number} any more, which were shown")


async def read_block(rpc: Rpc, number: int) -> Block | None:
    """The block of a beacon; None where the chain has none of this number, or none before it."""
    if not 0 < number <= await rpc.head():
        return None
    before, block = await rpc.headers([number - 1, number])
    if block.parent_hash != before.hash:
        raise words.contradiction(f"block {number} does not follow the one before it")
    return Block(
        chain=(await rpc.network()).encode(),
        number=number,
        hash=bytes.fromhex(block.hash[2:]),
        time=int(block.timestamp, 16),
        parent_time=int(before.timestamp, 16),
    )


def _written(tx: str, as_: bytes) -> bytes:
    """A hash with the prefix 0x if the proof has it so, else without, as it should be."""
    return (tx if as_.startswith(b"0x") else tx.removeprefix("0x")).encode()


def _bytes(word: int) -> bytes:
    return word.to_bytes(WORD, "big")


async def _of_round(
    bond: Bond, proof: RoundProof, schedule: Schedule, facts: Facts, *, shown: bool
) -> Facts:
    """The facts with what was said of the round between its close and the end of its window.

    `shown` is whether the contract says that it has seen the seed.
    """
    number, table = proof.round.number, proof.round.table.decode()
    statement, _ = await bond.view("roundAt", table, number, ROUND)
    if statement == 0:
        return facts
    anchored, revealed = None, None
    start = 0 if facts.committed is None else facts.committed.position
    lower = await bond.first_at(schedule.closes_at(number), start)
    upper = await bond.first_at(schedule.reveal_by(number) + 1, lower)
    async for one in bond.said(lower, min(upper, bond.final)):
        if one.args.get("table") != table:
            continue
        if one.name == "RootsAnchored" and (root := words.anchored(proof.round, one.args)):
            if words.digest(proof.round, one.args) != _bytes(statement):
                raise words.contradiction("another statement than was anchored")
            anchored = Anchored(root, await bond.time(one.position))
        if one.name == "RoundRevealed" and one.args["round"] == number:
            revealed = Revealed(one.args["seed"], await bond.time(one.position))
            break
    if shown and (anchored is None or revealed is None):
        raise RpcError(f"the node has no logs of round {number} any more, which was revealed")
    return Facts(facts.chain, facts.committed, anchored, revealed)


def _schedule(said: Mapping[str, Any]) -> Schedule:
    times = said["schedule"]
    return words.schedule(
        first=said["first"],
        count=said["count"],
        opens=times["opens"],
        period=times["period"],
        lead=times["lead"],
        reveal_window=times["revealWindow"],
        kind=said["kind"],
        max_liability=said["maxLiability"],
        signer=address.parse(said["signer"]),
    )
