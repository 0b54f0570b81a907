"""Pay tables: what a win is worth, each version known by its digest, and the band rounds keep."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from hashlib import sha256
from typing import Any

from games.fairness.encoding import tag
from games.rules import Game

PARTS = 10_000  # basis points
BAND = (Fraction(88, 100), Fraction(89, 100))
DIGEST = 32


class OutsideBand(ValueError):
    """A pay table for scheduled rounds that returns too little or too much somewhere."""

    def __init__(self, game: bytes, low: Fraction, high: Fraction) -> None:
        returned = f"{float(low):.4f} to {float(high):.4f}"
        super().__init__(f"{game.decode()} returns {returned}, and rounds return 0.88 to 0.89")
        self.game, self.low, self.high = game, low, high


@dataclass(frozen=True, slots=True)
class Edge:
    """The pay table of a game whose wins are all fair ones less the same edge."""

    edge_bp: int

    def __post_init__(self) -> None:
        if not 0 <= self.edge_bp < PARTS:
            raise ValueError(f"an edge is within 0..{PARTS - 1} basis points, not {self.edge_bp}")

    @property
    def kept(self) -> int:
        """What is left of every 10,000 parts of a fair win."""
        return PARTS - self.edge_bp

    @property
    def share(self) -> Fraction:
        return Fraction(self.kept, PARTS)

    def encoded(self) -> bytes:
        return self.edge_bp.to_bytes(2, "big")

    @classmethod
    def decoded(cls, encoded: bytes) -> Edge:
        if len(encoded) != 2:
            raise ValueError(f"an edge is written in 2 bytes, not {len(encoded)}")
        return cls(int.from_bytes(encoded, "big"))


def digest(game: Game, pays: Any) -> bytes:
    """The version of a pay table: another one has another, and none can change under it."""
    return sha256(tag(b"pay-table", game.NAME, pays.encoded())).digest()


def params(game: Game, choice: Any, pays: Any) -> bytes:
    """What a bet is bound to: the version of the pay table, then the choice."""
    encoded: bytes = choice.encoded()
    return digest(game, pays) + encoded


def check_band(game: Game, pays: Any) -> tuple[Fraction, Fraction]:
    """The ends of what comes back of stakes.

    Raises `OutsideBand` unless every choice the table offers returns 88 to 89 percent.
    """
    low, high = game.bounds(pays)
    if low < BAND[0] or high > BAND[1]:
        raise OutsideBand(game.NAME, low, high)
    return low, high
