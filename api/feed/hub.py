"""The hub: one reader of all streams, and the connections that listen to them.

A message is encoded once, by the relay, and its bytes are shared by every connection. What a slow
connection has not taken is bounded in bytes at every moment: a message too much and it is let go,
with all that waited, and nobody waits for it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from loguru import logger
from redis.asyncio import Redis
from redis.exceptions import RedisError

from api.feed.protocol import CHANNELS, Filters, Place, Subscribe, encode

MOST_WAITING = 1 << 20  # bytes
MOST_REPLAYED = 1_000
BLOCK_MS = 1_000
INSPECT_S = 1.0
ANSWER_S = 30.0
READ = 100  # so few that connections can write between two reads


@dataclass(frozen=True, slots=True)
class Message:
    """A message as the stream holds it."""

    channel: str
    seq: int
    epoch: str
    text: bytes
    casino: str
    game: str
    player: str
    network: str
    rebuilt: bool

    def passes(self, filters: Filters) -> bool:
        return filters.match(self.casino, self.game, self.player, self.network)


@dataclass(eq=False)
class Listener:
    """One connection: what it wants, and what it has not taken yet.

    `let_go` is called once, when more would wait than may: from then on nothing waits any more.
    """

    let_go: Callable[[], None]
    wants: dict[str, Filters] = field(default_factory=dict)
    waiting: deque[bytes] = field(default_factory=deque)
    size: int = 0
    gone: bool = False
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    def fits(self, size: int) -> bool:
        return self.size + size <= MOST_WAITING

    def put(self, text: bytes) -> None:
        if self.gone:
            return
        if not self.fits(len(text)):
            self.gone = True
            self.wants.clear()
            self.waiting.clear()
            self.size = 0
            self.let_go()
            return
        self.size += len(text)
        self.waiting.append(text)
        self.ready.set()

    async def take(self) -> bytes:
        """What waits longest, once something does."""
        while not self.waiting:
            self.ready.clear()
            await self.ready.wait()
        text = self.waiting.popleft()
        self.size -= len(text)
        return text


class Hub:
    """All listeners of this process, and where reading came to in each stream."""

    def __init__(self, redis: Redis) -> None:
        self.listeners: set[Listener] = set()
        self.ready = asyncio.Event()
        self._redis = redis
        self._last = dict.fromkeys(CHANNELS, 0)
        self._epochs: dict[str, str] = {}
        self._jumps: set[str] = set(CHANNELS)

    async def run(self) -> None:
        """Read until cancelled; an unreachable Redis is waited for."""
        while True:
            try:
                await self._read_on()
            except (RedisError, OSError) as error:
                logger.warning("the feed waits for Redis: {}", error)
                await asyncio.sleep(1)

    async def _read_on(self) -> None:
        inspected = -INSPECT_S
        while True:
            now = asyncio.get_running_loop().time()
            async with asyncio.timeout(ANSWER_S):
                if self._jumps or now - inspected >= INSPECT_S:
                    await self._inspect()
                    inspected = now
                self.ready.set()
                await self._read()

    async def subscribe(self, listener: Listener, wanted: Subscribe) -> None:
        """Begin to listen: a channel is answered first, then what was missed, then what comes."""
        for channel in wanted.channels:
            place = wanted.since.get(channel)
            missed = None
            if place is not None and (found := await self._missed(channel, place)) is not None:
                texts = [one.text for one in found if one.passes(wanted.filters)]
                # All or nothing: what would not fit is not half replayed.
                room = sum(map(len, texts)) + MOST_WAITING // 4
                missed = texts if listener.fits(room) else None
            # Nothing awaits from here on: live messages follow the replayed ones without a hole
            # and without a repeat, because the hub cannot move meanwhile.
            answer: dict[str, Any] = {"channels": [channel], "seq": self._last[channel]}
            answer["epoch"] = self._epochs.get(channel, "")
            if place is not None:
                answer["recovered"] = missed is not None
            listener.put(encode("subscribed", **answer))
            for text in missed or ():
                listener.put(text)
            if not listener.gone:
                listener.wants[channel] = wanted.filters

    async def _inspect(self) -> None:
        """Follow a stream that began anew; one that is absent or shorter comes back by itself.

        The relay puts back what Redis lost under the same numbers, which are not told twice.
        """
        for channel in CHANNELS:
            newest: Any = await self._redis.xrevrange(f"feed:{channel}", count=1)
            if newest:
                top = read(channel, *newest[0])
                renewed = top.epoch != self._epochs.get(channel) and top.seq <= self._last[channel]
                if channel in self._jumps or renewed:
                    self._jump(channel, top.epoch, top.seq)
        self._jumps.clear()

    def _jump(self, channel: str, epoch: str, seq: int) -> None:
        """Go on after a message; who listens is told that there may be some it never got."""
        self._epochs[channel], self._last[channel] = epoch, seq
        gap = encode("gap", channel=channel, epoch=epoch, seq=seq)
        for listener in self.listeners:
            if channel in listener.wants:
                listener.put(gap)

    async def _read(self) -> None:
        streams: Any = {f"feed:{channel}": f"{seq}-0" for channel, seq in self._last.items()}
        answer: Any = await self._redis.xread(streams, count=READ, block=BLOCK_MS)
        for name, entries in answer.items() if isinstance(answer, dict) else answer or ():
            channel = name.decode().removeprefix("feed:")
            batches = entries[0] if isinstance(answer, dict) else entries
            for id, fields in batches:
                message = read(channel, id, fields)
                if message.rebuilt and channel not in self._epochs:
                    self._jumps.add(channel)  # old news, put back before this feed knew of any
                    break
                self._take(message)

    def _take(self, message: Message) -> None:
        channel, before = message.channel, self._last[message.channel]
        known = self._epochs.get(channel, message.epoch)
        if message.epoch != known or (channel in self._epochs and message.seq != before + 1):
            self._jump(channel, message.epoch, message.seq - 1)
        self._epochs[channel], self._last[channel] = message.epoch, message.seq
        if message.text:
            self._deliver(message)

    def _deliver(self, message: Message) -> None:
        for listener in self.listeners:
            filters = listener.wants.get(message.channel)
            if filters and message.passes(filters):
                listener.put(message.text)

    async def _missed(self, channel: str, place: Place) -> list[Message] | None:
        """All messages after a place up to where the hub is, or None when one is gone."""
        until = self._last[channel]
        if place.epoch != self._epochs.get(channel) or place.seq > until:
            return None
        if until - place.seq > MOST_REPLAYED:
            return None
        async with asyncio.timeout(ANSWER_S):
            found: Any = await self._redis.xrange(
                f"feed:{channel}", min=f"{place.seq + 1}-0", max="+", count=2 * MOST_REPLAYED
            )
        upto = self._last[channel]  # the hub may have moved while Redis answered
        messages = [read(channel, id, fields) for id, fields in found]
        missed = [message for message in messages if message.seq <= upto]
        whole = len(missed) == upto - place.seq and place.epoch == self._epochs.get(channel)
        same = all(message.epoch == place.epoch and message.text for message in missed)
        return missed if whole and same else None


def read(channel: str, id: bytes, fields: dict[bytes, bytes]) -> Message:
    return Message(
        channel,
        int(id.split(b"-")[0]),
        fields[b"epoch"].decode(),
        fields[b"m"],
        fields[b"casino"].decode(),
        fields[b"game"].decode(),
        fields[b"player"].decode(),
        fields.get(b"network", b"").decode(),
        b"rebuilt" in fields,
    )
