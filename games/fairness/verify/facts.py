"""Facts: what a verifier has read from the chains by itself, never from the proof."""

from __future__ import annotations

from dataclasses import dataclass

from games.fairness.encoding import address_sizes
from games.fairness.rounds import Schedule
from games.fairness.verify.proofs import (
    BOUND,
    CHAIN,
    TABLE,
    TX,
    read_schedule,
    write_schedule,
)
from games.fairness.verify.reading import Fields, number, text


@dataclass(frozen=True, slots=True)
class Committed:
    """A commitment as the contract keeps it.

    Rounds have a table and a schedule, pairs a number and the kind of beacon they are bound to.
    Times are those of blocks, in unix seconds. `final_at` is when it could no longer be undone,
    None while it can. Nobody can ask a node later when a block became final: take the time of
    the block that made it so by the chain's rule, such as 32 slots on for Solana.
    """

    program: bytes
    table: bytes | None
    root: bytes
    schedule: Schedule | None
    tx: bytes
    position: int  # slot or height
    time: int
    final_at: int | None
    number: int | None = None
    kind: bytes | None = None


@dataclass(frozen=True, slots=True)
class Anchored:
    """The root of a round's bets as the contract keeps it."""

    root: bytes
    time: int


@dataclass(frozen=True, slots=True)
class Revealed:
    """The seed that the contract was shown."""

    seed: bytes
    time: int


@dataclass(frozen=True, slots=True)
class Block:
    """The block of a beacon of kind `block`, on the chain that the house has declared for it."""

    chain: bytes
    number: int
    hash: bytes
    time: int
    parent_time: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found; None where the chain has nothing of it."""

    chain: bytes  # as its node says, not as the proof does
    committed: Committed | None
    anchored: Anchored | None = None
    revealed: Revealed | None = None
    block: Block | None = None


def read_facts(value: object) -> Facts:
    """Facts as docs/fairness/proof.md writes them. Raises `Malformed`, and nothing else."""
    fields = Fields(value, "facts", ("chain", "committed", "anchored", "revealed", "block"))
    chain = fields.text("chain", CHAIN)
    return Facts(
        chain=chain,
        committed=fields.maybe("committed", lambda one, path: _committed(one, path, chain)),
        anchored=fields.maybe("anchored", _anchored),
        revealed=fields.maybe("revealed", _revealed),
        block=fields.maybe("block", _block),
    )


def _committed(value: object, path: str, chain: bytes) -> Committed:
    names = ("program", "table", "root", "schedule", "tx", "position", "time", "final_at")
    fields = Fields(value, path, (*names, "number", "kind"))
    return Committed(
        program=fields.raw("program", address_sizes(chain)),
        table=fields.maybe("table", lambda one, at: text(one, at, TABLE)),
        root=fields.hash("root"),
        schedule=fields.maybe("schedule", read_schedule),
        tx=fields.text("tx", TX),
        position=fields.number("position"),
        time=fields.number("time"),
        final_at=fields.maybe("final_at", number),
        number=fields.maybe("number", number),
        kind=fields.maybe("kind", lambda one, at: text(one, at, BOUND)),
    )


def _anchored(value: object, path: str) -> Anchored:
    fields = Fields(value, path, ("root", "time"))
    return Anchored(fields.hash("root"), fields.number("time"))


def _revealed(value: object, path: str) -> Revealed:
    fields = Fields(value, path, ("seed", "time"))
    return Revealed(fields.hash("seed"), fields.number("time"))


def _block(value: object, path: str) -> Block:
    fields = Fields(value, path, ("chain", "number", "hash", "time", "parent_time"))
    return Block(
        chain=fields.text("chain", CHAIN),
        number=fields.number("number"),
        hash=fields.hash("hash"),
        time=fields.number("time"),
        parent_time=fields.number("parent_time"),
    )


def write_facts(facts: Facts) -> dict[str, object]:
    """The facts as JSON holds them, which `read_facts` takes."""
    committed, anchored, revealed, block = (
        facts.committed,
        facts.anchored,
        facts.revealed,
        facts.block,
    )
    return {
        "chain": facts.chain.decode(),
        "committed": committed and _write_committed(committed),
        "anchored": anchored and {"root": anchored.root.hex(), "time": str(anchored.time)},
        "revealed": revealed and {"seed": revealed.seed.hex(), "time": str(revealed.time)},
        "block": block
        and {
            "chain": block.chain.decode(),
            "number": str(block.number),
            "hash": block.hash.hex(),
            "time": str(block.time),
            "parent_time": str(block.parent_time),
        },
    }


def _write_committed(committed: Committed) -> dict[str, object]:
    return {
        "program": committed.program.hex(),
        "table": committed.table and committed.table.decode(),
        "root": committed.root.hex(),
        "schedule": committed.schedule and write_schedule(committed.schedule),
        "tx": committed.tx.decode(),
        "position": str(committed.position),
        "time": str(committed.time),
        "final_at": None if committed.final_at is None else str(committed.final_at),
        "number": None if committed.number is None else str(committed.number),
        "kind": committed.kind and committed.kind.decode(),
    }
