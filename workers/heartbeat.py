"""A sign of life every two seconds, from its own thread, so that a busy process still shows it.

Every instance has a row of its own. One that stops takes its row away; one that was killed is
silent first, and forgotten by whoever beats on.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
from loguru import logger
from psycopg.types.json import Jsonb

from db.session import plain

EVERY_S = 2.0
FORGET_S = 600
BEAT = """
INSERT INTO heartbeats (process, host, pid, at, state)
VALUES (%(process)s, %(host)s, %(pid)s, now(), %(state)s)
ON CONFLICT (process, host, pid) DO UPDATE SET at = now(), state = excluded.state
"""
FORGET = "DELETE FROM heartbeats WHERE at < now() - make_interval(secs => %s)"
LEAVE = "DELETE FROM heartbeats WHERE process = %(process)s AND host = %(host)s AND pid = %(pid)s"


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
    me: dict[str, Any] = {"process": process, "host": socket.gethostname(), "pid": os.getpid()}
    while not stopped.is_set():
        try:
            with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
                while not stopped.is_set():
                    connection.execute(BEAT, me | {"state": Jsonb(state())})
                    connection.execute(FORGET, (FORGET_S,))
                    stopped.wait(EVERY_S)
                connection.execute(LEAVE, me)
        except psycopg.Error as error:
            logger.debug("no heartbeat: {}", error)
            stopped.wait(EVERY_S)
