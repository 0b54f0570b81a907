"""Holds: money set aside on its account until it is captured, released or expires."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import CheckConstraint, Index
from sqlalchemy import text as sql
from sqlmodel import Field, SQLModel

from db import columns
from db.columns import big, moment, text


class Hold(SQLModel, table=True):
    """`state` is open, captured, released or expired; `remaining` is what is still set aside."""

    __tablename__ = "holds"
    __table_args__ = (
        CheckConstraint("amount > 0 and remaining between 0 and amount", name="holds_remaining"),
        CheckConstraint("(state = 'open') = (remaining > 0)", name="holds_state"),
        Index("holds_open", "account_id", postgresql_where=sql("state = 'open'")),
        Index("holds_expiring", "expires_at", postgresql_where=sql("state = 'open'")),
    )

    id: int = big(primary_key=True)
    casino_id: int = Field()
    account_id: int = big()
    amount: Decimal = columns.amount()
    remaining: Decimal = columns.amount()
    state: str = text()
    reference: str | None = text(default=None)
    expires_at: datetime | None = moment(default=None)
    at: datetime = moment()
    ended_at: datetime | None = moment(default=None)
