"""Entries: one account's part of a transfer, with the balance before and after it."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import CheckConstraint, Index
from sqlmodel import SQLModel

from db import columns
from db.columns import big, moment, xact


class Entry(SQLModel, table=True):
    """Never changed. An account's entries are numbered from 1 without gaps and chain up."""

    __tablename__ = "entries"
    __table_args__ = (
        CheckConstraint("amount <> 0", name="entries_amount"),
        CheckConstraint("after = before + amount", name="entries_after"),
        CheckConstraint("version > 0", name="entries_version"),
        Index("entries_of_transfer", "transfer_id"),
        Index("entries_xact", "xact", postgresql_using="brin"),
    )

    account_id: int = big(primary_key=True)
    version: int = big(primary_key=True)
    transfer_id: int = big()
    amount: Decimal = columns.amount()
    before: Decimal = columns.amount()
    after: Decimal = columns.amount()
    at: datetime = moment()
    xact: int | None = xact()
