"""Pairs: booths where they are played, batches of commitments, pairs, and their bets."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlalchemy import text as sql
from sqlmodel import Field, SQLModel

from db.columns import amount, big, document, moment, now, text, zero


class PairBooth(SQLModel, table=True):
    """Where a casino's players play pairs: one bond, some games, limits.

    `games` are the numbers of their pay tables by name, for bets to come; limits are in the
    smallest unit of `asset`. `trouble` says why no seeds are committed. While it is `stopped` no
    bet is taken: the chain has numbers that are not ours. Ours begin at `begins`, which is where
    the chain is once a person has said so (`resumes`).
    """

    __tablename__ = "pair_booths"
    __table_args__ = (UniqueConstraint("network", "program"),)

    id: int | None = Field(default=None, primary_key=True)
    casino_id: int = Field()
    network: str = text()
    program: str = text()
    asset: str = text()
    beacon: str = text()
    games: dict[str, Any] = document()
    least: Decimal = amount()
    most: Decimal = amount()
    most_win: Decimal = amount()
    most_player: Decimal = amount()
    trouble: str | None = text(default=None)
    stopped: bool = Field(default=False, sa_column_kwargs={"server_default": sql("false")})
    begins: int = big(default=0, sa_column_kwargs={"server_default": sql("0")})
    resumes: bool = Field(default=False, sa_column_kwargs={"server_default": sql("false")})
    created_at: datetime | None = now(default=None, nullable=False)


class PairBatch(SQLModel, table=True):
    """Seeds of pairs committed together, and the beacon that came when that was final.

    drawn -> sent -> confirmed, or foreign: the chain has another root there. Times in Unix
    seconds, `final_at` is that of the block that made the commitment final. `activation` is the
    hash of `beacon`.
    """

    __tablename__ = "pair_batches"

    booth_id: int = Field(primary_key=True)
    number: int = big(primary_key=True)
    count: int = Field()
    root: bytes = Field()
    kind: str = text()
    signer: bytes = Field()
    state: str = text(default="drawn", sa_column_kwargs={"server_default": "drawn"})
    tx: str | None = text(default=None)
    position: int | None = big(default=None)
    committed_at: int | None = big(default=None)
    final_at: int | None = big(default=None)
    beacon: dict[str, Any] | None = document(default=None)
    activation: bytes | None = Field(default=None)
    drawn_at: datetime | None = now(default=None, nullable=False)
    confirmed_at: datetime | None = moment(default=None)
    activated_at: datetime | None = moment(default=None)


class PairRow(SQLModel, table=True):
    """A pair of a player: waiting -> active -> retired -> revealed, or waiting -> unplayed.

    `number` and `place` say where its seed is committed, `sealed` is that seed under AES-GCM with
    the key of the environment, `seed` the same once the final chain shows it. `bets` is the next
    nonce, `last` the digest of the newest receipt.
    """

    __tablename__ = "pairs"
    __table_args__ = (
        UniqueConstraint("booth_id", "number", "place"),
        Index(
            "pairs_in_waiting",
            "booth_id",
            "player_id",
            unique=True,
            postgresql_where=sql("state = 'waiting'"),
        ),
        Index(
            "pairs_in_play",
            "booth_id",
            "player_id",
            unique=True,
            postgresql_where=sql("state = 'active'"),
        ),
        Index(
            "pairs_to_reveal",
            "booth_id",
            "number",
            "place",
            postgresql_where=sql("state = 'retired' AND bets > 0"),
        ),
        CheckConstraint(
            "bets >= 0 AND bets <= 65536 AND stake >= 0 AND payout >= 0", name="pairs_sums"
        ),
    )

    player_id: int = big(primary_key=True)
    epoch: int = big(primary_key=True)
    booth_id: int = Field()
    casino_id: int = Field()
    account: str = text()
    asset: str = text()
    state: str = text(default="waiting", sa_column_kwargs={"server_default": "waiting"})
    number: int | None = big(default=None)
    place: int | None = Field(default=None)
    sealed: bytes | None = Field(default=None)
    commit: bytes | None = Field(default=None)
    client_seed: bytes | None = Field(default=None)
    bets: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    stake: Decimal = zero()
    payout: Decimal = zero()
    last: bytes | None = Field(default=None)
    seed: bytes | None = Field(default=None)
    opened_at: datetime | None = now(default=None, nullable=False)
    active_at: datetime | None = moment(default=None)
    retired_at: datetime | None = moment(default=None)
    reveal_tx: str | None = text(default=None)
    revealed_at: datetime | None = moment(default=None)


class PairBet(SQLModel, table=True):
    """A bet of a pair with its signed receipt and what came of it, all at once and for good.

    `said_at` is the receipt's time in unix ms; `paid_id` the transfer of the payout, if any.
    """

    __tablename__ = "pair_bets"
    __table_args__ = (
        UniqueConstraint("transfer_id"),
        UniqueConstraint("paid_id"),
        Index("pair_bets_at", "at", postgresql_using="brin"),
        CheckConstraint(
            "stake > 0 AND cash >= 0 AND bonus >= 0 AND cash + bonus = stake AND payout >= 0",
            name="pair_bets_split",
        ),
    )

    player_id: int = big(primary_key=True)
    epoch: int = big(primary_key=True)
    nonce: int = Field(primary_key=True)
    casino_id: int = Field()
    game: str = text()
    pay_id: int = Field()
    choice: dict[str, Any] = document()
    params: bytes = Field()
    stake: Decimal = amount()
    cash: Decimal = amount()
    bonus: Decimal = amount()
    grant_id: int | None = big(default=None)
    said_at: int = big()
    previous: bytes = Field()
    digest: bytes = Field()
    signature: bytes = Field()
    outcome: bytes = Field()
    result: dict[str, Any] = document()
    payout: Decimal = amount()
    transfer_id: int = big()
    paid_id: int | None = big(default=None)
    at: datetime = moment()
