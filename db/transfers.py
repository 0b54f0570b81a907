"""Transfers: why money moved; their entries say between which accounts."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index
from sqlalchemy import text as sql
from sqlmodel import Field, SQLModel

from db.columns import big, document, moment, text, xact


class Transfer(SQLModel, table=True):
    """Never changed. A `reference` stands once for each type, a transfer is reversed once."""

    __tablename__ = "transfers"
    __table_args__ = (
        Index(
            "transfers_reference",
            "casino_id",
            "reference",
            "type",
            unique=True,
            postgresql_where=sql("reference is not null"),
        ),
        Index(
            "transfers_reverses",
            "reverses",
            unique=True,
            postgresql_where=sql("reverses is not null"),
        ),
        Index("transfers_xact", "xact", postgresql_using="brin"),
    )

    id: int = big(primary_key=True)
    casino_id: int = Field()
    type: str = text()
    reference: str | None = text(default=None)
    reverses: int | None = big(default=None)
    hold_id: int | None = big(default=None)
    description: str | None = text(default=None)
    extra: dict[str, Any] | None = document(default=None)
    at: datetime = moment()
    xact: int | None = xact()
