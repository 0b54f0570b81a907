"""Rewards: bets that a player may place at a provider's games for nothing."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Index
from sqlmodel import Field, SQLModel

from db.columns import big, moment, text


class CasinoReward(SQLModel, table=True):
    """By the name that the provider's calls have for it; without a `game` it is for all of them.

    `used` of `count` bets are placed and stand. `state` is granted or cancelled, and a reward of
    which one is placed is never cancelled.
    """

    __tablename__ = "casino_rewards"
    __table_args__ = (
        CheckConstraint("count > 0 and used between 0 and count", name="rewards_used"),
        CheckConstraint(
            "state = 'granted' or state = 'cancelled' and used = 0", name="rewards_state"
        ),
        Index("casino_rewards_of_player", "casino_id", "player_id", "given_at", "number"),
    )

    casino_id: int = Field(primary_key=True)
    provider: str = text(primary_key=True)
    id: str = text(primary_key=True)
    number: int = big()
    player_id: int = big()
    asset: str = text()
    game: str | None = text(default=None)
    count: int = Field()
    used: int = Field()
    state: str = text()
    expires_at: datetime = moment()
    actor: str = text()
    given_at: datetime = moment()
    reason: str | None = text(default=None)
