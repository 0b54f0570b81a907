"""The networks we know, one file each."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from chains.errors import BadManifest

CHAINS = ("solana", "evm")
FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Network:
    """A network by name; `caip2` is pinned where the world agrees on it, asked for elsewhere."""

    name: str
    chain: str
    confirmations: int
    symbol: str
    caip2: str | None = None


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(name: str) -> Network:
    """The network of this name."""
    if name not in names():
        raise BadManifest(f"unknown network {name!r} (known: {', '.join(names())})")
    values = tomllib.loads((FOLDER / f"{name}.toml").read_text())
    return Network(name=name, **values)
