"""Facts beside bets: jackpots, pools, fees, transfers, seeds, and what has no other place."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy import text as sql
from sqlmodel import Field, SQLModel

from db.columns import amount as units
from db.columns import big, document, moment, text


def unfinal(table: str) -> Index:
    """Promotion and retraction look at the few facts that are not final yet."""
    return Index(
        f"{table}_unfinal",
        "source_id",
        "position",
        "tx",
        postgresql_where=sql("finality = 'confirmed'"),
    )


class ChainFact(SQLModel):
    """Where a fact came from; (network, tx, index) is its identity."""

    id: int | None = big(default=None, primary_key=True)
    casino_id: int
    source_id: int
    network: str = text()
    position: int = big()
    tx: str = text()
    index: int = big()
    at: datetime | None = moment(default=None)
    finality: str = text(default="confirmed", sa_column_kwargs={"server_default": "confirmed"})


class Jackpot(ChainFact, table=True):
    __tablename__ = "jackpots"
    __table_args__ = (UniqueConstraint("network", "tx", "index"), unfinal("jackpots"))

    player: str = text()
    asset: str = text()
    amount: Decimal = units()
    pool: str | None = text(default=None)
    bet: str | None = text(default=None)


class Pool(ChainFact, table=True):
    __tablename__ = "pools"
    __table_args__ = (UniqueConstraint("network", "tx", "index"), unfinal("pools"))

    pool: str = text()
    manager: str | None = text(default=None)
    config: dict[str, Any] | None = document(default=None)


class Fee(ChainFact, table=True):
    __tablename__ = "fees"
    __table_args__ = (UniqueConstraint("network", "tx", "index"), unfinal("fees"))

    pool: str | None = text(default=None)
    bet: str | None = text(default=None)
    asset: str = text()
    amount: Decimal = units()
    fee_type: str | None = text(default=None)


class ChainTransfer(ChainFact, table=True):
    """Money in or out of a contract: `direction` is deposited or withdrawn.

    `transfer_id` is the transfer in the books that a deposit was credited by.
    """

    __tablename__ = "chain_transfers"
    __table_args__ = (
        UniqueConstraint("network", "tx", "index"),
        unfinal("chain_transfers"),
        Index(
            "chain_transfers_due",
            "source_id",
            "id",
            postgresql_where=sql(
                "direction = 'deposited' AND finality = 'finalized' AND transfer_id IS NULL"
            ),
        ),
        Index(
            "chain_transfers_request",
            "request",
            "source_id",
            postgresql_where=sql("direction = 'withdrawn'"),
        ),
    )

    direction: str = text()
    player: str = text()
    asset: str = text()
    amount: Decimal = units()
    request: str | None = text(default=None)
    transfer_id: int | None = big(default=None)


class SeedCommitment(ChainFact, table=True):
    __tablename__ = "seed_commitments"
    __table_args__ = (UniqueConstraint("network", "tx", "index"), unfinal("seed_commitments"))

    first: int = big()
    count: int = Field()
    kind: str = text()
    root: str = text()
    reveal_by: int = big()


class SeedReveal(ChainFact, table=True):
    __tablename__ = "seed_reveals"
    __table_args__ = (UniqueConstraint("network", "tx", "index"), unfinal("seed_reveals"))

    seed_index: int = big()
    seed: str = text()


class SystemEvent(ChainFact, table=True):
    """A decoded event that the manifest maps to nothing else."""

    __tablename__ = "system_events"
    __table_args__ = (UniqueConstraint("network", "tx", "index"), unfinal("system_events"))

    name: str = text()
    args: dict[str, Any] | None = document(default=None)
