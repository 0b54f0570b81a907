"""The shared bets, played on the real program: Solana says what Python and Solidity say."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from solders.keypair import Keypair
from solders.null_signer import NullSigner
from solders.pubkey import Pubkey

from games import range as range_game
from games.fairness import bets, merkle, vectors
from tests.contracts.solana_house import SOL, House, Refused

CASES: list[dict[str, Any]] = [
    case
    for case in json.loads(vectors.FILE.read_text())["bets"]
    if case["chain"] == vectors.SOLANA.decode()
]
COUNTS = (1, 2, 3, 16)
LAST = 2**64 - 1


def nobody(address: str) -> Keypair:
    """Stands for a key that nobody has; the chain of these tests looks at no signature."""
    return cast(Keypair, NullSigner(Pubkey(bytes.fromhex(address))))


class Bet:
    """One shared bet with a house at its address, whose next index is the bet's."""

    def __init__(self, number: int) -> None:
        case = self.case = CASES[number]
        self.index, self.stake = int(case["index"]), int(case["stake"])
        self.payout = int(case["payout"])
        self.seed, self.client_seed = (
            bytes.fromhex(case["seed"]),
            bytes.fromhex(case["client_seed"]),
        )
        self.choice = range_game.Choice(case["low"], case["high"])
        self.prize = range_game.prize(self.stake, self.choice)
        self.count = COUNTS[number % len(COUNTS)]
        self.position = (
            min(number % self.count, self.index) if self.index < LAST else self.count - 1
        )
        self.first = self.index - self.position
        self.house = House(
            chain=case["chain"].encode(),
            program=nobody(case["program"]),
            player=nobody(case["player"]),
            signatures=False,
        ).open()
        commits = [
            bets.commit(self.house.chain, bytes(self.house.program.address), index, seed)
            for index, seed in enumerate(self._seeds(), self.first)
        ]
        assert commits[self.position].hex() == case["commit"]
        self.tree = merkle.Tree.over(commits)

    def _seeds(self) -> list[bytes]:
        drawn = [vectors.drawn("another", place) for place in range(self.count)]
        drawn[self.position] = self.seed
        return drawn

    @property
    def fits(self) -> bool:
        """Whether a chain could come so far, and its lamports count the prize."""
        return self.first + self.count <= LAST and self.prize < LAST

    def _fund(self, purse: int) -> None:
        """Give the player a purse and the vault the prize, within what lamports can count."""
        self.house.enrich(self.house.player.pubkey(), purse)
        self.house.enrich(self.house.vault, min(self.prize + SOL, LAST - purse))

    def place(self) -> dict[str, object]:
        self._fund(self.stake + SOL)
        house = self.house.program.derive(b"house")
        self.house.rewrite(house, "House", next_index=self.index, committed_up_to=self.first)
        self.house.commit(self.tree.root, self.first, self.count)
        low, high = self.choice.low, self.choice.high
        placed = self.house.events(self.house.place(self.client_seed, low, high, self.stake))
        assert [name for name, _ in placed] == ["BetPlaced"]
        return placed[0][1]

    def plant(self) -> None:
        """Place a small bet under a low index and write the large numbers into its account."""
        self._fund(SOL)
        self.house.rewrite(
            self.house.program.derive(b"house"), "House", next_index=0, committed_up_to=0, pending=0
        )
        self.house.commit(self.tree.root, 0, self.count)
        self.house.place(self.client_seed, self.choice.low, self.choice.high, 1)
        account = self.house.bet_address(self.client_seed)
        self.house.rewrite(account, "Bet", index=self.index, first=self.first, stake=self.stake)

    def settle(self) -> list[tuple[str, dict[str, object]]]:
        proof = self.tree.proof(self.position)
        return self.house.events(self.house.settle(self.client_seed, self.seed, proof))


@pytest.mark.parametrize("number", range(len(CASES)))
def test_a_shared_bet_ends_on_chain_as_everywhere(number: int) -> None:
    bet = Bet(number)
    if bet.fits:
        said = bet.place()
        assert (said["index"], said["stake"], said["max_payout"]) == (
            *(bet.index, bet.stake),
            bet.prize,
        )
    else:
        with pytest.raises(Refused, match="Overflow" if bet.prize >= LAST else "NoSeedsLeft"):
            bet.place()
        bet.plant()
    player = bet.house.player.pubkey()
    before, rent = (
        bet.house.balance(player),
        bet.house.balance(bet.house.bet_address(bet.client_seed)),
    )
    revealed, settled = bet.settle()
    assert revealed == ("SeedRevealed", {"index": bet.index, "seed": bet.seed})
    assert settled == (
        "BetSettled",
        {
            "index": bet.index,
            "player": str(player),
            "roll": bet.case["roll"],
            "payout": bet.payout,
            "outcome": bytes.fromhex(bet.case["outcome"]),
        },
    )
    assert bet.house.balance(player) - before == bet.payout + rent


def test_most_of_the_shared_bets_are_placed_and_not_planted() -> None:
    assert len(CASES) == 32
    assert sum(Bet(number).fits for number in range(len(CASES))) >= 24
