"""Custodies on both local chains: who pays in, who is paid, and what chain and books say of it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from eth_account import Account
from solders.keypair import Keypair

from casino import custodies, withdrawals
from casino.commands import Answer, run_many
from casino.custodies import Custody, Figures
from casino.withdrawals import Payment, Request, Withdrawal
from chains.manifest import Manifest
from db import session as db_session
from db.session import transaction
from local import players
from settings import Settings, SourceSetting, WithdrawalLimits
from tests.flow.conftest import ETHER, SOL, Line, laid
from tests.workers.test_keeper import KEY, hand_over
from tests.workers.test_keeper import Table as Casino
from workers import keeper as room
from workers.deposits import Counter, held, met
from workers.houses import EvmHouse, SolanaHouse
from workers.tills import Till
from workers.withdrawals import Payer

FREELY = WithdrawalLimits(automatic=10**30, automatic_daily=10**30)
_keys = itertools.count(1)


class Killed(BaseException):
    """The process dies here, as if by `kill -9`: nothing after this line happens."""


@dataclass
class Place:
    """A custody on one chain, a player with money in it, and a keeper with a key of its own."""

    chain: str
    line: Line
    settings: Settings
    source: SourceSetting
    means: Manifest
    custody: Custody
    counter: Counter
    player: int = 0
    credited: int = 0
    asked: list[Withdrawal] = field(default_factory=list)

    @property
    def unit(self) -> int:
        """A hundredth of a coin."""
        return (ETHER if self.chain == "evm" else SOL) // 100

    async def deposit(self, amount: int) -> None:
        """By the player's own hand; it is in the books when this returns."""
        if self.chain == "evm":
            await self.line.evm.call("deposit", [], amount)
        else:
            who = {"player": self.line.solana.sender.key.pubkey()}
            await self.line.solana.call("deposit", {"amount": amount}, who)
        self.credited += amount
        await self.until(self.is_credited)

    async def is_credited(self) -> bool:
        await self.counter.tick()
        figures = await self.figures()
        return figures.came - figures.arriving == self.credited

    async def until(self, enough: Callable[[], Awaitable[bool]], seconds: float = 60) -> None:
        async with asyncio.timeout(seconds):
            while not await enough():
                await asyncio.sleep(0.05)

    async def ask(self, amount: int, address: str | None = None) -> Withdrawal:
        """A withdrawal that a rule approves, to an address that never held anything."""
        command = Request(
            casino_id=self.custody.casino_id,
            scope="tests",
            key=f"key-{next(_keys)}",
            actor="tests",
            player_id=self.player,
            amount=amount,
            address=address or fresh(self.chain),
            custody=self.custody,
            limits=FREELY,
        )
        async with transaction() as session:
            [answer] = await run_many(session, [command])
        assert isinstance(answer, Answer)
        assert answer.body.get("state") == "approved", answer
        self.asked.append(await self._row(int(answer.body["id"])))
        return self.asked[-1]

    async def now(self, one: Withdrawal) -> Withdrawal:
        return await self._row(one.id)

    async def _row(self, id: int) -> Withdrawal:
        query = f"SELECT {withdrawals.NAMED} FROM withdrawals w WHERE id = {id}"
        [row] = await self.line.rows(query)
        return withdrawals.found(row)

    async def payments(self, one: Withdrawal) -> list[Payment]:
        async with transaction() as session:
            return await withdrawals.payments(session, one)

    async def figures(self) -> Figures:
        async with transaction() as session:
            found = await custodies.figures(session)
        [mine] = [one for one in found if one.custody == self.custody]
        return mine

    async def purse(self) -> tuple[int, int]:
        """The player's balance, and how much of it is held."""
        name = f"player:{self.player}:cash"
        query = f"SELECT balance, held FROM accounts WHERE name = '{name}'"
        [(balance, set_aside)] = await self.line.rows(query)
        return int(balance), int(set_aside)

    async def balance(self, address: str) -> int:
        """What an address holds on the chain."""
        house = self.line.evm if self.chain == "evm" else self.line.solana
        return int(await house.sender.rpc.balance(address))

    async def paid(self) -> list[str]:
        """The requests that the contract says it paid, as it tells anybody."""
        casino = Casino(self.chain, self.line, self.settings, self.source, self.custody.network)
        return [
            args["request"].hex() for _, name, args in await casino.events() if name == "Withdrawn"
        ]

    async def fund(self, amount: int) -> None:
        if self.chain == "evm":
            await self.line.evm.call("fundVault", [], amount)
        else:
            who = {"funder": self.line.solana.sender.key.pubkey()}
            await self.line.solana.call("fund_vault", {"amount": amount}, who)

    async def defund(self, amount: int) -> None:
        if self.chain == "evm":
            await self.line.evm.call("defundVault", [amount])
        else:
            who = {"owner": self.line.solana.sender.key.pubkey()}
            await self.line.solana.call("defund_vault", {"amount": amount}, who)

    @contextlib.asynccontextmanager
    async def paying(
        self,
        kind: type[Payer] = Payer,
        till: Callable[[Till], Till] = lambda till: till,
        **changed: Any,
    ) -> AsyncIterator[Payer]:
        """Who pays, as a fresh process would make it; whatever it held is gone afterwards."""
        chosen = self.settings.model_copy(update=changed)
        house = await room.introduce(chosen, self.source)
        assert isinstance(house, EvmHouse | SolanaHouse)
        try:
            yield kind(self.custody, till(house.till()))
        finally:
            await house.close()

    async def tick(self, payer: Payer, enough: Callable[[], Awaitable[bool]]) -> None:
        """Pay, and let the books follow, until it is enough."""

        async def ticked() -> bool:
            await payer.tick()
            await self.counter.tick()
            return await enough()

        await self.until(ticked)

    async def ended(self, one: Withdrawal) -> bool:
        return (await self.now(one)).state in ("settled", "failed")

    async def in_order(self) -> None:
        """What must hold of chain and books whatever happened; all that was asked has ended."""
        rows = [await self.now(one) for one in self.asked]
        settled = [one for one in rows if one.state == "settled"]
        assert {one.state for one in rows} <= {"settled", "failed"}
        assert sorted(await self.paid()) == sorted(one.request for one in settled)
        for one in rows:
            expected = one.amount if one.state == "settled" else 0
            assert await self.balance(one.address) == expected
        taken = sum(one.amount for one in settled)
        assert await self.purse() == (self.credited - taken, 0)
        figures = await self.figures()
        assert figures.booked == figures.owed == self.credited - taken
        assert (figures.came, figures.went) == (self.credited, taken)
        assert (figures.arriving, figures.leaving, figures.strays) == (0, 0, 0)
        assert figures.difference == 0


def fresh(chain: str) -> str:
    return "0x" + secrets.token_hex(20) if chain == "evm" else str(Keypair().pubkey())


@contextlib.asynccontextmanager
async def opened(folder: Path, database_url: str) -> AsyncIterator[list[Place]]:
    """Both custodies, each with a player who paid in a coin, and the processes that read them."""
    async with laid(folder, database_url) as line:
        keeper = Keypair()
        line.environment |= {
            "FAIRHOUSE_KEEPER_EVM_KEY": players.evm_key(1),
            "FAIRHOUSE_KEEPER_SOLANA_KEY": str(keeper),
            "FAIRHOUSE_SEED_KEY": KEY,
            "FAIRHOUSE_KEEPER_RENEW_S": "1",
        }
        await line.evm.call("setKeeper", [Account.from_key(players.evm_key(1)).address])
        await hand_over(line, keeper.pubkey())
        line.start("indexer", "worker chain", "worker interpretation")
        db_session.configure(database_url)
        try:
            made = [await place(line, chain) for chain in ("evm", "solana")]
            await asyncio.gather(*(one.deposit(100 * one.unit) for one in made))
            for one in made:
                one.player = await player_of(one)
            yield made
        finally:
            await db_session.close()


async def place(line: Line, chain: str) -> Place:
    told = line.environment
    chosen = Settings(
        database_url=line.database_url,
        redis_url=line.redis_url,
        rpc=json.loads(told["FAIRHOUSE_RPC"]),
        sources=json.loads(told["FAIRHOUSE_SOURCES"]),
        keeper_evm_key=told["FAIRHOUSE_KEEPER_EVM_KEY"],
        keeper_solana_key=told["FAIRHOUSE_KEEPER_SOLANA_KEY"],
        seed_key=KEY,
    )
    [source] = [one for one in chosen.sources if one.program == f"casino_{chain}"]
    [means] = held(chosen, [source])
    found: list[Custody] = []
    async with asyncio.timeout(30):
        while not found:
            custody = await met(means)
            found += [custody] if custody is not None else []
            await asyncio.sleep(0.05)
    return Place(chain, line, chosen, source, means, replace(found[0]), Counter(means))


async def player_of(one: Place) -> int:
    house = one.line.evm if one.chain == "evm" else one.line.solana
    address = house.sender.address.lower() if one.chain == "evm" else house.sender.address
    query = f"SELECT player_id FROM player_identities WHERE external_id = '{address}'"
    [(id,)] = await one.line.rows(query)
    return int(id)
