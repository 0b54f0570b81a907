"""The studio's own tables: what a game provider remembers of its sessions, rounds and calls.

No balance is here: those are the casino's alone.
"""

from datetime import datetime

from sqlalchemy import Index
from sqlalchemy import text as sql
from sqlmodel import SQLModel

from db.columns import big, moment, now, text


class ProviderSession(SQLModel, table=True):
    """A session that a casino launched. The casino's token is what callbacks are made with."""

    __tablename__ = "provider_sessions"

    id: str = text(primary_key=True)
    token: str = text(unique=True)
    player: str = text()
    game: str = text()
    currency: str = text()
    at: datetime | None = now(default=None, nullable=False)


class ProviderRound(SQLModel, table=True):
    __tablename__ = "provider_rounds"

    id: str = text(primary_key=True)
    session_id: str = text(foreign_key="provider_sessions.id")
    at: datetime | None = now(default=None, nullable=False)
    ended_at: datetime | None = moment(default=None)


class ProviderCall(SQLModel, table=True):
    """A callback: written before it is sent, so that none is forgotten.

    `state` is sent, done, declined or undone. Whatever stays `sent` has an outcome that nobody
    knows: a debit is rolled back, a credit or a rollback is sent again.
    """

    __tablename__ = "provider_calls"
    __table_args__ = (Index("provider_calls_open", "at", postgresql_where=sql("state = 'sent'")),)

    id: str = text(primary_key=True)
    round_id: str = text(foreign_key="provider_rounds.id")
    kind: str = text()
    amount: int = big()
    target: str | None = text(default=None)
    state: str = text()
    code: str | None = text(default=None)
    at: datetime | None = now(default=None, nullable=False)
