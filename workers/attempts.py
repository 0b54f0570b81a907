"""Work on a page that fails: counted and explained on the page's own row, then raised again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import wraps

import psycopg
from loguru import logger
from sqlalchemy.exc import SQLAlchemyError

from db.session import driver, transaction

FAILED = """
UPDATE pages SET attempts = attempts + 1, error = %s WHERE id = %s AND state <> 'interpreted'
"""


def noted(work: Callable[[int], Awaitable[None]]) -> Callable[[int], Awaitable[None]]:
    """The same work; Redis forgets what failed, the page does not, and the sweeper comes back."""

    @wraps(work)
    async def attempt(page_id: int) -> None:
        try:
            await work(page_id)
        except Exception as error:
            await note(page_id, f"{type(error).__name__}: {error}")
            raise

    return attempt


async def note(page_id: int, error: str) -> None:
    """Keep why a page failed, in a transaction that survives the failing one."""
    try:
        async with transaction() as session:
            kept = error.replace("\0", "")[:500]
            await (await driver(session)).execute(FAILED, (kept, page_id))
    except (psycopg.Error, SQLAlchemyError, OSError) as reason:
        logger.warning(
            "page {} failed ({}), and that could not be kept: {}", page_id, error, reason
        )


class Budget:
    """At most `rate` turns a second, evenly."""

    def __init__(self, rate: float) -> None:
        self._every = 1 / rate
        self._next = 0.0

    async def turn(self) -> None:
        now = time.monotonic()
        at = max(now, self._next)
        self._next = at + self._every
        await asyncio.sleep(at - now)
