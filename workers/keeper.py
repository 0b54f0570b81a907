"""The keeper: commits seeds ahead, settles bets with them; the only process with hot keys.

Whatever it does next follows from its database and the chain, so it may be killed between any
two steps. A seed is shown only for a bet that is final and under a commitment that is final.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import psycopg
from loguru import logger

from chains import manifest
from chains.errors import ChainError
from settings import Settings
from workers import houses
from workers.houses import REFUSED, Batch, EvmHouse, Foreign, House, OpenBet, SolanaHouse
from workers.leader import Connection, connect, leads
from workers.sealed import Proofs, Sealer, WrongKey, draw, tried

LEADER = 7_302_114_004  # any number that nothing else locks
STANDBY_S = 1.0
TICK_S = 0.25
RESEND_S = 20.0  # how long a sent tx is waited for before it is sent again
LONGEST_PAUSE_S = 60.0
REVEAL_WITHIN_S = 7 * 86_400  # how long a batch may lie before it is worthless
MARGIN_S = 3_600  # a batch that close to its end is not counted on
TOGETHER = 8
OPEN_AT_ONCE = 500

UNCONFIRMED = """
SELECT first, count, root, reveal_by FROM seed_batches
WHERE network = %s AND program = %s AND state IN ('drawn', 'sent') ORDER BY first
"""
MARK = """
UPDATE seed_batches SET state = %s, tx = coalesce(%s, tx), reveal_by = %s
WHERE network = %s AND program = %s AND first = %s
"""
# Some of its indexes may be free again: seeds that were never committed make room for others.
FORGET = "DELETE FROM seeds WHERE network = %s AND program = %s AND batch_first = %s"
SUPPLY = """
SELECT coalesce(sum(first + count - greatest(first, %s)) FILTER (
        WHERE state = 'confirmed' AND reveal_by > %s AND first + count > %s), 0)::bigint,
    coalesce(max(first + count) FILTER (WHERE state <> 'foreign'), 0)
FROM seed_batches WHERE network = %s AND program = %s
"""
OPEN = """
SELECT b.id, b.seed_index, b.player, b.client_seed, b.deadline, s.sealed, s.batch_first
FROM bets b JOIN sources o ON o.id = b.source_id
LEFT JOIN (seeds s JOIN seed_batches c
    ON c.network = s.network AND c.program = s.program AND c.first = s.batch_first
    AND c.state = 'confirmed')
ON s.network = o.network AND s.program = o.address AND s.index = b.seed_index
WHERE o.network = %s AND o.address = %s AND b.status = 'placed' AND b.finality = 'finalized'
ORDER BY b.seed_index LIMIT %s
"""


async def run(settings: Settings) -> None:
    """Keep every casino whose key is set, until cancelled."""
    wanted = [
        source
        for source in settings.sources
        if _verbs(settings, source.program) & {"settleBet", "settle_bet"}
    ]
    while True:
        try:
            await lead(settings, wanted)
        except* (psycopg.Error, OSError) as group:
            logger.warning("the keeper waits: {}", group.exceptions[0])
        await asyncio.sleep(STANDBY_S)


async def lead(settings: Settings, wanted: Sequence[Any]) -> None:
    """Keep for as long as this connection holds the lock; returns when another one does."""
    async with await connect(settings) as connection:
        if not await leads(connection, LEADER):
            return
        logger.info("keeping {} casinos", len(wanted))
        async with asyncio.TaskGroup() as tasks:
            for source in wanted:
                tasks.create_task(keep(settings, source))
            while True:
                await connection.execute("SELECT 1")  # the lock lives as long as this answers
                await asyncio.sleep(STANDBY_S)


async def keep(settings: Settings, source: Any) -> None:
    """One casino, from the first answer of its node on. Raises `WrongKey`."""
    meet = partial(introduce, settings, source)
    sealer, failures = Sealer(bytes.fromhex(settings.seed_key)), 0
    async with await connect(settings) as connection:
        while True:
            house: House | None = None
            try:
                house = await meet()
                if house is None:
                    logger.warning("no keeper key for {}: its bets wait", source.program)
                    return
                await tried(connection, sealer, house)
                keeper = Keeper(house, connection, sealer, settings.seed_batch)
                while True:
                    await keeper.tick()
                    failures = 0
                    await asyncio.sleep(TICK_S)
            except WrongKey:
                raise
            except ChainError as error:
                failures += 1
                logger.warning("{}: {}", source.program, error)
                await asyncio.sleep(min(TICK_S * 2**failures, 15))
            finally:
                if house is not None:
                    await house.close()


async def introduce(settings: Settings, source: Any) -> House | None:
    """The house of a source, or None without a key for it. Raises `ChainError`."""
    folders = [settings.programs_dir] if settings.programs_dir else []
    means = manifest.load(source.program, folders).located(
        network=source.network, address=source.address
    )
    urls = settings.rpc.get(means.network, [])
    if not urls:
        raise ChainError(f"no RPC URL is set for network {means.network} (FAIRHOUSE_RPC)")
    interface = means.interface_json()
    if means.chain == "evm":
        key = settings.keeper_evm_key
        return await EvmHouse.meet(urls[0], key, means.address, interface) if key else None
    if not settings.keeper_solana_key:
        return None
    pair = houses.keypair(settings.keeper_solana_key)
    return await SolanaHouse.meet(urls[0], pair, means.address, interface)


@dataclass
class Try:
    """A bet that was answered, and when to look at it again."""

    again_at: float
    times: int = 1


@dataclass
class Keeper:
    """The work on one casino; `tick` does whatever is due."""

    house: House
    connection: Connection
    sealer: Sealer
    size: int
    tries: dict[int, Try] = field(default_factory=dict)
    sent_at: dict[int, float] = field(default_factory=dict)
    proofs: Proofs = field(init=False)

    def __post_init__(self) -> None:
        self.proofs = Proofs(self.connection, self.house)

    async def tick(self) -> None:
        """One look at commitments and open bets. Raises `ChainError` when the node is away."""
        waiting = await self.unconfirmed()
        for batch in waiting:
            await self.carry(batch)
        if not waiting:
            await self.provide()
        await self.answer_bets()

    async def unconfirmed(self) -> list[Batch]:
        key = (self.house.network, self.house.address)
        rows = await (await self.connection.execute(UNCONFIRMED, key)).fetchall()
        return [Batch(row[0], row[1], bytes.fromhex(row[2]), row[3]) for row in rows]

    async def carry(self, batch: Batch) -> None:
        """Bring a batch on chain, and see it become final there."""
        try:
            if await self.house.committed(batch):
                await self.mark(batch, "confirmed")
                logger.info("seeds {} to {} are final", batch.first, batch.first + batch.count - 1)
                return
        except Foreign as error:
            async with self.connection.transaction():
                key = (self.house.network, self.house.address, batch.first)
                await self.connection.execute(FORGET, key)
                await self.mark(batch, "foreign")
            logger.error("{}: bets on them can only be refunded", error)
            return
        if time.monotonic() - self.sent_at.get(batch.first, -RESEND_S) < RESEND_S:
            return
        if (await self.house.state()).committed_up_to != batch.first:
            return  # it is there and not final yet, or an older batch comes first
        self.sent_at[batch.first] = time.monotonic()
        await self.house.renew()
        fresh = Batch(batch.first, batch.count, batch.root, self.horizon())
        try:
            tx = await self.house.commit(fresh)
        except REFUSED as error:
            logger.warning("committing from {}: {}", batch.first, error)
            return
        await self.mark(fresh, "sent", tx)

    async def provide(self) -> None:
        """Draw the next batch when fewer than half of one are left."""
        state = await self.house.state()
        usable, drawn = await self.supply(state.next_index)
        if usable * 2 >= self.size:
            return
        if state.committed_up_to < drawn:
            logger.warning("{} lags behind its own commitments", self.house.network)
            return
        batch = await draw(
            self.connection,
            self.sealer,
            self.house,
            first=state.committed_up_to,
            count=self.size,
            reveal_by=self.horizon(),
        )
        await self.carry(batch)

    async def supply(self, next_index: int) -> tuple[int, int]:
        """How many final seeds can still be handed out, and up to where seeds were drawn."""
        late = int(time.time()) + self.house.reveal_window + MARGIN_S
        key = (self.house.network, self.house.address)
        asked = await self.connection.execute(SUPPLY, (next_index, late, next_index, *key))
        row = await asked.fetchone()
        assert row is not None
        return int(row[0]), int(row[1])

    def horizon(self) -> int:
        return int(time.time()) + self.house.reveal_window + REVEAL_WITHIN_S

    async def mark(self, batch: Batch, state: str, tx: str | None = None) -> None:
        key = (self.house.network, self.house.address, batch.first)
        await self.connection.execute(MARK, (state, tx, batch.reveal_by, *key))

    async def answer_bets(self) -> None:
        """Settle what is final and open, a few at a time; what was just sent is left alone."""
        key = (self.house.network, self.house.address, OPEN_AT_ONCE)
        rows = await (await self.connection.execute(OPEN, key)).fetchall()
        self.tries = {row[1]: self.tries[row[1]] for row in rows if row[1] in self.tries}
        now = time.monotonic()
        due = [row for row in rows if row[1] not in self.tries or self.tries[row[1]].again_at < now]
        if any(row[1] in self.tries for row in due):
            await self.house.renew()
        for at in range(0, len(due), TOGETHER):
            await asyncio.gather(*(self.answer(row) for row in due[at : at + TOGETHER]))

    async def answer(self, row: Sequence[Any]) -> None:
        """One bet: its seed if we have it, its money back when we do not."""
        bet, sealed, first = OpenBet(*row[:5]), row[5], row[6]
        before = self.tries.get(bet.index)
        times = before.times + 1 if before else 1
        overdue = bet.deadline is not None and time.time() > bet.deadline + 5
        pause = RESEND_S
        try:
            if sealed is not None and not (overdue and times > 3):
                seed = self.sealer.open(self.house, bet.index, bytes(sealed))
                await self.house.settle(bet, seed, await self.proofs.of(bet.index, first=first))
            elif overdue:
                await self.house.refund(bet)
                logger.warning("bet {} is refunded: it could not be settled", bet.index)
        except (*REFUSED, ValueError) as error:
            pause = min(2.0**times, LONGEST_PAUSE_S)
            logger.debug("bet {}: {}", bet.index, error)
        self.tries[bet.index] = Try(time.monotonic() + pause, times)


def _verbs(settings: Settings, program: str) -> set[str]:
    """The names of what a program can be told, from its interface."""
    folders = [settings.programs_dir] if settings.programs_dir else []
    interface = manifest.load(program, folders).interface_json()
    parts = interface if isinstance(interface, list) else interface["instructions"]
    return {part.get("name", "") for part in parts}
