"""The bonds as our indexer sees them: deployed on real nodes, their events decoded into facts."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest
from solders.compute_budget import set_compute_unit_limit

from chains import manifest
from chains.chain import Fact, Raw
from chains.evm import logs as evm_logs
from chains.evm import send as evm
from chains.solana.decode import candidates
from chains.solana.rpc import Rpc
from chains.solana.send import Program, Sender
from contracts import vectors
from contracts.solana import build
from games.fairness.rounds import Round, SignedRoot
from local import anvil, deploy, players, surfpool
from tests.contracts.evm_bond import ACCOUNT, ETHER, PAYEE, TABLE, EvmBond
from tests.contracts.solana_bond import CLAIM_WINDOW, Bond
from tests.contracts.solana_runtime import SOL

SAID = {
    *("RoundsCommitted", "RootsAnchored", "RoundRevealed", "BondClaimed", "BondSlashed"),
    *("PairsCommitted", "PairRevealed"),
    *("BatchReleased", "BondFunded", "BondWithdrawn", "PauseSet", "KeeperSet", "SignerSet"),
}


def facts_of(program: str, address: str, raws: list[Raw]) -> list[Fact]:
    """What interpretation makes of raws."""
    means = manifest.load(program).located(address=address)
    means.validate()
    decoder = means.decoders().at(0)
    found = []
    for raw in raws:
        found += means.facts(*decoder.decode(raw.kind, raw.body), raw)
    return found


def named(facts: list[Fact], name: str) -> list[Any]:
    return [fact.fields["args"] for fact in facts if fact.fields["name"] == name]


async def test_every_event_of_the_evm_bond_is_a_fact(tmp_path: Path) -> None:
    async with (
        anvil.start(tmp_path / "anvil", block_time_s=None) as node,
        evm.Sender(node.rpc_url, players.evm_key(0)) as owner,
    ):
        bond = await EvmBond.deployed(owner)
        await bond.live()
        raws = evm_logs.raws(await bond.logs(), bond.address)
    facts = facts_of("bond_evm", bond.address, raws)
    assert {fact.kind for fact in facts} == {"system_event"}
    assert {str(fact.fields["name"]) for fact in facts} == SAID
    assert all(json.dumps(fact.fields) for fact in facts)
    first = named(facts, "RoundsCommitted")[0]
    assert (first["table"], first["first"], first["count"]) == (TABLE, 0, 8)
    assert first["root"] == bond.tree(0, 8).root.hex()
    assert first["schedule"]["opens"] == bond.opens
    assert first["signer"] == "0x" + vectors.signer_of(bond.signer).hex()
    one, three, claimed = named(facts, "RootsAnchored")
    assert (one["start"], three["start"], claimed["start"]) == (7, 4, 0)
    assert len(three["roots"]) == len(three["counts"]) == len(three["liabilities"]) == 3
    pairs = {"root": bond.pair_tree(256).root.hex(), "count": 256}
    assert named(facts, "PairsCommitted") == [
        {"number": at, "kind": at + 1, **pairs} for at in range(2)
    ]
    assert named(facts, "PairRevealed")[1] == {
        "number": 0,
        "place": 255,
        "account": ACCOUNT,
        "epoch": 255,
        "seed": bond.seed(255).hex(),
    }
    paid = named(facts, "BondClaimed")
    assert [(one["position"], one["payee"]) for one in paid] == [
        (at, "0x" + PAYEE.hex()) for at in range(2)
    ]
    assert named(facts, "BondSlashed")[0]["burned"] == str(ETHER - ETHER // 10)
    assert named(facts, "BatchReleased")[0]["amount"] == str(
        16 * ETHER - ETHER - 2 * (ETHER // 10_000) - ETHER
    )


def test_every_event_of_the_solana_bond_is_a_fact() -> None:
    bond = Bond().open()
    raws: list[Raw] = []
    call = bond.call

    def kept(verb: str, *args: Any) -> Any:
        done = call(verb, *args)
        lines = [line for line in done.logs() if line.startswith("Program data: ")]
        for line in lines:
            body = base64.b64decode(line.removeprefix("Program data: "))
            raws.append(Raw(1, "tx", len(raws), "data", body))
        return done

    bond.call = kept  # type: ignore[method-assign, assignment]
    bond.fund(SOL)
    bond.commit(0, 4)
    bond.commit_pairs(0, count=3)
    bond.reveal_pair(2, 3)
    bond.wait_until(bond.closes(0))
    bond.anchor(0, bond.signed_root(bond.bets(0)))
    bond.reveal(0)
    bond.wait_until(bond.due(1))
    bond.claim(bond.bets(1), 2)
    bond.slash(bond.signed_root(bond.bets(2, 2)), bond.signed_root(bond.bets(2, 3)))
    bond.wait_until(bond.due(3) + CLAIM_WINDOW)
    bond.release()
    bond.own("withdraw", amount=SOL)
    bond.own("set_paused", paused=True)
    bond.own("set_keeper", keeper=bond.keeper.pubkey())
    bond.own("set_signer", signer=PAYEE)
    facts = facts_of("bond_solana", str(bond.program.address), raws)
    assert {fact.kind for fact in facts} == {"system_event"}
    assert {str(fact.fields["name"]) for fact in facts} == SAID
    assert all(json.dumps(fact.fields) for fact in facts)
    (committed,) = named(facts, "RoundsCommitted")
    assert (committed["table"], committed["count"]) == (TABLE, 4)
    assert committed["schedule"]["reveal_window"] == 60
    assert named(facts, "PairRevealed")[0]["account"] == ACCOUNT
    assert named(facts, "PairRevealed")[0]["seed"] == bond.hidden(2).hex()
    assert named(facts, "SignerSet") == [{"signer": PAYEE.hex()}]
    assert named(facts, "BondClaimed")[0]["amount"] == SOL // 10


@pytest.mark.parametrize("name", ["bond_evm", "bond_solana"])
def test_a_bond_holds_no_money_of_players_and_means_no_bets(name: str) -> None:
    means = manifest.load(name)
    assert not means.custody
    assert means.events == {}


async def test_a_bond_deployed_by_transactions_is_heard_on_a_real_solana_node(
    tmp_path: Path,
) -> None:
    key = vectors.signer_key("bond")
    folder = tmp_path / "surfpool"
    async with surfpool.start(folder) as node, Sender(node.rpc_url, node.payer) as own:
        rpc = Rpc([node.rpc_url])
        chain = await rpc.network()
        keeper, signer = own.key.pubkey(), vectors.signer_of(key)
        address = await deploy.bond_to_solana(own, keeper, signer, chain, bond=100 * SOL)
        bond = Program(json.loads(build.BOND.idl.read_text()), address)

        async def facts(verb: str, args: dict[str, Any], accounts: dict[str, Any]) -> list[Fact]:
            call = bond.call(verb, args, accounts)
            tx = await own.send([set_compute_unit_limit(200_000), call])
            await own.confirm(tx)
            raws = candidates(await rpc.transaction(tx), address, ("cpi", "data"))
            return facts_of("bond_solana", address, raws)

        spot = Round(chain.encode(), bytes(bond.address), TABLE.encode(), 255)
        args: dict[str, Any] = {"table": TABLE, "root": bytes([1]) * 32, "first": 0, "count": 256}
        args |= {"kind": 1, "opens": int(time.time()) + 3_600, "period": 10, "lead": 1}
        args |= {"reveal_window": 60, "max_liability": SOL // 100}
        (committed,) = await facts("commit", args, {"keeper": keeper})
        args = {"table": TABLE, "first": 0, "round": 255}
        for prefix, count in (("", 1), ("other_", 2)):
            said = SignedRoot(spot, bytes([7]) * 32, count, 1)
            args |= {f"{prefix}root": said.root, f"{prefix}count": count, f"{prefix}liability": 1}
            args[f"{prefix}signature"] = vectors.signed(key, said.digest)
        (slashed,) = await facts("slash", args, {"witness": keeper})
        await rpc.close()
    assert named([committed], "RoundsCommitted")[0]["signer"] == signer.hex()
    (lost,) = named([slashed], "BondSlashed")
    assert (lost["reward"], lost["burned"]) == (SOL // 1_000, SOL // 100 - SOL // 1_000)
