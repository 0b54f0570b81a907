"""Writing to EVM chains: calls built by an ABI, signed, numbered, sent and followed to the end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from aiohttp import ClientError
from eth_abi.abi import decode
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress
from web3 import AsyncHTTPProvider, AsyncWeb3
from web3.exceptions import ContractLogicError, TimeExhausted, Web3RPCError
from web3.types import TxParams

from chains.errors import ChainError, RpcError

POLL_S = 0.1
FEES_S = 1.0  # how long a base fee may be used: it moves by an eighth per block at most
HEADROOM = 1.25  # over the estimate of gas: a bet may cross into the next batch of seeds


class SendRefused(ChainError):
    """The chain refused a transaction, or it failed there."""


class SendLost(ChainError):
    """A transaction was sent and no block took it in time."""


class Program:
    """A contract's calls by name."""

    def __init__(self, interface: Sequence[Any], address: str) -> None:
        self.address: ChecksumAddress = AsyncWeb3.to_checksum_address(address)
        self._contract = AsyncWeb3().eth.contract(self.address, abi=list(interface))
        self._answers = {
            part["name"]: [output["type"] for output in part["outputs"]]
            for part in interface
            if part["type"] == "function"
        }

    def call(self, verb: str, args: Sequence[object], *, value: int = 0) -> TxParams:
        """What to send: address, data and value."""
        data = self._contract.encode_abi(verb, args=list(args))
        return {"to": self.address, "data": data, "value": value}  # type: ignore[typeddict-item]

    def answer(self, verb: str, data: bytes) -> Any:
        """What a view returned: its only value, or a list of all."""
        if not data:
            raise SendRefused(f"there is no contract at {self.address}")
        values = decode(self._answers[verb], data)
        return values[0] if len(values) == 1 else list(values)


@contextlib.contextmanager
def asking() -> Iterator[None]:
    """Whatever goes wrong on the way to a node, in our words."""
    try:
        yield
    except (ContractLogicError, Web3RPCError) as error:
        raise SendRefused(str(error)) from error
    except (ClientError, OSError, TimeoutError) as error:
        raise RpcError(f"the node does not answer: {error}") from error


class Sender:
    """One signer on one network; its transactions are numbered here, one after the other."""

    def __init__(self, rpc_url: str, key: bytes | str) -> None:
        self.key: LocalAccount = Account.from_key(key)
        self._web3 = AsyncWeb3(AsyncHTTPProvider(rpc_url))
        self._turn = asyncio.Lock()
        self._tx_nonce: int | None = None
        self._chain_id: int | None = None
        self._fees: tuple[float, int, int] = (-FEES_S, 0, 0)
        self._sent: dict[int, dict[str, Any]] = {}

    @property
    def address(self) -> str:
        return self.key.address

    async def __aenter__(self) -> Sender:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._web3.provider.disconnect()

    async def send(self, call: TxParams) -> str:
        """Sign and send; the hash. Raises `SendRefused` when the node or the contract says no.

        A call that names its gas is not tried out first.
        """
        async with self._turn:
            try:
                with asking():
                    filled = await self._filled(call)
                    tx = await self._broadcast(filled)
            except BaseException:
                self._tx_nonce = None  # whether the number was used, the node knows
                raise
            self._tx_nonce = int(filled["nonce"]) + 1
            self._sent[int(filled["nonce"])] = filled
            return tx

    async def renew(self) -> int:
        """Send what still waits again, for a quarter more; how many that were."""
        async with self._turn, contextlib.AsyncExitStack() as stack:
            stack.enter_context(asking())
            landed = await self._web3.eth.get_transaction_count(self.key.address, "latest")
            self._sent = {n: filled for n, filled in self._sent.items() if n >= landed}
            for filled in self._sent.values():
                for fee in ("maxFeePerGas", "maxPriorityFeePerGas"):
                    filled[fee] = filled[fee] * 5 // 4 + 1
                with contextlib.suppress(Web3RPCError):  # it landed meanwhile
                    await self._broadcast(filled)
            self._tx_nonce = None
            return len(self._sent)

    async def read(
        self,
        program: Program,
        verb: str,
        args: Sequence[object] = (),
        *,
        at: Literal["latest", "finalized"] = "latest",
    ) -> Any:
        """What a view of the contract answers."""
        with asking():
            return program.answer(verb, await self._web3.eth.call(program.call(verb, args), at))

    async def confirm(self, tx: str, *, timeout_s: float = 60.0) -> int:
        """The height of a tx once it is in a block. Raises `SendRefused` or `SendLost`."""
        try:
            with asking():
                receipt = await self._web3.eth.wait_for_transaction_receipt(
                    tx,  # type: ignore[arg-type]
                    timeout_s,
                    POLL_S,
                )
        except TimeExhausted as error:
            raise SendLost(f"{tx} did not land within {timeout_s:.0f} s") from error
        if receipt["status"] != 1:
            raise SendRefused(f"{tx} failed in block {receipt['blockNumber']}")
        return receipt["blockNumber"]

    async def deploy(self, bytecode: str, interface: Sequence[Any], args: Sequence[object]) -> str:
        """The address of a new contract."""
        made = self._web3.eth.contract(abi=list(interface), bytecode=bytecode)
        data = made.constructor(*args).data_in_transaction
        tx = await self.send({"data": data, "value": 0})  # type: ignore[typeddict-item]
        await self.confirm(tx)
        receipt = await self._web3.eth.get_transaction_receipt(tx)  # type: ignore[arg-type]
        return str(receipt["contractAddress"]).lower()

    async def _filled(self, call: TxParams) -> dict[str, Any]:
        """The call with number, gas and fees."""
        eth = self._web3.eth
        if self._chain_id is None:
            self._chain_id = await eth.chain_id
        if self._tx_nonce is None:
            self._tx_nonce = await eth.get_transaction_count(self.key.address, "pending")
            self._sent = {n: filled for n, filled in self._sent.items() if n < self._tx_nonce}
        gas = call.get("gas")
        if gas is None:
            sender: TxParams = {**call, "from": self.key.address}
            gas = int(await eth.estimate_gas(sender) * HEADROOM)
        base, tip = await self._fee()
        return {
            **call,
            "nonce": self._tx_nonce,
            "chainId": self._chain_id,
            "gas": gas,
            "maxPriorityFeePerGas": tip,
            "maxFeePerGas": base * 2 + tip,
            "type": 2,
        }

    async def _fee(self) -> tuple[int, int]:
        """Base fee and tip, asked for at most once a second."""
        at, base, tip = self._fees
        now = asyncio.get_running_loop().time()
        if now - at >= FEES_S:
            tip = await self._web3.eth.max_priority_fee
            base = (await self._web3.eth.get_block("latest"))["baseFeePerGas"]
            self._fees = (now, base, tip)
        return base, tip

    async def _broadcast(self, filled: dict[str, Any]) -> str:
        signed = self.key.sign_transaction(filled)
        sent = await self._web3.eth.send_raw_transaction(signed.raw_transaction)
        return "0x" + sent.hex().removeprefix("0x")
