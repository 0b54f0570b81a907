"""Casinos: many in one deployment, told apart by their slug."""

from datetime import datetime
from typing import Any

from sqlmodel import Field, SQLModel

from db.columns import document, now, text


class Casino(SQLModel, table=True):
    __tablename__ = "casinos"

    id: int | None = Field(default=None, primary_key=True)
    slug: str = text(unique=True)
    name: str = text()
    owner: str | None = text(default=None)
    theme: dict[str, Any] | None = document(default=None)
    status: str = text(default="open", sa_column_kwargs={"server_default": "open"})
    created_at: datetime | None = now(default=None, nullable=False)
