"""Redis for a process that may be told to stop at any moment."""

from __future__ import annotations

from redis.asyncio import Redis

CONNECT_S = 5.0


def client(url: str) -> Redis:
    """A client that knows no time limit for an answer: who asks sets it, by `asyncio.timeout`.

    redis-py keeps its own by `asyncio.wait_for`, which before Python 3.12 forgets that it was
    cancelled when the answer comes in the same moment (CPython issue 86296): the process would go
    on as if nobody had told it to stop.
    """
    return Redis.from_url(url, socket_timeout=None, socket_connect_timeout=CONNECT_S)
