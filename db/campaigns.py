"""Campaigns: the terms on which bonus money is given, one row for each version of them."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlmodel import Field, SQLModel

from db.columns import big, document, now, text


class Campaign(SQLModel, table=True):
    """Never changed: other terms are another version, and grants keep theirs."""

    __tablename__ = "campaigns"
    __table_args__ = (
        UniqueConstraint("casino_id", "code", "version"),
        CheckConstraint(
            "terms->>'jurisdiction' IS DISTINCT FROM 'GB' OR (terms->>'multiplier_bp')::bigint"
            " <= 100000 AND jsonb_array_length(terms->'products') = 1",
            name="campaigns_gb",
        ),
    )

    id: int = big(primary_key=True)
    casino_id: int = Field()
    code: str = text()
    version: int = Field()
    asset: str = text()
    terms: dict[str, Any] = document(nullable=False)
    actor: str = text()
    created_at: datetime | None = now(default=None, nullable=False)
