"""A program of ours on LiteSVM for the tests: deployed by loader v3, called through its IDL."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from solders.account import Account
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata, TransactionMetadata

from chains.solana.decode import Decoder
from chains.solana.send import Program
from contracts.solana import build, deploy

CHAIN = b"solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1"
SOL = 1_000_000_000
SIZES = {"pubkey": 32, "u64": 8, "u32": 4, "u16": 2, "u8": 1, "bool": 1}


class Refused(Exception):
    """A transaction failed; `name` is the program's own word for it, if it has one."""

    def __init__(self, failed: FailedTransactionMetadata, errors: Mapping[int, str]) -> None:
        self.name = errors.get(getattr(getattr(failed.err(), "err", lambda: None), "code", -1), "")
        text = str(failed.err()) + "\n" + "\n".join(failed.meta().logs())
        for code, name in errors.items():
            if f"custom program error: {code:#x}\n" in text + "\n":
                self.name = name
        super().__init__(f"{self.name} {text}")


class Runtime:
    """One chain with one program. Every call returns the meta and remembers its compute units."""

    def __init__(
        self,
        built: build.Built,
        *people: Keypair,
        chain: bytes = CHAIN,
        program: Keypair | None = None,
        signatures: bool = True,
    ) -> None:
        self.svm = LiteSVM().with_sigverify(signatures)
        self.built, self.chain = built, chain
        self.idl: dict[str, Any] = json.loads(built.idl.read_text())
        self.errors = {entry["code"]: entry["name"] for entry in self.idl["errors"]}
        self.program_key = program or Keypair()
        self.owner = people[0]
        for who in people:
            self.svm.airdrop(who.pubkey(), 1_000 * SOL)
        self.program = Program(self.idl, str(self.program_key.pubkey()))
        self.decoder = Decoder(self.idl, str(self.program_key.pubkey()))
        self.compute_units: dict[str, int] = {}

    def deploy(self) -> None:
        steps = deploy.deployment(
            self.owner.pubkey(), self.program_key, Keypair(), self.built.program.read_bytes()
        )
        for instructions, signers in steps:
            self.send(instructions, self.owner, *signers)
        self.svm.warp_to_slot(self.svm.get_clock().slot + 2)

    def send(self, instructions: list[Instruction], *signers: Keypair) -> TransactionMetadata:
        self.svm.expire_blockhash()
        message = MessageV0.try_compile(
            signers[0].pubkey(), instructions, [], self.svm.latest_blockhash()
        )
        result = self.svm.send_transaction(VersionedTransaction(message, list(signers)))
        if isinstance(result, FailedTransactionMetadata):
            raise Refused(result, self.errors)
        return result

    def call(
        self, verb: str, args: Mapping[str, Any], accounts: Mapping[str, Pubkey], *who: Keypair
    ) -> TransactionMetadata:
        done = self.send([self.program.call(verb, args, accounts)], *who)
        self.compute_units[verb] = done.compute_units_consumed()
        return done

    def enrich(self, address: Pubkey, lamports: int) -> None:
        """Give an account more than any airdrop could."""
        account = self.svm.get_account(address)
        data, owner = (account.data, account.owner) if account else (b"", deploy.SYSTEM)
        self.svm.set_account(address, Account(lamports, data, owner))

    def rewrite(self, address: Pubkey, kind: str, **values: int) -> None:
        """Put numbers into an account of the program, as no transaction could."""
        account = self.svm.get_account(address)
        assert account is not None
        data = bytearray(account.data)
        for name, value in values.items():
            at, size = self.place_of(kind, name)
            data[at : at + size] = value.to_bytes(size, "little")
        self.svm.set_account(address, Account(account.lamports, bytes(data), account.owner))

    def read(self, address: Pubkey, kind: str, name: str) -> int:
        """A number of an account of the program."""
        account = self.svm.get_account(address)
        assert account is not None
        at, size = self.place_of(kind, name)
        return int.from_bytes(account.data[at : at + size], "little")

    def place_of(self, kind: str, name: str) -> tuple[int, int]:
        """Where an account of the program keeps a field, and its size."""
        at = 8
        fields = next(one["type"]["fields"] for one in self.idl["types"] if one["name"] == kind)
        for field in fields:
            type_ = field["type"]
            size = type_["array"][1] if isinstance(type_, dict) else SIZES[type_]
            if field["name"] == name:
                return at, size
            at += size
        raise KeyError(name)

    @property
    def now(self) -> int:
        return self.svm.get_clock().unix_timestamp

    def pass_time(self, seconds: int) -> None:
        clock = self.svm.get_clock()
        clock.unix_timestamp = clock.unix_timestamp + seconds
        self.svm.set_clock(clock)

    def balance(self, address: Pubkey) -> int:
        return self.svm.get_balance(address) or 0

    def events(self, done: TransactionMetadata) -> list[tuple[str, dict[str, object]]]:
        lines = [line.removeprefix("Program data: ") for line in done.logs() if "data: " in line]
        return [self.decoder.decode("data", base64.b64decode(line)) for line in lines]
