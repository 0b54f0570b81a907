"""Withdrawals: players' money on its way out to a chain, and the signed txs that pay them."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import Index
from sqlalchemy import text as sql
from sqlmodel import Field, SQLModel

from db import columns
from db.columns import big, moment, now, text


class Withdrawal(SQLModel, table=True):
    """`state` only goes forward; `request` is its name on the chain, 32 bytes in hex.

    `trouble` is why it waits. `actor` asked for it, `decided_by` approved or rejected it.
    """

    __tablename__ = "withdrawals"
    __table_args__ = (
        Index(
            "withdrawals_open",
            "source_id",
            "id",
            postgresql_where=sql("state NOT IN ('rejected', 'settled', 'failed')"),
        ),
        Index("withdrawals_of_casino", "casino_id", "requested_at", "id"),
        Index("withdrawals_of_player", "player_id", "requested_at", "id"),
    )

    id: int = big(primary_key=True)
    request: str = text(unique=True)
    casino_id: int = Field()
    player_id: int = big()
    source_id: int = Field()
    network: str = text()
    asset: str = text()
    address: str = text()
    amount: Decimal = columns.amount()
    hold_id: int = big()
    actor: str = text()
    state: str = text()
    requested_at: datetime = moment()
    decided_by: str | None = text(default=None)
    reason: str | None = text(default=None)
    decided_at: datetime | None = moment(default=None)
    trouble: str | None = text(default=None)
    tx: str | None = text(default=None)
    transfer_id: int | None = big(default=None)
    ended_at: datetime | None = moment(default=None)


class Payment(SQLModel, table=True):
    """A signed tx, stored before anybody else has it.

    On EVM `tx_nonce` is its number among those of its `sender`, on Solana `last_valid` the block
    height after which it can never land.
    """

    __tablename__ = "payments"
    __table_args__ = (Index("payments_of_withdrawal", "withdrawal_id", "id"),)

    id: int | None = big(default=None, primary_key=True)
    withdrawal_id: int = big()
    tx: str = text(unique=True)
    sender: str = text()
    raw: bytes
    tx_nonce: int | None = big(default=None)
    last_valid: int | None = big(default=None)
    signed_at: datetime | None = now(default=None, nullable=False)
