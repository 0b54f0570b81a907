"""The outbox: feed messages written in the transaction that made them true."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index
from sqlalchemy import text as sql
from sqlmodel import SQLModel

from db.columns import big, document, moment, now, text


class OutboxMessage(SQLModel, table=True):
    """`seq` is given by the relay, per namespace and without gaps, before publishing."""

    __tablename__ = "outbox"
    __table_args__ = (
        Index("outbox_unnumbered", "id", postgresql_where=sql("seq is null")),
        Index("outbox_unpublished", "id", postgresql_where=sql("published_at is null")),
        Index(
            "outbox_seq",
            "namespace",
            "seq",
            unique=True,
            postgresql_where=sql("seq is not null"),
        ),
        Index(
            "outbox_published",
            "published_at",
            postgresql_where=sql("published_at is not null"),
        ),
    )

    id: int | None = big(default=None, primary_key=True)
    namespace: str = text()
    type: str = text()
    casino: str = text()
    player: str | None = text(default=None)
    game: str | None = text(default=None)
    data: dict[str, Any] = document(nullable=False)
    created_at: datetime | None = now(default=None, nullable=False)
    seq: int | None = big(default=None)
    published_at: datetime | None = moment(default=None)


class Stream(SQLModel, table=True):
    """A feed stream: its epoch and the last sequence number given."""

    __tablename__ = "streams"

    namespace: str = text(primary_key=True)
    epoch: str = text()
    seq: int = big(default=0)
