"""What a round tells reaches everybody in its order: no seed is heard of before the bets' root."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from casino.rounds import courses
from db.session import direct
from local import redis
from settings import Settings
from tests.casino.rounds.dealt import Dealt, sign
from workers import relay, streams
from workers.leader import Connection, connect


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Redis]:
    async with redis.start(tmp_path / "redis") as started, Redis.from_url(started.url) as client:
        yield client


async def heard(store: Redis, table: str) -> list[tuple[str, int]]:
    """What listeners know of a table so far: each message's type and round, in their order."""
    found: Any = await store.xrange(streams.key("rounds"))
    said = [json.loads(fields[b"m"]) for _, fields in found if fields[b"m"]]
    mine = [one for one in said if one["data"]["table"] == table]
    return [(one["type"], one["data"]["round"]) for one in mine]


@pytest.mark.parametrize("batch", [1, 1_000])
async def test_a_root_leaves_the_house_before_its_seed_however_rounds_overlap(
    database: str, store: Redis, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The relay looks after every step, while another round's close is not committed yet."""
    monkeypatch.setattr(relay, "BATCH", batch)
    dealt = await Dealt.at()
    await dealt.batch(opens_in=-5)
    name = dealt.table.name
    for number in range(4):
        await dealt.moved(number, 60)
    async with await connect(Settings(_env_file=None, database_url=database)) as relaying:
        await relay.inspect(relaying, store)
        for earlier, later in itertools.pairwise(range(4)):
            if not earlier:
                await dealt.close(earlier)
            async with direct() as slow:
                assert await courses.close(slow, dealt.table, later, sign) is not None
                assert await dealt.draw(earlier) is not None
                await told(relaying, store, name)
            await told(relaying, store, name)
        await dealt.draw(3)
        while await told(relaying, store, name):
            pass
    messages = await heard(store, name)
    assert len(messages) == 8
    for number in range(4):
        mine = [type for type, round in messages if round == number]
        assert mine == ["round.closed", "round.result"]


async def told(relaying: Connection, store: Redis, table: str) -> int:
    """One step of the relay; nobody who listens has heard of a seed without its root."""
    count = await relay.step(relaying, store)
    known = await heard(store, table)
    closed = {round for type, round in known if type == "round.closed"}
    assert {round for type, round in known if type == "round.result"} <= closed
    return count
