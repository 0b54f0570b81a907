"""The broker: messages carry an id and nothing else; who enqueues needs no actor."""

from __future__ import annotations

from dramatiq import Message
from dramatiq.errors import BrokerConnectionError
from loguru import logger
from redis.exceptions import RedisError

from queues.broker import ACTORS, broker, setup

__all__ = ["ACTORS", "broker", "send", "setup"]

DEBOUNCE_MS = 100


def send(queue: str, id: int, *, delay_ms: int = 0) -> bool:
    """Put an id on a queue; False when Redis does not take it.

    A refusal loses nothing: the row is the truth, and the sweeper sends again what stands still.
    Stats are debounced: of many sends within 100 ms one remains, and it runs after all of them.
    """
    actor = ACTORS[queue]
    made = broker()
    try:
        if queue == "stats" and not delay_ms:
            due = made.client.set(f"fairhouse:due:{queue}:{id}", 1, nx=True, px=DEBOUNCE_MS)
            if not due:
                return True
            delay_ms = DEBOUNCE_MS
        made.enqueue(_message(queue, actor, id), delay=delay_ms or None)
    except (RedisError, BrokerConnectionError) as error:
        logger.warning("{} {} waits for the sweeper: {}", queue, id, error)
        return False
    return True


def _message(queue: str, actor: str, id: int) -> Message[None]:
    return Message(queue_name=queue, actor_name=actor, args=(id,), kwargs={}, options={})
