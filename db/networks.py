"""Networks: which chain a name stands for, pinned when it was first seen."""

from datetime import datetime

from sqlmodel import SQLModel

from db.columns import now, text


class Network(SQLModel, table=True):
    """`network` is CAIP-2; `name` is what settings and manifests say."""

    __tablename__ = "networks"

    network: str = text(primary_key=True)
    name: str = text(unique=True)
    chain: str = text()
    pinned_at: datetime | None = now(default=None, nullable=False)
