"""Accounts: names in the books that hold a balance of one asset."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlmodel import Field, SQLModel

from db.columns import amount, big, moment, now, text, zero


class Account(SQLModel, table=True):
    """`balance`, `held` and `version` follow from entries and holds: triggers alone change them.

    What may be spent is `balance - held`; `least` is how low that may go and `most` how high the
    balance, without one there is no such limit. `version` counts the account's entries. `colour`
    is cash or bonus.
    """

    __tablename__ = "accounts"
    __table_args__ = (
        UniqueConstraint("casino_id", "name", "asset"),
        CheckConstraint("held >= 0", name="accounts_held"),
        CheckConstraint("balance - held >= least", name="accounts_least"),
        CheckConstraint("balance <= most", name="accounts_most"),
    )

    id: int | None = big(default=None, primary_key=True)
    casino_id: int = Field()
    name: str = text()
    asset: str = text()
    colour: str = text()
    balance: Decimal = zero()
    held: Decimal = zero()
    version: int = big(default=0, sa_column_kwargs={"server_default": "0"})
    least: Decimal | None = amount(default=None)
    most: Decimal | None = amount(default=None)
    opened_at: datetime | None = now(default=None, nullable=False)
    posted_at: datetime | None = moment(default=None)
    closed_at: datetime | None = moment(default=None)
