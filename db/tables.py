"""Every table, for migrations and tests: importing this room fills `SQLModel.metadata`."""

from sqlmodel import SQLModel

from db import (
    accounts,
    assets,
    audit,
    bets,
    casinos,
    chain_facts,
    custodies,
    entries,
    heartbeats,
    holds,
    laws,
    networks,
    outbox,
    pages,
    players,
    requests,
    seals,
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
    "audit",
    "bets",
    "casinos",
    "chain_facts",
    "custodies",
    "entries",
    "heartbeats",
    "holds",
    "laws",
    "metadata",
    "networks",
    "outbox",
    "pages",
    "players",
    "requests",
    "seals",
    "seeds",
    "sources",
    "stats",
    "transfers",
    "withdrawals",
]
