"""Our contracts on the local chains: deployed as anywhere, initialized, and their vaults filled."""

from __future__ import annotations

import asyncio
import json

from solders.keypair import Keypair

from chains.evm import send as evm
from chains.solana import send as solana
from contracts import build_evm
from contracts.solana import build as build_solana
from contracts.solana import deploy

REVEAL_WINDOW_S = 60
PENALTY_BP = 1_000


async def to_evm(owner: evm.Sender, keeper: str, *, vault: int) -> str:
    """The casino's address, its vault holding `vault` wei."""
    abi = json.loads(build_evm.ABI.read_text())
    bytecode = build_evm.BYTECODE.read_text().strip()
    address = await owner.deploy(bytecode, abi, [keeper, REVEAL_WINDOW_S, PENALTY_BP])
    await owner.confirm(
        await owner.send(evm.Program(abi, address).call("fundVault", [], value=vault))
    )
    return address


async def to_solana(owner: solana.Sender, keeper: Keypair, chain: str, *, vault: int) -> str:
    """The program's address, its vault holding `vault` lamports."""
    program, elf = Keypair(), build_solana.PROGRAM.read_bytes()
    first, *writes, last = deploy.deployment(owner.key.pubkey(), program, Keypair(), elf)
    await owner.confirm(await owner.send(first[0], *first[1]))
    sent = await asyncio.gather(*(owner.send(calls, *signers) for calls, signers in writes))
    await asyncio.gather(*(owner.confirm(tx) for tx in sent))
    slot = await owner.confirm(await owner.send(last[0], *last[1]))
    await owner.after(slot + 1)  # a program runs from the slot after its deployment
    casino = solana.Program(json.loads(build_solana.IDL.read_text()), str(program.pubkey()))
    opened = casino.call(
        "initialize",
        {
            "keeper": keeper.pubkey(),
            "reveal_window": REVEAL_WINDOW_S,
            "penalty_bp": PENALTY_BP,
            "chain": chain,
        },
        {"authority": owner.key.pubkey(), "program_data": deploy.program_data(program.pubkey())},
    )
    funded = casino.call("fund_vault", {"amount": vault}, {"funder": owner.key.pubkey()})
    await owner.confirm(await owner.send([opened, funded]))
    return str(program.pubkey())
