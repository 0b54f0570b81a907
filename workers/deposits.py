"""Deposits come in, paid withdrawals are settled: what the books follow of the final chain.

Needs no key and no node. What is due stands in the database, so it may die between any two steps.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import psycopg
from loguru import logger
from sqlalchemy.exc import SQLAlchemyError

from casino import custodies, deposits, withdrawals
from casino.custodies import Custody
from chains import manifest
from chains.manifest import Manifest
from chains.redaction import plainly
from db.session import transaction
from settings import Settings

TICK_S = 0.5
LONGEST_REST_S = 15.0
REFUSED_S = 60.0  # how long a settlement rests that an account refused
AWAY = (psycopg.OperationalError, psycopg.InterfaceError, SQLAlchemyError, OSError)


async def follow(settings: Settings, sources: Sequence[Any]) -> None:
    """Keep the books up with every custody, whatever happens to one of them, until cancelled."""
    counters = [Counter(means) for means in held(settings, sources)]
    failures = 0
    while counters:
        try:
            for counter in counters:
                await counter.tick()
            failures = 0
        except AWAY as error:
            failures += 1
            logger.warning("the books wait: {}", plainly(error))
        await asyncio.sleep(min(TICK_S * 2 ** min(failures, 10), LONGEST_REST_S))


def held(settings: Settings, sources: Sequence[Any]) -> list[Manifest]:
    """The programs among the sources that hold players' money."""
    folders = [settings.programs_dir] if settings.programs_dir else []
    found = [
        manifest.load(source.program, folders).located(
            network=source.network, address=source.address
        )
        for source in sources
    ]
    return [means for means in found if means.custody]


async def met(means: Manifest) -> Custody | None:
    """The custody that a manifest means, once the indexer follows it."""
    async with transaction() as session:
        return await custodies.met(
            session,
            network=means.network,
            address=means.address,
            slip44=means.asset_slip44,
            symbol=means.symbol,
            decimals=means.decimals,
        )


class Counter:
    """One custody's deposits and settlements."""

    def __init__(self, means: Manifest) -> None:
        self._means = means
        self._custody: Custody | None = None
        self._resting: dict[int, float] = {}

    async def tick(self) -> None:
        """All that is due now. Raises what a database that is away raises."""
        self._custody = self._custody or await met(self._means)
        if self._custody is None:
            return
        try:
            await self.credit(self._custody)
            await self.settle(self._custody)
        except AWAY:
            raise
        except Exception as error:
            logger.error("the books of {} do not go on: {}", self._custody.address, plainly(error))

    async def credit(self, custody: Custody) -> None:
        while True:
            async with transaction() as session:
                count = await deposits.credit(session, custody)
            if count:
                logger.info("{} deposits are credited", count)
            if count < deposits.BATCH:
                return

    async def settle(self, custody: Custody) -> None:
        now = time.monotonic()
        self._resting = {id: until for id, until in self._resting.items() if until > now}
        while True:
            async with transaction() as session:
                ended = await withdrawals.settle(session, custody, but=list(self._resting))
            for one in ended.done:
                logger.info("withdrawal {} is settled", one.id)
            for id, refusal in ended.refused.items():
                logger.error("withdrawal {} is paid, and its account refuses: {}", id, refusal)
                self._resting[id] = now + REFUSED_S
            if len(ended.done) + len(ended.refused) < withdrawals.BATCH:
                return
