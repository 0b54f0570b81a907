"""Custodies: programs that hold players' money, and what their vaults were last seen with."""

from datetime import datetime
from decimal import Decimal

from sqlmodel import Field, SQLModel

from db import columns
from db.columns import moment, text


class Custody(SQLModel, table=True):
    """`free` is what the vault could pay out when the keeper last looked."""

    __tablename__ = "custodies"

    source_id: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    casino_id: int = Field()
    network: str = text()
    address: str = text()
    asset: str = text()
    free: Decimal | None = columns.amount(default=None)
    free_at: datetime | None = moment(default=None)
