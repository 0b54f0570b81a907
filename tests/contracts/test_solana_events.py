"""The program's events on a real node whose log is cut: what it said twice is never lost."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from solders.compute_budget import set_compute_unit_limit
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from chains.solana.address import event_authority
from chains.solana.decode import EVENT_TAG, OUTER, Decoder, candidates
from chains.solana.rpc import Rpc
from chains.solana.send import Program, Sender, SendRefused
from contracts.solana import build
from contracts.solana.postlink import link
from games.fairness import bets, merkle
from local import deploy, surfpool

SOL = 10**9
IDL = json.loads(build.IDL.read_text())
CUT = "Log truncated"
MEMO = Instruction(Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr"), b"", [])
SEEDS = [bytes([at + 1]) * 32 for at in range(4)]
# Logs what it is told; with accounts it tells the first of them instead, as if that had said it.
PARROT = """
#include "sol.h"
u64 entrypoint(u8 *memory) {
    Input input;
    if (!parse(memory, &input)) return 1;
    Slice said = {input.data, input.length};
    if (!input.count) return sol_log_data(&said, 1);
    Meta metas[] = {{input.accounts[1].key, 0, 0}};
    Call call = {input.accounts[0].key, metas, 1, (u8 *)input.data, input.length};
    return sol_invoke_signed_c(&call, input.accounts, input.count, NULL, 0);
}
"""


@dataclass
class Table:
    """A casino with committed seeds on a fresh chain, its owner playing, and a parrot."""

    sender: Sender
    rpc: Rpc
    casino: Program
    parrot: Pubkey

    async def land(self, *instructions: Instruction) -> Any:
        """The transaction as a node tells it."""
        tx = await self.sender.send([set_compute_unit_limit(1_400_000), *instructions])
        await self.sender.confirm(tx)
        return await self.rpc.transaction(tx)

    def bet(self) -> Instruction:
        args = {"client_seed": secrets.token_bytes(32), "low": 0, "high": 5_000, "stake": SOL // 10}
        return self.casino.call("place_bet", args, {"player": self.sender.key.pubkey()})

    def events(self, answer: Any) -> list[tuple[int, str, dict[str, object]]]:
        """(index, name, arguments) of all that is decoded; nothing may be left undecodable."""
        address = str(self.casino.address)
        decoder = Decoder(IDL, address)
        raws = candidates(answer, address, ("cpi", "data"))
        return [(raw.index, *decoder.decode(raw.kind, raw.body)) for raw in raws]


@pytest.fixture(scope="module")
async def table(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Table]:
    folder: Path = tmp_path_factory.mktemp("events")
    source = folder / "parrot.c"
    source.write_text(PARROT)
    elf = link(build.compile_object(source, "-I", str(build.SOURCE.parent)))
    async with surfpool.start(folder / "surfpool") as node, Sender(node.rpc_url, node.payer) as own:
        rpc = Rpc([node.rpc_url])
        chain = await rpc.network()
        address = await deploy.to_solana(own, node.payer, chain, vault=100 * SOL)
        made = Table(own, rpc, Program(IDL, address), await deploy.loaded(own, elf))
        place = bytes(made.casino.address)
        tree = merkle.Tree.over(
            [bets.commit(chain.encode(), place, at, seed) for at, seed in enumerate(SEEDS)]
        )
        args = {"root": tree.root, "first": 0, "count": len(SEEDS), "kind": 0}
        args["reveal_by"] = int(time.time()) + 86_400
        await made.land(made.casino.call("commit", args, {"keeper": own.key.pubkey()}))
        yield made
        await rpc.close()


async def test_a_bet_behind_a_flood_of_logs_is_the_bet_it_is_without(table: Table) -> None:
    flooded = await table.land(*[MEMO] * 55, table.bet())
    assert CUT in flooded["meta"]["logMessages"]
    assert not any(line.startswith("Program data: ") for line in flooded["meta"]["logMessages"])
    ((index, name, args),) = table.events(flooded)
    assert name == "BetPlaced"
    assert args["player"] == str(table.sender.key.pubkey())

    quiet = await table.land(*[MEMO] * 5, table.bet())
    logs = quiet["meta"]["logMessages"]
    assert CUT not in logs
    ((its_index, _, _),) = whole = table.events(quiet)
    assert (index // OUTER, index % OUTER) == (56, its_index % OUTER)
    for at in range(len(logs)):
        quiet["meta"]["logMessages"] = [*logs[:at], CUT]
        assert table.events(quiet) == whole


async def test_a_program_that_only_logs_leaves_a_dead_letter_for_what_was_cut(table: Table) -> None:
    said = Instruction(table.parrot, b"12345678", [])
    for floods, bodies in ((5, [b"12345678"]), (55, [b""])):
        answer = await table.land(*[MEMO] * floods, said)
        raws = candidates(answer, str(table.parrot), ("cpi", "data"))
        assert [raw.body for raw in raws] == bodies


async def test_another_program_cannot_say_an_event_of_ours(table: Table) -> None:
    ours = table.casino.address
    authority = Pubkey.from_string(event_authority(str(ours)))
    data = EVENT_TAG + bytes(IDL["events"][1]["discriminator"]) + bytes(100)
    accounts = [AccountMeta(ours, False, False), AccountMeta(authority, False, False)]
    with pytest.raises(SendRefused) as refused:
        await table.land(Instruction(table.parrot, data, accounts))
    code = next(entry["code"] for entry in IDL["errors"] if entry["name"] == "MissingSignature")
    assert f"Program {ours} failed: custom program error: {code:#x}" in refused.value.logs
