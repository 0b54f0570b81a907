"""Our contracts on the local chains: deployed as anywhere, their vaults filled, limits set."""

from __future__ import annotations

import asyncio
import json

from eth_utils.address import to_checksum_address
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from chains.evm import send as evm
from chains.solana import send as solana
from contracts import build_evm
from contracts.solana import build as build_solana
from contracts.solana import deploy

REVEAL_WINDOW_S = 60
PENALTY_BP = 1_000
SMALLEST_WEI, SMALLEST_LAMPORTS = (
    10**15,
    10**6,
)  # a thousandth of a coin: a seed is not spent on less
LARGEST_SHARE_BP = 100  # of the free vault, for one bet: no single prize shuts out the others
CLAIM_WINDOW_S = 3_600  # how long bettors may claim from the bond when a seed was kept back


async def to_evm(owner: evm.Sender, keeper: str, *, vault: int) -> str:
    """The casino's address, its vault holding `vault` wei."""
    abi = json.loads(build_evm.ABI.read_text())
    bytecode = build_evm.BYTECODE.read_text().strip()
    address = await owner.deploy(bytecode, abi, [keeper, REVEAL_WINDOW_S, PENALTY_BP])
    casino = evm.Program(abi, address)
    funded = await owner.send(casino.call("fundVault", [], value=vault))
    limited = await owner.send(casino.call("setLimits", [SMALLEST_WEI, LARGEST_SHARE_BP]))
    await asyncio.gather(owner.confirm(funded), owner.confirm(limited))
    return address


async def to_solana(owner: solana.Sender, keeper: Keypair, chain: str, *, vault: int) -> str:
    """The program's address, its vault holding `vault` lamports."""
    program = await loaded(owner, build_solana.PROGRAM.read_bytes())
    casino = solana.Program(json.loads(build_solana.IDL.read_text()), str(program))
    opened = casino.call(
        "initialize",
        {
            "keeper": keeper.pubkey(),
            "reveal_window": REVEAL_WINDOW_S,
            "penalty_bp": PENALTY_BP,
            "chain": chain,
        },
        {"authority": owner.key.pubkey(), "program_data": deploy.program_data(program)},
    )
    funded = casino.call("fund_vault", {"amount": vault}, {"funder": owner.key.pubkey()})
    limits = {"smallest_stake": SMALLEST_LAMPORTS, "largest_share_bp": LARGEST_SHARE_BP}
    limited = casino.call("set_limits", limits, {"owner": owner.key.pubkey()})
    await owner.confirm(await owner.send([opened, funded, limited]))
    return str(program)


async def bond_to_evm(owner: evm.Sender, keeper: str, signer: str, *, bond: int) -> str:
    """The address of a bond of `bond` wei; `signer` is who signs the roots of bets."""
    abi = json.loads(build_evm.BOND_ABI.read_text())
    bytecode = build_evm.BOND_BYTECODE.read_text().strip()
    people = [to_checksum_address(keeper), to_checksum_address(signer)]
    address = await owner.deploy(bytecode, abi, [*people, CLAIM_WINDOW_S])
    program = evm.Program(abi, address)
    await owner.confirm(await owner.send(program.call("fund", [], value=bond)))
    return address


async def bond_to_solana(
    owner: solana.Sender, keeper: Pubkey, signer: bytes, chain: str, *, bond: int
) -> str:
    """The address of a bond of `bond` lamports; `signer` are 20 bytes, as on an EVM chain."""
    address = await loaded(owner, build_solana.BOND.program.read_bytes())
    program = solana.Program(json.loads(build_solana.BOND.idl.read_text()), str(address))
    settings = {"keeper": keeper, "signer": signer, "claim_window": CLAIM_WINDOW_S, "chain": chain}
    people = {"authority": owner.key.pubkey(), "program_data": deploy.program_data(address)}
    opened = program.call("initialize", settings, people)
    funded = program.call("fund", {"amount": bond}, {"funder": owner.key.pubkey()})
    await owner.confirm(await owner.send([opened, funded]))
    return str(address)


async def loaded(owner: solana.Sender, elf: bytes) -> Pubkey:
    """The address of a new program of this code, ready to be called."""
    program = Keypair()
    first, *writes, last = deploy.deployment(owner.key.pubkey(), program, Keypair(), elf)
    await owner.confirm(await owner.send(first[0], *first[1]))
    sent = await asyncio.gather(*(owner.send(calls, *signers) for calls, signers in writes))
    await asyncio.gather(*(owner.confirm(tx) for tx in sent))
    slot = await owner.confirm(await owner.send(last[0], *last[1]))
    await owner.after(slot + 1)  # a program runs from the slot after its deployment
    return program.pubkey()
