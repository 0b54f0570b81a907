"""Heartbeats: which processes live, each instance by itself, and what it says of itself."""

from datetime import datetime
from typing import Any

from sqlmodel import Field, SQLModel

from db.columns import document, now, text


class Heartbeat(SQLModel, table=True):
    """`process` is the kind; host and pid tell the instances of one kind apart."""

    __tablename__ = "heartbeats"

    process: str = text(primary_key=True)
    host: str = text(primary_key=True)
    pid: int = Field(primary_key=True)
    at: datetime | None = now(default=None, nullable=False)
    state: dict[str, Any] | None = document(default=None)
