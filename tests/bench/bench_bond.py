"""What every verb of the bonds costs: gas on Anvil, compute units on LiteSVM.

Run it alone: `python -m tests.bench.bench_bond`. Compute units depend a little on the program's
address, because some derived addresses take longer to find: the median of ten addresses is shown,
and the most. The tables are those of docs/contracts.md.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from solders.keypair import Keypair
from solders.transaction_metadata import TransactionMetadata

from chains.evm import send as evm
from games.fairness.rounds import SignedRoot
from games.fairness.vectors import drawn
from local import anvil, players
from tests.contracts.evm_bond import EvmBond
from tests.contracts.solana_bond import CLAIM_WINDOW, Bond
from tests.contracts.solana_runtime import SOL

ADDRESSES = 10
CROWD = 10_000  # bets of one round


async def gas() -> list[tuple[str, int]]:
    with tempfile.TemporaryDirectory() as folder:
        async with (
            anvil.start(Path(folder) / "anvil", block_time_s=None) as node,
            evm.Sender(node.rpc_url, players.evm_key(0)) as owner,
        ):
            bond = await EvmBond.deployed(owner)
            await bond.live(bets=CROWD)
            return bond.gas


def units(number: int) -> dict[str, int]:
    bond = Bond(program=Keypair.from_seed(drawn("program", number)))
    bond.open(bond=600 * SOL)
    used = {verb: bond.compute_units[verb] for verb in ("initialize", "fund")}

    def note(what: str, done: TransactionMetadata) -> None:
        used[what] = done.compute_units_consumed()

    terms: dict[str, Any] = {"reveal_window": 3_600, "max_liability": SOL // 2}
    note("commit, the first", bond.commit(0, 256, **terms))
    note("commit_pairs, the first", bond.commit_pairs(0, count=256))
    note("commit_pairs, a later one", bond.commit_pairs(1, count=256))
    note("reveal_pair", bond.reveal_pair(255, 256))
    last = bond.opens["numbers", 0] + 256 * 10
    note("commit, a later one", bond.commit(256, 256, opens=last, **terms))
    bond.wait_until(bond.closes(255))
    said = [SignedRoot(bond.spot(n), drawn("root", n), CROWD, SOL // 2) for n in range(20)]
    note("anchor, 1 round", bond.anchor(255, bond.empty(255)))
    note("anchor, 20 rounds", bond.anchor(200, *[at_round(bond, one, 200) for one in said]))
    note("reveal", bond.reveal(255, 256))
    bond.wait_until(bond.closes(255) + 3_600)
    bets = bond.bets(250, CROWD, SOL // 2 // CROWD)
    note("claim, the first", bond.claim(bets, 7))
    note("claim, a later one", bond.claim(bets, 8_191))
    note("slash", bond.slash(bond.signed_root(bets), bond.signed_root(bets[:9])))
    bond.wait_until(bond.closes(255) + 3_600 + CLAIM_WINDOW)
    note("release", bond.release())
    note("withdraw", bond.own("withdraw", amount=SOL))
    note("set_paused", bond.own("set_paused", paused=True))
    note("set_keeper", bond.own("set_keeper", keeper=bond.keeper.pubkey()))
    note("set_signer", bond.own("set_signer", signer=bytes([1]) * 20))
    return used


def at_round(bond: Bond, said: SignedRoot, start: int) -> SignedRoot:
    spot = bond.spot(start + said.round.number)
    return SignedRoot(spot, said.root, said.count, said.liability)


def main() -> None:
    print(f"gas (Anvil; a round of {CROWD:,} bets)")
    for verb, used in asyncio.run(gas()):
        print(f"  {verb:20} {used:>9,}")
    found: dict[str, list[int]] = defaultdict(list)
    for number in range(ADDRESSES):
        for verb, used in units(number).items():
            found[verb].append(used)
    print(f"compute units (LiteSVM; {ADDRESSES} addresses: median, most)")
    for verb, all_used in found.items():
        print(f"  {verb:20} {int(statistics.median(all_used)):>9,} {max(all_used):>9,}")


if __name__ == "__main__":
    main()
