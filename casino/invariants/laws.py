"""What a law is: a name, a sentence, and a check that brings evidence; and how one is checked."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import psycopg
from sqlalchemy.ext.asyncio import AsyncSession

from db.session import driver

Connection = psycopg.AsyncConnection[Any]

MOST = 20  # faults that a check brings; one that brings so many may have found more
SNAPSHOT = b"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
NOW = b"SELECT ledger_horizon(), now()"
# Every transaction has a number above; no row is older.
BEGINNING, EPOCH = -(2**63), "-infinity"


@dataclass(frozen=True, slots=True)
class Window:
    """What a check has to look at: all that was ever written, or what was written since.

    `since` is a transaction: all below it had ended when the law was checked last. `at` is that
    time, for tables whose rows change. A law that is cheap may always look at everything.
    """

    since: int | None = None
    at: datetime | None = None

    @property
    def whole(self) -> bool:
        return self.since is None or self.at is None

    def values(self) -> dict[str, Any]:
        """For a law's query, which has `%(since)s`, `%(at)s` and `%(most)s`."""
        since = BEGINNING if self.since is None else self.since
        return {"since": since, "at": self.at or EPOCH, "most": MOST}


ALL = Window()


@dataclass(frozen=True, slots=True)
class Fault:
    """A place where a law is broken, in words and with what was found there."""

    said: str
    evidence: Mapping[str, Any]


class Law(Protocol):
    """One thing that must always be true, which `says` tells in a sentence."""

    @property
    def name(self) -> str: ...

    @property
    def says(self) -> str: ...

    async def check(self, connection: Connection, window: Window) -> Sequence[Fault]:
        """At most `MOST` faults; reads only, in one snapshot that its caller opened."""


@dataclass(frozen=True, slots=True)
class Stated:
    """A law stated as queries, each of which brings its faults: what is `said`, and evidence.

    `recent` are asked instead of `queries` when only what is new is to be looked at.
    """

    name: str
    says: str
    queries: tuple[str, ...]
    recent: tuple[str, ...] | None = None

    async def check(self, connection: Connection, window: Window) -> Sequence[Fault]:
        queries = self.queries if window.whole or self.recent is None else self.recent
        found: list[Fault] = []
        for query in queries:
            found += await faults(connection, query, window.values())
        return found[:MOST]


async def faults(connection: Connection, query: str, values: Mapping[str, Any]) -> list[Fault]:
    """The rows of a query as faults: the first column says it, all others are evidence."""
    cursor = await connection.execute(query.encode(), values)
    names = [column.name for column in cursor.description or ()][1:]
    return [
        Fault(row[0], {name: plain(value) for name, value in zip(names, row[1:], strict=True)})
        for row in await cursor.fetchall()
    ]


def plain(value: Any) -> Any:
    """As JSON has it; amounts and numbers as decimal strings."""
    return value if value is None or isinstance(value, bool) else str(value)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check came to. `reach` is up to where it looked, `error` why it could not."""

    law: str
    faults: Sequence[Fault] = ()
    began: Window = ALL
    reach: int | None = None
    at: datetime | None = None
    took_ms: int = 0
    error: str | None = None

    @property
    def holds(self) -> bool | None:
        """None when nobody can say."""
        return None if self.error is not None else not self.faults


async def examined(session: AsyncSession, law: Law, window: Window = ALL) -> Finding:
    """Check a law in one snapshot: the session's transaction must have done nothing yet.

    Raises what the database raises, which then says nothing about the law.
    """
    began = time.monotonic()
    connection = await driver(session)
    await connection.execute(SNAPSHOT)
    [(reach, at)] = await (await connection.execute(NOW)).fetchall()
    found = await law.check(connection, window)
    took_ms = round((time.monotonic() - began) * 1000)
    return Finding(law.name, tuple(found), window, reach, at, took_ms)
