"""Writing to EVM chains: calls built by an ABI, signed, numbered, sent and followed to the end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress
from web3 import AsyncHTTPProvider, AsyncWeb3
from web3.exceptions import ContractLogicError, TimeExhausted, Web3RPCError
from web3.types import TxParams

from chains.errors import ChainError

POLL_S = 0.1
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

    def call(self, verb: str, args: Sequence[object], *, value: int = 0) -> TxParams:
        """What to send: address, data and value."""
        data = self._contract.encode_abi(verb, args=list(args))
        return {"to": self.address, "data": data, "value": value}  # type: ignore[typeddict-item]


class Sender:
    """One signer on one network; its transactions are numbered here, one after the other."""

    def __init__(self, rpc_url: str, key: bytes | str) -> None:
        self.key: LocalAccount = Account.from_key(key)
        self._web3 = AsyncWeb3(AsyncHTTPProvider(rpc_url))
        self._turn = asyncio.Lock()
        self._tx_nonce: int | None = None
        self._chain_id: int | None = None

    @property
    def address(self) -> str:
        return self.key.address

    async def __aenter__(self) -> Sender:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._web3.provider.disconnect()

    async def send(self, call: TxParams) -> str:
        """Sign and send; the hash. Raises `SendRefused` when the node or the contract says no."""
        async with self._turn:
            try:
                signed = await self._signed(call)
                sent = await self._web3.eth.send_raw_transaction(signed)
            except (ContractLogicError, Web3RPCError) as error:
                self._tx_nonce = None  # the number was not used: ask again
                raise SendRefused(str(error)) from error
            except BaseException:
                self._tx_nonce = None
                raise
            if self._tx_nonce is not None:
                self._tx_nonce += 1
            return "0x" + sent.hex().removeprefix("0x")

    async def confirm(self, tx: str, *, timeout_s: float = 60.0) -> int:
        """The height of a tx once it is in a block. Raises `SendRefused` or `SendLost`."""
        try:
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

    async def _signed(self, call: TxParams) -> bytes:
        eth = self._web3.eth
        if self._chain_id is None:
            self._chain_id = await eth.chain_id
        if self._tx_nonce is None:
            self._tx_nonce = await eth.get_transaction_count(self.key.address, "pending")
        sender: TxParams = {**call, "from": self.key.address}
        gas = int(await eth.estimate_gas(sender) * HEADROOM)
        tip = await eth.max_priority_fee
        base = (await eth.get_block("latest"))["baseFeePerGas"]
        filled: dict[str, Any] = {
            **call,
            "nonce": self._tx_nonce,
            "chainId": self._chain_id,
            "gas": gas,
            "maxPriorityFeePerGas": tip,
            "maxFeePerGas": base * 2 + tip,
            "type": 2,
        }
        return bytes(self.key.sign_transaction(filled).raw_transaction)
