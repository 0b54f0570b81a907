"""The inbox: what a listener may write, as leader, with its progress in one transaction."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from sqlalchemy import text
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from casino import raws, rows
from chains.chain import Raw
from db.session import driver

LEADER = 7_302_114_002  # any number that nothing else locks
# A leader whose machine is gone without a word must lose its lock within five seconds.
KEEPALIVES = """
SELECT set_config('tcp_keepalives_idle', '2', false), set_config('tcp_keepalives_interval', '1',
false), set_config('tcp_keepalives_count', '2', false), set_config('tcp_user_timeout', '4000',
false), set_config('idle_in_transaction_session_timeout', '10s', false)
"""
LOST = (psycopg.OperationalError, psycopg.InterfaceError)


class NotLeader(Exception):
    """The lead is lost: with its connection, or to another indexer that moved a cursor."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch (lower, upper] still to be fetched; `reached` is how far paging came."""

    id: int
    lower: int
    lower_tx: str | None
    upper: int
    upper_tx: str | None
    reached: int | None
    reached_tx: str | None


@dataclass(frozen=True, slots=True)
class Found:
    """A page as a listener found it: signatures to fetch, or raws that came along.

    `final` means that the chain can drop none of it any more.
    """

    lower: int
    upper: int
    signatures: Sequence[object] | None = None
    raws: Sequence[Raw] = ()
    final: bool = False


class Inbox:
    """All writing of one indexer, over the one connection that holds the leader's lock."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._turn = asyncio.Lock()

    async def lead(self) -> bool:
        """Try to become leader; the lock goes with the connection."""
        async with self.transaction() as session:
            await session.execute(text(KEEPALIVES))
            locked = await session.execute(
                text("SELECT pg_try_advisory_lock(:key)"), {"key": LEADER}
            )
            return bool(locked.scalar_one())

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """One transaction at a time on the leader's connection. Raises `NotLeader` once it is gone.

        A lost connection would be made again by itself, without the lock, and must not.
        """
        async with self._turn:
            if self._connection.closed or self._connection.invalidated:
                raise NotLeader("the connection is gone, and the lock with it")
            try:
                async with AsyncSession(self._connection, expire_on_commit=False) as session:
                    async with session.begin():
                        yield session
                    await self._connection.commit()
            except (OperationalError, InterfaceError, *LOST) as error:
                if not self._connection.closed:
                    await self._connection.invalidate()
                raise NotLeader(f"the database is gone: {error}") from error


async def top(session: AsyncSession, source_id: int) -> Span | None:
    """The newest stretch: its upper edge is where following goes on."""
    found = await session.execute(
        text(
            "SELECT id, lower, lower_tx, upper, upper_tx, reached, reached_tx FROM spans"
            " WHERE source_id = :source AND NOT backfill ORDER BY upper DESC, id DESC LIMIT 1"
        ),
        {"source": source_id},
    )
    row = found.one_or_none()
    return Span(*row) if row is not None else None


async def oldest_open(session: AsyncSession, source_id: int) -> Span | None:
    found = await session.execute(
        text(
            "SELECT id, lower, lower_tx, upper, upper_tx, reached, reached_tx FROM spans"
            " WHERE source_id = :source AND closed_at IS NULL ORDER BY lower LIMIT 1"
        ),
        {"source": source_id},
    )
    row = found.one_or_none()
    return Span(*row) if row is not None else None


async def open_span(
    session: AsyncSession,
    source_id: int,
    *,
    lower: int,
    upper: int,
    lower_tx: str | None = None,
    upper_tx: str | None = None,
    reached: int | None = None,
    reached_tx: str | None = None,
    closed: bool = False,
) -> None:
    await session.execute(
        text(
            "INSERT INTO spans (source_id, lower, lower_tx, upper, upper_tx, reached, reached_tx,"
            " backfill, closed_at) VALUES (:source, :lower, :lower_tx, :upper, :upper_tx,"
            " :reached, :reached_tx, NOT :closed, CASE WHEN :closed THEN now() END)"
        ),
        {
            "source": source_id,
            "lower": lower,
            "lower_tx": lower_tx,
            "upper": upper,
            "upper_tx": upper_tx,
            "reached": reached,
            "reached_tx": reached_tx,
            "closed": closed,
        },
    )


async def extend(session: AsyncSession, span: Span, *, upper: int, upper_tx: str | None) -> None:
    """Move the live edge up. Raises `NotLeader` when somebody else moved it."""
    await _moved(
        session,
        "UPDATE spans SET upper = :upper, upper_tx = :upper_tx WHERE id = :id"
        " AND upper = :was AND upper_tx IS NOT DISTINCT FROM CAST(:was_tx AS text)",
        {
            "id": span.id,
            "upper": upper,
            "upper_tx": upper_tx,
            "was": span.upper,
            "was_tx": span.upper_tx,
        },
    )


async def advance(
    session: AsyncSession, span: Span, *, reached: int, reached_tx: str | None, closed: bool
) -> None:
    """Note how far paging came. Raises `NotLeader` when somebody else noted more."""
    await _moved(
        session,
        "UPDATE spans SET reached = :reached, reached_tx = :tx,"
        " closed_at = CASE WHEN :closed THEN now() END WHERE id = :id AND closed_at IS NULL"
        " AND reached IS NOT DISTINCT FROM CAST(:was AS bigint)"
        " AND reached_tx IS NOT DISTINCT FROM CAST(:was_tx AS text)",
        {
            "id": span.id,
            "reached": reached,
            "tx": reached_tx,
            "closed": closed,
            "was": span.reached,
            "was_tx": span.reached_tx,
        },
    )


async def _moved(session: AsyncSession, statement: str, values: dict[str, Any]) -> None:
    done: Any = await session.execute(text(statement), values)
    if done.rowcount != 1:
        raise NotLeader(f"span {values['id']} was moved by another indexer")


PAGE = """
INSERT INTO pages (source_id, lower, upper, signatures, fresh, final, state, stored_at)
VALUES (%s, %s, %s, %s::jsonb, %s, %s, %s, CASE WHEN %s THEN clock_timestamp() END) RETURNING id
"""


async def save(
    session: AsyncSession, source_id: int, network: str, page: Found, *, fresh: bool
) -> int:
    """Write a page; with raws it is born stored. Its id."""
    connection = await driver(session)
    stored = page.signatures is None
    signatures = None if stored else rows.document(list(page.signatures or ()))
    values = (source_id, page.lower, page.upper, signatures, fresh, page.final)
    state = "stored" if stored else "found"
    made = await (await connection.execute(PAGE, (*values, state, stored))).fetchone()
    if made is None:
        raise RuntimeError("an insert gave no id")
    page_id = int(made[0])
    if page.raws:
        await raws.keep(connection, source_id, network, page_id, page.raws)
    return page_id


async def one_at_a_time(session: AsyncSession, source_id: int) -> None:
    """Wait for whoever else opens spans of this source or moves its frontier.

    A statement of its own, so that the next one sees what the other has written.
    """
    await session.execute(
        text("SELECT 1 FROM sources WHERE id = :source FOR NO KEY UPDATE"), {"source": source_id}
    )


async def frontier(session: AsyncSession, source_id: int, *, upward: bool) -> None:
    """The lower edge of the oldest open span, or the live edge when none is open."""
    await one_at_a_time(session, source_id)
    edge = "coalesce(reached, lower)" if upward else "lower"
    await session.execute(
        text(
            f"UPDATE sources SET frontier = coalesce((SELECT min({edge}) FROM spans"
            " WHERE source_id = :source AND closed_at IS NULL), (SELECT max(upper) FROM spans"
            " WHERE source_id = :source), frontier) WHERE id = :source"
        ),
        {"source": source_id},
    )
