"""The feed on a real Redis: welcome, filters, resuming, and clients that do not behave."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from api.feed import server
from api.feed.hub import MOST_WAITING, Hub, Listener
from api.feed.server import TOO_SLOW, serving
from local import redis

ADA = "0x52908400098527886e0f7030069857d2e4169ee7"
CHECKSUMMED = "0x52908400098527886E0F7030069857D2E4169EE7"


@dataclass
class Feed:
    hub: Hub
    redis: Redis
    url: str
    seq: int = 0

    async def publish(
        self,
        *,
        game: str = "range",
        player: str = "p",
        epoch: str = "e",
        network: str = "eip155:1",
        pad: str = "",
    ) -> int:
        self.seq += 1
        data = {"n": self.seq, **({"pad": pad} if pad else {})}
        message = {"type": "bet.placed", "data": data, "seq": self.seq, "epoch": epoch}
        fields: dict[Any, Any] = {
            "m": json.dumps(message),
            "casino": "demo",
            "player": player,
            "game": game,
            "network": network,
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
    said: dict[str, Any] = json.loads(await asyncio.wait_for(client.recv(), 30))
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
        await subscribed(client, filters={"player": ADA})
        await feed.publish(player="p")
        await feed.publish(player=ADA)
        assert (await heard(client))["seq"] == 2


@pytest.mark.parametrize("player", [CHECKSUMMED, f"eip155:1:{ADA}", f"eip155:1:{CHECKSUMMED}"])
async def test_a_player_is_heard_under_every_spelling(feed: Feed, player: str) -> None:
    async with connect(feed.url) as client:
        await heard(client)
        assert (await subscribed(client, filters={"player": player}))["type"] == "subscribed"
        await feed.publish(player="p")
        await feed.publish(player=ADA)
        assert (await heard(client))["seq"] == 2


async def test_a_player_of_one_network_is_not_that_of_another(feed: Feed) -> None:
    async with connect(feed.url) as client:
        await heard(client)
        await subscribed(client, filters={"player": f"eip155:8453:{ADA}"})
        await feed.publish(player=ADA, network="eip155:1")
        await feed.publish(player=ADA, network="eip155:8453")
        assert (await heard(client))["seq"] == 2


async def test_a_filter_that_nothing_can_match_is_refused_and_nothing_subscribed(
    feed: Feed,
) -> None:
    async with connect(feed.url) as client:
        await heard(client)
        refused = await subscribed(client, filters={"player": ADA[:-1]})
        assert (refused["type"], refused["code"]) == ("error", "bad_filter")
        assert ADA[:-1] in refused["message"]
        assert not next(iter(feed.hub.listeners)).wants


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


@contextlib.asynccontextmanager
async def stuck(feed: Feed) -> AsyncIterator[tuple[ClientConnection, Listener]]:
    """A client that stops to read once it has subscribed, and what the feed holds for it."""
    client = await connect(feed.url, max_queue=1, close_timeout=0.1)
    await heard(client)
    await subscribed(client)
    listener = next(iter(feed.hub.listeners))
    try:
        yield client, listener
    finally:
        client.transport.abort()


async def flood(feed: Feed, slow: Listener, quick: ClientConnection) -> int:
    """Publish until the slow one is let go, more than every buffer on its way holds."""
    for published in range(0, 20_000, 50):
        for _ in range(50):
            await feed.publish(pad="x" * 4_000)
        assert [(await heard(quick))["data"]["n"] for _ in range(50)] == list(
            range(published + 1, published + 51)
        )
        assert sum(map(len, slow.waiting)) == slow.size <= MOST_WAITING
        if slow.gone:
            return published + 50
    raise AssertionError("80 MB wait for a client that does not read")


async def test_a_client_that_does_not_read_holds_no_memory_and_hears_why_it_is_let_go(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "GOODBYE_S", 60)
    async with stuck(feed) as (slow, listener), connect(feed.url) as quick:
        await heard(quick)
        await subscribed(quick)
        last = await flood(feed, listener, quick)
        await feed.publish()
        assert (await heard(quick))["seq"] == last + 1
        listener.put(b"what a command of its own is answered")
        assert (list(listener.waiting), listener.size, listener.wants) == ([], 0, {})
        # What was on its way comes without a hole, and then the goodbye.
        said = []
        with contextlib.suppress(ConnectionClosedError):
            while True:
                said.append((await heard(slow))["seq"])
        assert slow.close_code == TOO_SLOW
        assert said == list(range(1, len(said) + 1))
        assert len(said) < last


async def test_a_client_that_never_reads_again_is_cut_off(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "GOODBYE_S", 0.2)
    async with stuck(feed) as (_, listener), connect(feed.url) as quick:
        await heard(quick)
        await subscribed(quick)
        await flood(feed, listener, quick)
        async with asyncio.timeout(20):
            while listener in feed.hub.listeners:
                await asyncio.sleep(0.02)


async def test_a_client_that_does_not_read_does_not_hold_up_the_end(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "GOODBYE_S", 0.2)
    async with contextlib.AsyncExitStack() as house:
        other = await house.enter_async_context(serving(feed.hub, "127.0.0.1", 0))
        port = next(iter(other.sockets)).getsockname()[1]
        async with stuck(replace(feed, url=f"ws://127.0.0.1:{port}/ws")) as (_, listener):
            while listener.size < MOST_WAITING // 2:
                listener.put(b" " * 10_000)
                await asyncio.sleep(0)
            async with asyncio.timeout(15):
                await house.aclose()


async def test_what_was_missed_is_replayed_only_if_it_fits(feed: Feed) -> None:
    async with connect(feed.url) as client:
        await heard(client)
        await subscribed(client)
        for _ in range(30):
            await feed.publish(pad="x" * 40_000)
            await heard(client)
        answer = await subscribed(client, since={"bets": {"epoch": "e", "seq": 1}})
        assert answer["recovered"] is False
        answer = await subscribed(client, since={"bets": {"epoch": "e", "seq": 20}})
        assert answer["recovered"] is True
        assert [(await heard(client))["seq"] for _ in range(10)] == list(range(21, 31))


async def test_another_path_is_not_found(feed: Feed) -> None:
    with pytest.raises(InvalidStatus, match="404"):
        async with connect(feed.url.replace("/ws", "/elsewhere")):
            pass
