"""The dealer: opens, closes, draws and settles the rounds of every table, each at its moment.

It keeps no chain's key, only the one that signs roots of bets. What is next for a round follows
from its row, so it may be killed between any two steps. The clock is the database's; moments follow
from what was committed, so nothing adds up to a drift.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import psycopg
from loguru import logger

from casino.commands import Answer, Command, KeyReused, commit_many
from casino.rounds import courses, settlements, tables
from casino.rounds.courses import UnderWay, WrongBeacon, WrongSigner
from casino.rounds.seats import CLOSED, WAITING
from casino.rounds.tables import Table
from casino.sealed import Sealer
from chains.beacons import Beacon, Drawn, Forged, Gone
from chains.errors import ChainError
from chains.redaction import plainly
from chains.signers import Signer, signer
from db import session
from db.session import direct
from games.fairness import rounds
from settings import Settings
from workers.beacons import Beacons, Setting, Sources, beaconed
from workers.leader import Connection, connect, leads
from workers.tables import declared, place

LEADER = 7_302_114_007  # any number that nothing else locks
STANDBY_S = 1.0
HORIZON_S = 1.5  # so long before its close a round is taken in hand
LONGEST_SLEEP_S = 0.5
BEACON_S = 0.25
AGAIN_S = 0.5
OWED_S = 30.0
FAULT_S = 5.0  # what we did wrong is said again so often
SEED = b"SELECT sealed FROM round_seeds WHERE table_id = %s AND number = %s"
TROUBLE = (psycopg.Error, OSError, ChainError)


@dataclass
class Dealer:
    """The rounds of one table."""

    table: Table
    pays: Mapping[int, Any]
    beacons: Beacons
    sealer: Sealer
    sign: Signer
    carried: dict[int, asyncio.Task[None]] = field(default_factory=dict)

    async def run(self) -> None:
        """Deal until cancelled, whatever the database or a beacon answers."""
        owing = asyncio.create_task(self.pay_owed())
        try:
            while True:
                await asyncio.sleep(await self.tried(self.look))
        finally:
            tasks = [owing, *self.carried.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def look(self) -> float:
        """Take in hand what is due; how long nothing will be."""
        async with direct() as connection:
            await courses.open_due(connection, self.table)
            under_way = await courses.under_way(connection, self.table)
        self.carried = {n: task for n, task in self.carried.items() if not task.done()}
        wakes = [LONGEST_SLEEP_S]
        for one in under_way:
            if one.due_s <= HORIZON_S:
                if one.number not in self.carried:
                    self.carried[one.number] = asyncio.create_task(self.carry(one.number))
            else:
                wakes += [one.due_s - HORIZON_S, one.opens_s]
        return max(0.001, min(wake for wake in wakes if wake > 0))

    async def carry(self, number: int) -> None:
        """One round to its end."""
        while (pause := await self.tried(self.step, number)) >= 0:
            await asyncio.sleep(pause)

    async def tried(self, work: Callable[..., Awaitable[float]], *round: int) -> float:
        """How long to wait after some work, whatever became of it.

        A mistake of ours holds up one round, is said at once and again, and ends no dealer.
        """
        said = " ".join([self.table.name, *map(str, round)])
        try:
            return await work(*round)
        except WrongSigner as error:
            logger.error("{}: {}", said, error)
            return FAULT_S
        except TROUBLE as error:
            logger.warning("{} waits: {}", said, plainly(error))
            return AGAIN_S
        except Exception as error:
            logger.opt(exception=error).error("{}: {}", said, plainly(error))
            return FAULT_S

    async def step(self, number: int) -> float:
        """What is next for a round; how long to wait then, below nothing when it is over."""
        async with direct() as connection:
            one = await courses.standing(connection, self.table, number)
        if one is None:
            return -1.0
        if one.state == WAITING:
            return await self.close(one)
        if one.state == CLOSED and one.reason is None:
            return await self.draw(one)
        return await self.settle(one)

    async def close(self, one: UnderWay) -> float:
        if one.due_s > 0:
            await asyncio.sleep(one.due_s)
        try:
            async with direct() as connection:
                closed = await courses.close(connection, self.table, one.number, self.sign)
        except WrongSigner:  # somebody may still start us with the right key
            if await self.lapsed(one.number):
                return 0.0
            raise
        return 0.0 if closed else 0.002

    async def draw(self, one: UnderWay) -> float:
        """Reveal the seed once the beacon is there; give the round up when it never will be.

        The beacon is the one that the batch was committed with, awaited by the database's clock.
        """
        try:
            beacon = await self.beacons.named(one.beacon)
        except ChainError as error:
            logger.error("{} {} is bound to {}: {}", self.table.name, one.number, one.beacon, error)
            beacon = None
        if beacon is None:
            return await self.wait(one, FAULT_S)
        try:
            drawn = await beacon.fetch(
                one.closes_at.timestamp(),
                one.now.timestamp(),
                patience_s=self.beacons.patience_s,
            )
        except Gone as error:
            return await self.give_up(one.number, f"the beacon is gone: {error}")
        except Forged as error:
            logger.error("{} {}: {}", self.table.name, one.number, error)
            drawn = None
        if drawn is None:
            return await self.wait(one)
        seed = await self.seed(one.number)
        if seed is None:
            return await self.wait(one)
        try:
            async with direct() as connection:
                await courses.draw(
                    connection,
                    self.table,
                    one.number,
                    seed=seed,
                    beacon=_beacon(drawn),
                    evidence={"evidence": drawn.evidence.hex()},
                )
        except WrongBeacon as error:  # a name stands for another chain by now
            logger.error("{} {}: {}", self.table.name, one.number, error)
            return await self.wait(one, FAULT_S)
        return 0.0

    async def wait(self, one: UnderWay, pause: float = BEACON_S) -> float:
        """Not yet; or never, when the bond pays for the round by now."""
        return 0.0 if await self.lapsed(one.number) else pause

    async def lapsed(self, number: int) -> bool:
        async with direct() as connection:
            return await courses.lapse(connection, self.table, number)

    async def give_up(self, number: int, reason: str) -> float:
        async with direct() as connection:
            await courses.give_up(connection, self.table, number, reason)
        return 0.0

    async def seed(self, number: int) -> bytes | None:
        async with direct() as connection:
            asked = await connection.execute(SEED, (self.table.id, number))
            [(sealed,)] = await asked.fetchall()
        try:
            return self.sealer.open(place(self.table, number), bytes(sealed))
        except ValueError:
            logger.error("FAIRHOUSE_SEED_KEY does not open round {} of {}", number, self.table.name)
            return None

    async def settle(self, one: UnderWay) -> float:
        """A part more of its bets, or its end."""
        async with direct() as connection:
            if one.pay_id not in self.pays:  # it was kept after this process began
                self.pays = await tables.all_pays(connection)
            part = await settlements.part(connection, self.table, one.number, self.pays)
        if part is not None:
            await decided([part])
            return 0.0
        async with direct() as connection:
            ended = await courses.end(connection, self.table, one.number)
        if ended and one.reason:
            logger.error("{} {} is {}: {}", self.table.name, one.number, ended, one.reason)
        return 0.0

    async def pay_owed(self) -> None:
        """Try now and then what accounts did not take."""
        while True:
            await asyncio.sleep(await self.tried(self.pay))

    async def pay(self) -> float:
        async with direct() as connection:
            waiting = await settlements.owed(connection, self.table)
        for one in waiting:
            await decided([one])
        return OWED_S


async def decided(commands: Sequence[Command]) -> list[Answer | KeyReused]:
    """Decide commands in a transaction; who lost a race with another dealer asks again."""
    while True:
        try:
            async with direct() as connection:
                return await commit_many(connection, commands)
        except (psycopg.errors.UniqueViolation, psycopg.errors.LockNotAvailable):
            await asyncio.sleep(AGAIN_S)


def _beacon(drawn: Drawn) -> rounds.Beacon:
    return rounds.Beacon(drawn.kind, drawn.chain_hash, drawn.round, drawn.randomness)


async def lead(settings: Settings) -> None:
    """Deal for as long as this connection holds the lock; returns when another one does."""
    async with await connect(settings) as connection:
        if not await leads(connection, LEADER):
            return
        sources = Sources(partial(found, settings))
        try:
            dealers = await seated(settings, sources, connection)
            logger.info("dealing at {} tables", len(dealers))
            async with asyncio.TaskGroup() as tasks:
                for dealer in dealers:
                    tasks.create_task(dealer.run())
                while True:
                    await connection.execute("SELECT 1")  # the lock lives as long as this answers
                    await asyncio.sleep(STANDBY_S)
        finally:
            await sources.close()


async def seated(settings: Settings, sources: Sources, connection: Connection) -> list[Dealer]:
    """A dealer for each table of the settings, once all their networks are known.

    Raises `ChainError` on a mistake in the settings.
    """
    if not settings.tables:
        return []  # nor is there a key to sign with
    sealer, sign = Sealer(bytes.fromhex(settings.seed_key)), signer(settings.signer_key)
    dealers = []
    for setting in settings.tables:
        beacons = Beacons(find=partial(sources.of, setting), patience_s=setting.patience)
        table = await declared(settings, setting, connection)
        while table is None or await beacons.named(setting.beacon) is None:
            await asyncio.sleep(STANDBY_S)
            table = await declared(settings, setting, connection)
        pays = await tables.all_pays(connection)
        dealers.append(Dealer(table, pays, beacons, sealer, sign))
    return dealers


async def found(settings: Settings, setting: Setting, name: str) -> Beacon | None:
    """A beacon by the name that a batch has for it; see `beaconed`."""
    async with direct() as connection:
        return await beaconed(settings, setting, connection, name)


async def run(settings: Settings) -> None:
    """Deal at every table, until cancelled; an unreachable database is waited for.

    Raises `ChainError` on a mistake in the settings.
    """
    if settings.tables and not settings.signer_key:
        raise ChainError("FAIRHOUSE_SIGNER_KEY is not set, and tables sign the roots of their bets")
    session.configure(settings.database_url, pool_size=3)
    try:
        while True:
            try:
                await lead(settings)
            except* (psycopg.Error, OSError) as group:
                logger.warning("the dealer waits: {}", group.exceptions[0])
            await asyncio.sleep(STANDBY_S)
    finally:
        await session.close()
