"""The networks we know, one file each."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from chains.errors import BadManifest

CHAINS = ("solana", "evm")
FOLDER = Path(__file__).parent
LOCAL = "eip155:31337"  # a development node, which has no CAIP-2 of its own
UNKNOWN_DEPTH = 64  # blocks, on a chain of which nobody has said how deep is final


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


def depth_of(caip2: str, known: Mapping[str, int] | None = None) -> int:
    """How many blocks make one final on an EVM chain; what is `known` of a name comes first."""
    for network in map(load, names()):
        if (network.caip2 or (network.chain == "evm" and LOCAL)) == caip2:
            return (known or {}).get(network.name, network.confirmations)
    return UNKNOWN_DEPTH
