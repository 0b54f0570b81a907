"""Scheduled rounds: tables, their pay tables, committed batches of seeds, rounds, and bets."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlalchemy import text as sql
from sqlmodel import Field, SQLModel

from db.columns import amount, big, document, moment, now, text, zero


class PayTable(SQLModel, table=True):
    """What a game pays, as one version that never changes; `digest` is the SHA-256 of its encoding.

    `least_bp` and `most_bp` are the ends of what comes back of stakes, in basis points, rounded.
    """

    __tablename__ = "pay_tables"

    id: int | None = Field(default=None, primary_key=True)
    game: str = text()
    digest: str = text(unique=True)
    encoded: bytes = Field()
    least_bp: int = Field()
    most_bp: int = Field()
    created_at: datetime | None = now(default=None, nullable=False)


class RoundTable(SQLModel, table=True):
    """A table: a game played every `period` seconds, committed to one bond under one name.

    Stakes are in `asset`, within limits in its smallest unit; `rate` of the bond's coin, by which
    a win is backed, is `coins` for each `units`. `paused_at` and `trouble` say why no round opens.
    """

    __tablename__ = "round_tables"
    __table_args__ = (UniqueConstraint("network", "program", "name"),)

    id: int | None = Field(default=None, primary_key=True)
    casino_id: int = Field()
    name: str = text()
    game: str = text()
    pay_id: int = Field()
    asset: str = text()
    network: str = text()
    program: str = text()
    beacon: str = text()
    least: Decimal = amount()
    most: Decimal = amount()
    most_win: Decimal = amount()
    most_player: Decimal = amount()
    most_operator: Decimal | None = amount(default=None)
    coins: Decimal = amount()
    units: Decimal = amount()
    paused_at: datetime | None = moment(default=None)
    trouble: str | None = text(default=None)
    created_at: datetime | None = now(default=None, nullable=False)


class RoundBatch(SQLModel, table=True):
    """Seeds of rounds committed together, under the schedule that was committed with them.

    drawn -> sent -> confirmed; times in Unix seconds. What a batch says never changes. `position`
    is the height or slot of `tx`, `committed_at` the time of that block.
    """

    __tablename__ = "round_batches"

    table_id: int = Field(primary_key=True)
    first: int = big(primary_key=True)
    count: int = Field()
    root: bytes = Field()
    opens: int = big()
    period: int = Field()
    lead: int = Field()
    reveal_window: int = Field()
    beacon: str = text()
    max_liability: Decimal = amount()
    signer: bytes = Field()
    pay_id: int = Field()
    state: str = text(default="drawn", sa_column_kwargs={"server_default": "drawn"})
    tx: str | None = text(default=None)
    position: int | None = big(default=None)
    committed_at: int | None = big(default=None)
    drawn_at: datetime | None = now(default=None, nullable=False)
    confirmed_at: datetime | None = moment(default=None)
    released_at: datetime | None = moment(default=None)


class RoundSeed(SQLModel, table=True):
    """`sealed` is the seed under AES-GCM with the key of the environment."""

    __tablename__ = "round_seeds"

    table_id: int = Field(primary_key=True)
    number: int = big(primary_key=True)
    batch_first: int = big()
    sealed: bytes = Field()
    commit: bytes = Field()


class Round(SQLModel, table=True):
    """A round; it takes bets from `opens_at` until before `closes_at`, by the database's clock.

    waiting -> closed -> drawn -> settled; or, once there is a `reason` why it cannot be drawn, void
    as soon as all stakes are back; or skipped at once when its batch became final too late. `risk`
    is what its bets may win beyond their stakes, `liability` what backs that at the bond. `root`,
    `signature` and the sums are those of its close, `beacon`, `seed`, `outcome` and `result` those
    of its draw.
    """

    __tablename__ = "rounds"
    __table_args__ = (
        Index("rounds_by_time", "table_id", "closes_at"),
        Index(
            "rounds_under_way",
            "closes_at",
            postgresql_where=sql("state IN ('waiting', 'closed', 'drawn')"),
        ),
        Index(
            "rounds_to_anchor",
            "table_id",
            "number",
            postgresql_where=sql("revealed_at IS NULL AND state <> 'waiting'"),
        ),
        Index(
            "rounds_at_risk",
            "table_id",
            "opens_at",
            postgresql_where=sql("state IN ('waiting', 'closed', 'drawn')"),
        ),
        CheckConstraint("bets >= 0 AND stake >= 0 AND liability >= 0", name="rounds_sums"),
        CheckConstraint("risk >= 0", name="rounds_risk"),
    )

    table_id: int = Field(primary_key=True)
    number: int = big(primary_key=True)
    batch_first: int = big()
    opens_at: datetime = moment()
    closes_at: datetime = moment()
    state: str = text(default="waiting", sa_column_kwargs={"server_default": "waiting"})
    bets: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    stake: Decimal = zero()
    liability: Decimal = zero()
    risk: Decimal = zero()
    root: bytes | None = Field(default=None)
    signature: bytes | None = Field(default=None)
    beacon: dict[str, Any] | None = document(default=None)
    seed: bytes | None = Field(default=None)
    outcome: bytes | None = Field(default=None)
    result: dict[str, Any] | None = document(default=None)
    payout: Decimal = zero()
    reason: str | None = text(default=None)
    opened_at: datetime | None = moment(default=None)
    closed_at: datetime | None = moment(default=None)
    drawn_at: datetime | None = moment(default=None)
    ended_at: datetime | None = moment(default=None)
    anchor_tx: str | None = text(default=None)
    anchored_at: datetime | None = moment(default=None)
    reveal_tx: str | None = text(default=None)
    revealed_at: datetime | None = moment(default=None)


class RoundBet(SQLModel, table=True):
    """An accepted bet; `position` is its place in its round's tree, `leaf` what stands there.

    placed -> won, lost or returned; `owed` while an account does not take what it should get.
    """

    __tablename__ = "round_bets"
    __table_args__ = (
        UniqueConstraint("table_id", "number", "position"),
        UniqueConstraint("bet"),
        Index("round_bets_of_seat", "table_id", "number", "player_id"),
        Index("round_bets_of_player", "player_id", sql("id DESC")),
        Index(
            "round_bets_owed",
            "table_id",
            "number",
            "position",
            postgresql_where=sql("state = 'owed'"),
        ),
        CheckConstraint(
            "stake > 0 AND cash >= 0 AND bonus >= 0 AND cash + bonus = stake AND payout >= 0",
            name="round_bets_split",
        ),
    )

    id: int = big(primary_key=True)
    table_id: int = Field()
    number: int = big()
    position: int = Field()
    bet: bytes = Field()
    casino_id: int = Field()
    player_id: int = big()
    account: str = text()
    payee: bytes = Field()
    choice: dict[str, Any] = document()
    params: bytes = Field()
    stake: Decimal = amount()
    cash: Decimal = amount()
    bonus: Decimal = amount()
    grant_id: int | None = big(default=None)
    liability: Decimal = amount()
    leaf: bytes = Field()
    state: str = text(default="placed", sa_column_kwargs={"server_default": "placed"})
    payout: Decimal = zero()
    transfer_id: int = big()
    paid_id: int | None = big(default=None)
    at: datetime = moment()
    ended_at: datetime | None = moment(default=None)
