"""The broker: messages carry an id and nothing else; who enqueues needs no actor."""

from __future__ import annotations

from collections.abc import Sequence

from dramatiq import Message
from dramatiq.errors import BrokerConnectionError
from loguru import logger
from redis.exceptions import RedisError

from queues.broker import ACTORS, broker, setup

__all__ = ["ACTORS", "QUEUES", "broker", "depth", "send", "send_all", "setup"]

QUEUES = tuple(ACTORS)
DEBOUNCED = ("stats", "bonuses")
DEBOUNCE_MS = 100


def send(queue: str, id: int, *, delay_ms: int = 0) -> bool:
    """Put an id on a queue; False when Redis does not take it.

    A refusal loses nothing: the row is the truth, and the sweeper sends again what stands still.
    Stats and bonuses are debounced: of many sends within 100 ms one remains, and it runs after all
    of them.
    """
    made = broker()
    try:
        if queue in DEBOUNCED and not delay_ms:
            due = made.client.set(f"fairhouse:due:{queue}:{id}", 1, nx=True, px=DEBOUNCE_MS)
            if not due:
                return True
            delay_ms = DEBOUNCE_MS
        made.enqueue(_message(queue, ACTORS[queue], id), delay=delay_ms or None)
    except (RedisError, BrokerConnectionError) as error:
        logger.warning("{} {} waits for the sweeper: {}", queue, id, error)
        return False
    return True


def send_all(queue: str, ids: Sequence[int]) -> int:
    """How many ids Redis took; after a refusal it is not asked for the rest."""
    for sent, id in enumerate(ids):
        if not send(queue, id):
            return sent
    return len(ids)


def depth(queue: str) -> int | None:
    """How many messages wait, or None when Redis does not answer."""
    try:
        return int(broker().client.llen(f"dramatiq:{queue}"))
    except RedisError as error:
        logger.warning("Redis does not say what waits on {}: {}", queue, error)
        return None


def _message(queue: str, actor: str, id: int) -> Message[None]:
    return Message(queue_name=queue, actor_name=actor, args=(id,), kwargs={}, options={})
