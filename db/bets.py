"""Bets: what was staked on what, and what became of it."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy import text as sql
from sqlmodel import SQLModel

from db.columns import amount, big, document, moment, now, text


class Bet(SQLModel, table=True):
    """Placed and settled halves arrive in any order; either may be missing for a while.

    `status`: placed, settled, refunded or retracted. `counted` is the delta that stats last took
    from this bet, so that the next change can reverse it.
    """

    __tablename__ = "bets"
    __table_args__ = (
        UniqueConstraint("source_id", "bet"),
        Index("bets_recent", "casino_id", sql("placed_at DESC"), sql("id DESC")),
        Index("bets_of_player", "player_id", sql("placed_at DESC"), sql("id DESC")),
        Index("bets_placed_tx", "placed_tx"),
        Index("bets_settled_tx", "settled_tx"),
        Index("bets_updated", "updated_at", postgresql_using="brin"),
        Index("bets_open", "source_id", "seed_index", postgresql_where=sql("status = 'placed'")),
        *(
            Index(
                f"bets_{half}_unfinal",
                "source_id",
                f"{half}_position",
                f"{half}_tx",
                postgresql_where=sql(f"{column} = 'confirmed'"),
            )
            for half, column in (("placed", "finality"), ("settled", "settled_finality"))
        ),
    )

    id: int | None = big(default=None, primary_key=True)
    casino_id: int
    source_id: int
    network: str = text()
    bet: str = text()
    player_id: int | None = big(default=None)
    player: str | None = text(default=None)
    game: str | None = text(default=None)
    asset: str = text()
    stake: Decimal | None = amount(default=None)
    payout: Decimal | None = amount(default=None)
    choice: dict[str, Any] | None = document(default=None)
    outcome: dict[str, Any] | None = document(default=None)
    seed_index: int | None = big(default=None)
    client_seed: str | None = text(default=None)
    deadline: int | None = big(default=None)
    status: str = text()
    placed_tx: str | None = text(default=None)
    placed_index: int | None = big(default=None)
    placed_position: int | None = big(default=None)
    placed_at: datetime | None = moment(default=None)
    settled_tx: str | None = text(default=None)
    settled_index: int | None = big(default=None)
    settled_position: int | None = big(default=None)
    settled_at: datetime | None = moment(default=None)
    finality: str = text(default="confirmed", sa_column_kwargs={"server_default": "confirmed"})
    settled_finality: str | None = text(default=None)
    counted: dict[str, Any] | None = document(default=None)
    updated_at: datetime | None = now(default=None, nullable=False)
