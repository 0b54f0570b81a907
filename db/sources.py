"""Sources: programs that are followed, and the spans of chain still to be fetched for each."""

from datetime import datetime

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy import text as sql
from sqlmodel import Field, SQLModel

from db.columns import big, moment, now, text


class Source(SQLModel, table=True):
    """`frontier` is the position below which nothing is missing; `head` what the node said last."""

    __tablename__ = "sources"
    __table_args__ = (UniqueConstraint("network", "address"),)

    id: int | None = Field(default=None, primary_key=True)
    program: str = text()
    network: str = text(foreign_key="networks.network")
    address: str = text()
    casino_id: int = Field(foreign_key="casinos.id")
    start: int = big()
    head: int | None = big(default=None)
    frontier: int | None = big(default=None)
    finalized: int | None = big(default=None)
    error: str | None = text(default=None)
    polled_at: datetime | None = moment(default=None)
    created_at: datetime | None = now(default=None, nullable=False)


class Span(SQLModel, table=True):
    """A stretch still to be fetched, (lower, upper]; `reached` is how far paging came."""

    __tablename__ = "spans"
    __table_args__ = (
        Index("spans_open", "source_id", "lower", postgresql_where=sql("closed_at is null")),
    )

    id: int | None = big(default=None, primary_key=True)
    source_id: int = Field(foreign_key="sources.id")
    upper: int = big()
    upper_tx: str | None = text(default=None)
    lower: int = big()
    lower_tx: str | None = text(default=None)
    reached: int | None = big(default=None)
    reached_tx: str | None = text(default=None)
    backfill: bool = False
    opened_at: datetime | None = now(default=None, nullable=False)
    closed_at: datetime | None = moment(default=None)


class RecentBlock(SQLModel, table=True):
    """The parent-hash chain of the blocks that may still be dropped (EVM)."""

    __tablename__ = "blocks"

    source_id: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    number: int = big(primary_key=True)
    hash: str = text()
    parent_hash: str = text()
