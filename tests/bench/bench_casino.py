"""What every verb of the casino costs in gas, on Anvil.

Run it alone: `python -m tests.bench.bench_casino`. The table is that of docs/contracts.md; compute
units of its sibling are in decision 5. Gas is the same on every machine.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chains.evm import send as evm
from contracts import build_evm
from games import range as range_game
from games.fairness import bets, merkle
from games.fairness.vectors import drawn
from local import anvil, deploy, players
from local.players import ETHER

CHAIN = b"eip155:31337"
SEEDS = 256  # of one commitment: what the keeper commits at once
STAKE = ETHER // 100
KIND = 0  # a bet on chain has no beacon
PLAYER = "0x" + "b0" * 20


@dataclass
class Casino:
    """A casino whose owner is its keeper and a player; `gas` is what each call cost, in order."""

    sender: evm.Sender
    address: str
    gas: list[tuple[str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.program = evm.Program(json.loads(build_evm.ABI.read_text()), self.address)

    async def call(self, said: str, verb: str, *args: object, value: int = 0) -> None:
        tx = await self.sender.send(self.program.call(verb, list(args), value=value))
        await self.sender.confirm(tx)
        asked = await self._ask("eth_getTransactionReceipt", [tx], dict)
        self.gas.append((said, int(asked["gasUsed"], 16)))

    async def pass_by(self, seconds: int) -> None:
        await self._ask("evm_increaseTime", [seconds], object)
        await self._ask("evm_mine", [], object)

    async def commit(self, said: str, first: int) -> None:
        (header,) = await self.sender.rpc.headers([await self.sender.rpc.head()])
        by = int(header.timestamp, 16) + 86_400
        await self.call(said, "commit", self.tree(first).root, first, SEEDS, KIND, by)

    async def place(self, said: str, number: int) -> None:
        await self.call(said, "placeBet", drawn("client", number), 0, 9_000, value=STAKE)

    async def settle(self, said: str, index: int) -> None:
        proof = self.tree(index // SEEDS * SEEDS).proof(index % SEEDS)
        await self.call(said, "settleBet", index, drawn("seed", index), proof)

    def wins(self, index: int) -> bool:
        choice = range_game.Choice(0, 9_000)
        placed = bets.PlacedBet(
            CHAIN,
            self._raw(self.address),
            index,
            self._raw(self.sender.address),
            STAKE,
            choice.encoded(),
            drawn("client", index),
        )
        rolled = range_game.roll(bets.outcome(drawn("seed", index), placed, range_game.NAME))
        return range_game.payout(STAKE, choice, rolled) > 0

    def tree(self, first: int) -> merkle.Tree:
        place = CHAIN, self._raw(self.address)
        numbers = range(first, first + SEEDS)
        return merkle.Tree.over([bets.commit(*place, n, drawn("seed", n)) for n in numbers])

    async def _ask(self, method: str, params: list[Any], kind: Any) -> Any:
        return await self.sender.rpc.node.ask(method, params, kind)

    @staticmethod
    def _raw(address: str) -> bytes:
        return bytes.fromhex(address[2:])


async def gas() -> list[tuple[str, int]]:
    with tempfile.TemporaryDirectory() as folder:
        async with (
            anvil.start(Path(folder) / "anvil", block_time_s=None) as node,
            evm.Sender(node.rpc_url, players.evm_key(0)) as owner,
        ):
            vault = 1_000 * ETHER
            casino = Casino(owner, await deploy.to_evm(owner, owner.address, vault=vault))
            await played(casino)
            return casino.gas


async def played(casino: Casino) -> None:
    """Every verb once or twice."""
    await casino.commit("commit, the first", 0)
    await casino.commit("commit, a later one", SEEDS)
    numbers = range(12)  # and one more, which stays open: the last one out frees what is locked
    for number in numbers:
        await casino.place(
            "placeBet, the first" if number == 0 else "placeBet, a later one", number
        )
    await casino.place("placeBet, a later one", len(numbers))
    *others, last = numbers
    for index in others:
        await casino.settle("settleBet, won" if casino.wins(index) else "settleBet, lost", index)
    await casino.pass_by(deploy.REVEAL_WINDOW_S)
    await casino.call("refundBet", "refundBet", last)
    await casino.call("deposit", "deposit", value=STAKE)
    for number in range(2):
        to = "a new address" if number == 0 else "a known one"
        await casino.call(f"withdraw, to {to}", "withdraw", PLAYER, STAKE, drawn("request", number))
    await casino.call("fundVault", "fundVault", value=1)
    await casino.call("defundVault", "defundVault", 1)
    await casino.call("setPaused", "setPaused", True)
    await casino.call("setLimits", "setLimits", 1, 10_000)
    await casino.call("setKeeper", "setKeeper", casino.sender.address)


def main() -> None:
    used: dict[str, list[int]] = {}
    for verb, one in asyncio.run(gas()):
        used.setdefault(verb, []).append(one)
    print(f"gas (Anvil; commitments of {SEEDS} seeds): least, most")
    for verb, all_used in used.items():
        print(f"  {verb:28} {min(all_used):>9,} {max(all_used):>9,}")


if __name__ == "__main__":
    main()
