"""Reading from a Solana node: slots, signatures, transactions; calls name their commitment."""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from chains.chain import Block
from chains.errors import RpcError, WrongChain
from chains.http import TIMEOUT_S, Call, Node, Refused, typed

PAGE = 1_000  # the most signatures that a node gives at once
STATUSES = 256  # the most signatures that a node takes at once
# Version 1 transactions are on mainnet since epoch 1035; a reader that allows less fails on them.
NEWEST_VERSION = 1
CLOCK = "SysvarC1ock11111111111111111111111111111111"
CLOCK_TIME = struct.Struct("<32xq")  # the time of the newest slot, where the clock's account has it
SLOTS_TO_FINAL = 32
SLOTS_LOOKED_AT = 500  # for the first that was not skipped
Commitment = Literal["confirmed", "finalized"]
CONFIRMED, FINAL = "confirmed", "finalized"  # what a caller of the house may ask for


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


@dataclass(frozen=True, slots=True)
class Seen:
    """What one node says of txs, and of an account on the final chain, all at a final height."""

    height: int
    statuses: list[Status | None]
    there: bool


class SlotBlock(msgspec.Struct, rename="camel"):
    """What a slot holds; `parent_slot` is the one before it on the chain, others were skipped."""

    parent_slot: int
    signatures: list[str] = []


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

    async def oldest(self) -> int | None:
        """The lowest slot that the node still keeps, or None when it does not say."""
        try:
            return await self.node.ask("getFirstAvailableBlock", [], int)
        except Refused as error:
            if error.retryable:
                raise
            return None

    async def final_at(self, position: int, depth: int = SLOTS_TO_FINAL) -> int | None:
        """When a slot became final, in unix seconds; None while it is not.

        No node can be asked that later, so it is the time of the first block at least 32 slots on,
        which must be final itself.
        """
        lower, head = position + depth, await self.finalized()
        if head < lower:
            return None
        upper = min(lower + SLOTS_LOOKED_AT, head)
        slots = await self.node.ask("getBlocks", [lower, upper, {"commitment": FINAL}], list[int])
        if not slots or not lower <= slots[0] <= upper:
            raise RpcError(f"the node has no block at slot {lower} or soon after", retryable=False)
        kind: Any = int | None
        time = await self.node.ask("getBlockTime", [slots[0]], kind)
        if time is None:
            raise RpcError(f"the node gives no time of slot {slots[0]}", retryable=False)
        return int(time)

    async def lag(self, depth: int = 0) -> float | None:
        """How many seconds the finalized clock is behind the confirmed one."""
        newest, final = await self.clock("confirmed"), await self.clock("finalized")
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
        commitment: str = CONFIRMED,
    ) -> list[Signature]:
        """Newest first, failed ones included. `floor` is a slot that the node must have reached."""
        options = paging(before, until, limit, commitment)
        if floor:
            options["minContextSlot"] = floor
        return await self.node.ask("getSignaturesForAddress", [address, options], list[Signature])

    async def older(
        self,
        address: str,
        *,
        before: str | None,
        until: str | None,
        floor: int,
        commitment: str = CONFIRMED,
    ) -> list[Signature]:
        """A page downward from `before`, by a node that has reached the slot `floor`.

        The node's own slot is asked for along with it: an empty page of a node that lags would
        look like the end, and some take `minContextSlot` for a limit of the list.
        """
        calls: list[Call] = [
            ("getSlot", [{"commitment": commitment}]),
            ("getSignaturesForAddress", [address, paging(before, until, PAGE, commitment)]),
        ]

        def reached(results: Sequence[msgspec.Raw]) -> None:
            if typed(results[0], int) < floor:
                raise RpcError(f"the node lags behind slot {floor}")

        _, found = await self.node.ask_together(calls, check=reached)
        return typed(found, list[Signature])

    async def transaction(
        self, signature: str, *, commitment: str = CONFIRMED
    ) -> dict[str, Any] | None:
        """The transaction as JSON, or None when the node does not have it (yet)."""
        options = body(commitment)
        return await self.node.ask("getTransaction", [signature, options], dict[str, Any] | None)  # type: ignore[arg-type]

    async def statuses(self, signatures: Sequence[str]) -> list[Status | None]:
        """What became of up to 256 transactions, also old ones."""
        return (await self.node.ask("getSignatureStatuses", searched(signatures), Statuses)).value

    async def seen(self, signatures: Sequence[str], account: str) -> Seen:
        """What became of txs, and whether an account is there in the end.

        One node answers all of it, its height first: what could land up to there has landed.
        """
        final = {"commitment": FINAL}
        calls: list[Call] = [
            ("getBlockHeight", [final]),
            ("getSignatureStatuses", searched(signatures)),
            ("getAccountInfo", [account, final | {"encoding": "base64"}]),
        ]
        height, statuses, info = await self.node.ask_together(calls)
        found = typed(statuses, Statuses).value
        if len(found) != len(signatures):
            raise RpcError("getSignatureStatuses: not as many as were asked for")
        return Seen(typed(height, int), found, typed(info, AccountInfo).value is not None)

    async def rent(self, size: int) -> int:
        """What an account of a size must hold at least."""
        return await self.node.ask("getMinimumBalanceForRentExemption", [size], int)

    async def statuses_everywhere(self, signatures: Sequence[str]) -> list[Status | None]:
        """What any provider knows became of them. Raises `RpcError` unless every one answers."""
        every = await self.node.everywhere("getSignatureStatuses", searched(signatures), Statuses)
        answers = [one.value for one in every if isinstance(one, Statuses)]
        known: list[Status | None] = [None] * len(signatures)
        for statuses in answers:
            known = [one or status for one, status in zip(known, statuses, strict=True)]
        return known

    async def fell(self, signature: str, slot: int) -> bool | None:
        """Whether the final chain is without this transaction, or None when nobody can tell.

        Every provider must say that it has none, and one must show the slot without it, or the
        next block, whose parent lies before the slot. Raises `RpcError` unless all answer.
        """
        found = await self.node.everywhere(
            "getTransaction",
            [signature, body(FINAL)],
            dict[str, Any] | None,  # type: ignore[arg-type]
        )
        there = [one for one in found if isinstance(one, dict)]
        if there:
            return any((one.get("meta") or {}).get("err") is not None for one in there)
        if any(isinstance(one, Refused) for one in found):
            return None
        blocks = await self._blocks(slot, "signatures")
        if blocks:
            return all(signature not in block.signatures for block in blocks)
        following = await self.node.everywhere(
            "getBlocksWithLimit", [slot + 1, 1, {"commitment": FINAL}], list[int]
        )
        numbers = sorted({n for one in following if isinstance(one, list) for n in one[:1]})
        for number in numbers:
            if any(block.parent_slot < slot for block in await self._blocks(number, "none")):
                return True
        return None

    async def _blocks(self, slot: int, details: str) -> list[SlotBlock]:
        """The final block of a slot, as each provider that has it gives it."""
        options = {
            "commitment": FINAL,
            "transactionDetails": details,
            "rewards": False,
            "maxSupportedTransactionVersion": NEWEST_VERSION,
        }
        kind = SlotBlock | None
        found = await self.node.everywhere("getBlock", [slot, options], kind)  # type: ignore[arg-type]
        return [one for one in found if isinstance(one, SlotBlock)]

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

    async def clock(self, at: Commitment = "confirmed") -> int:
        """The cluster's time, in unix seconds."""
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


def paging(before: str | None, until: str | None, limit: int, commitment: str) -> dict[str, Any]:
    """How to ask for a page of signatures between two others, neither of them included."""
    options: dict[str, Any] = {"commitment": commitment, "limit": limit}
    if before:
        options["before"] = before
    if until:
        options["until"] = until
    return options


def body(commitment: str) -> dict[str, Any]:
    """How to ask for a transaction."""
    return {
        "commitment": commitment,
        "encoding": "json",
        "maxSupportedTransactionVersion": NEWEST_VERSION,
    }


def searched(signatures: Sequence[str]) -> list[Any]:
    """How to ask for statuses, old ones too."""
    return [list(signatures), {"searchTransactionHistory": True}]


def agree(expected: str, found: str, name: str) -> None:
    """Raises `WrongChain` when a network's node serves another chain."""
    if expected != found:
        raise WrongChain(f"network {name} is {expected}, but its RPC serves {found}")
