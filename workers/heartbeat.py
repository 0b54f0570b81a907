"""A sign of life every two seconds, from its own thread, so that a busy process still shows it."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
from loguru import logger
from psycopg.types.json import Jsonb

from db.session import plain

EVERY_S = 2.0
BEAT = """
INSERT INTO heartbeats (process, pid, at, state) VALUES (%s, %s, now(), %s)
ON CONFLICT (process) DO UPDATE SET pid = excluded.pid, at = now(), state = excluded.state
"""


@contextlib.contextmanager
def beating(
    database_url: str, process: str, state: Callable[[], dict[str, Any]] = dict
) -> Iterator[None]:
    """Beat for the length of a block; an unreachable database is tried again, quietly."""
    stopped = threading.Event()
    thread = threading.Thread(
        target=_beat, args=(plain(database_url), process, state, stopped), daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join(timeout=5)


def _beat(
    url: str, process: str, state: Callable[[], dict[str, Any]], stopped: threading.Event
) -> None:
    while not stopped.is_set():
        try:
            with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
                while not stopped.is_set():
                    connection.execute(BEAT, (process, os.getpid(), Jsonb(state())))
                    stopped.wait(EVERY_S)
        except psycopg.Error as error:
            logger.debug("no heartbeat: {}", error)
            stopped.wait(EVERY_S)
