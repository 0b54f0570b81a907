"""Laws of the books: how each stood when it was last checked, and every time it was broken."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index
from sqlalchemy import text as sql
from sqlmodel import Field, SQLModel

from db.columns import big, document, moment, text


class Law(SQLModel, table=True):
    """`holds` is null as long as nobody could say; `since` is when that began.

    `reach` is the transaction up to which everything was looked at, `reach_at` the time of that
    look; of a broken law they stay where the check began that found it so. `full_at` is when
    everything ever written was looked at.
    """

    __tablename__ = "laws"

    name: str = text(primary_key=True)
    holds: bool | None = Field(default=None)
    since: datetime = moment()
    checked_at: datetime = moment()
    full_at: datetime | None = moment(default=None)
    took_ms: int = Field()
    reach: int | None = big(default=None)
    reach_at: datetime | None = moment(default=None)
    faults: int = Field()
    error: str | None = text(default=None)


class Breach(SQLModel, table=True):
    """A time during which a law was broken, with what was found last; open until it has ended."""

    __tablename__ = "breaches"
    __table_args__ = (
        Index("breaches_open", "law", unique=True, postgresql_where=sql("ended_at is null")),
    )

    id: int | None = big(default=None, primary_key=True)
    law: str = text()
    began_at: datetime = moment()
    seen_at: datetime = moment()
    ended_at: datetime | None = moment(default=None)
    faults: int = Field()
    evidence: list[dict[str, Any]] = document(nullable=False)
