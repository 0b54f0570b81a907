"""The keeper: commits seeds, settles bets, pays withdrawals; the only process with hot keys.

Whatever it does next follows from its database and the chain, so it may be killed between any
two steps. A seed is shown only for a bet that is final and under a commitment that is final.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from loguru import logger

from casino.sealed import Sealer
from chains import manifest
from chains.errors import ChainError, RpcError
from chains.redaction import plainly
from chains.solana import send as solana
from db import session
from settings import Settings
from workers import deposits, houses, pairs, senders, tables, withdrawals
from workers.houses import REFUSED, Batch, EvmHouse, Foreign, House, OpenBet, SolanaHouse
from workers.leader import Connection, connect, leads
from workers.sealed import Proofs, WrongKey, draw, place, tried
from workers.tending import tend

LEADER = 7_302_114_004  # any number that nothing else locks
STANDBY_S = 1.0
TICK_S = 0.25
RESEND_S = 20.0  # how long a sent tx is waited for before it is sent again
LONGEST_PAUSE_S = 60.0
LONGEST_REST_S = 15.0
ANSWER_S = 5.0
LOOK_S = 15.0  # between two looks at how far finality is behind
LOOKS = 64
LATE_S = 5  # how long after its deadline a bet may be refunded instead
REVEAL_WITHIN_S = 7 * 86_400  # how long a batch may lie before it is worthless
MARGIN_S = 3_600  # a batch that close to its end is not counted on
TOGETHER = 8
OPEN_AT_ONCE = 128
# The database is the same for every casino; all else is the trouble of one.
FOR_ALL = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.ProgrammingError)
# What a bet may be answered with that only concerns itself.
UNANSWERABLE = (*REFUSED, ValueError, TypeError, LookupError)

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
# What can be done something about, the nearest deadline first and what is late last; those that
# were answered just now are left out, so that they hide nobody.
OPEN = """
SELECT b.id, b.seed_index, b.player, b.client_seed, b.deadline, s.sealed, s.batch_first
FROM bets b JOIN sources o ON o.id = b.source_id
LEFT JOIN (seeds s JOIN seed_batches c
    ON c.network = s.network AND c.program = s.program AND c.first = s.batch_first
    AND c.state = 'confirmed')
ON s.network = o.network AND s.program = o.address AND s.index = b.seed_index
WHERE o.network = %s AND o.address = %s AND b.status = 'placed' AND b.finality = 'finalized'
    AND (s.sealed IS NOT NULL OR b.deadline < %s) AND b.seed_index <> ALL(%s::bigint[])
ORDER BY b.deadline < %s, b.deadline, b.seed_index LIMIT %s
"""


async def run(settings: Settings) -> None:
    """Keep every casino whose key is set, until cancelled.

    Raises `ChainError` on a mistake in the settings, before anything is drawn or sent.
    """
    wanted = [
        source
        for source in settings.sources
        if _verbs(settings, source.program) & {"settleBet", "settle_bet"}
    ]
    await check(settings, wanted)
    wallets: senders.Wallets = {}
    session.configure(settings.database_url, pool_size=3)
    try:
        while True:
            try:
                await lead(settings, wanted, wallets)
            except* (psycopg.Error, OSError) as group:
                logger.warning("the keeper waits: {}", group.exceptions[0])
            await asyncio.sleep(STANDBY_S)
    finally:
        for wallet in wallets.values():
            await wallet.rpc.close()
        await session.close()


async def check(settings: Settings, wanted: Sequence[Any]) -> None:
    """Keys are keys, and every node that answers serves the chain it should.

    Raises `ChainError`. Nodes and databases that do not answer are checked when they do.
    """
    for one in [senders.planned(settings, source) for source in wanted]:
        if one.key is None:
            continue
        try:
            async with asyncio.timeout(ANSWER_S):
                async with await connect(settings) as connection:
                    expected = await senders.pinned(connection, one.network)
        except (psycopg.Error, OSError) as error:
            logger.warning("the database does not answer yet: {}", plainly(error))
            expected = one.network.caip2
        rpc = senders.asked(settings, one, expected)
        try:
            async with asyncio.timeout(ANSWER_S):
                await senders.identify(rpc, one.network)
        except (RpcError, TimeoutError) as error:
            said = error if isinstance(error, RpcError) else plainly(error)
            logger.warning("{} does not answer yet: {}", one.network.name, said)
        finally:
            await rpc.close()


async def lead(settings: Settings, wanted: Sequence[Any], wallets: senders.Wallets) -> None:
    """Keep for as long as this connection holds the lock; returns when another one does."""
    async with await connect(settings) as connection:
        if not await leads(connection, LEADER):
            return
        logger.info("keeping {} casinos, {} tables", len(wanted), len(settings.tables))
        async with asyncio.TaskGroup() as tasks:
            for source in wanted:
                tasks.create_task(keep(settings, source, wallets))
                for means in deposits.held(settings, [source]):
                    introduced = partial(till, settings, source, wallets)
                    tasks.create_task(withdrawals.pay(means, introduced))
            for table in settings.tables:
                tasks.create_task(tend(settings, table, wallets, tables.begin))
            if settings.pairs is not None:
                tasks.create_task(tend(settings, settings.pairs, wallets, pairs.begin))
            tasks.create_task(deposits.follow(settings, settings.sources))
            while True:
                await connection.execute("SELECT 1")  # the lock lives as long as this answers
                await asyncio.sleep(STANDBY_S)


async def keep(settings: Settings, source: Any, wallets: senders.Wallets) -> None:
    """One casino, whatever its nodes answer: trouble with one chain is never another's.

    Raises `WrongKey`.
    """
    failures = 0
    async with await connect(settings) as connection:
        keeper: Keeper | None = None
        try:
            while True:
                try:
                    keeper = keeper or await begin(settings, source, connection, wallets)
                    if keeper is None:
                        logger.warning("no keeper key for {}: its bets wait", source.program)
                        return
                    await keeper.tick()
                    failures = 0
                except (*FOR_ALL, WrongKey):
                    raise
                except RpcError as error:  # the node is away, what was sent is still under way
                    failures += 1
                    logger.warning("{}: {}", source.program, error)
                except Exception as error:
                    # What the node meant nobody knows; the casino is met anew, like a stranger.
                    failures += 1
                    logger.error("{}: {}", source.program, _said(error))
                    if keeper is not None:
                        await keeper.house.close()
                    keeper = None
                await asyncio.sleep(min(TICK_S * 2 ** min(failures, 10), LONGEST_REST_S))
        finally:
            if keeper is not None:
                await keeper.house.close()


async def begin(
    settings: Settings, source: Any, connection: Connection, wallets: senders.Wallets
) -> Keeper | None:
    """The keeper of a casino whose node answered, or None without a key.

    Raises `ChainError`, among them `WrongKey`.
    """
    expected = await senders.pinned(connection, senders.planned(settings, source).network)
    house = await introduce(settings, source, expected, wallets)
    if house is None:
        return None
    sealer = Sealer(bytes.fromhex(settings.seed_key))
    try:
        await tried(connection, sealer, house)
    except BaseException:
        await house.close()
        raise
    return Keeper(house, connection, sealer, settings.seed_batch)


async def till(
    settings: Settings, source: Any, wallets: senders.Wallets
) -> EvmHouse | SolanaHouse | None:
    """The house that withdrawals are paid from, or None without a key. Raises `ChainError`."""
    async with await connect(settings) as connection:
        expected = await senders.pinned(connection, senders.planned(settings, source).network)
    return await introduce(settings, source, expected, wallets)


async def introduce(
    settings: Settings,
    source: Any,
    expected: str | None = None,
    wallets: senders.Wallets | None = None,
) -> EvmHouse | SolanaHouse | None:
    """The house of a source, or None without a key for it. Raises `ChainError`.

    `expected` is the only chain it may be on. One key numbers its txs in one place: casinos of a
    network share its wallet.
    """
    one = senders.planned(settings, source)
    if one.key is None:
        return None
    wallet = senders.wallet(settings, one, {} if wallets is None else wallets)
    wallet.rpc.node.forget()
    wallet.rpc.node.expected = expected or one.network.caip2
    means, interface = one.means, one.means.interface_json()
    try:
        await senders.identify(wallet.rpc, one.network)
        if isinstance(wallet, solana.Sender):
            return await SolanaHouse.meet(wallet, means.address, interface)
        depth = settings.confirmations.get(one.network.name, one.network.confirmations)
        return await EvmHouse.meet(wallet, means.address, interface, depth)
    except BaseException:
        await wallet.rpc.close()
        raise


@dataclass(frozen=True, slots=True)
class Try:
    """A tx that was sent, or refused: when to look at it again."""

    again_at: float
    times: int = 0
    tx: str | None = None


@dataclass
class Keeper:
    """The work on one casino; `tick` does whatever is due."""

    house: House
    connection: Connection
    sealer: Sealer
    size: int
    tries: dict[int, Try] = field(default_factory=dict)
    commits: dict[int, Try] = field(default_factory=dict)
    lags: deque[float] = field(default_factory=lambda: deque(maxlen=LOOKS))
    looked_at: float = -LOOK_S
    outlook: str = "well"
    proofs: Proofs = field(init=False)

    def __post_init__(self) -> None:
        self.proofs = Proofs(self.connection, self.house)

    async def tick(self) -> None:
        """One look at open bets and commitments. Raises `ChainError` when the node is away."""
        await self.watch()
        await self.house.renew()
        await self.answer_bets()
        waiting = await self.unconfirmed()
        firsts = {batch.first for batch in waiting}
        self.commits = {first: one for first, one in self.commits.items() if first in firsts}
        for batch in waiting:
            await self.carry(batch)
        if not waiting:
            await self.provide()

    async def watch(self) -> None:
        """See now and then whether finality comes within the reveal window, and say so if not.

        Finality comes in steps: a window is hopeless only when it is shorter than the best of them.
        """
        now = time.monotonic()
        if now - self.looked_at < LOOK_S:
            return
        self.looked_at, window = now, self.house.reveal_window
        seen = await self.house.lag()
        if seen is None:  # nothing moves, so nothing is told
            self.outlook = "well"
            return
        self.lags.append(seen)
        best, worst = min(self.lags), max(self.lags)
        before, self.outlook = self.outlook, houses.outlook(best, window)
        if self.outlook == "well":
            self.outlook = houses.outlook(worst, window).replace("hopeless", "tight")
        if self.outlook == before:
            return
        said = f"{self.house.network}: finality is {best:.0f} to {worst:.0f} s behind, "
        said += f"the reveal window is {window} s"
        if self.outlook == "hopeless":
            logger.error("{}: bets could only be refunded, so no seeds are committed", said)
        elif self.outlook == "tight":
            logger.warning("{}: bets may be settled too late", said)

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
        before = self.commits.get(batch.first, Try(0.0))
        if time.monotonic() < before.again_at or self.outlook == "hopeless":
            return
        if before.tx is not None and await self.house.waits(before.tx):
            return
        if (await self.house.state()).committed_up_to != batch.first:
            return  # it is there and not final yet, or an older batch comes first
        self.commits[batch.first] = Try(time.monotonic() + RESEND_S)
        fresh = Batch(batch.first, batch.count, batch.root, self.horizon())
        try:
            tx = await self.house.commit(fresh)
        except REFUSED as error:
            logger.warning("committing from {}: {}", batch.first, error)
            return
        self.commits[batch.first] = replace(self.commits[batch.first], tx=tx)
        await self.mark(fresh, "sent", tx)

    async def provide(self) -> None:
        """Draw the next batch when fewer than half of one are left."""
        if self.outlook == "hopeless":
            return
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
        now, late = time.monotonic(), int(time.time()) - LATE_S
        resting = [index for index, one in self.tries.items() if one.again_at > now]
        key = (self.house.network, self.house.address)
        values = (*key, late, resting, late, OPEN_AT_ONCE)
        rows = await (await self.connection.execute(OPEN, values)).fetchall()
        kept = {*resting, *(row[1] for row in rows)}
        self.tries = {index: one for index, one in self.tries.items() if index in kept}
        for at in range(0, len(rows), TOGETHER):
            together = [self.answer(row) for row in rows[at : at + TOGETHER]]
            for done in await asyncio.gather(*together, return_exceptions=True):
                if done is not None:
                    raise done

    async def answer(self, row: Sequence[Any]) -> None:
        """One bet: its seed if we have it, its money back when we do not."""
        bet, sealed, first = OpenBet(*row[:5]), row[5], row[6]
        before = self.tries.get(bet.index, Try(0.0))
        overdue = bet.deadline is not None and time.time() > bet.deadline + LATE_S
        times, pause, tx = before.times, RESEND_S, before.tx
        try:
            if tx is not None and await self.house.waits(tx):
                return
            times, tx = times + 1, None
            # Late by our clock is not yet late by the chain's: what it refuses, it says for free.
            if sealed is not None and not (overdue and times % 2 == 0):
                seed = self.sealer.open(place(self.house, bet.index), bytes(sealed))
                proof = await self.proofs.of(bet.index, first=first)
                tx = await self.house.settle(bet, seed, proof)
            elif overdue:
                tx = await self.house.refund(bet)
                logger.warning("bet {} is refunded: it could not be settled", bet.index)
        except UNANSWERABLE as error:
            pause = min(2.0**times, LONGEST_PAUSE_S)
            logger.debug("bet {}: {}", bet.index, error)
        except RpcError:
            times, pause = before.times, LONGEST_REST_S  # others first, when the node is back
            raise
        finally:
            self.tries[bet.index] = Try(time.monotonic() + pause, times, tx)


def _said(error: Exception) -> str:
    """What went wrong; of foreign errors their kind and place, for their text may hold a URL."""
    if isinstance(error, ChainError):
        return str(error)
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{plainly(error)} at {Path(last.filename).name}:{last.lineno}"


def _verbs(settings: Settings, program: str) -> set[str]:
    """The names of what a program can be told, from its interface."""
    folders = [settings.programs_dir] if settings.programs_dir else []
    interface = manifest.load(program, folders).interface_json()
    parts = interface if isinstance(interface, list) else interface["instructions"]
    return {part.get("name", "") for part in parts}
