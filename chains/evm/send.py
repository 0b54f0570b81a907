"""Writing to EVM chains: calls built by an ABI, signed, numbered, sent and followed to the end."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError, EncodingError
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_typing import ChecksumAddress, HexStr
from eth_utils.abi import collapse_if_tuple
from hexbytes import HexBytes
from web3 import AsyncWeb3
from web3.types import TxParams, Wei

from chains.errors import ChainError, RpcError
from chains.evm.address import keccak256
from chains.evm.rpc import Hash, Header, Quantity, Receipt, Rpc
from chains.http import Call, Refused, typed

POLL_S = 0.1
FEES_S = 1.0  # how long a base fee may be used: it moves by an eighth per block at most
RENEW_S = 15.0  # how long a tx waits before more is offered for it
HEADROOM = 1.25  # over the estimate of gas: a bet may cross into the next batch of seeds
MOST_WAITING = 64  # what nodes keep of one sender's txs
NOTHING_GAS = 21_000  # what a tx costs that does nothing
# Nodes take a tx in another's place for a tenth more, some for an eighth.
DEARER = (9, 8)
KNOWN = re.compile(
    r"already (known|imported|exists)|known transaction|alreadyknown|already in (the )?\w*pool",
    re.IGNORECASE,
)
PAST = re.compile(r"nonce( is)? too low|old nonce|nonce.*already used", re.IGNORECASE)
STRICT = AsyncWeb3().codec  # bytes32 takes 32 bytes and no fewer
REVERTED = 3  # the code of a call that the contract refused


class SendRefused(ChainError):
    """The chain refused a transaction, or it failed there; `data` is what the contract said."""

    def __init__(self, message: str, data: str = "") -> None:
        super().__init__(message)
        self.data = data


class SendLost(ChainError):
    """A transaction was sent and no block took it in time."""


class Program:
    """A contract's calls by name."""

    def __init__(self, interface: Sequence[Any], address: str) -> None:
        self.address: ChecksumAddress = AsyncWeb3.to_checksum_address(address)
        verbs = [part for part in interface if part["type"] == "function"]
        self._calls = {part["name"]: (bytes.fromhex(selector(part)), takes(part)) for part in verbs}
        self._answers = {part["name"]: gives(part) for part in verbs}
        self._errors = {selector(part): part["name"] for part in interface if is_error(part)}

    def call(self, verb: str, args: Sequence[object], *, value: int = 0) -> TxParams:
        """What to send: address, data and value. Raises `ValueError` for arguments of other types.

        As web3's contracts would have it, which look the verb up in the whole ABI at every call:
        that took as long as signing and sending.
        """
        select, kinds = self._calls[verb]
        try:
            data = HexStr("0x" + (select + STRICT.encode(kinds, args)).hex())
        except (EncodingError, TypeError) as error:
            raise ValueError(f"{verb}: {error}") from error
        return {"to": self.address, "data": data, "value": Wei(value)}

    def answer(self, verb: str, data: bytes) -> Any:
        """What a view returned: its only value, or a list of all."""
        if not data:
            raise SendRefused(f"there is no contract at {self.address}")
        try:
            values = decode(self._answers[verb], data)
        except (DecodingError, ValueError, OverflowError) as error:
            raise RpcError(f"{verb}: an answer of another shape") from error
        return values[0] if len(values) == 1 else list(values)

    def error(self, data: str) -> str | None:
        """The name of the error that a call was reverted with."""
        return self._errors.get(data[2:10].lower())


def is_error(part: Mapping[str, Any]) -> bool:
    return bool(part["type"] == "error")


def selector(part: Mapping[str, Any]) -> str:
    """The four bytes in hex by which an ABI's function or error is known."""
    return keccak256(f"{part['name']}({','.join(takes(part))})".encode())[:4].hex()


def takes(part: Mapping[str, Any]) -> list[str]:
    """The types that an ABI's function or error takes, in order."""
    return [collapse_if_tuple(one) for one in part["inputs"]]


def gives(part: Mapping[str, Any]) -> list[str]:
    """The types that an ABI's function returns, in order."""
    return [collapse_if_tuple(one) for one in part["outputs"]]


@dataclass(frozen=True, slots=True)
class Market:
    """What the newest block costs, and how many of our txs have landed by then."""

    asked_at: float
    height: int
    base: int
    tip: int
    landed: int


@dataclass(frozen=True, slots=True)
class Fees:
    """What is offered for each gas: at most `most`, of it `tip` to the block's maker."""

    most: int
    tip: int

    @classmethod
    def of(cls, market: Market, cap: int | None) -> Fees:
        return cls(market.base * 2 + market.tip, market.tip).under(cap)

    def under(self, cap: int | None) -> Fees:
        most = self.most if cap is None else min(self.most, cap)
        return Fees(most, min(self.tip, most))

    def dearer(self, market: Fees, cap: int | None) -> Fees:
        """The market's fees, yet so much more than these that a node takes them instead.

        These again where the cap does not allow that.
        """
        times, over = DEARER
        least = Fees(-(-self.most * times // over), -(-self.tip * times // over))
        risen = Fees(max(market.most, least.most), max(market.tip, least.tip)).under(cap)
        return risen if risen.most >= least.most and risen.tip >= least.tip else self


@dataclass(frozen=True, slots=True)
class Signed:
    """A tx as it may land: its hash, its bytes, its number among those of its sender."""

    tx: str
    raw: bytes
    tx_nonce: int

    def call(self) -> tuple[dict[str, Any], Fees]:
        """What was signed, and for which fees."""
        said = TypedTransaction.from_bytes(HexBytes(self.raw)).as_dict()
        call = {"to": AsyncWeb3.to_checksum_address(said["to"]), "data": said["data"]}
        call |= {"value": said["value"], "gas": said["gas"]}
        return call, Fees(said["maxFeePerGas"], said["maxPriorityFeePerGas"])


Note = Callable[[Signed], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A tx that was sent and has not landed; `hashes` are its names under each fee so far.

    `note` is told of each of them before anybody else.
    """

    call: Mapping[str, Any]
    fees: Fees
    sent_at: float
    height: int
    hashes: tuple[str, ...] = field(repr=False)
    note: Note | None = field(default=None, repr=False)


def judged(error: Refused) -> ChainError | None:
    """A refusal that no other node would take back."""
    reverted = error.code == REVERTED or "revert" in error.said.lower()
    data = error.data if isinstance(error.data, str) else ""
    return SendRefused(str(error), data) if reverted or not error.retryable else None


class Sender:
    """One signer on one network; its transactions are numbered here, one after the other.

    `most_fee` is the most wei that is ever offered for one gas; `renew_s` how long a tx waits
    before `renew` offers more for it. Closes the `Rpc` it is given.
    """

    def __init__(
        self,
        rpc: Rpc | str,
        key: bytes | str,
        *,
        most_fee: int | None = None,
        renew_s: float = RENEW_S,
    ) -> None:
        self.key: LocalAccount = Account.from_key(key)
        self.rpc = Rpc([rpc], rate=1_000) if isinstance(rpc, str) else rpc
        self._most_fee, self._renew_s = most_fee, renew_s
        self._turn = asyncio.Lock()
        self._tx_nonce: int | None = None
        self._chain_id = 0
        self._market: Market | None = None
        self._waiting: dict[int, Waiting] = {}

    @property
    def address(self) -> str:
        return self.key.address

    async def __aenter__(self) -> Sender:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.rpc.close()

    async def send(self, call: TxParams, note: Note | None = None) -> str:
        """Sign and send; the hash. Raises `SendRefused` when the node or the contract says no.

        A call that names its gas is not tried out first. `note` is told what was signed before it
        is sent, now and whenever more is offered for it; it may refuse with a `SendRefused`.
        """
        async with self._turn:
            try:
                return await self._send(call, note)
            except BaseException:
                self._tx_nonce = None  # whether the number was used, the node knows
                raise

    async def resume(self, signed: Sequence[Signed], note: Note) -> None:
        """Take up a tx of a life before this one, whatever was offered for it, the newest last.

        It keeps its number, unless another tx of ours has it. Raises `RpcError`.
        """
        newest = signed[-1]
        async with self._turn:
            market = await self._look(afresh=True)
            held = self._waiting.get(newest.tx_nonce)
            if newest.tx_nonce < market.landed or (held is not None and held.hashes):
                return
            call, fees = newest.call()
            hashes = tuple(one.tx for one in signed)
            waiting = Waiting(call, fees, _now(), market.height, hashes, note)
            self._waiting[newest.tx_nonce] = waiting
            with contextlib.suppress(SendRefused):  # cheap or known: more is offered in time
                await self._broadcast(newest.tx, "0x" + newest.raw.hex())

    async def tried(self, call: TxParams) -> int:
        """The gas that a call may use, if the contract took it now. Raises `SendRefused`."""
        return await self._gas(call)

    async def dearest(self, gas: int) -> int:
        """What so much gas costs at most, if it were sent now."""
        async with self._turn:
            market = await self._look()
            return gas * Fees.of(market, self._most_fee).most

    async def renew(self) -> int:
        """Send again what waits for long, and offer more for it; how many txs a node took.

        Nothing is sent again before a new block has come: what no block could take is not too
        cheap. The first tx holds up all others, so it rises by itself; those follow the market.
        """
        async with self._turn:
            if not any(self._due(one) for one in self._waiting.values()):
                return 0
            market = await self._look(afresh=True)
            price = Fees.of(market, self._most_fee)
            taken = 0
            for nonce in sorted(self._waiting):
                one = self._waiting[nonce]
                if not self._due(one) or market.height <= one.height:
                    continue
                risen = one.fees
                if nonce == market.landed or one.fees.most < market.base + market.tip:
                    risen = one.fees.dearer(price, self._most_fee)
                taken += await self._renewed(nonce, one, risen, market)
            return taken

    async def waits(self, tx: str) -> bool:
        """Whether a tx that was sent here has not landed, whatever is offered for it by now."""
        async with self._turn:
            if not any(tx in one.hashes for one in self._waiting.values()):
                return False
            await self._look()
            return any(tx in one.hashes for one in self._waiting.values())

    async def read(
        self, program: Program, verb: str, args: Sequence[object] = (), *, at: int | None = None
    ) -> Any:
        """What a view of the contract answers, now or at a height."""
        return await read(self.rpc, program, verb, args, at=at)

    async def confirm(self, tx: str, *, timeout_s: float = 60.0) -> int:
        """The height of a tx once it is in a block. Raises `SendRefused` or `SendLost`."""
        receipt = await self._receipt(tx, timeout_s)
        height = int(receipt.block_number, 16)
        if int(receipt.status, 16) != 1:
            raise SendRefused(f"{tx} failed in block {height}")
        return height

    async def deploy(self, bytecode: str, interface: Sequence[Any], args: Sequence[object]) -> str:
        """The address of a new contract."""
        made = AsyncWeb3().eth.contract(abi=list(interface), bytecode=bytecode)
        data = made.constructor(*args).data_in_transaction
        tx = await self.send({"data": data, "value": 0})  # type: ignore[typeddict-item]
        await self.confirm(tx)
        return str((await self._receipt(tx, POLL_S)).contract_address).lower()

    async def _receipt(self, tx: str, timeout_s: float) -> Receipt:
        deadline = asyncio.get_running_loop().time() + timeout_s
        while True:
            receipt: Receipt | None = await self.rpc.node.ask(
                "eth_getTransactionReceipt",
                [tx],
                Receipt | None,  # type: ignore[arg-type]
            )
            if receipt is not None:
                return receipt
            if asyncio.get_running_loop().time() > deadline:
                raise SendLost(f"{tx} did not land within {timeout_s:.0f} s")
            await asyncio.sleep(POLL_S)

    async def _send(self, call: TxParams, note: Note | None) -> str:
        market = await self._look(afresh=len(self._waiting) >= MOST_WAITING)
        if len(self._waiting) >= MOST_WAITING:
            raise SendRefused(f"{len(self._waiting)} txs of {self.address} wait already")
        if self._tx_nonce is None or self._gaps(market):
            self._tx_nonce = await self._next(market)
        filled = {**call, "gas": call.get("gas") or await self._gas(call)}
        nonce, fees = self._tx_nonce, Fees.of(market, self._most_fee)
        tx, raw = self._signed(filled, nonce, fees)
        waiting = Waiting(filled, fees, _now(), market.height, (tx,), note)
        if note is not None:
            # From here on it may land, whatever a node says or does not say: it keeps its number,
            # and is sent again soon if nobody said that it was taken.
            await note(Signed(tx, bytes.fromhex(raw[2:]), nonce))
            self._waiting[nonce] = replace(waiting, sent_at=_now() - self._renew_s)
        try:
            await self._broadcast(tx, raw)
        except SendRefused:
            if note is not None:
                del self._waiting[nonce]
            raise
        self._waiting[nonce] = waiting
        self._tx_nonce = nonce + 1
        return tx

    async def _renewed(self, nonce: int, one: Waiting, fees: Fees, market: Market) -> bool:
        """Whether a node took it for these fees; if not, the old ones stand."""
        tx, raw = self._signed(one.call, nonce, fees)
        tried = replace(one, sent_at=_now(), height=market.height)
        self._waiting[nonce] = tried
        try:
            if one.note is not None:
                await one.note(Signed(tx, bytes.fromhex(raw[2:]), nonce))
            await self._broadcast(tx, raw)
        except SendRefused:  # it landed meanwhile, or what the node has is worth more
            if not one.hashes:  # and what that is, only offers can tell
                self._waiting[nonce] = replace(tried, fees=fees)
            return False
        names = tuple(dict.fromkeys((*one.hashes, tx)))
        self._waiting[nonce] = replace(tried, fees=fees, hashes=names)
        return True

    def _due(self, one: Waiting) -> bool:
        return _now() - one.sent_at >= self._renew_s

    async def _look(self, *, afresh: bool = False) -> Market:
        """The market, asked for at most once a second or afresh; what landed waits no longer."""
        known = self._market
        if known is not None and not afresh and _now() - known.asked_at < FEES_S:
            return known
        if not self._chain_id:
            self._chain_id = int((await self.rpc.network()).partition(":")[2])
        calls: list[Call] = [
            ("eth_maxPriorityFeePerGas", []),
            ("eth_getBlockByNumber", ["latest", False]),
            ("eth_getTransactionCount", [self.address, "latest"]),
        ]
        found: list[Market] = []
        await self.rpc.node.ask_together(
            calls, check=lambda answers: found.append(_market(answers))
        )
        self._market = found[-1]
        landed = self._market.landed
        self._waiting = {nonce: one for nonce, one in self._waiting.items() if nonce >= landed}
        return self._market

    async def _next(self, market: Market) -> int:
        """The next number: beyond what the node knows of, and what another one took just now.

        Txs that wait and are not ours to send again, such as those of a life before this one, may
        be stuck: in time they make room for one that does nothing, at the market's price. So does
        what landed and was dropped with its block by a reorg, where later ones wait for it.
        """
        asked = [self.address, "pending"]
        pending = int(await self._ask("eth_getTransactionCount", asked, Quantity), 16)
        recent = _now() - 4 * self._renew_s
        mine = [nonce + 1 for nonce, one in self._waiting.items() if one.sent_at > recent]
        following = max([pending, *mine])
        room = {"to": self.address, "value": 0, "gas": NOTHING_GAS}
        for nonce in range(market.landed, min(following, market.landed + MOST_WAITING)):
            unknown = Waiting(room, Fees(0, 0), _now(), market.height, ())
            self._waiting.setdefault(nonce, unknown)
        return following

    def _gaps(self, market: Market) -> bool:
        """Whether the chain waits for a number that we count as landed: a reorg took it away."""
        beyond = self._tx_nonce is not None and self._tx_nonce > market.landed
        return beyond and market.landed not in self._waiting

    async def _gas(self, call: TxParams) -> int:
        asked = {**call, "from": self.address, "value": hex(call.get("value", 0))}
        return int(int(await self._ask("eth_estimateGas", [asked], Quantity), 16) * HEADROOM)

    async def _broadcast(self, tx: str, raw: str) -> None:
        """Raises `SendRefused` unless a node has it; one may have taken it and not said so."""
        try:
            await self._ask("eth_sendRawTransaction", [raw], Hash)
        except SendRefused as error:
            if KNOWN.search(str(error)) is not None:
                return
            if PAST.search(str(error)) is None or await self._unheard(tx):
                raise

    async def _unheard(self, tx: str) -> bool:
        return await self._ask("eth_getTransactionByHash", [tx], dict[str, Any] | None) is None

    async def _ask(self, method: str, params: Sequence[Any], kind: Any) -> Any:
        return await self.rpc.node.ask(method, params, kind, judge=judged)

    def _signed(self, call: Mapping[str, Any], nonce: int, fees: Fees) -> tuple[str, str]:
        """The hash and the bytes of a tx."""
        signed = self.key.sign_transaction(
            {
                **call,
                "nonce": nonce,
                "chainId": self._chain_id,
                "maxPriorityFeePerGas": fees.tip,
                "maxFeePerGas": fees.most,
                "type": 2,
            }
        )
        return "0x" + signed.hash.hex(), "0x" + signed.raw_transaction.hex()


async def read(
    rpc: Rpc, program: Program, verb: str, args: Sequence[object] = (), *, at: int | None = None
) -> Any:
    """What a view of a contract answers, now or at a height."""
    call = program.call(verb, args)
    asked = {"to": call["to"], "data": call["data"]}
    try:
        return program.answer(verb, await rpc.call(asked, at))
    except Refused as error:
        raise judged(error) or error from error


def _market(answers: Sequence[msgspec.Raw]) -> Market:
    """Raises `RpcError` when a node tells no price."""
    tip: str = typed(answers[0], Quantity)
    head, landed = typed(answers[1], Header), typed(answers[2], Quantity)
    if head.base_fee_per_gas is None:
        raise RpcError("the newest block has no base fee")
    base = int(head.base_fee_per_gas, 16)
    return Market(_now(), int(head.number, 16), base, int(tip, 16), int(landed, 16))


def _now() -> float:
    return asyncio.get_running_loop().time()
