"""The relay on real PostgreSQL and Redis: every message once and in order, whatever dies."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from redis.asyncio import Redis
from websockets.asyncio.client import ClientConnection, connect

from api.feed.hub import Hub
from api.feed.server import serving
from local import redis
from local.forks import fork
from local.process import Child
from settings import Settings
from workers import relay, streams
from workers.leader import connect as to_database
from workers.relay import LEADER

SAY = "INSERT INTO outbox (namespace, type, casino, data) SELECT %s, 'bet.placed', 'demo',"
SAY_MANY = f"{SAY} jsonb_build_object('n', n) FROM generate_series(%s::int, %s::int) AS n"
UNPUBLISHED = "SELECT count(*) FROM outbox WHERE published_at IS NULL"


@dataclass
class Ground:
    """A database and a Redis of one test's own."""

    settings: Settings
    redis: Redis
    said: dict[str, int] = field(default_factory=dict)

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.settings.database_url, autocommit=True) as connection:
            cursor = connection.execute(query.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def say(self, count: int, namespace: str = "bets") -> None:
        """Put so many messages into the outbox."""
        before = self.said.get(namespace, 0)
        self.rows(SAY_MANY, namespace, before + 1, before + count)
        self.said[namespace] = before + count

    async def published(self, seconds: float = 20) -> None:
        await until(lambda: self.rows(UNPUBLISHED) == [(0,)], seconds)

    async def told(self, namespace: str = "bets") -> list[dict[str, Any]]:
        """What the stream holds, in its order; silent entries left out."""
        found: Any = await self.redis.xrange(streams.key(namespace))
        said = [fields[b"m"] for _, fields in found]
        ids = [int(id.split(b"-")[0]) for id, fields in found if fields[b"m"]]
        messages = [json.loads(one) for one in said if one]
        assert [one["seq"] for one in messages] == ids
        return messages

    def epoch(self, namespace: str = "bets") -> str:
        found: str = self.rows("SELECT epoch FROM streams WHERE namespace = %s", namespace)[0][0]
        return found


async def until(true: Callable[[], bool], seconds: float = 20) -> float:
    started = time.monotonic()
    while not true():
        assert time.monotonic() - started < seconds, "it did not come about"
        await asyncio.sleep(0.02)
    return time.monotonic() - started


def numbers(messages: list[dict[str, Any]]) -> list[int]:
    return [one["data"]["n"] for one in messages]


@pytest.fixture
async def ground(tmp_path: Path, fresh_database: Callable[[], str]) -> AsyncIterator[Ground]:
    async with redis.start(tmp_path / "redis") as store, Redis.from_url(store.url) as client:
        yield Ground(Settings(database_url=fresh_database(), redis_url=store.url), client)


@contextlib.asynccontextmanager
async def relaying(ground: Ground) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(relay.run(ground.settings))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def feeding(ground: Ground) -> AsyncIterator[str]:
    """A feed process on the same Redis; where its clients connect."""
    async with Redis.from_url(ground.settings.redis_url) as client:
        hub = Hub(client)
        reading = asyncio.create_task(hub.run())
        async with serving(hub, "127.0.0.1", 0) as server:
            await hub.ready.wait()
            yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/ws"
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def heard(client: ClientConnection) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(await asyncio.wait_for(client.recv(), 10))
    return said


async def subscribed(client: ClientConnection, since: Any = None) -> dict[str, Any]:
    wish = {"type": "subscribe", "channels": ["bets"]} | ({"since": since} if since else {})
    await client.send(json.dumps(wish))
    while (answer := await heard(client))["type"] != "subscribed":
        pass
    return answer


async def test_concurrent_commits_are_numbered_without_a_gap(ground: Ground) -> None:
    dice = random.Random(11)
    late = await psycopg.AsyncConnection.connect(ground.settings.database_url)
    await late.execute(SAY_MANY.encode(), ("bets", 9001, 9001))

    async def commit(turn: int) -> None:
        connection = await psycopg.AsyncConnection.connect(ground.settings.database_url)
        async with connection:
            for namespace in dice.sample(("bets", "stats", "players"), 3):
                await connection.execute(SAY_MANY.encode(), (namespace, turn * 10, turn * 10 + 4))
                await asyncio.sleep(dice.random() / 50)
            if turn % 5 == 4:
                await connection.rollback()

    async with relaying(ground):
        await asyncio.gather(*(commit(turn) for turn in range(40)))
        await ground.published()
        # A transaction that began first and commits last is numbered last, not skipped.
        await late.commit()
        await late.close()
        await ground.published()
        for namespace, count in (("bets", 161), ("stats", 160), ("players", 160)):
            told = await ground.told(namespace)
            assert [one["seq"] for one in told] == list(range(1, count + 1))
            assert len(set(numbers(told))) == count
        assert numbers(await ground.told())[-1] == 9001


async def test_a_crash_between_the_stream_and_its_mark_doubles_nothing(ground: Ground) -> None:
    ground.say(30)
    async with await to_database(ground.settings) as connection:
        await relay.step(connection, ground.redis)
        before: Any = await ground.redis.xrange("feed:bets")
        # The mark was lost with the process, and more was said meanwhile.
        ground.rows("UPDATE outbox SET published_at = NULL WHERE seq > 10")
        ground.say(5)
        await relay.inspect(connection, ground.redis)
        await relay.step(connection, ground.redis)
    after: Any = await ground.redis.xrange("feed:bets")
    assert after[:30] == before
    assert numbers(await ground.told()) == list(range(1, 36))
    assert ground.rows(UNPUBLISHED) == [(0,)]


async def test_an_emptied_redis_is_rebuilt_and_a_client_resumes(ground: Ground) -> None:
    async with relaying(ground), feeding(ground) as url, connect(url) as live:
        await subscribed(live)
        ground.say(40)
        first = [await heard(live) for _ in range(40)]
        await ground.redis.flushall()
        await asyncio.sleep(0.3)
        ground.say(10)
        # Who listens hears what is new, once, and nothing of what was put back.
        assert [(await heard(live))["seq"] for _ in range(10)] == list(range(41, 51))
        assert numbers(await ground.told()) == list(range(1, 51))
        place = {"bets": {"epoch": first[6]["epoch"], "seq": 7}}
        async with connect(url) as again:
            assert (await subscribed(again, place))["recovered"] is True
            assert [(await heard(again))["seq"] for _ in range(43)] == list(range(8, 51))
        ground.say(1)
        assert (await heard(live))["seq"] == 51


async def test_a_player_of_one_network_is_heard_before_and_after_a_rebuild(ground: Ground) -> None:
    player = "0x" + "ad" * 20
    say = (
        "INSERT INTO outbox (namespace, type, casino, player, data) VALUES"
        f" ('bets', 'bet.placed', 'demo', '{player}', jsonb_build_object('network', %s::text))"
    )
    wish = {"type": "subscribe", "channels": ["bets"], "filters": {"player": f"eip155:1:{player}"}}
    async with await to_database(ground.settings) as connection, feeding(ground) as url:
        async with connect(url) as live:
            await live.send(json.dumps(wish))
            assert [(await heard(live))["type"] for _ in range(2)] == ["welcome", "subscribed"]
            for network in ("eip155:8453", "eip155:1"):
                ground.rows(say, network)
            await relay.step(connection, ground.redis)
            first = await heard(live)
            assert (first["seq"], first["data"]) == (2, {"network": "eip155:1"})
        await ground.redis.flushall()
        await relay.inspect(connection, ground.redis)
        wish["since"] = {"bets": {"epoch": first["epoch"], "seq": 0}}
        async with connect(url) as again:
            await again.send(json.dumps(wish))
            assert [(await heard(again))["type"] for _ in range(2)] == ["welcome", "subscribed"]
            assert (await heard(again))["seq"] == 2


async def test_an_idle_relay_notices_an_emptied_redis_by_itself(ground: Ground) -> None:
    async with relaying(ground):
        ground.say(3)
        await ground.published()
        before = await ground.told()
        await ground.redis.flushall()
        await asyncio.sleep(relay.INSPECT_S + 1.5 * relay.POLL_S)
        assert await ground.told() == before


async def test_what_is_kept_no_more_begins_a_new_epoch_and_clients_are_told(
    ground: Ground,
) -> None:
    async with relaying(ground), feeding(ground) as url, connect(url) as live:
        await subscribed(live)
        ground.say(20)
        first = [await heard(live) for _ in range(20)]
        await ground.published()
        ground.rows("DELETE FROM outbox")
        await ground.redis.flushall()
        gap = await heard(live)
        assert (gap["type"], gap["channel"], gap["seq"]) == ("gap", "bets", 20)
        assert gap["epoch"] == ground.epoch() != first[0]["epoch"]
        ground.say(2)
        assert [(await heard(live))["seq"] for _ in range(2)] == [21, 22]
        async with connect(url) as again:
            place = {"bets": {"epoch": first[-1]["epoch"], "seq": 20}}
            assert (await subscribed(again, place))["recovered"] is False
            place = {"bets": {"epoch": gap["epoch"], "seq": 20}}
            assert (await subscribed(again, place))["recovered"] is True
            assert [(await heard(again))["seq"] for _ in range(2)] == [21, 22]


async def test_a_hole_in_what_is_kept_leaves_only_the_run_after_it(ground: Ground) -> None:
    ground.say(20)
    async with await to_database(ground.settings) as connection:
        await relay.step(connection, ground.redis)
        epoch = ground.epoch()
        ground.rows("DELETE FROM outbox WHERE seq = 12")
        await ground.redis.flushall()
        await relay.inspect(connection, ground.redis)
    assert numbers(await ground.told()) == list(range(13, 21))
    assert ground.epoch() == epoch


async def test_redis_emptied_just_before_a_message_takes_none_until_it_is_whole(
    ground: Ground,
) -> None:
    ground.say(5)
    async with await to_database(ground.settings) as connection:
        await relay.step(connection, ground.redis)
        await ground.redis.flushall()
        ground.say(2)
        assert await relay.step(connection, ground.redis) == 0
        assert numbers(await ground.told()) == [1, 2, 3, 4, 5]
        assert await relay.step(connection, ground.redis) == 2
    assert numbers(await ground.told()) == list(range(1, 8))


async def test_a_replica_that_lost_the_newest_messages_gets_them_back(ground: Ground) -> None:
    ground.say(9)
    async with await to_database(ground.settings) as connection:
        await relay.step(connection, ground.redis)
        await ground.redis.xdel("feed:bets", "8-0", "9-0")
        await relay.inspect(connection, ground.redis)
    assert numbers(await ground.told()) == list(range(1, 10))


async def test_a_stream_of_another_database_gives_way(ground: Ground) -> None:
    foreign: dict[Any, Any] = {"m": "{}", "casino": "", "player": "", "game": "", "epoch": "old"}
    await ground.redis.xadd("feed:bets", foreign, id="700-0")
    async with relaying(ground), feeding(ground) as url, connect(url) as live:
        assert (await subscribed(live))["seq"] == 700
        ground.say(4)
        await ground.published()
        assert numbers(await ground.told()) == [1, 2, 3, 4]
        gap = await heard(live)
        assert (gap["type"], gap["epoch"], gap["seq"]) == ("gap", ground.epoch(), 4)
        ground.say(1)
        assert (await heard(live))["seq"] == 5


async def test_a_database_put_back_in_time_begins_a_new_epoch(ground: Ground) -> None:
    ground.say(10)
    async with await to_database(ground.settings) as connection:
        await relay.step(connection, ground.redis)
        epoch = ground.epoch()
        ground.rows("DELETE FROM outbox WHERE seq > 6")
        ground.rows("UPDATE streams SET seq = 6")
        ground.say(1)
        await relay.inspect(connection, ground.redis)
        await relay.step(connection, ground.redis)
    assert ground.epoch() != epoch
    assert [one["seq"] for one in await ground.told()] == [7]


async def test_a_feed_that_starts_before_the_streams_are_back_repeats_no_old_news(
    ground: Ground,
) -> None:
    async with await to_database(ground.settings) as connection:
        ground.say(30)
        await relay.step(connection, ground.redis)
        await ground.redis.flushall()
        async with feeding(ground) as url, connect(url) as live:
            assert (await subscribed(live))["seq"] == 0
            await relay.inspect(connection, ground.redis)
            gap = await heard(live)
            assert (gap["type"], gap["seq"], gap["epoch"]) == ("gap", 30, ground.epoch())
            ground.say(1)
            await relay.step(connection, ground.redis)
            assert (await heard(live))["seq"] == 31


async def test_a_second_relay_takes_over_when_the_leader_loses_its_connection(
    ground: Ground,
) -> None:
    holder = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND granted"
    key = LEADER & 0xFFFFFFFF
    async with relaying(ground), relaying(ground):
        ground.say(10)
        await ground.published()
        for _ in range(3):
            [(pid,)] = ground.rows(holder, key)
            ground.rows("SELECT pg_terminate_backend(%s)", pid)
            ground.say(10)
            started = time.monotonic()
            await ground.published()
            assert time.monotonic() - started < 5
        assert numbers(await ground.told()) == list(range(1, 41))


async def test_old_messages_go_in_bounded_rounds_and_what_is_held_is_passed_over(
    ground: Ground,
) -> None:
    ground.say(relay.PRUNE_ROWS * 2 + 9)
    ground.rows("UPDATE outbox SET published_at = now() - interval '25 h' WHERE id > 4")
    ground.rows("UPDATE outbox SET published_at = now() - interval '23 h' WHERE id <= 4")
    holder = await psycopg.AsyncConnection.connect(ground.settings.database_url)
    async with holder, await to_database(ground.settings) as connection:
        await holder.execute("SELECT 1 FROM outbox WHERE id = 5 FOR UPDATE")
        rounds = [await relay.prune(connection, 24) for _ in range(4)]
    assert rounds == [relay.PRUNE_ROWS, relay.PRUNE_ROWS, 4, 0]
    assert ground.rows("SELECT id FROM outbox ORDER BY id") == [(n,) for n in range(1, 6)]


async def test_the_oldest_messages_are_found_without_reading_the_others(ground: Ground) -> None:
    ground.say(20_000)
    ground.rows("UPDATE outbox SET published_at = now()")
    ground.rows("ANALYZE outbox")
    plan = ground.rows(f"EXPLAIN {relay.PRUNE}", 24, relay.PRUNE_ROWS)
    said = "\n".join(line for (line,) in plan)
    assert "outbox_published" in said
    assert "Seq Scan" not in said


async def test_publishing_does_not_wait_for_old_messages_to_go(ground: Ground) -> None:
    """Whoever keeps old rows from being deleted keeps nobody from hearing the new ones."""
    old = relay.PRUNE_ROWS * 4
    ground.say(old)
    ground.rows("UPDATE outbox SET published_at = now() - interval '25 h', seq = id")
    ground.rows("INSERT INTO streams VALUES ('bets', 'e', %s)", old)
    ground.say(3)
    left = f"SELECT count(*) FROM outbox WHERE id <= {old}"
    holder = await psycopg.AsyncConnection.connect(ground.settings.database_url)
    async with holder, relaying(ground):
        await holder.execute("SELECT 1 FROM outbox WHERE id <= 10 FOR UPDATE")
        await ground.published()
        assert numbers(await ground.told())[-3:] == [old + 1, old + 2, old + 3]
        # The rounds follow one another without a pause until nothing old is left.
        await until(lambda: ground.rows(left) == [(10,)])


async def test_a_killed_relay_loses_and_doubles_nothing(ground: Ground, tmp_path: Path) -> None:
    environment = os.environ | {
        "FAIRHOUSE_DATABASE_URL": ground.settings.database_url,
        "FAIRHOUSE_REDIS_URL": ground.settings.redis_url,
    }

    def start() -> Child:
        return fork("relay", ["run", "relay"], log=tmp_path / "relay.log", env=environment)

    child = start()
    try:
        ground.say(8_000)
        for at in (500, 4_000):
            marked = f"SELECT count(*) > {at} FROM outbox WHERE published_at IS NOT NULL"
            await until(lambda marked=marked: ground.rows(marked) == [(True,)], 60)  # type: ignore[misc]
            child.process.kill()
            child.process.wait()
            child = start()
        await ground.published(60)
    finally:
        await child.stop()
    told = await ground.told()
    assert [one["seq"] for one in told] == numbers(told) == list(range(1, 8_001))
