"""Reading from an EVM node: heads, headers and logs, each checked before it is believed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any

import msgspec
from Crypto.Hash import keccak

from chains.chain import Block
from chains.errors import RpcError, WrongChain
from chains.evm import finality
from chains.evm.logs import Log
from chains.evm.ranges import RangeTooLarge, too_large
from chains.http import TIMEOUT_S, Call, Node, Refused, typed

__all__ = ["Header", "RangeTooLarge", "Rpc", "RpcError", "agree"]

TOGETHER = 50  # headers in one batch
Quantity = Annotated[str, msgspec.Meta(pattern="^0x[0-9a-fA-F]{1,64}$")]
Hash = Annotated[str, msgspec.Meta(pattern="^0x[0-9a-fA-F]{64}$")]
Data = Annotated[str, msgspec.Meta(pattern="^0x([0-9a-fA-F]{2})*$")]


class Header(msgspec.Struct, rename="camel", frozen=True):
    number: Quantity
    hash: str
    parent_hash: str
    timestamp: Quantity = "0x0"
    logs_bloom: Data = "0x"
    base_fee_per_gas: Quantity | None = None

    def block(self) -> Block:
        return Block(int(self.number, 16), self.hash, self.parent_hash)

    def time(self) -> datetime:
        return datetime.fromtimestamp(int(self.timestamp, 16), UTC)

    def may_hold(self, address: str) -> bool:
        """Whether the block's bloom filter says that the contract may have logged in it."""
        bloom = int(self.logs_bloom, 16) if len(self.logs_bloom) > 2 else 0
        return all(bloom >> bit & 1 for bit in bloom_bits(address))


@lru_cache(maxsize=256)
def bloom_bits(address: str) -> tuple[int, ...]:
    """The three bits of 2048 that a log of this contract sets."""
    hashed = keccak.new(digest_bits=256, data=bytes.fromhex(address[2:])).digest()
    return tuple(int.from_bytes(hashed[at : at + 2], "big") & 2047 for at in (0, 2, 4))


class Receipt(msgspec.Struct, rename="camel"):
    block_number: Quantity
    status: Quantity = "0x1"
    contract_address: str | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What one node says: the final height, a sender's count of txs there, and some receipts."""

    height: int
    landed: int
    receipts: list[Receipt | None]


class Rpc:
    """The questions that the house asks of an EVM chain."""

    def __init__(
        self,
        urls: Sequence[str],
        *,
        rate: float = 50.0,
        concurrency: int = 8,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._tagged = False
        self.node = Node(
            urls,
            identify=("eth_chainId", lambda answer: f"eip155:{int(answer, 16)}"),
            rate=rate,
            concurrency=concurrency,
            timeout_s=timeout_s,
        )

    async def close(self) -> None:
        await self.node.close()

    async def network(self) -> str:
        """The CAIP-2 id; from then on providers of another chain are not asked."""
        return await self.node.identity()

    async def head(self) -> int:
        return int(await self.node.ask("eth_blockNumber", [], Quantity), 16)

    async def finalized(self, depth: int) -> int:
        """The height that will not be dropped: the node's own word, else `depth` below the head.

        Once a node had a word for it, a node that has none is not believed: depth may say more.
        """
        try:
            header = await self._header("finalized")
        except Refused as error:
            if not finality.unsupported(error.code, error.said):
                raise
            header = None
        if header is not None:
            self._tagged = True
            return int(header.number, 16)
        if self._tagged:
            raise RpcError("the node names no final block, and one was named before")
        return finality.height(await self.head(), depth)

    async def final_at(self, position: int, depth: int) -> int | None:
        """When a height became final, in unix seconds; None while it is not.

        No node can be asked that later, so it is the time of the block `depth` on, for anybody.
        Wait until that block is final itself where its time must not change any more.
        """
        final, head = await self.finalized(depth), await self.head()
        if position > final or position + depth > head:
            return None
        [header] = await self.headers([position + depth])
        return int(header.timestamp, 16)

    async def lag(self, depth: int) -> float | None:
        """How many seconds the newest final block is behind the head, as far as can be seen.

        None where the head has not moved for longer than that: the chain waits, not finality.
        """
        final = await self._header(hex(await self.finalized(depth)))
        head = await self._header("latest")
        if head is None or final is None:
            return None
        lag = int(head.timestamp, 16) - int(final.timestamp, 16)
        still = time.time() - int(head.timestamp, 16)
        return float(lag) if lag == 0 or still < lag else None

    async def block(self, number: int) -> Block | None:
        """The header at a height, or None when the node has none yet."""
        header = await self._header(hex(number))
        return header.block() if header is not None else None

    async def headers(self, numbers: Sequence[int]) -> list[Header]:
        """The headers at these heights. Raises `RpcError` when no node has them all."""
        found: list[Header] = []
        for at in range(0, len(numbers), TOGETHER):
            part = numbers[at : at + TOGETHER]
            some: list[Header] = []

            def whole(
                results: Sequence[msgspec.Raw],
                part: Sequence[int] = part,
                some: list[Header] = some,
            ) -> None:
                some[:] = [believed(raw, n) for raw, n in zip(results, part, strict=True)]

            calls = [("eth_getBlockByNumber", [hex(n), False]) for n in part]
            await self.node.ask_together(calls, check=whole)
            found += some
        return found

    async def logs(self, address: str, lower: int, upper: int, *, old: bool = False) -> list[Log]:
        """The contract's logs in lower..upper, both included. Raises `RangeTooLarge`.

        A node that lags behind `upper` is not believed: its answer would look complete. Of an
        `old` range the node must also still have the lowest block, because it may have dropped it.
        """
        if lower > upper:
            raise ValueError(f"a range goes up, not from {lower} to {upper}")
        asked = {"address": address, "fromBlock": hex(lower), "toBlock": hex(upper)}
        # The head comes first: a node that had the block before has its logs after.
        calls: list[Call] = [("eth_blockNumber", []), ("eth_getLogs", [asked])]
        if old:
            calls.append(("eth_getBlockByNumber", [hex(lower), False]))

        def reached(results: Sequence[msgspec.Raw]) -> None:
            if int(typed(results[0], Quantity), 16) < upper:
                raise RpcError(f"the node lags behind block {upper}")
            for header in results[2:]:
                believed(header, lower)

        _, logs, *_ = await self.node.ask_together(
            calls, judge=lambda error: too_large(error.said, lower, upper), check=reached
        )
        found = typed(logs, list[Log])
        for log in found:
            if log.block_number and not lower <= int(log.block_number, 16) <= upper:
                raise RpcError(f"a log of block {log.block_number} came for {lower}..{upper}")
        return found

    async def seen(self, txs: Sequence[str], sender: str, depth: int) -> Seen:
        """What became of txs, and how many of their sender's have landed in the end.

        One node answers all of it, the count first: a number that it counts is used up.
        """
        height = await self.finalized(depth)
        calls: list[Call] = [
            ("eth_getBlockByNumber", [hex(height), False]),
            ("eth_getTransactionCount", [sender, hex(height)]),
            *(("eth_getTransactionReceipt", [tx]) for tx in txs),
        ]

        def there(results: Sequence[msgspec.Raw]) -> None:
            believed(results[0], height)

        _, count, *receipts = await self.node.ask_together(calls, check=there)
        kind = Receipt | None
        found: list[Receipt | None] = [typed(one, kind) for one in receipts]  # type: ignore[arg-type]
        return Seen(height, int(typed(count, Quantity), 16), found)

    async def deployed(self, address: str) -> bool:
        """Whether a contract lives at an address."""
        return len(await self.node.ask("eth_getCode", [address, "latest"], str)) > len("0x")

    async def call(self, call: Mapping[str, Any], at: int | None = None) -> bytes:
        """What a contract returns to a call that changes nothing, now or at a height."""
        asked = [dict(call), "latest" if at is None else hex(at)]
        answer: str = await self.node.ask("eth_call", asked, Data)
        return bytes.fromhex(answer[2:])

    async def balance(self, address: str) -> int:
        """What an address holds of the network's own coin."""
        asked = [address, "latest"]
        return int(await self.node.ask("eth_getBalance", asked, Quantity), 16)

    async def _header(self, number: str) -> Header | None:
        return await self.node.ask("eth_getBlockByNumber", [number, False], Header | None)  # type: ignore[arg-type]


def believed(raw: msgspec.Raw, number: int) -> Header:
    header: Header | None = typed(raw, Header | None)  # type: ignore[arg-type]
    if header is None:
        raise RpcError(f"the node does not have block {number}")
    if int(header.number, 16) != number:
        raise RpcError(f"asked for block {number}, got block {int(header.number, 16)}")
    return header


def agree(expected: str, found: str, name: str) -> None:
    """Raises `WrongChain` when a network's node serves another chain."""
    if expected != found:
        raise WrongChain(f"network {name} is {expected}, but its RPC serves {found}")
