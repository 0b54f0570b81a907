"""Providers as the casino sees them: their games, launches, rounds, and every call they made."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import CheckConstraint, Index, Numeric
from sqlalchemy import text as sql
from sqlmodel import Field, SQLModel

from db import columns
from db.columns import big, moment, now, text


class CasinoGame(SQLModel, table=True):
    """A provider's game, by the provider's own code of it, as one casino offers it.

    `product` is what terms of bonuses call its kind: slots, live, table.
    """

    __tablename__ = "casino_games"

    casino_id: int = Field(primary_key=True)
    provider: str = text(primary_key=True)
    code: str = text(primary_key=True)
    name: str = text()
    product: str = text(sa_column_kwargs={"server_default": "other"}, default="other")
    closed_at: datetime | None = moment(default=None)


class CasinoLaunch(SQLModel, table=True):
    """A launched game: the SHA-256 of its token, and who plays what, in which asset, until when.

    Never changed or deleted: wins and rollbacks may come long after `expires_at`.
    """

    __tablename__ = "casino_launches"

    digest: bytes = Field(primary_key=True)
    casino_id: int = Field()
    provider: str = text()
    game: str = text()
    player_id: int = big()
    player: str = text()
    asset: str = text()
    at: datetime | None = now(default=None, nullable=False)
    expires_at: datetime = moment()


class CasinoRound(SQLModel, table=True):
    """A player's round, by the provider's id of it.

    `state` is open, closed (the provider said so) or stale (nothing came for too long). `calls`
    counts its calls, `settled` is the number among them of the latest payout, `standing` counts
    bets that were not rolled back, of which `cash` and `bonus` are the stakes. `parts` are those of
    them that were placed under a bonus, `[grant, game, counted, cash, bonus]`, with an age behind
    it where others were placed after they were paid. Of these, stakes under no bonus are a part as
    well, without a grant. A round `~paid:<bet>` holds nothing: it says that a bet was paid that is
    in the round of a session.
    """

    __tablename__ = "casino_rounds"
    __table_args__ = (
        CheckConstraint("standing >= 0 and cash >= 0 and bonus >= 0", name="rounds_standing"),
        Index(
            "casino_rounds_left",
            "touched_at",
            postgresql_where=sql("state = 'open' or (settled = 0 and standing > 0)"),
        ),
    )

    casino_id: int = Field(primary_key=True)
    provider: str = text(primary_key=True)
    player_id: int = big(primary_key=True)
    round: str = text(primary_key=True)
    asset: str = text()
    game: str = text()
    state: str = text()
    calls: int = Field()
    settled: int = Field()
    standing: int = Field()
    cash: Decimal = columns.amount()
    bonus: Decimal = columns.amount()
    parts: list[list[str | int | bool | None]] | None = columns.document(default=None)
    opened_at: datetime = moment()
    touched_at: datetime = moment()
    closed_at: datetime | None = moment(default=None)


class CasinoCall(SQLModel, table=True):
    """A provider's debit, credit or rollback, or a rarer call, by the provider's id of it.

    `kind` is also tip, buy_in, prize, refund (of a buy-in), reversal (of a credit) or cancel (of a
    reward); a play is a debit, and a credit `~won:<id>`. `state` is done, declined, returned (a
    call that was taken back) or tombstone (one that was taken back before it came). `cash` and
    `bonus` are how `amount` was paid, under the bonus `grant_id`; less of a payout, a rollback or a
    reversal, if its bonus had ended. `place` is its number in its round, `played` what terms of
    bonuses call the game.
    """

    __tablename__ = "casino_calls"
    __table_args__ = (
        CheckConstraint(
            "amount >= 0 and cash >= 0 and bonus >= 0 and cash + bonus <= amount and"
            " (kind <> 'debit' or state not in ('done', 'returned') or amount = cash + bonus)",
            name="calls_split",
        ),
        Index("casino_calls_round", "round", "provider", "casino_id"),
        Index(
            "casino_calls_reward",
            "casino_id",
            "provider",
            "reward",
            postgresql_where=sql("reward IS NOT NULL"),
        ),
        Index("casino_calls_at", "at", postgresql_using="brin"),
    )

    casino_id: int = Field(primary_key=True)
    provider: str = text(primary_key=True)
    id: str = text(primary_key=True)
    number: int = big()
    kind: str = text()
    state: str = text()
    code: str | None = text(default=None)
    player_id: int = big()
    asset: str = text()
    game: str = text()
    round: str = text()
    place: int = Field()
    target: str | None = text(default=None)
    amount: Decimal = columns.amount()
    cash: Decimal = columns.amount()
    bonus: Decimal = columns.amount()
    grant_id: int | None = big(default=None)
    played: str | None = text(default=None)
    reward: str | None = text(default=None)
    transfer_id: int | None = big(default=None)
    at: datetime = moment()


class CasinoJackpot(SQLModel, table=True):
    """What a call had to do with a jackpot, as a part of its money: told, and never moved.

    `contributed` is in the asset's smallest unit, of which six more digits are told.
    """

    __tablename__ = "casino_jackpots"
    __table_args__ = (CheckConstraint("contributed >= 0 and won >= 0", name="jackpots_amounts"),)

    casino_id: int = Field(primary_key=True)
    provider: str = text(primary_key=True)
    call: str = text(primary_key=True)
    jackpot: str = text(primary_key=True)
    contributed: Decimal = Field(sa_type=Numeric(84, 6))
    won: Decimal = columns.amount()
