"""A leader's inbox, and listeners on fake chains."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from typing import Any

import psycopg
import pytest

from casino.sources import Followed
from chains import manifest, networks
from chains.solana.address import to_base58 as base58
from db import session as db_session
from indexer import source
from indexer.inbox import Inbox
from indexer.source import Planned

_numbers = itertools.count(1)


def evm_address() -> str:
    return f"0x{next(_numbers):040x}"


def solana_address() -> str:
    return base58(next(_numbers).to_bytes(32, "big"))


@contextlib.asynccontextmanager
async def leading(url: str) -> AsyncIterator[Inbox]:
    """An inbox of its own connection; whether it leads is another question."""
    made = db_session.engine(url, pool_size=1)
    try:
        async with made.connect() as connection:
            yield Inbox(connection)
    finally:
        await made.dispose()


@pytest.fixture
async def inbox(database: str) -> AsyncIterator[Inbox]:
    async with leading(database) as made:
        while not await made.lead():  # the test before is just letting go
            await asyncio.sleep(0.01)
        yield made


def planned(address: str, *, chain: str = "evm", start: int = 0) -> Planned:
    network = networks.load("evm-local" if chain == "evm" else "solana-local")
    means = manifest.load("casino_evm" if chain == "evm" else "casino_solana")
    return Planned(
        means.located(address=address, start=start, network=network.name), network, (), ""
    )


async def follow(inbox: Inbox, address: str, network: str, *, start: int = 0) -> Followed:
    """The source of this address, registered."""
    chain = "solana" if network.startswith("solana") else "evm"
    async with inbox.transaction() as session:
        return await source.register(session, planned(address, chain=chain, start=start), network)


@pytest.fixture
def rows(database: str) -> Callable[..., list[tuple[Any, ...]]]:
    """What a query finds, outside of any transaction of the house."""

    def found(query: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(database, autocommit=True) as connection:
            return connection.execute(query.encode(), values or None).fetchall()

    return found
