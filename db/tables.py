"""Every table, for migrations and tests: importing this room fills `SQLModel.metadata`."""

from sqlmodel import SQLModel

from db import (
    bets,
    casinos,
    chain_facts,
    heartbeats,
    networks,
    outbox,
    pages,
    players,
    seeds,
    sources,
    stats,
)

metadata = SQLModel.metadata

__all__ = [
    "bets",
    "casinos",
    "chain_facts",
    "heartbeats",
    "metadata",
    "networks",
    "outbox",
    "pages",
    "players",
    "seeds",
    "sources",
    "stats",
]
