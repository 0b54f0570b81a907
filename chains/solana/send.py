"""Writing to Solana: instructions built by an Anchor IDL, signed, sent and followed to the end."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import struct
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.hash import Hash, ParseHashError
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from chains.errors import ChainError, RpcError
from chains.http import Refused
from chains.solana.rpc import Commitment, Rpc, Status, Statuses

INTEGERS = {
    "u8": 1,
    "u16": 2,
    "u32": 4,
    "u64": 8,
    "u128": 16,
    "i8": 1,
    "i16": 2,
    "i32": 4,
    "i64": 8,
}
POLL_S = 0.1
# What is offered for a compute unit, in millionths of a lamport: nothing at first, then this, then
# twice as much each time.
FIRST_PRICE = 10_000
UNITS = 200_000  # what the runtime gives an instruction that asks for nothing
PRICING_UNITS = 1_000  # more than the two instructions use that set limit and price
OFFERED_S = 600.0  # how long an offer is remembered: a blockhash serves for a tenth of that
SIMULATED = -32002  # the code of a preflight that failed
KNOWN = re.compile(r"already been processed|alreadyprocessed", re.IGNORECASE)
Taken = Annotated[str, msgspec.Meta(pattern="^[1-9A-HJ-NP-Za-km-z]{64,88}$")]
CONFIRMED = {"commitment": "confirmed"}


class SendRefused(ChainError):
    """The chain refused a transaction; `logs` say why, `code` is the number that a program gave."""

    def __init__(self, message: str, logs: Sequence[str] = (), code: int | None = None) -> None:
        super().__init__(message)
        self.logs = tuple(logs)
        self.code = code


class SendLost(ChainError):
    """A transaction's blockhash expired before it landed: it never will."""


class Program:
    """A program's instructions by name, with derived addresses filled in."""

    def __init__(self, interface: Mapping[str, Any], address: str) -> None:
        self.address = Pubkey.from_string(address)
        self._verbs = {verb["name"]: verb for verb in interface["instructions"]}
        self._errors = {one["code"]: one["name"] for one in interface.get("errors", [])}

    def call(
        self, verb: str, args: Mapping[str, Any], accounts: Mapping[str, Pubkey]
    ) -> Instruction:
        """One instruction. Accounts that the IDL derives or fixes need not be given."""
        shape = self._verbs[verb]
        kinds = {arg["name"]: arg["type"] for arg in shape["args"]}
        written = {name: _encode(kind, args[name]) for name, kind in kinds.items()}
        # Texts are seeds without their length.
        seeds = {name: raw[4 * (kinds[name] == "string") :] for name, raw in written.items()}
        known = {"program": self.address, **accounts}  # Anchor appends it for events, unnamed
        metas = []
        for account in shape["accounts"]:
            key = known.setdefault(account["name"], self._address(account, known, seeds))
            metas.append(
                AccountMeta(key, account.get("signer", False), account.get("writable", False))
            )
        data = bytes(shape["discriminator"]) + b"".join(written.values())
        return Instruction(self.address, data, metas)

    def error(self, code: int | None) -> str | None:
        """The name of the error that an instruction ended with."""
        return None if code is None else self._errors.get(code)

    def derive(self, *seeds: bytes) -> Pubkey:
        return Pubkey.find_program_address(list(seeds), self.address)[0]

    def _address(
        self,
        account: Mapping[str, Any],
        known: Mapping[str, Pubkey],
        written: Mapping[str, bytes],
    ) -> Pubkey:
        name = account["name"]
        if name in known:
            return known[name]
        if "address" in account:
            return Pubkey.from_string(account["address"])
        if "pda" not in account:
            raise KeyError(f"account {name!r} must be given")
        return self.derive(*(_seed(seed, known, written) for seed in account["pda"]["seeds"]))


def _seed(
    seed: Mapping[str, Any], known: Mapping[str, Pubkey], written: Mapping[str, bytes]
) -> bytes:
    match seed:
        case {"kind": "const", "value": value}:
            return bytes(value)
        case {"kind": "account", "path": str(path)} if path in known:
            return bytes(known[path])
        case {"kind": "arg", "path": str(path)} if path in written:
            return written[path]
    raise KeyError(f"the seed {seed} cannot be known before sending: give the account")


def _encode(kind: Any, value: Any) -> bytes:
    """A value in Borsh, for the types that instructions here take."""
    match kind:
        case str() if kind in INTEGERS:
            return int(value).to_bytes(INTEGERS[kind], "little", signed=kind[0] == "i")
        case "bool":
            return b"\x01" if value else b"\0"
        case "pubkey":
            return bytes(Pubkey.from_string(value) if isinstance(value, str) else value)
        case "string" | "bytes":
            raw = value.encode() if isinstance(value, str) else bytes(value)
            return struct.pack("<I", len(raw)) + raw
        case {"array": ["u8", int(size)]}:
            if len(value) != size:
                raise ValueError(f"{size} bytes are needed, not {len(value)}")
            return bytes(value)
        case {"vec": inner}:
            return struct.pack("<I", len(value)) + b"".join(_encode(inner, one) for one in value)
    raise TypeError(f"cannot write a {kind}")


class Latest(msgspec.Struct, rename="camel"):
    blockhash: str
    last_valid_block_height: int = 0


class LatestBlockhash(msgspec.Struct):
    value: Latest


class Simulated(msgspec.Struct):
    err: Any = None
    logs: list[str] | None = None


class Simulation(msgspec.Struct):
    value: Simulated


@dataclass(frozen=True, slots=True)
class Signed:
    """A tx as it may land, up to the block height `last_valid`."""

    tx: str
    raw: bytes
    last_valid: int


@dataclass(frozen=True, slots=True)
class Offer:
    """What was offered for a compute unit when something was signed last, and when that was."""

    price: int
    blockhash: Hash
    at: float


def risen(price: int, cap: int) -> int:
    """What is offered for a compute unit when so much was not enough."""
    return min(max(FIRST_PRICE, 2 * price), cap)


def priced(instructions: Sequence[Instruction], price: int) -> list[Instruction]:
    """The same, at so many millionths of a lamport for each compute unit that they may use."""
    if not price:
        return list(instructions)
    limit = set_compute_unit_limit(units(instructions))
    return [limit, set_compute_unit_price(price), *instructions]


def units(instructions: Sequence[Instruction]) -> int:
    """The compute units that these may use; they are paid for, used or not."""
    return UNITS * len(instructions) + PRICING_UNITS


def custom(err: Any) -> int | None:
    """The number that a program ended with, in an error as Solana says it."""
    match err:
        case {"InstructionError": [_, {"Custom": int(code)}]}:
            return code
    return None


def judged(error: Refused) -> ChainError | None:
    """A refusal that no other node would take back, with what the programs logged."""
    if error.retryable and error.code != SIMULATED:
        return None
    data = error.data if isinstance(error.data, dict) else {}
    logs = data.get("logs")
    lines = [str(line) for line in logs] if isinstance(logs, list) else []
    return SendRefused(error.said, lines, custom(data.get("err")))


class Sender:
    """One signer on one network. A context manager; sends in parallel as often as asked.

    `reuse_s` is how long one blockhash serves: equal instructions within it are one transaction.
    What is signed again under another one did not land, so more is offered for it: up to
    `most_price` millionths of a lamport for a compute unit, by default nothing ever. Closes the
    `Rpc` it is given.
    """

    def __init__(
        self, rpc: Rpc | str, key: Keypair, *, reuse_s: float = 0.0, most_price: int = 0
    ) -> None:
        self.key = key
        self.rpc = Rpc([rpc], rate=1_000) if isinstance(rpc, str) else rpc
        self._reuse_s, self._most_price = reuse_s, most_price
        self._blockhash: tuple[float, Hash | None] = (0.0, None)
        self._offers: dict[Hashable, Offer] = {}  # the oldest first

    @property
    def address(self) -> str:
        return str(self.key.pubkey())

    async def __aenter__(self) -> Sender:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.rpc.close()

    async def send(
        self, instructions: Sequence[Instruction], *signers: Keypair, about: Hashable = None
    ) -> str:
        """Sign and send; the signature. Raises `SendRefused` when the preflight fails.

        `about` says what this is where its instructions differ from one try to the next.
        """
        blockhash = await self._latest()
        what = about or _digest(instructions)
        offer = self._offer(what, blockhash)
        signed = self._signed(priced(instructions, offer.price), blockhash, signers)
        await self.broadcast(bytes(signed))
        self._remember(what, offer)  # what no node took was not too cheap
        return str(signed.signatures[0])

    async def sign(self, instructions: Sequence[Instruction]) -> Signed:
        """A tx of its own, which nobody else has yet."""
        latest = await self._ask_latest()
        if not latest.last_valid_block_height:
            raise RpcError("getLatestBlockhash: it does not say how long it serves")
        blockhash, what = _hash(latest), _digest(instructions)
        offer = self._offer(what, blockhash)
        made = self._signed(priced(instructions, offer.price), blockhash, ())
        self._remember(what, offer)
        return Signed(str(made.signatures[0]), bytes(made), latest.last_valid_block_height)

    def extra(self, instructions: Sequence[Instruction]) -> int:
        """The lamports, beyond those for signatures, that these cost if they are signed now."""
        price = self._offer(_digest(instructions), None).price
        return -(-price * units(instructions) // 10**6)

    async def broadcast(self, raw: bytes) -> None:
        """Give a signed tx to a node, as often as you like. Raises `SendRefused`."""
        said = base64.b64encode(raw).decode()
        options = {"encoding": "base64", "preflightCommitment": "confirmed"}
        try:
            await self.rpc.node.ask("sendTransaction", [said, options], Taken, judge=judged)
        except SendRefused as error:
            if KNOWN.search(str(error)) is None:  # a node took it before and did not say so
                raise

    async def tried(self, instructions: Sequence[Instruction]) -> None:
        """Raises `SendRefused` if the programs would refuse now. What is shown could never land."""
        price = self._offer(_digest(instructions), None).price
        never = self._signed(priced(instructions, price), Hash.default(), ())
        raw = base64.b64encode(bytes(never)).decode()
        options = {"encoding": "base64", "commitment": "confirmed", "replaceRecentBlockhash": True}
        asked = await self.rpc.node.ask(
            "simulateTransaction", [raw, options], Simulation, judge=judged
        )
        if asked.value.err is not None:
            err = asked.value.err
            raise SendRefused(f"it would fail: {err}", asked.value.logs or (), custom(err))

    async def confirm(self, tx: str, *, timeout_s: float = 60.0) -> int:
        """The slot of a tx once it is confirmed. Raises `SendRefused` or `SendLost`."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while asyncio.get_running_loop().time() < deadline:
            status = await self._status(tx)
            if status is not None:
                if status.err is not None:
                    raise SendRefused(f"{tx} failed: {status.err}")
                if status.confirmation_status in ("confirmed", "finalized"):
                    return status.slot
            await asyncio.sleep(POLL_S)
        raise SendLost(f"{tx} did not land within {timeout_s:.0f} s")

    async def read(self, address: Pubkey, *, at: Commitment = "confirmed") -> bytes | None:
        """An account's data, or None when there is no such account."""
        return await self.rpc.data(str(address), at=at)

    async def balance(self, address: Pubkey) -> int:
        return await self.rpc.balance(str(address))

    async def after(self, slot: int) -> None:
        """Wait until the confirmed slot is beyond `slot`."""
        while await self.rpc.head() <= slot:
            await asyncio.sleep(POLL_S)

    async def _status(self, tx: str) -> Status | None:
        try:
            told = await self.rpc.node.ask("getSignatureStatuses", [[tx]], Statuses)
        except RpcError:  # an unreachable node says nothing about the tx
            return None
        return told.value[0] if told.value else None

    def _signed(
        self, instructions: Sequence[Instruction], blockhash: Hash, signers: Sequence[Keypair]
    ) -> VersionedTransaction:
        message = MessageV0.try_compile(self.key.pubkey(), list(instructions), [], blockhash)
        return VersionedTransaction(message, [self.key, *signers])

    def _offer(self, what: Hashable, blockhash: Hash | None) -> Offer:
        """What to offer for something under a blockhash, None for one that nothing had before."""
        now = asyncio.get_running_loop().time()
        before = self._offers.get(what)
        if before is None or now - before.at > OFFERED_S:
            price = 0
        elif before.blockhash == blockhash:
            price = before.price  # the same tx
        else:
            price = risen(before.price, self._most_price)
        return Offer(price, blockhash or Hash.default(), now)

    def _remember(self, what: Hashable, offer: Offer) -> None:
        if not self._most_price:
            return
        self._offers.pop(what, None)
        self._offers[what] = offer
        for old, one in list(self._offers.items()):
            if offer.at - one.at <= OFFERED_S:
                break
            del self._offers[old]

    async def _latest(self) -> Hash:
        at, blockhash = self._blockhash
        now = asyncio.get_running_loop().time()
        if blockhash is None or now - at >= self._reuse_s:
            blockhash = _hash(await self._ask_latest())
            self._blockhash = (now, blockhash)
        return blockhash

    async def _ask_latest(self) -> Latest:
        asked = await self.rpc.node.ask("getLatestBlockhash", [CONFIRMED], LatestBlockhash)
        return asked.value


def _digest(instructions: Sequence[Instruction]) -> bytes:
    """What instructions are known by: equal ones do the same."""
    said = hashlib.sha256()
    for one in instructions:
        said.update(bytes(one))
    return said.digest()


def _hash(latest: Latest) -> Hash:
    try:
        return Hash.from_string(latest.blockhash)
    except ParseHashError as error:
        raise RpcError("getLatestBlockhash: no blockhash came") from error
