"""The audit log's own rows: what people and jobs decided that is no request about money."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from db.columns import big, document, moment, text, xact


class Note(SQLModel, table=True):
    """Never changed. `actor` did `action`, for a `reason`; how it was `before` and `after`."""

    __tablename__ = "audit"
    __table_args__ = (Index("audit_xact", "xact", postgresql_using="brin"),)

    id: int | None = big(default=None, primary_key=True)
    at: datetime = moment()
    casino_id: int | None = Field(default=None)
    actor: str = text()
    action: str = text()
    reason: str | None = text(default=None)
    before: dict[str, Any] | None = document(default=None)
    after: dict[str, Any] | None = document(default=None)
    xact: int | None = xact()
