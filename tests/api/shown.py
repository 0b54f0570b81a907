"""What a page shows, made to happen: a feed beside the API, and bets that are played."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import pytest

from casino import finality, pages, stats
from casino.sources import followed
from db import session as db_session
from db.session import transaction
from local.process import accepts, until_ready
from tests.api.conftest import ADA, Api, running
from tests.casino.conftest import Says


@contextlib.asynccontextmanager
async def feeding(api: Api) -> AsyncIterator[None]:
    async with running("feed", api.environment, api.logs) as feed:
        await until_ready(feed, lambda: accepts(api.feed_port))
        yield


@pytest.fixture
async def house(api: Api) -> AsyncIterator[None]:
    db_session.configure(api.database_url)
    yield
    await db_session.close()


async def play(bet: int, *, settle: bool) -> None:
    """What the interpreter does with a bet of the EVM program."""
    placed = Says.placed(bet, ADA, stake=25 * 10**16, position=200 + bet)
    ended = Says.settled(bet, payout=495 * 10**15, position=201 + bet, player=ADA)
    async with transaction() as session:
        await pages.apply(
            session, await followed(session, 1), [ended if settle else placed], fresh=True
        )
        await stats.fold(session, 1, interval_ms=0)


async def take_back(*txs: str) -> None:
    """What the indexer does when the chain drops some txs of the EVM program."""
    async with transaction() as session:
        assert await finality.retract(session, await followed(session, 1), txs=txs) == 1
