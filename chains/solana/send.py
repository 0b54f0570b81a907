"""Writing to Solana: instructions built by an Anchor IDL, signed, sent and followed to the end."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from solana.exceptions import SolanaRpcException
from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Commitment, Confirmed
from solana.rpc.core import RPCException
from solana.rpc.models import TxOpts
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from chains.errors import ChainError, RpcError

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


class SendRefused(ChainError):
    """The chain refused a transaction; `logs` say why."""

    def __init__(self, message: str, logs: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.logs = tuple(logs)


class SendLost(ChainError):
    """A transaction's blockhash expired before it landed: it never will."""


class Program:
    """A program's instructions by name, with derived addresses filled in."""

    def __init__(self, interface: Mapping[str, Any], address: str) -> None:
        self.address = Pubkey.from_string(address)
        self._verbs = {verb["name"]: verb for verb in interface["instructions"]}

    def call(
        self, verb: str, args: Mapping[str, Any], accounts: Mapping[str, Pubkey]
    ) -> Instruction:
        """One instruction. Accounts that the IDL derives or fixes need not be given."""
        shape = self._verbs[verb]
        kinds = {arg["name"]: arg["type"] for arg in shape["args"]}
        written = {name: _encode(kind, args[name]) for name, kind in kinds.items()}
        known = {"program": self.address, **accounts}  # Anchor appends it for events, unnamed
        metas = []
        for account in shape["accounts"]:
            key = known.setdefault(account["name"], self._address(account, known, written))
            metas.append(
                AccountMeta(key, account.get("signer", False), account.get("writable", False))
            )
        data = bytes(shape["discriminator"]) + b"".join(written.values())
        return Instruction(self.address, data, metas)

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


@contextlib.contextmanager
def asking() -> Iterator[None]:
    """Whatever goes wrong on the way to a node, in our words."""
    try:
        yield
    except RPCException as error:
        answer = error.args[0] if error.args else None
        said = str(getattr(answer, "message", error)).partition(":  ")[0].splitlines()[0]
        logs = getattr(getattr(answer, "data", None), "logs", None)
        raise SendRefused(said, logs or ()) from error
    except (SolanaRpcException, OSError) as error:
        raise RpcError(f"the node does not answer: {error!r}") from error


class Sender:
    """One signer on one network. A context manager; sends in parallel as often as asked.

    `reuse_s` is how long one blockhash serves: equal instructions within it are one transaction.
    """

    def __init__(self, rpc_url: str, key: Keypair, *, reuse_s: float = 0.0) -> None:
        self.key = key
        self._client = AsyncClient(rpc_url, commitment=Confirmed)
        self._reuse_s = reuse_s
        self._blockhash: tuple[float, Hash | None] = (0.0, None)

    @property
    def address(self) -> str:
        return str(self.key.pubkey())

    async def __aenter__(self) -> Sender:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def send(self, instructions: Sequence[Instruction], *signers: Keypair) -> str:
        """Sign and send; the signature. Raises `SendRefused` when the preflight fails."""
        with asking():
            blockhash = await self._latest()
            message = MessageV0.try_compile(self.key.pubkey(), list(instructions), [], blockhash)
            signed = VersionedTransaction(message, [self.key, *signers])
            sent = await self._client.send_raw_transaction(
                bytes(signed), TxOpts(preflight_commitment=Confirmed)
            )
        return str(sent.value)

    async def confirm(self, tx: str, *, timeout_s: float = 60.0) -> int:
        """The slot of a tx once it is confirmed. Raises `SendRefused` or `SendLost`."""
        wanted = Signature.from_string(tx)
        deadline = asyncio.get_running_loop().time() + timeout_s
        while asyncio.get_running_loop().time() < deadline:
            status = (await self._statuses([wanted]))[0]
            if status is not None:
                if status.err is not None:
                    raise SendRefused(f"{tx} failed: {status.err}")
                if str(status.confirmation_status).rpartition(".")[2] in ("Confirmed", "Finalized"):
                    return int(status.slot)
            await asyncio.sleep(POLL_S)
        raise SendLost(f"{tx} did not land within {timeout_s:.0f} s")

    async def read(
        self, address: Pubkey, *, at: Literal["confirmed", "finalized"] = "confirmed"
    ) -> bytes | None:
        """An account's data, or None when there is no such account."""
        with asking():
            found = (await self._client.get_account_info(address, Commitment(at))).value
        return bytes(found.data) if found is not None else None

    async def balance(self, address: Pubkey) -> int:
        with asking():
            return int((await self._client.get_balance(address, Confirmed)).value)

    async def after(self, slot: int) -> None:
        """Wait until the confirmed slot is beyond `slot`."""
        while int((await self._client.get_slot(Confirmed)).value) <= slot:
            await asyncio.sleep(POLL_S)

    async def _latest(self) -> Hash:
        at, blockhash = self._blockhash
        now = asyncio.get_running_loop().time()
        if blockhash is None or now - at >= self._reuse_s:
            blockhash = (await self._client.get_latest_blockhash(Confirmed)).value.blockhash
            self._blockhash = (now, blockhash)
        return blockhash

    async def _statuses(self, signatures: list[Signature]) -> Sequence[Any]:
        try:
            return (await self._client.get_signature_statuses(signatures)).value
        except SolanaRpcException:
            return [None] * len(signatures)  # an unreachable node says nothing about the tx
