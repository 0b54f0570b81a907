"""Pages: the unit of work on the queues, and the raw events and dead letters they bring."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy import text as sql
from sqlmodel import Field, SQLModel

from db.columns import big, document, moment, now, text


class Page(SQLModel, table=True):
    """A list of Solana signatures or a range of EVM blocks; found -> stored -> interpreted.

    `final` says that the chain could not drop any of it when it was listed: its facts are born
    finalized.
    """

    __tablename__ = "pages"
    __table_args__ = (
        Index("pages_waiting", "state", "id", postgresql_where=sql("state <> 'interpreted'")),
        Index("pages_of_source", "source_id", "lower"),
    )

    id: int | None = big(default=None, primary_key=True)
    source_id: int = Field(foreign_key="sources.id")
    lower: int = big()
    upper: int = big()
    signatures: list[Any] | None = document(default=None)
    fresh: bool = False
    final: bool = Field(default=False, sa_column_kwargs={"server_default": sql("false")})
    state: str = text(default="found", sa_column_kwargs={"server_default": "found"})
    attempts: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    error: str | None = text(default=None)
    found_at: datetime | None = now(default=None, nullable=False)
    sent_at: datetime | None = now(default=None, nullable=False)
    stored_at: datetime | None = moment(default=None)
    interpreted_at: datetime | None = moment(default=None)


class RawEvent(SQLModel, table=True):
    """What a chain said, before anybody decodes it; enough to interpret again without a node."""

    __tablename__ = "raw_events"
    __table_args__ = (Index("raw_events_of_page", "page_id"),)

    network: str = text(primary_key=True)
    position: int = big(primary_key=True)
    tx: str = text(primary_key=True)
    index: int = big(primary_key=True)
    source_id: int
    page_id: int = big()
    kind: str = text()
    body: bytes
    block_hash: str | None = text(default=None)
    tx_index: int | None = Field(default=None)
    time: datetime | None = moment(default=None)


class DeadLetter(SQLModel, table=True):
    """An event that could not be decoded, kept until it can."""

    __tablename__ = "dead_letters"
    __table_args__ = (UniqueConstraint("network", "position", "tx", "index"),)

    id: int | None = big(default=None, primary_key=True)
    source_id: int
    network: str = text()
    position: int = big()
    tx: str = text()
    index: int = big()
    kind: str = text()
    body: bytes
    time: datetime | None = moment(default=None)
    reason: str = text()
    attempts: int = Field(default=1, sa_column_kwargs={"server_default": "1"})
    first_at: datetime | None = now(default=None, nullable=False)
    last_at: datetime | None = now(default=None, nullable=False)
