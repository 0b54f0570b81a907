"""Every table, for migrations and tests: importing this room fills `SQLModel.metadata`."""

from sqlmodel import SQLModel

from db import (
    accounts,
    assets,
    bets,
    casinos,
    chain_facts,
    custodies,
    entries,
    heartbeats,
    holds,
    networks,
    outbox,
    pages,
    players,
    requests,
    seeds,
    sources,
    stats,
    transfers,
    withdrawals,
)

metadata = SQLModel.metadata

__all__ = [
    "accounts",
    "assets",
    "bets",
    "casinos",
    "chain_facts",
    "custodies",
    "entries",
    "heartbeats",
    "holds",
    "metadata",
    "networks",
    "outbox",
    "pages",
    "players",
    "requests",
    "seeds",
    "sources",
    "stats",
    "transfers",
    "withdrawals",
]
