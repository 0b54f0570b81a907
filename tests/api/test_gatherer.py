"""Batches begin apart only when that is worth it, and nobody waits for one that is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from api import gatherer
from api.gatherer import APART, FEW, Gatherer
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


async def behind(held: Held, count: int) -> None:
    """A batch of so many ran, and nothing does any more."""
    held.free.set()
    await held.ask(count)
    await asyncio.gather(*held.asking)
    held.asking.clear()
    held.sizes.clear()


async def test_behind_many_a_few_wait_for_as_many_but_not_for_long(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gatherer, "PAUSE_S", 60.0)
    await behind(held, 10)
    held.asking += [asyncio.create_task(held.gatherer.ask(n)) for n in range(3)]
    await asyncio.sleep(0.1)
    assert held.sizes == []
    await asyncio.wait_for(held.ask(7), 5)
    assert held.sizes == [10]
    monkeypatch.setattr(gatherer, "PAUSE_S", 0.05)
    await behind(held, 10)
    await asyncio.wait_for(held.ask(3), 5)
    assert held.sizes == [3]


async def test_behind_many_as_many_or_behind_few_anybody_begins_at_once(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gatherer, "PAUSE_S", 60.0)
    await behind(held, FEW)
    await asyncio.wait_for(held.ask(1), 5)
    await behind(held, 10)
    some = asyncio.create_task(held.ask(4))
    await asyncio.sleep(0.05)
    assert held.sizes == []
    held.asking += [asyncio.create_task(held.gatherer.ask(n)) for n in range(6)]
    await asyncio.wait_for(some, 5)
    assert held.sizes == [10]


async def test_in_the_end_all_are_answered_and_nobody_waits_for_more(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gatherer, "PAUSE_S", 60.0)
    held.gatherer.most = 8
    await behind(held, 8)
    asking = [asyncio.create_task(held.gatherer.ask(n)) for n in range(8 + 8 + 3)]
    await asyncio.sleep(0)
    await held.gatherer.close()
    assert [one.result() for one in asking] == list(range(19))


async def test_what_is_known_ahead_is_not_run(held: Held) -> None:
    async def ahead(asked: Sequence[int]) -> Sequence[int] | None:
        return [-one for one in asked] if 1 in asked else None

    held.free.set()
    knowing: Gatherer[int, int] = Gatherer(held.run, ahead=ahead)
    assert await asyncio.gather(*map(knowing.ask, (1, 2))) == [-1, -2]
    assert held.sizes == []
    assert await knowing.ask(3) == 3
    assert held.sizes == [1]
