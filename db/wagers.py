"""Wagers: settled bets that cannot be undone, those that wait and those that were counted."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from db.columns import amount, big, moment, now, text


class WaitingWager(SQLModel, table=True):
    """A bet for a grant, as often as it is told of. Deleted when counted."""

    __tablename__ = "waiting_wagers"
    __table_args__ = (Index("waiting_wagers_of_casino", "casino_id", "id"),)

    id: int | None = big(default=None, primary_key=True)
    casino_id: int = Field()
    source: str = text()
    bet: str = text()
    grant_id: int = big()
    game: str | None = text(default=None)
    cash: Decimal = amount()
    bonus: Decimal = amount()
    settled_at: datetime = moment()


class Wager(SQLModel, table=True):
    """A bet once, by its `source` (`chain`, or a provider's name) and what it is called there.

    A settlement that was taken back is another row, with amounts below zero. `counted_bp` is what
    it adds to its grant when it is written: stake times basis points.
    """

    __tablename__ = "wagers"
    __table_args__ = (Index("wagers_of_grant", "grant_id"),)

    casino_id: int = Field(primary_key=True)
    source: str = text(primary_key=True)
    bet: str = text(primary_key=True)
    grant_id: int = big()
    game: str | None = text(default=None)
    cash: Decimal = amount()
    bonus: Decimal = amount()
    settled_at: datetime = moment()
    counted_bp: Decimal = amount()
    counted_at: datetime | None = now(default=None, nullable=False)
