"""Column types that every table shares: amounts, times, positions, documents."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, DateTime, Numeric, Text, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

AMOUNT = Numeric(78, 0)  # holds any uint256


def amount(**more: Any) -> Any:
    """An integer in the asset's smallest unit."""
    return Field(sa_type=AMOUNT, **more)


def moment(**more: Any) -> Any:
    """An aware UTC time."""
    return Field(sa_type=DateTime(timezone=True), **more)


def now(**more: Any) -> Any:
    """An aware UTC time that the database fills in."""
    return moment(sa_column_kwargs={"server_default": func.now()}, **more)


def big(**more: Any) -> Any:
    """A 64-bit integer, for positions and numbers that grow."""
    return Field(sa_type=BigInteger, **more)


def text(**more: Any) -> Any:
    """Text without a length, as PostgreSQL likes it."""
    return Field(sa_type=Text, **more)


def document(**more: Any) -> Any:
    """A JSON document."""
    return Field(sa_type=JSONB(none_as_null=True), **more)


def xact() -> Any:
    """The number of the transaction that wrote the row; the database fills it in."""
    told = {"server_default": func.ledger_xact()}
    return Field(sa_type=BigInteger, default=None, nullable=False, sa_column_kwargs=told)


def zero() -> Any:
    """A sum that starts at nothing."""
    return amount(sa_column_kwargs={"server_default": "0"}, default=Decimal(0))


__all__ = ["AMOUNT", "Decimal", "amount", "big", "datetime", "document", "moment", "now", "text"]
