"""A consumer that waits inside Redis until there is something to fetch."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from dramatiq import Consumer, MessageProxy
from dramatiq.errors import ConnectionClosed
from redis import Redis
from redis.exceptions import ConnectionError, TimeoutError

FULL_S = 0.01
# An idle consumer still fetches as often: every fetch renews its broker's heartbeat in Redis.
FETCH_EVERY_S = 5.0


class WaitingConsumer(Consumer):
    """Dramatiq's own consumer, which fetches; between fetches this one blocks.

    `BLMOVE list list RIGHT RIGHT` puts the last message back where it was: it answers at once
    when the list holds anything and otherwise as soon as it does, and takes nothing. Needs Redis
    6.2. Raises `ConnectionClosed` as Dramatiq's own does.
    """

    def __init__(self, fetching: Any, client: Redis, key: str, wait_ms: int) -> None:
        self._fetching, self._client, self._key = fetching, client, key
        self._wait_s = wait_ms / 1000
        self._fetched = 0.0

    def __next__(self) -> MessageProxy | None:
        if not self._ready():
            return None
        self._fetched = time.monotonic()
        message: MessageProxy | None = next(self._fetching)
        return message

    def ack(self, message: MessageProxy) -> None:
        self._fetching.ack(message)

    def nack(self, message: MessageProxy) -> None:
        self._fetching.nack(message)

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        self._fetching.requeue(messages)

    def close(self) -> None:
        self._fetching.close()

    def _ready(self) -> bool:
        """Whether a fetch is worth its while; answers no only after a wait."""
        if self._fetching.message_cache:
            return True
        if self._fetching.outstanding_message_count >= self._fetching.prefetch:
            time.sleep(FULL_S)
            return False
        if time.monotonic() - self._fetched > FETCH_EVERY_S:
            return True
        try:
            found = self._client.blmove(
                self._key,
                self._key,
                self._wait_s,  # type: ignore[arg-type]  # Redis takes fractions
                "RIGHT",
                "RIGHT",
            )
        except (ConnectionError, TimeoutError) as error:
            raise ConnectionClosed(error) from None
        return found is not None
