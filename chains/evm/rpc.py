"""Reading from an EVM node: heads, headers and logs, each checked before it is believed."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from chains.chain import Block
from chains.errors import RpcError, WrongChain
from chains.evm.logs import Log
from chains.http import Node, Refused

# How providers say that a range holds too much; any of them means: ask for less.
TOO_LARGE = re.compile(
    r"range|too (large|many|wide|big)|limit|exceed|more than \d+|response size|timed? ?out"
    r"|query returned",
    re.IGNORECASE,
)


class RangeTooLarge(RpcError):
    """The node will not answer for so many blocks at once."""

    def __init__(self, message: str) -> None:
        super().__init__(message, retryable=False)


class Header(msgspec.Struct, rename="camel"):
    number: str
    hash: str
    parent_hash: str
    timestamp: str = "0x0"

    def block(self) -> Block:
        return Block(int(self.number, 16), self.hash, self.parent_hash)


class Rpc:
    """The questions that the house asks of an EVM chain."""

    def __init__(self, urls: Sequence[str], *, rate: float = 50.0, concurrency: int = 8) -> None:
        self.node = Node(urls, rate=rate, concurrency=concurrency)

    async def close(self) -> None:
        await self.node.close()

    async def network(self) -> str:
        """The CAIP-2 id. Raises `WrongChain` when providers disagree."""
        chain_id = int(await self.node.ask("eth_chainId", [], str), 16)
        return f"eip155:{chain_id}"

    async def head(self) -> int:
        return int(await self.node.ask("eth_blockNumber", [], str), 16)

    async def finalized(self, depth: int) -> int:
        """The height that will not be dropped: the node's own word, else `depth` below the head."""
        try:
            header = await self._header("finalized")
        except Refused:
            header = None
        if header is not None:
            return int(header.number, 16)
        return max(0, await self.head() - depth)

    async def block(self, number: int) -> Block | None:
        """The header at a height, or None when the node has none yet."""
        header = await self._header(hex(number))
        return header.block() if header is not None else None

    async def time(self, number: int) -> int | None:
        header = await self._header(hex(number))
        return int(header.timestamp, 16) if header is not None else None

    async def logs(self, address: str, lower: int, upper: int) -> list[Log]:
        """The contract's logs in lower..upper, both included. Raises `RangeTooLarge`."""
        if lower > upper:
            raise ValueError(f"a range goes up, not from {lower} to {upper}")
        asked = {"address": address, "fromBlock": hex(lower), "toBlock": hex(upper)}
        try:
            return await self.node.ask("eth_getLogs", [asked], list[Log])
        except Refused as error:
            if TOO_LARGE.search(str(error)):
                raise RangeTooLarge(str(error)) from error
            raise

    async def _header(self, number: str) -> Header | None:
        return await self.node.ask("eth_getBlockByNumber", [number, False], Header | None)  # type: ignore[arg-type]


def agree(expected: str, found: str, name: str) -> None:
    """Raises `WrongChain` when a network's node serves another chain."""
    if expected != found:
        raise WrongChain(f"network {name} is {expected}, but its RPC serves {found}")
