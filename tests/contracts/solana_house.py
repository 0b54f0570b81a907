"""A casino on LiteSVM for the tests: deployed by loader v3 and played through its IDL."""

from __future__ import annotations

from typing import Any

from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.transaction_metadata import TransactionMetadata

from contracts.solana import build, deploy
from games import range as range_game
from games.fairness import bets, merkle
from tests.contracts.solana_runtime import CHAIN, SOL, Refused, Runtime

__all__ = ["CHAIN", "SOL", "House", "Refused", "expected_roll"]


class House(Runtime):
    """One chain with one casino. Every verb signs with whoever is named and returns the meta."""

    def __init__(
        self,
        *,
        chain: bytes = CHAIN,
        program: Keypair | None = None,
        player: Keypair | None = None,
        signatures: bool = True,
    ) -> None:
        self.keeper, self.player = Keypair(), player or Keypair()
        super().__init__(
            build.CASINO,
            Keypair(),
            self.keeper,
            self.player,
            chain=chain,
            program=program,
            signatures=signatures,
        )

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

    @property
    def vault(self) -> Pubkey:
        return self.program.derive(b"vault")


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
