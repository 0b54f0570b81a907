"""Players who are not people: real signed bets on both chains, at a given rate."""

from __future__ import annotations

import asyncio
import json
import random
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from eth_account import Account
from loguru import logger
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer

from chains.errors import ChainError
from chains.evm import send as evm
from chains.solana import send as solana
from contracts import build_evm
from contracts.solana import build as build_solana
from local.anvil import MNEMONIC
from local.deploy import SMALLEST_LAMPORTS, SMALLEST_WEI

ETHER, SOL = 10**18, 10**9
PLAYERS = 12
GAS = 400_000  # what a bet may use: players do not try each one out first
LATE_S = 2.0  # a player further behind than that gives up catching up
AT_ONCE = 16


@dataclass(slots=True)
class Tally:
    """What the players of one network did."""

    sent: list[str] = field(default_factory=list)
    refused: int = 0


def choice() -> tuple[int, int]:
    """A range of faces, from daring to careful, anywhere."""
    width = random.choice((500, 1_000, 2_500, 5_000, 5_000, 7_500))
    low = random.randrange(0, 10_000 - width + 1)
    return low, low + width


def evm_key(number: int) -> str:
    """The key of one of Anvil's own accounts, each with 10,000 ether."""
    Account.enable_unaudited_hdwallet_features()
    path = f"m/44'/60'/0'/0/{number}"
    key: bytes = Account.from_mnemonic(MNEMONIC, account_path=path).key
    return "0x" + key.hex().removeprefix("0x")


class EvmPlayers:
    """Anvil's accounts from the third on."""

    def __init__(self, rpc_url: str, address: str) -> None:
        self._program = evm.Program(json.loads(build_evm.ABI.read_text()), address)
        self._senders = [evm.Sender(rpc_url, evm_key(2 + n)) for n in range(PLAYERS)]

    async def bet(self, turn: int) -> str:
        stake = random.randrange(1, 20) * SMALLEST_WEI
        args = [secrets.token_bytes(32), *choice()]
        call = self._program.call("placeBet", args, value=stake)
        return await self._senders[turn % PLAYERS].send({**call, "gas": GAS})

    async def close(self) -> None:
        await asyncio.gather(*(sender.__aexit__() for sender in self._senders))


class SolanaPlayers:
    """Fresh keys, given some SOL by the owner."""

    def __init__(self, rpc_url: str, address: str) -> None:
        self._program = solana.Program(json.loads(build_solana.IDL.read_text()), address)
        self._senders = [solana.Sender(rpc_url, Keypair(), reuse_s=1.0) for _ in range(PLAYERS)]

    async def fund(self, owner: solana.Sender, keeper: Pubkey, lamports: int) -> None:
        """Ten SOL for each player, and what the keeper needs for its fees."""
        gifts = [(sender.key.pubkey(), 10 * SOL) for sender in self._senders]
        calls = [
            transfer(TransferParams(from_pubkey=owner.key.pubkey(), to_pubkey=to, lamports=amount))
            for to, amount in [*gifts, (keeper, lamports)]
        ]
        await owner.confirm(await owner.send(calls))

    async def bet(self, turn: int) -> str:
        sender, (low, high) = self._senders[turn % PLAYERS], choice()
        args = {"client_seed": secrets.token_bytes(32), "low": low, "high": high}
        args["stake"] = random.randrange(1, 20) * SMALLEST_LAMPORTS
        return await sender.send(
            [self._program.call("place_bet", args, {"player": sender.key.pubkey()})]
        )

    async def close(self) -> None:
        await asyncio.gather(*(sender.__aexit__() for sender in self._senders))


async def play(bet: Callable[[int], Awaitable[str]], rate: float, tally: Tally) -> None:
    """Bet `rate` times a second until cancelled; bets under way are then finished."""
    loop, room = asyncio.get_running_loop(), asyncio.Semaphore(AT_ONCE)
    under_way: set[asyncio.Task[None]] = set()

    async def once(turn: int) -> None:
        async with room:
            try:
                tally.sent.append(await bet(turn))
            except ChainError as error:
                tally.refused += 1
                logger.debug("a bet was refused: {}", error)

    turn, due = 0, loop.time()
    try:
        while True:
            due = max(due + 1 / rate, loop.time() - LATE_S)
            await asyncio.sleep(due - loop.time())
            task = asyncio.create_task(once(turn))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            turn += 1
    finally:
        await asyncio.gather(*under_way)
