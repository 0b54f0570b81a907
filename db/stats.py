"""Stats: deltas as interpretation leaves them, and the sums they are folded into."""

from datetime import datetime
from decimal import Decimal

from sqlmodel import Field, SQLModel

from db.columns import big, moment, now, text, zero


class StatDelta(SQLModel, table=True):
    """What one change of one bet adds; negative where it takes back. Deleted when folded."""

    __tablename__ = "stat_deltas"

    id: int | None = big(default=None, primary_key=True)
    casino_id: int = Field(index=True)
    player_id: int | None = big(default=None)
    bet_id: int = big()
    asset: str = text()
    game: str | None = text(default=None)
    hour: datetime = moment()
    bets: int = 0
    settled: int = 0
    refunded: int = 0
    wins: int = 0
    staked: Decimal = zero()
    paid: Decimal = zero()


class PlayerStat(SQLModel, table=True):
    __tablename__ = "player_stats"

    player_id: int = big(primary_key=True)
    asset: str = text(primary_key=True)
    bets: int = big(default=0)
    settled: int = big(default=0)
    refunded: int = big(default=0)
    wins: int = big(default=0)
    staked: Decimal = zero()
    paid: Decimal = zero()
    updated_at: datetime | None = now(default=None, nullable=False)


class CasinoStat(SQLModel, table=True):
    """`bucket` is total, hour or day; `at` its start (the epoch for total)."""

    __tablename__ = "casino_stats"

    casino_id: int = Field(primary_key=True)
    bucket: str = text(primary_key=True)
    at: datetime = moment(primary_key=True)
    asset: str = text(primary_key=True)
    bets: int = big(default=0)
    settled: int = big(default=0)
    refunded: int = big(default=0)
    wins: int = big(default=0)
    staked: Decimal = zero()
    paid: Decimal = zero()
    updated_at: datetime | None = now(default=None, nullable=False)


class StatAnnouncement(SQLModel, table=True):
    """When a casino's stats were last announced, so that it happens at most once a second."""

    __tablename__ = "stat_announcements"

    casino_id: int = Field(primary_key=True)
    announced_at: datetime = moment()
