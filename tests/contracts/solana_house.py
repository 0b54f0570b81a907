"""A casino on LiteSVM for the tests: deployed by loader v3 and played through its IDL."""

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
from games import range as range_game
from games.fairness import bets, merkle

CHAIN = b"solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1"
IDL = json.loads(build.IDL.read_text())
ERRORS = {entry["code"]: entry["name"] for entry in IDL["errors"]}
SOL = 1_000_000_000
SIZES = {"pubkey": 32, "u64": 8, "u32": 4, "u16": 2, "u8": 1, "bool": 1}


class Refused(Exception):
    """A transaction failed; `name` is the program's own word for it, if it has one."""

    def __init__(self, failed: FailedTransactionMetadata) -> None:
        self.name = ERRORS.get(getattr(getattr(failed.err(), "err", lambda: None), "code", -1), "")
        text = str(failed.err()) + "\n" + "\n".join(failed.meta().logs())
        for code, name in ERRORS.items():
            if f"custom program error: {code:#x}" in text:
                self.name = name
        super().__init__(f"{self.name} {text}")


class House:
    """One chain with one casino. Every verb signs with whoever is named and returns the meta."""

    def __init__(
        self,
        *,
        chain: bytes = CHAIN,
        program: Keypair | None = None,
        player: Keypair | None = None,
        signatures: bool = True,
    ) -> None:
        self.svm = LiteSVM().with_sigverify(signatures)
        self.program_key = program or Keypair()
        self.owner, self.keeper, self.player = Keypair(), Keypair(), player or Keypair()
        for who in (self.owner, self.keeper, self.player):
            self.svm.airdrop(who.pubkey(), 1_000 * SOL)
        self.chain = chain
        self.program = Program(IDL, str(self.program_key.pubkey()))
        self.decoder = Decoder(IDL, str(self.program_key.pubkey()))
        self.compute_units: dict[str, int] = {}

    def deploy(self) -> None:
        steps = deploy.deployment(
            self.owner.pubkey(), self.program_key, Keypair(), build.PROGRAM.read_bytes()
        )
        for instructions, signers in steps:
            self.send(instructions, self.owner, *signers)
        self.svm.warp_to_slot(self.svm.get_clock().slot + 2)

    def initialize(self, authority: Keypair | None = None, **changed: Any) -> TransactionMetadata:
        args = {
            "keeper": self.keeper.pubkey(),
            "reveal_window": 60,
            "penalty_bp": 1_000,
            "chain": self.chain.decode(),
        }
        authority = authority or self.owner
        data = deploy.program_data(self.program.address)
        accounts = {"authority": authority.pubkey(), "program_data": data}
        return self.call("initialize", args | changed, accounts, authority)

    def open(self, *, vault: int = 100 * SOL) -> House:
        self.deploy()
        self.initialize()
        self.call("fund_vault", {"amount": vault}, {"funder": self.owner.pubkey()}, self.owner)
        return self

    def send(self, instructions: list[Instruction], *signers: Keypair) -> TransactionMetadata:
        self.svm.expire_blockhash()
        message = MessageV0.try_compile(
            signers[0].pubkey(), instructions, [], self.svm.latest_blockhash()
        )
        result = self.svm.send_transaction(VersionedTransaction(message, list(signers)))
        if isinstance(result, FailedTransactionMetadata):
            raise Refused(result)
        return result

    def call(
        self, verb: str, args: Mapping[str, Any], accounts: Mapping[str, Pubkey], *who: Keypair
    ) -> TransactionMetadata:
        done = self.send([self.program.call(verb, args, accounts)], *who)
        self.compute_units[verb] = done.compute_units_consumed()
        return done

    def commit(self, root: bytes, first: int, count: int, **changed: Any) -> TransactionMetadata:
        args = {"root": root, "first": first, "count": count, "kind": 0}
        args |= {"reveal_by": self.now + 86_400} | changed
        return self.call("commit", args, {"keeper": self.keeper.pubkey()}, self.keeper)

    def commit_seeds(self, seeds: list[bytes], first: int = 0) -> merkle.Tree:
        place = bytes(self.program.address)
        tree = merkle.Tree.over(
            [bets.commit(self.chain, place, first + at, seed) for at, seed in enumerate(seeds)]
        )
        self.commit(tree.root, first, len(seeds))
        return tree

    def place(
        self, client_seed: bytes, low: int = 0, high: int = 5_000, stake: int = SOL, **also: Any
    ) -> TransactionMetadata:
        player = also.pop("player", self.player)
        args = {"client_seed": client_seed, "low": low, "high": high, "stake": stake}
        return self.call("place_bet", args, {"player": player.pubkey(), **also}, player)

    def bet_address(self, client_seed: bytes, player: Keypair | None = None) -> Pubkey:
        who = (player or self.player).pubkey()
        return self.program.derive(b"bet", bytes(who), client_seed)

    def settle(
        self, client_seed: bytes, seed: bytes, proof: list[bytes], **also: Any
    ) -> TransactionMetadata:
        accounts = {"bet": self.bet_address(client_seed), "player": self.player.pubkey()} | also
        return self.call("settle_bet", {"seed": seed, "proof": proof}, accounts, self.keeper)

    def refund(self, client_seed: bytes) -> TransactionMetadata:
        accounts = {"bet": self.bet_address(client_seed), "player": self.player.pubkey()}
        return self.call("refund_bet", {}, accounts, self.keeper)

    def limit(self, smallest_stake: int, largest_share_bp: int) -> TransactionMetadata:
        args = {"smallest_stake": smallest_stake, "largest_share_bp": largest_share_bp}
        return self.call("set_limits", args, {"owner": self.owner.pubkey()}, self.owner)

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
            at, size = place_of(kind, name)
            data[at : at + size] = value.to_bytes(size, "little")
        self.svm.set_account(address, Account(account.lamports, bytes(data), account.owner))

    @property
    def now(self) -> int:
        return self.svm.get_clock().unix_timestamp

    def pass_time(self, seconds: int) -> None:
        clock = self.svm.get_clock()
        clock.unix_timestamp = clock.unix_timestamp + seconds
        self.svm.set_clock(clock)

    def balance(self, address: Pubkey) -> int:
        return self.svm.get_balance(address) or 0

    @property
    def vault(self) -> Pubkey:
        return self.program.derive(b"vault")

    def events(self, done: TransactionMetadata) -> list[tuple[str, dict[str, object]]]:
        lines = [line.removeprefix("Program data: ") for line in done.logs() if "data: " in line]
        return [self.decoder.decode("data", base64.b64decode(line)) for line in lines]


def place_of(kind: str, name: str) -> tuple[int, int]:
    """Where an account of the program keeps a field, and its size."""
    at = 8
    fields = next(one["type"]["fields"] for one in IDL["types"] if one["name"] == kind)
    for field in fields:
        type_ = field["type"]
        size = type_["array"][1] if isinstance(type_, dict) else SIZES[type_]
        if field["name"] == name:
            return at, size
        at += size
    raise KeyError(name)


def expected_roll(house: House, index: int, seed: bytes, client_seed: bytes, **bet: int) -> int:
    placed = bets.PlacedBet(
        chain=house.chain,
        program=bytes(house.program.address),
        index=index,
        player=bytes(house.player.pubkey()),
        stake=bet["stake"],
        choice=range_game.Choice(bet["low"], bet["high"]).encoded(),
        client_seed=client_seed,
    )
    return range_game.roll(bets.outcome(seed, placed, range_game.NAME))
