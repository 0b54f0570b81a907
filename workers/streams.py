"""What Redis holds of a feed: one stream per namespace, appended to only where it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

LENGTH = 10_000
ANSWER_S = 5.0

# Redis may have been emptied a moment ago: whether the stream still ends in our epoch, without a
# hole before the first message, is asked in the same breath as it is written to.
APPEND = """
local last, epoch = 0, ARGV[1]
local top = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
if top then
    last = tonumber(string.match(top[1], '^%d+'))
    epoch = ''
    for at = 1, #top[2], 2 do
        if top[2][at] == 'epoch' then epoch = top[2][at + 1] end
    end
end
if epoch ~= ARGV[1] or last < tonumber(ARGV[2]) - 1 then return 0 end
for at = 4, #ARGV, 6 do
    if tonumber(ARGV[at]) > last then
        redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], ARGV[at] .. '-0', 'm', ARGV[at + 1],
            'casino', ARGV[at + 2], 'player', ARGV[at + 3], 'game', ARGV[at + 4],
            'network', ARGV[at + 5], 'epoch', ARGV[1])
    end
end
return 1
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A message as the stream keeps it, with what the feed filters by."""

    id: int
    namespace: str
    seq: int
    epoch: str
    message: bytes
    casino: str = ""
    player: str = ""
    game: str = ""
    network: str = ""


@dataclass(frozen=True, slots=True)
class Top:
    """The newest message of a stream; an absent stream is at zero, in no epoch."""

    seq: int = 0
    epoch: str | None = None


def key(namespace: str) -> str:
    return f"feed:{namespace}"


async def top(redis: Redis, namespace: str) -> Top:
    async with asyncio.timeout(ANSWER_S):
        newest: Any = await redis.xrevrange(key(namespace), count=1)
    if not newest:
        return Top()
    id, fields = newest[0]
    return Top(int(id.split(b"-")[0]), fields.get(b"epoch", b"").decode())


async def append(redis: Redis, entries: Sequence[Entry]) -> bool:
    """Add consecutive messages of one namespace, each once; False when the stream lost its end."""
    first = entries[0]
    values: list[Any] = [first.epoch, first.seq, LENGTH]
    for one in entries:
        values += [one.seq, one.message, one.casino, one.player, one.game, one.network]
    add = redis.register_script(APPEND)
    async with asyncio.timeout(ANSWER_S):
        return bool(await add(keys=[key(first.namespace)], args=values))


async def replace(redis: Redis, namespace: str, entries: Sequence[Entry]) -> None:
    """Put these messages in the place of whatever the stream holds, all at once.

    `rebuilt` tells a feed that knows of no epoch yet that they are old.
    """
    pipeline = redis.pipeline(transaction=True)
    pipeline.delete(key(namespace))
    for one in entries:
        fields: dict[Any, Any] = {
            "m": one.message,
            "casino": one.casino,
            "player": one.player,
            "game": one.game,
            "network": one.network,
            "epoch": one.epoch,
            "rebuilt": "1",
        }
        pipeline.xadd(key(namespace), fields, id=f"{one.seq}-0")
    async with asyncio.timeout(ANSWER_S):
        await pipeline.execute()


def mark(namespace: str, seq: int, epoch: str) -> Entry:
    """The silent first entry of an epoch that goes on counting where another one ended."""
    return Entry(0, namespace, seq, epoch, b"")
