"""Reading from a Solana node: slots, signatures, transactions; calls name their commitment."""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from chains.chain import Block
from chains.errors import RpcError, WrongChain
from chains.http import TIMEOUT_S, Node

PAGE = 1_000  # the most signatures that a node gives at once
STATUSES = 256  # the most signatures that a node takes at once
# Version 1 transactions are on mainnet since epoch 1035; a reader that allows less fails on them.
NEWEST_VERSION = 1
CLOCK = "SysvarC1ock11111111111111111111111111111111"
CLOCK_TIME = struct.Struct("<32xq")  # the time of the newest slot, where the clock's account has it
Commitment = Literal["confirmed", "finalized"]


class Signature(msgspec.Struct, rename="camel"):
    signature: str
    slot: int
    err: Any = None
    block_time: int | None = None


class Status(msgspec.Struct, rename="camel"):
    slot: int
    err: Any = None
    confirmation_status: str | None = None


class Statuses(msgspec.Struct):
    value: list[Status | None]


class Account(msgspec.Struct):
    lamports: int = 0
    executable: bool = False
    data: tuple[str, str] = ("", "base64")


class AccountInfo(msgspec.Struct):
    value: Account | None


class Rpc:
    """The questions that the house asks of Solana."""

    def __init__(
        self,
        urls: Sequence[str],
        *,
        rate: float = 50.0,
        concurrency: int = 8,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self.node = Node(
            urls,
            identify=("getGenesisHash", lambda answer: f"solana:{answer[:32]}"),
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
        return await self.node.ask("getSlot", [{"commitment": "confirmed"}], int)

    async def finalized(self, depth: int = 0) -> int:
        return await self.node.ask("getSlot", [{"commitment": "finalized"}], int)

    async def lag(self, depth: int = 0) -> float | None:
        """How many seconds the finalized clock is behind the confirmed one."""
        newest, final = await self._clock("confirmed"), await self._clock("finalized")
        return float(newest - final) if newest >= final else 0.0

    async def block(self, number: int) -> Block | None:
        """Solana's confirmed slots are followed by status, not by their parents."""
        return None

    async def signatures(
        self,
        address: str,
        *,
        before: str | None,
        until: str | None,
        floor: int | None = None,
        limit: int = PAGE,
    ) -> list[Signature]:
        """Newest first, failed ones included. `floor` is a slot that the node must have reached."""
        options: dict[str, Any] = {"commitment": "confirmed", "limit": limit}
        if before:
            options["before"] = before
        if until:
            options["until"] = until
        if floor:
            options["minContextSlot"] = floor
        return await self.node.ask("getSignaturesForAddress", [address, options], list[Signature])

    async def transaction(self, signature: str) -> dict[str, Any] | None:
        """The transaction as JSON, or None when the node does not have it (yet)."""
        options = {
            "commitment": "confirmed",
            "encoding": "json",
            "maxSupportedTransactionVersion": NEWEST_VERSION,
        }
        return await self.node.ask("getTransaction", [signature, options], dict[str, Any] | None)  # type: ignore[arg-type]

    async def statuses(self, signatures: Sequence[str]) -> list[Status | None]:
        """What became of up to 256 transactions, also old ones."""
        options = {"searchTransactionHistory": True}
        asked = [list(signatures), options]
        return (await self.node.ask("getSignatureStatuses", asked, Statuses)).value

    async def deployed(self, address: str) -> bool:
        """Whether a program lives at an address."""
        account = await self._account(address)
        return account is not None and account.executable

    async def data(self, address: str, *, at: Commitment = "confirmed") -> bytes | None:
        """What an account holds, or None when there is no such account."""
        asked = [address, {"commitment": at, "encoding": "base64"}]
        account = (await self.node.ask("getAccountInfo", asked, AccountInfo)).value
        if account is None:
            return None
        try:
            return base64.b64decode(account.data[0], validate=True)
        except ValueError as error:
            raise RpcError("getAccountInfo: data that is not base64") from error

    async def balance(self, address: str) -> int:
        """What an address holds of the network's own coin."""
        account = await self._account(address)
        return account.lamports if account is not None else 0

    async def _clock(self, at: Commitment) -> int:
        data = await self.data(CLOCK, at=at)
        if data is None or len(data) < CLOCK_TIME.size:
            raise RpcError("getAccountInfo: the cluster has no clock")
        (time,) = CLOCK_TIME.unpack_from(data)
        return int(time)

    async def _account(self, address: str) -> Account | None:
        options = {"commitment": "confirmed", "encoding": "base64"}
        nothing = {"dataSlice": {"offset": 0, "length": 0}}
        asked = [address, options | nothing]
        return (await self.node.ask("getAccountInfo", asked, AccountInfo)).value


def agree(expected: str, found: str, name: str) -> None:
    """Raises `WrongChain` when a network's node serves another chain."""
    if expected != found:
        raise WrongChain(f"network {name} is {expected}, but its RPC serves {found}")
