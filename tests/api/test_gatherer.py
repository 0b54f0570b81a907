"""Batches begin apart only when that is worth it, and nobody waits for one that is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from api import gatherer
from api.gatherer import APART, Gatherer
from db.session import Connection


class Held:
    """Runs batches that end when they are let go."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.free = asyncio.Event()
        self.gatherer: Gatherer[int, int] = Gatherer(self.run)
        self.asking: list[asyncio.Task[int]] = []

    async def run(self, connection: Connection, asked: Sequence[int]) -> Sequence[int]:
        self.sizes.append(len(asked))
        await self.free.wait()
        return asked

    async def ask(self, count: int) -> None:
        self.asking += [asyncio.create_task(self.gatherer.ask(n)) for n in range(count)]
        while sum(self.sizes) < len(self.asking):
            await asyncio.sleep(0.005)


@pytest.fixture
async def held(database: str) -> AsyncIterator[Held]:
    one = Held()
    yield one
    one.free.set()
    await asyncio.gather(*one.asking)
    await one.gatherer.close()


async def test_few_begin_as_one_batch_and_many_as_two(held: Held) -> None:
    await held.ask(APART - 1)
    assert held.sizes == [APART - 1]
    held.free.set()
    await asyncio.gather(*held.asking)
    held.free.clear()
    await held.ask(APART)
    assert held.sizes[1:] == [APART // 2, APART // 2]


async def test_beside_a_batch_as_many_begin_as_it_runs(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gatherer, "OVERDUE_S", 60.0)
    await held.ask(10)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(held.ask(9), 0.2)
    assert held.sizes == [10]
    await held.ask(1)
    assert held.sizes == [10, 10]


async def test_nobody_waits_for_a_batch_that_is_kept(held: Held) -> None:
    await held.ask(10)
    await asyncio.wait_for(held.ask(1), 5)
    assert held.sizes == [10, 1]
