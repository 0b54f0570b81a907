"""Every table, for migrations and tests: importing this room fills `SQLModel.metadata`."""

from sqlmodel import SQLModel

from db import (
    accounts,
    assets,
    bets,
    campaigns,
    casinos,
    chain_facts,
    entries,
    grants,
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
    wagers,
)

metadata = SQLModel.metadata

__all__ = [
    "accounts",
    "assets",
    "bets",
    "campaigns",
    "casinos",
    "chain_facts",
    "entries",
    "grants",
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
    "wagers",
]
