"""Seals: a chain of hashes over every row of the books and of the audit log."""

from datetime import datetime

from sqlalchemy import CheckConstraint
from sqlmodel import Field, SQLModel

from db.columns import big, moment


class Seal(SQLModel, table=True):
    """Never changed. Over all rows of the transactions from `lower` up to, not with, `upper`.

    `first` is the index of its first row, `leaves` the hashes of its rows in their order, `root`
    the root of the tree over them, `prev` the hash of the seal before, `hash` that of this one.
    """

    __tablename__ = "seals"
    __table_args__ = (CheckConstraint("lower < upper and count > 0", name="seals_range"),)

    n: int = big(primary_key=True)
    format: int = Field()
    lower: int = big()
    upper: int = big()
    first: int = big()
    count: int = big()
    root: bytes
    leaves: bytes
    prev: bytes
    at: datetime = moment()
    hash: bytes
