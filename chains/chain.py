"""Words shared by every chain: blocks, raws as fetched, events as decoded, facts as meant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from chains.errors import ChainError, RpcError, Undecodable, WrongChain

__all__ = ["Block", "ChainError", "Event", "Fact", "Raw", "RpcError", "Undecodable", "WrongChain"]


@dataclass(frozen=True, slots=True)
class Block:
    """One block header, as far as following the chain needs it."""

    number: int
    hash: str
    parent_hash: str


@dataclass(frozen=True, slots=True)
class Raw:
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


@dataclass(frozen=True, slots=True)
class Event:
    """A raw after decoding: named, with its arguments."""

    position: int
    tx: str
    index: int
    name: str
    args: dict[str, object]


@dataclass(frozen=True, slots=True)
class Fact:
    """What an event means to a casino, the same words on every chain."""

    kind: str
    position: int
    tx: str
    index: int
    time: datetime | None
    fields: dict[str, object]
