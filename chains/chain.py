"""Words shared by every chain: blocks, raws as fetched, events as decoded, facts as meant.

They are msgspec structs: frozen like a frozen dataclass, and made ten times faster, which counts
when a page holds a hundred thousand of them (`msgspec.structs.replace` changes a copy).
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from chains.errors import ChainError, RetryLater, RpcError, Undecodable, WrongChain

__all__ = [
    "Block",
    "ChainError",
    "Event",
    "Fact",
    "Raw",
    "RetryLater",
    "RpcError",
    "Undecodable",
    "WrongChain",
]


class Block(msgspec.Struct, frozen=True):
    """One block header, as far as following the chain needs it."""

    number: int
    hash: str
    parent_hash: str


class Raw(msgspec.Struct, frozen=True):
    """One undecoded piece of a transaction that concerns a program.

    `kind` is "log" on EVM and "data", "cpi" or "instruction" on Solana. `position` is
    the block number or slot, `index` the place inside the transaction.
    """

    position: int
    tx: str
    index: int
    kind: str
    body: bytes
    block_hash: str | None = None
    tx_index: int | None = None
    time: datetime | None = None


class Event(msgspec.Struct, frozen=True):
    """A raw after decoding: named, with its arguments."""

    position: int
    tx: str
    index: int
    name: str
    args: dict[str, object]


class Fact(msgspec.Struct, frozen=True):
    """What an event means to a casino, the same words on every chain."""

    kind: str
    position: int
    tx: str
    index: int
    time: datetime | None
    fields: dict[str, object]
