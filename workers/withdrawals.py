"""Withdrawals go out: tried, signed, stored, sent, and looked after until the chain has them.

Whatever is next follows from the database and the chain, so it may die between any two steps. What
is signed is stored before anybody else has it, and another tx is signed for the same withdrawal
only when the final chain shows that none before it can land any more.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

import psycopg
from loguru import logger
from sqlalchemy.exc import SQLAlchemyError

from casino import custodies, withdrawals
from casino.custodies import Custody
from casino.withdrawals import Overtaken, Payment, Withdrawal
from chains.errors import ChainError, RpcError
from chains.evm.send import SendRefused as EvmRefused
from chains.manifest import Manifest
from chains.redaction import plainly
from db.session import transaction
from workers import deposits
from workers.houses import EvmHouse, SolanaHouse
from workers.tills import REFUSED, Obstacle, Till

TICK_S = 0.5
LONGEST_REST_S = 15.0
LONGEST_PAUSE_S = 60.0
LOOK_S = 15.0  # between two looks at what the vault holds
AGAIN_S = 2.0  # between two looks at what was sent
AT_ONCE = 64
MOST_FAILURES = 3  # txs that landed and moved nothing, until the money goes back
AWAY = (psycopg.Error, SQLAlchemyError, OSError)
Introduce = Callable[[], Awaitable[EvmHouse | SolanaHouse | None]]


async def pay(means: Manifest, introduce: Introduce) -> None:
    """Pay the withdrawals of one custody, whatever its nodes answer, until cancelled."""
    house: EvmHouse | SolanaHouse | None = None
    payer: Payer | None = None
    failures = 0
    try:
        while True:
            try:
                if house is None:
                    house = await introduce()
                    if house is None:
                        return
                if payer is None:
                    custody = await deposits.met(means)
                    payer = None if custody is None else Payer(custody, house.till())
                else:
                    await payer.tick()
                failures = 0
            except (RpcError, *AWAY) as error:
                failures += 1
                logger.warning("withdrawals from {} wait: {}", means.name, told(error))
            except Exception as error:
                # What the node meant nobody knows; the custody is met anew, like a stranger.
                failures += 1
                logger.error("withdrawals from {} do not go on: {}", means.name, told(error))
                if house is not None:
                    await house.close()
                house = payer = None
            await asyncio.sleep(min(TICK_S * 2 ** min(failures, 10), LONGEST_REST_S))
    finally:
        if house is not None:
            await house.close()


def told(error: Exception) -> str:
    """What went wrong; of foreign errors their kind, for their text may hold a URL."""
    return str(error) if isinstance(error, ChainError) else plainly(error)


@dataclass(frozen=True, slots=True)
class Rest:
    """Until when a withdrawal is left alone, and after how many tries."""

    until: float = 0.0
    times: int = 0


@dataclass
class Payer:
    """The work on one custody; `tick` does whatever is due."""

    custody: Custody
    till: Till
    rests: dict[int, Rest] = field(default_factory=dict)
    looked_at: float = -LOOK_S

    async def tick(self) -> None:
        """One look at what is approved and at what is under way. Raises `ChainError`."""
        await self.look()
        await self.till.renew()
        resting = [id for id, rest in self.rests.items() if rest.until > time.monotonic()]
        async with transaction() as session:
            fresh = await withdrawals.to_pay(session, self.custody, but=resting, limit=AT_ONCE)
            sent = await withdrawals.unlanded(session, self.custody, but=resting, limit=AT_ONCE)
        known = {*resting, *(one.id for one in (*fresh, *sent))}
        self.rests = {id: rest for id, rest in self.rests.items() if id in known}
        for one in sent:
            await self.carry(one)
        for one in fresh:
            await self.pay(one)

    async def look(self) -> None:
        """Note now and then what the vault could pay out."""
        if time.monotonic() - self.looked_at < LOOK_S:
            return
        free = await self.till.free()
        async with transaction() as session:
            await custodies.note(session, self.custody, free)
        self.looked_at = time.monotonic()

    async def carry(self, one: Withdrawal) -> None:
        """See what became of all that was signed for a withdrawal, and go on from there."""
        async with transaction() as session:
            known = await withdrawals.payments(session, one)
        fate = await self.till.fate(one, known)
        self.rest(one, AGAIN_S)
        if fate == "waiting":
            try:
                await self.till.take_up(known, self.noting(one))
            except REFUSED as error:  # it has landed or is too late: the next look tells
                logger.debug("withdrawal {}: {}", one.id, error)
            else:
                await self.sent(one)
        elif fate == "lost":
            logger.warning("withdrawal {}: {} never lands, another is signed", one.id, known[-1].tx)
            await self.pay(one)
        elif fate == "failed" and attempts(known) >= MOST_FAILURES:
            await self.fail(one, f"{attempts(known)} txs failed on the chain")
        elif fate == "failed":
            await self.pay(one)

    async def pay(self, one: Withdrawal) -> None:
        """Sign and send, unless something is in the way."""
        try:
            await self.till.pay(one, self.noting(one))
        except Obstacle as error:
            if error.for_good:
                await self.fail(one, str(error))
            else:
                await self.wait(one, error)
        except REFUSED as error:  # signed, stored, and not taken: carried from here on
            self.rest(one, AGAIN_S)
            logger.warning("withdrawal {}: {}", one.id, error)
        else:
            self.rest(one, AGAIN_S)
            await self.sent(one)
            logger.info("withdrawal {} is sent", one.id)

    def noting(self, one: Withdrawal) -> Callable[[Payment], Awaitable[None]]:
        """What keeps each tx signed for it; it refuses when the withdrawal went on without us."""
        states = iter([one.state])

        async def note(payment: Payment) -> None:
            try:
                await self.note(replace(one, state=next(states, "sending")), payment)
            except Overtaken as error:
                raise EvmRefused(str(error)) from error

        return note

    async def note(self, one: Withdrawal, payment: Payment) -> None:
        async with transaction() as session:
            await withdrawals.signed(session, one, payment)

    async def sent(self, one: Withdrawal) -> None:
        async with transaction() as session:
            await withdrawals.sent(session, one)

    async def wait(self, one: Withdrawal, error: Obstacle) -> None:
        """Say once why it waits, and try again ever more rarely."""
        times = self.rests.get(one.id, Rest()).times
        self.rest(one, min(2.0**times, LONGEST_PAUSE_S), times + 1)
        async with transaction() as session:
            news = await withdrawals.wait(session, one, error.word)
        if news:
            logger.error("withdrawal {} waits: {}", one.id, error)

    async def fail(self, one: Withdrawal, why: str) -> None:
        async with transaction() as session:
            await withdrawals.fail(session, self.custody, one, why)
        logger.error("withdrawal {} is not paid, its money goes back: {}", one.id, why)

    def rest(self, one: Withdrawal, seconds: float, times: int = 0) -> None:
        self.rests[one.id] = Rest(time.monotonic() + seconds, times)


def attempts(payments: Sequence[Payment]) -> int:
    """How many of these could have landed: what only offers more has the same number."""
    return len({(one.sender, one.tx if one.tx_nonce is None else one.tx_nonce) for one in payments})
