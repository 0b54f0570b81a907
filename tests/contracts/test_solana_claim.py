"""A bettor paid by the bond of a house that kept its seed back, on a real Solana node."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer

from chains.chain import Fact
from chains.solana.decode import candidates
from chains.solana.rpc import Rpc
from chains.solana.send import Program, Sender, SendRefused
from contracts import vectors
from local import deploy, surfpool
from tests.api.proved import CLOCK
from tests.contracts.solana_bond import TABLE, Bond
from tests.contracts.solana_runtime import SOL
from tests.contracts.test_bond_facts import facts_of, named

FEE = 5_000  # lamports for one signature
AHEAD = 5  # seconds until the batch opens


class Written(Bond):
    """A bond on a node: its verbs are instructions that somebody has yet to sign and send."""

    def __init__(self, address: str, chain: str, house: Keypair, bettor: Keypair) -> None:
        super().__init__(chain=chain.encode())
        self.program = Program(self.idl, address)
        self.keeper, self.bettor = house, bettor

    def call(self, verb: str, args: Any, accounts: Any, *who: Any) -> Any:
        return self.program.call(verb, args, accounts)


class Table:
    """A Surfpool with a bond on it, and what is sent there."""

    def __init__(self, rpc: Rpc, bond: Bond) -> None:
        self.rpc, self.bond = rpc, bond

    async def said(self, who: Sender, call: Any) -> list[Fact]:
        """What our indexer makes of a transaction, once it has landed."""
        tx = await who.send([call])
        await who.confirm(tx)
        address = str(self.bond.program.address)
        raws = candidates(await self.rpc.transaction(tx), address, ("cpi", "data"))
        return facts_of("bond_solana", address, raws)

    async def refused(self, who: Sender, call: Any) -> str | None:
        """The program's own word for why it does not take a transaction."""
        with pytest.raises(SendRefused) as caught:
            await who.send([call])
        return self.bond.program.error(caught.value.code)

    async def travel(self, when: int) -> None:
        """Moves the node's clock ahead, and waits until programs are told so."""
        target = {"absoluteTimestamp": when * 1_000}
        await self.rpc.node.ask("surfnet_timeTravel", [target], dict)
        while await self.clock() < when:
            await asyncio.sleep(0.1)

    async def clock(self) -> int:
        """What programs are told the time is."""
        data = await self.rpc.data(CLOCK, at="confirmed")
        assert data is not None
        return int.from_bytes(data[32:40], "little")

    async def balances(self, *accounts: Pubkey) -> list[int]:
        return [await self.rpc.balance(str(one)) for one in accounts]


async def test_a4_a_bettor_claims_once_from_the_bond_after_a_missed_reveal(tmp_path: Path) -> None:
    async with (
        surfpool.start(tmp_path / "surfpool") as node,
        Sender(node.rpc_url, node.payer) as house,
        Sender(node.rpc_url, Keypair()) as bettor,
    ):
        chain, keeper = await house.rpc.network(), house.key.pubkey()
        signer = vectors.signer_of(vectors.signer_key("bond"))
        address = await deploy.bond_to_solana(house, keeper, signer, chain, bond=100 * SOL)
        bond = Written(address, chain, house.key, bettor.key)
        table = Table(house.rpc, bond)
        pocket = TransferParams(from_pubkey=keeper, to_pubkey=bettor.key.pubkey(), lamports=SOL)
        await house.confirm(await house.send([transfer(pocket)]))

        opens = await table.clock() + AHEAD
        await table.said(house, bond.commit(0, 2, opens=opens))
        bets = bond.bets(0)
        claim = bond.claim(bets, 1, who=bettor.key)
        assert await table.refused(bettor, claim) == "DeadlineAhead"
        await table.travel(bond.due(0))

        void, mark = (
            bond.program.derive(kind, TABLE.encode(), bytes(8), *more)
            for kind, more in ((b"void", ()), (b"claim", ((1).to_bytes(4, "little"),)))
        )
        held, had = await table.balances(bond.address, bettor.key.pubkey())
        said = await table.said(bettor, claim)
        left, has, *rents = await table.balances(bond.address, bettor.key.pubkey(), void, mark)
        assert held - left == SOL // 10
        assert has - had == SOL // 10 - FEE - sum(rents)
        assert min(rents) > 0
        assert [one.fields["name"] for one in said] == ["RootsAnchored", "BondClaimed"]
        assert named(said, "BondClaimed") == [
            {
                "table": TABLE,
                "round": 0,
                "position": 1,
                "bet": bets[1].bet_id.hex(),
                "payee": str(bettor.key.pubkey()),
                "amount": SOL // 10,
            }
        ]

        for who in (bettor, house):
            again = bond.claim(bets, 1, who=who.key)
            assert await table.refused(who, again) == "AlreadyClaimed"
        assert await table.refused(house, bond.reveal(0, 2)) == "DeadlinePassed"
        assert await table.balances(bond.address, bettor.key.pubkey()) == [left, has]
