"""Draws from an EVM chain: the hash of its first block later than two seconds after closing.

Weaker than drand. Whoever makes that block sees its hash first and may withhold it, or shuffle its
transactions until he likes it, for as long as his reward for the block is less than what he has
bet. It is for chains on this machine and for tries, where nobody bets against who makes blocks.
There is none for Solana: hashes of Surfpool's blocks are counters, and a leader shapes a real one.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import msgspec
import rlp  # type: ignore[import-untyped]
from loguru import logger

from chains.beacons import AFTER_CLOSE, BLOCK, Beacon, Drawn, Forged, Gone, check_moment
from chains.errors import RpcError
from chains.evm.address import keccak256
from chains.evm.rpc import Rpc
from chains.http import typed

# A header's fields in the order in which they are hashed (Ethereum's execution specs); a chain has
# all up to the last one that its newest fork knows.
FIELDS = {
    **dict.fromkeys(("parentHash", "sha3Uncles", "miner"), bytes),
    **dict.fromkeys(("stateRoot", "transactionsRoot", "receiptsRoot", "logsBloom"), bytes),
    **dict.fromkeys(("difficulty", "number", "gasLimit", "gasUsed", "timestamp"), int),
    **dict.fromkeys(("extraData", "mixHash", "nonce"), bytes),
    "baseFeePerGas": int,
    "withdrawalsRoot": bytes,
    **dict.fromkeys(("blobGasUsed", "excessBlobGas"), int),
    **dict.fromkeys(("parentBeaconBlockRoot", "requestsHash"), bytes),
}
PLACES = list(FIELDS)
PARENT, NUMBER, TIMESTAMP = map(PLACES.index, ("parentHash", "number", "timestamp"))
LONGEST = 16_384  # bytes of two headers; each has some 600
# What comes of reading bytes that are no two headers; the last one is lists without an end.
UNREADABLE = (rlp.exceptions.RLPException, ValueError, LookupError, TypeError, RecursionError)

Fields = list[bytes]


class Unsound(RpcError):
    """What a node gives for a header, and is none, or has not the hash that the node says."""


class FirstBlock(Beacon):
    """The first block of a chain after a closing, once `confirmations` blocks are on top of it.

    With fewer than a reorg may take, what this process drew another one may not find any more.
    `rpc` is the beacon's own: it is closed with it.
    """

    kind = BLOCK

    def __init__(self, rpc: Rpc, caip2: str, *, confirmations: int, patience_s: float) -> None:
        if not caip2.startswith("eip155:"):
            raise ValueError(f"the blocks of {caip2} are no beacon")
        if confirmations < 0:
            raise ValueError(f"blocks are confirmed by others, not by {confirmations}")
        super().__init__(sha256(caip2.encode()).digest(), patience_s=patience_s)
        self._rpc = rpc
        rpc.node.expected = caip2  # a provider of another chain is not asked
        self._confirmations = confirmations

    def due(self, closes_at: float) -> None:
        check_moment(closes_at)

    def expected_at(self, closes_at: float) -> float:
        return check_moment(closes_at) + AFTER_CLOSE

    async def look(self, closes_at: float) -> Drawn | None:
        after = closes_at + AFTER_CLOSE
        try:
            number = await self._first(after)
            return None if number is None else await self._drawn_at(number, after)
        except Unsound as error:
            raise Forged(str(error)) from error
        except RpcError as error:
            logger.warning("the beacon's chain cannot be asked: {}", error)
            return None

    async def close(self) -> None:
        await super().close()
        await self._rpc.close()

    async def _first(self, after: float) -> int | None:
        """The first block later than a moment, of those that are deep enough.

        It is near the head, so the steps down from there double, and then the last one is halved.
        """
        late = await self._rpc.head() - self._confirmations
        if late < 0 or await self._time(late) <= after:
            return None
        step = 1
        while await self._time(early := max(late - step, 0)) > after:
            if early == 0:
                raise Gone(f"the beacon's chain began after {after}", self.fallback)
            late, step = early, step * 2
        while late - early > 1:
            middle = (early + late) // 2
            if await self._time(middle) > after:
                late = middle
            else:
                early = middle
        return late

    async def _time(self, number: int) -> int:
        (header,) = await self._rpc.headers([number])
        return int(header.timestamp, 16)

    async def _drawn_at(self, number: int, after: float) -> Drawn | None:
        """The draw in this block, or None if it is not the first one any more, or never was."""
        pair: list[Fields] = []

        def sound(results: Sequence[msgspec.Raw]) -> None:
            pair[:] = [fields(raw, n) for raw, n in zip(results, (number - 1, number), strict=True)]
            if keccak256(rlp.encode(pair[0])) != pair[1][PARENT]:
                raise RpcError(f"block {number} does not follow the one before it")

        calls = [("eth_getBlockByNumber", [hex(n), False]) for n in (number - 1, number)]
        await self._rpc.node.ask_together(calls, check=sound)
        before, block = pair
        if not seconds(before) <= after < seconds(block):
            return None
        randomness = keccak256(rlp.encode(block))
        return Drawn(BLOCK, self.chain_hash, number, randomness, rlp.encode(pair))


def fields(raw: msgspec.Raw, number: int) -> Fields:
    """A header as it is hashed. Raises `RpcError`: `Unsound` unless it has its own hash."""
    header: dict[str, Any] | None = typed(raw, dict[str, Any] | None)  # type: ignore[arg-type]
    if header is None:
        raise RpcError(f"the node does not have block {number}")
    try:
        found = [
            written(header[name], kind)
            for name, kind in FIELDS.items()
            if header.get(name) is not None
        ]
        hashed = bytes.fromhex(header["hash"][2:])
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise Unsound(f"the header of block {number} has another shape: {error!r}") from error
    if keccak256(rlp.encode(found)) != hashed:
        raise Unsound(f"the header of block {number} has not the hash 0x{hashed.hex()}")
    if int.from_bytes(found[NUMBER]) != number:
        raise Unsound(f"asked for block {number}, got block {int.from_bytes(found[NUMBER])}")
    return found


def written(text: str, kind: type) -> bytes:
    if kind is bytes:
        return bytes.fromhex(text.removeprefix("0x"))
    value = int(text, 16)
    return value.to_bytes((value.bit_length() + 7) // 8)


def seconds(header: Fields) -> int:
    return int.from_bytes(header[TIMESTAMP])


def verify(drawn: Drawn, closes_at: float) -> None:
    """Raises `Forged` unless the headers show the first block after a closing, and its hash.

    Whether that block is in the chain, any node of the chain knows: this cannot be seen offline.
    """
    after = check_moment(closes_at) + AFTER_CLOSE
    if len(drawn.evidence) > LONGEST:
        raise Forged(f"two headers have at most {LONGEST} bytes")
    try:
        before, block = rlp.decode(drawn.evidence)
        hashes = [keccak256(rlp.encode(header)) for header in (before, block)]
        number, times = int.from_bytes(block[NUMBER]), (seconds(before), seconds(block))
    except UNREADABLE as error:
        raise Forged("the evidence is no two headers") from error
    if (hashes[1], number) != (drawn.randomness, drawn.round):
        raise Forged(f"block {number} with the hash {hashes[1].hex()} is another one")
    if block[PARENT] != hashes[0]:
        raise Forged(f"block {number} does not follow the one before it")
    if not times[0] <= after < times[1]:
        raise Forged(f"block {number} of {times[1]} is not the first one after {after}")
