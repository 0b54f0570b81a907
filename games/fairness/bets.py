"""On-chain bets: from a committed seed and a player's bet to an outcome nobody could choose."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from hashlib import sha256

from games.fairness.encoding import tag, u64, u256

SEED = 32
CLIENT_SEED = 32


@dataclass(frozen=True, slots=True)
class PlacedBet:
    """A bet as its contract knows it; `program` and `player` are raw address bytes."""

    chain: bytes  # CAIP-2, such as b"eip155:31337"
    program: bytes
    index: int
    player: bytes
    stake: int
    choice: bytes
    client_seed: bytes

    def __post_init__(self) -> None:
        if len(self.client_seed) != CLIENT_SEED:
            raise ValueError(f"a client seed has 32 bytes, not {len(self.client_seed)}")
        if len(self.program) not in (20, 32) or len(self.player) != len(self.program):
            raise ValueError("program and player are both 20 or both 32 bytes")
        u64(self.index), u256(self.stake)

    @property
    def hash(self) -> bytes:
        return sha256(
            tag(
                b"bet",
                self.chain,
                self.program,
                u64(self.index),
                self.player,
                u256(self.stake),
                self.choice,
                self.client_seed,
            )
        ).digest()


def commit(chain: bytes, program: bytes, index: int, seed: bytes) -> bytes:
    """The commitment to one seed, bound to its chain, contract and index."""
    if len(seed) != SEED:
        raise ValueError(f"a seed has 32 bytes, not {len(seed)}")
    return sha256(tag(b"bet-commit", chain, program, u64(index), seed)).digest()


def outcome(seed: bytes, bet: PlacedBet, game: bytes) -> bytes:
    """HMAC-SHA256 under the seed: the seed keys it, the bet is its message."""
    return hmac.digest(seed, tag(b"bet-out", bet.chain, game, u64(bet.index), bet.hash), sha256)
