"""Grants: bonuses given to players, and how far each is wagered."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import CheckConstraint, Index
from sqlalchemy import text as sql
from sqlmodel import Field, SQLModel

from db import columns
from db.columns import big, moment, now, text, zero


class Grant(SQLModel, table=True):
    """`state`: pending, active, completed, expired, forfeited or cancelled; it goes forward only.

    `required_bp` and `done_bp` are stakes times basis points; `done_bp` follows the wagers counted
    for it, and is never set. Of the player's cash `locked` is not spent while it is active. How it
    ended is kept with it:
    `before` is the bonus money there was, `added` what of it became cash, `removed` the rest.
    """

    __tablename__ = "grants"
    __table_args__ = (
        CheckConstraint("amount > 0 and deposit >= 0 and required_bp > 0", name="grants_amounts"),
        CheckConstraint("locked >= 0", name="grants_locked"),
        CheckConstraint(
            "state in ('pending', 'active', 'completed', 'expired', 'forfeited', 'cancelled')",
            name="grants_state",
        ),
        CheckConstraint(
            "(state in ('pending', 'active')) = (ended_at is null)", name="grants_ended"
        ),
        CheckConstraint(
            "(activated_at is null) = (expires_at is null)"
            " and (activated_at is null) = (before is null and state <> 'active')",
            name="grants_active_at",
        ),
        CheckConstraint(
            "before is null and added is null and removed is null or before >= 0 and added >= 0"
            " and removed >= 0 and before = added + removed",
            name="grants_ending",
        ),
        Index("grants_of_player", "casino_id", "player_id", "asset"),
        Index(
            "grants_active",
            "casino_id",
            "player_id",
            "asset",
            unique=True,
            postgresql_where=sql("state = 'active'"),
        ),
        Index(
            "grants_expiring",
            "casino_id",
            "expires_at",
            postgresql_where=sql("state = 'active'"),
        ),
        Index(
            "grants_met",
            "casino_id",
            "id",
            postgresql_where=sql("state = 'active' and done_bp >= required_bp"),
        ),
        Index("grants_over", "ended_at", postgresql_where=sql("ended_at is not null")),
    )

    id: int = big(primary_key=True)
    casino_id: int = Field()
    player_id: int = big()
    asset: str = text()
    campaign_id: int = big()
    state: str = text()
    amount: Decimal = columns.amount()
    deposit: Decimal = columns.amount()
    locked: Decimal = zero()
    required_bp: Decimal = columns.amount()
    done_bp: Decimal = zero()
    granted_at: datetime | None = now(default=None, nullable=False)
    activated_at: datetime | None = moment(default=None)
    expires_at: datetime | None = moment(default=None)
    ended_at: datetime | None = moment(default=None)
    reason: str | None = text(default=None)
    before: Decimal | None = columns.amount(default=None)
    added: Decimal | None = columns.amount(default=None)
    removed: Decimal | None = columns.amount(default=None)


class LateReturn(SQLModel, table=True):
    """Bonus money that came back from bets after their grant was completed."""

    __tablename__ = "late_returns"

    grant_id: int = big(primary_key=True)
    amount: Decimal = columns.amount()
