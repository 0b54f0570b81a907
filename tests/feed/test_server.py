"""The feed on a real Redis: welcome, filters, resuming, and clients that do not behave."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from api.feed import hub as feed_hub
from api.feed.hub import Hub
from api.feed.server import serving
from local import redis


@dataclass
class Feed:
    hub: Hub
    redis: Redis
    url: str
    seq: int = 0

    async def publish(self, *, game: str = "range", player: str = "p", epoch: str = "e") -> int:
        self.seq += 1
        message = {"type": "bet.placed", "data": {"n": self.seq}, "seq": self.seq, "epoch": epoch}
        fields: dict[Any, Any] = {
            "m": json.dumps(message),
            "casino": "demo",
            "player": player,
            "game": game,
        }
        await self.redis.xadd("feed:bets", {**fields, "epoch": epoch}, id=f"{self.seq}-0")
        return self.seq


@pytest.fixture
async def feed(tmp_path: Path) -> AsyncIterator[Feed]:
    async with redis.start(tmp_path / "redis") as store, Redis.from_url(store.url) as client:
        hub = Hub(client)
        reading = asyncio.create_task(hub.run())
        async with serving(hub, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            await hub.ready.wait()
            yield Feed(hub, client, f"ws://127.0.0.1:{port}/ws")
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def heard(client: ClientConnection) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(await asyncio.wait_for(client.recv(), 5))
    return said


async def subscribed(client: ClientConnection, **more: Any) -> dict[str, Any]:
    await client.send(json.dumps({"type": "subscribe", "channels": ["bets"], **more}))
    return await heard(client)


async def test_a_client_is_welcomed_subscribed_and_told(feed: Feed) -> None:
    async with connect(feed.url) as client:
        assert (await heard(client))["type"] == "welcome"
        answer = await subscribed(client)
        assert (answer["type"], answer["channels"]) == ("subscribed", ["bets"])
        await feed.publish()
        assert (await heard(client))["data"] == {"n": 1}
        await client.send('{"type":"ping"}')
        assert (await heard(client))["type"] == "pong"


async def test_filters_hold_back_what_they_do_not_match(feed: Feed) -> None:
    async with connect(feed.url) as client:
        await heard(client)
        await subscribed(client, filters={"player": "q"})
        await feed.publish(player="p")
        await feed.publish(player="q")
        assert (await heard(client))["seq"] == 2


async def test_an_unsubscribed_client_hears_no_more(feed: Feed) -> None:
    async with connect(feed.url) as client:
        await heard(client)
        await subscribed(client)
        await client.send('{"type":"unsubscribe","channels":["bets"]}')
        assert (await heard(client))["type"] == "unsubscribed"
        await feed.publish()
        await client.send('{"type":"ping"}')
        assert (await heard(client))["type"] == "pong"


async def test_resuming_gives_everything_once_while_messages_keep_coming(feed: Feed) -> None:
    async with connect(feed.url, max_queue=None) as first:
        await heard(first)
        await subscribed(first)
        for _ in range(20):
            await feed.publish()
        for _ in range(20):
            await heard(first)
        publishing = asyncio.create_task(publish_many(feed, 100))
        async with connect(feed.url) as second:
            await heard(second)
            answer = await subscribed(second, since={"bets": {"epoch": "e", "seq": 5}})
            assert answer["recovered"] is True
            assert [(await heard(second))["seq"] for _ in range(115)] == list(range(6, 121))
        await publishing


async def publish_many(feed: Feed, count: int) -> None:
    for _ in range(count):
        await feed.publish()


@pytest.mark.parametrize("place", [{"epoch": "other", "seq": 1}, {"epoch": "e", "seq": 99}])
async def test_resuming_from_nowhere_says_so_and_goes_on(feed: Feed, place: dict[str, Any]) -> None:
    async with connect(feed.url) as client:
        await heard(client)
        await subscribed(client)
        await feed.publish()
        await heard(client)
        answer = await subscribed(client, since={"bets": place})
        assert answer["recovered"] is False
        await feed.publish()
        assert (await heard(client))["seq"] == 2


async def test_a_hole_in_a_stream_is_said_before_what_follows(feed: Feed) -> None:
    async with connect(feed.url) as client:
        await heard(client)
        await subscribed(client)
        await feed.publish()
        assert (await heard(client))["seq"] == 1
        feed.seq += 5
        await feed.publish()
        gap = await heard(client)
        assert (gap["type"], gap["channel"], gap["epoch"], gap["seq"]) == ("gap", "bets", "e", 6)
        assert (await heard(client))["seq"] == 7
        await feed.publish(epoch="f")
        gap = await heard(client)
        assert (gap["type"], gap["epoch"], gap["seq"]) == ("gap", "f", 7)
        assert (await heard(client))["seq"] == 8
        answer = await subscribed(client, since={"bets": {"epoch": "f", "seq": 6}})
        assert answer["recovered"] is False


async def test_a_bad_frame_gets_a_code_and_the_connection_stays(feed: Feed) -> None:
    async with connect(feed.url) as client:
        await heard(client)
        await client.send("{")
        assert (await heard(client))["code"] == "not_json"
        await client.send(b"\x00")
        assert (await heard(client))["code"] == "binary"


async def shown_out(url: str, frames: list[str]) -> int:
    """The code that the feed closes with."""
    async with connect(url) as client:
        for frame in frames:
            await client.send(frame)
        with contextlib.suppress(ConnectionClosedError):
            while True:
                await heard(client)
    return client.close_code or 0


async def test_a_flood_of_commands_and_a_giant_frame_are_shown_the_door(feed: Feed) -> None:
    assert await shown_out(feed.url, ["{}"] * 100) == 4429
    assert await shown_out(feed.url, ["x" * 100_000]) == 1009


async def test_a_client_that_does_not_read_is_let_go_and_holds_up_nobody(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_hub, "MOST_WAITING", 400)
    listener = feed_hub.Listener()
    for _ in range(3):
        listener.put("x" * 200)
    assert listener.overflowed


async def test_another_path_is_not_found(feed: Feed) -> None:
    with pytest.raises(InvalidStatus, match="404"):
        async with connect(feed.url.replace("/ws", "/elsewhere")):
            pass
