"""Players: a person at one casino, known by identities of several kinds."""

from datetime import datetime

from sqlalchemy import Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from db.columns import big, now, text


class Player(SQLModel, table=True):
    __tablename__ = "players"
    __table_args__ = (Index("players_of_casino", "casino_id", "id"),)

    id: int | None = big(default=None, primary_key=True)
    casino_id: int = Field(foreign_key="casinos.id")
    name: str | None = text(default=None)
    joined_at: datetime | None = now(default=None, nullable=False)


class PlayerIdentity(SQLModel, table=True):
    """`kind` is wallet, operator, ...; `scope` a wallet's network (CAIP-2), else the issuer."""

    __tablename__ = "player_identities"
    __table_args__ = (
        UniqueConstraint("casino_id", "kind", "scope", "external_id"),
        Index("player_identities_account", "external_id", "casino_id"),
    )

    id: int | None = big(default=None, primary_key=True)
    player_id: int = big(foreign_key="players.id", index=True)
    casino_id: int
    kind: str = text()
    scope: str = text()
    external_id: str = text()
