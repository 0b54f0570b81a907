"""Wagers: settled bets that cannot be undone, waiting to be counted for a grant or counted."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy import text as sql
from sqlmodel import Field, SQLModel

from db.columns import amount, big, moment, text


class Wager(SQLModel, table=True):
    """A bet once, by its `source` (`chain`, or a provider's name) and what it is called there.

    A settlement that was taken back is another row, with amounts below zero. `counted_bp` is what
    it added to its grant: stake times basis points.
    """

    __tablename__ = "wagers"
    __table_args__ = (
        UniqueConstraint("casino_id", "source", "bet"),
        Index("wagers_waiting", "casino_id", "id", postgresql_where=sql("counted_at is null")),
    )

    id: int | None = big(default=None, primary_key=True)
    casino_id: int = Field()
    source: str = text()
    bet: str = text()
    grant_id: int = big()
    game: str | None = text(default=None)
    cash: Decimal = amount()
    bonus: Decimal = amount()
    settled_at: datetime = moment()
    counted_bp: Decimal | None = amount(default=None)
    counted_at: datetime | None = moment(default=None)
