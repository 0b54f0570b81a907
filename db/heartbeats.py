"""Heartbeats: which process lives, and what it says of itself."""

from datetime import datetime
from typing import Any

from sqlmodel import SQLModel

from db.columns import document, now, text


class Heartbeat(SQLModel, table=True):
    __tablename__ = "heartbeats"

    process: str = text(primary_key=True)
    pid: int
    at: datetime | None = now(default=None, nullable=False)
    state: dict[str, Any] | None = document(default=None)
