"""Requests: every command about money that was decided, accepted or refused, with its answer."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from db.columns import big, document, now, text, xact


class Request(SQLModel, table=True):
    """Never changed and never expired: asked again under its key it gives the same answer.

    `scope` is who chose the key, `fingerprint` the SHA-256 of what was asked, `code` why it was
    refused. `facts` are what later commands need to know of this one.
    """

    __tablename__ = "requests"
    __table_args__ = (Index("requests_xact", "xact", postgresql_using="brin"),)

    scope: str = text(primary_key=True)
    key: str = text(primary_key=True)
    casino_id: int = Field()
    verb: str = text()
    actor: str = text()
    fingerprint: bytes
    code: str | None = text(default=None)
    answer: dict[str, Any] = document(nullable=False)
    facts: dict[str, Any] | None = document(default=None)
    transfer_id: int | None = big(default=None)
    at: datetime | None = now(default=None, nullable=False)
    xact: int | None = xact()
