"""The message of a transaction in any of its versions, as JSON or as bytes."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from solders.transaction import VersionedTransaction

from chains.solana.address import from_base58


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction with its accounts resolved; data is base58 text or already bytes."""

    program: str
    accounts: tuple[str, ...]
    data: str | bytes
    height: int | None


@dataclass(frozen=True, slots=True)
class Message:
    """The signature, all accounts in order, and the outer instructions."""

    tx: str
    keys: tuple[str, ...]
    instructions: tuple[Instruction, ...]

    def instruction(self, raw: Mapping[str, Any]) -> Instruction:
        return resolve(self.keys, raw)


def read_message(transaction: Any, meta: Mapping[str, Any]) -> Message:
    """Accounts stand in this order: static, then looked up writable, then looked up readonly."""
    if isinstance(transaction, Mapping):
        tx = transaction["signatures"][0]
        static = [
            k if isinstance(k, str) else k["pubkey"] for k in transaction["message"]["accountKeys"]
        ]
        raws: Sequence[Mapping[str, Any]] = transaction["message"]["instructions"]
    else:
        tx, static, raws = from_bytes(*transaction)
    loaded = meta.get("loadedAddresses") or {}
    keys = (*static, *loaded.get("writable", ()), *loaded.get("readonly", ()))
    return Message(tx, keys, tuple(resolve(keys, raw) for raw in raws))


def from_bytes(text: str, encoding: str) -> tuple[str, list[str], list[dict[str, Any]]]:
    data = from_base58(text) if encoding == "base58" else base64.b64decode(text, validate=True)
    transaction = VersionedTransaction.from_bytes(data)
    message = transaction.message
    raws = [
        {
            "programIdIndex": compiled.program_id_index,
            "accounts": list(compiled.accounts),
            "data": bytes(compiled.data),
        }
        for compiled in message.instructions
    ]
    return str(transaction.signatures[0]), [str(key) for key in message.account_keys], raws


def resolve(keys: Sequence[str], raw: Mapping[str, Any]) -> Instruction:
    return Instruction(
        program=keys[raw["programIdIndex"]],
        accounts=tuple([keys[index] for index in raw["accounts"]]),
        data=raw["data"],
        height=raw.get("stackHeight"),
    )
