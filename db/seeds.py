"""Seeds of the house: sealed at rest, committed in batches, revealed one by one."""

from datetime import datetime

from sqlmodel import Field, SQLModel

from db.columns import big, now, text


class Seed(SQLModel, table=True):
    """`sealed` is the seed under AES-GCM with the key of the environment."""

    __tablename__ = "seeds"

    network: str = text(primary_key=True)
    program: str = text(primary_key=True)
    index: int = big(primary_key=True)
    sealed: bytes
    commit: bytes
    batch_first: int = big()


class SeedBatch(SQLModel, table=True):
    """drawn -> sent -> confirmed; a batch once drawn is never drawn again."""

    __tablename__ = "seed_batches"

    network: str = text(primary_key=True)
    program: str = text(primary_key=True)
    first: int = big(primary_key=True)
    count: int = Field()
    root: str = text()
    reveal_by: int = big()
    tx: str | None = text(default=None)
    state: str = text(default="drawn", sa_column_kwargs={"server_default": "drawn"})
    drawn_at: datetime | None = now(default=None, nullable=False)
