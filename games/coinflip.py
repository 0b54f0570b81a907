"""Coinflip: heads or tails."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from games import rules
from games.fairness.stream import Stream
from games.paytables import PARTS, Edge

NAME = b"coinflip"
SIDES = 2
HEADS, TAILS = range(SIDES)

PAYS = Edge(1_150)


@dataclass(frozen=True, slots=True)
class Choice:
    """Wins when the coin falls on this side."""

    side: int

    def __post_init__(self) -> None:
        if self.side not in (HEADS, TAILS):
            raise ValueError(f"a coin has the sides 0 and 1, not {self.side}")

    def encoded(self) -> bytes:
        return bytes([self.side])

    @classmethod
    def decoded(cls, encoded: bytes) -> Choice:
        if len(encoded) != 1:
            raise ValueError(f"a side is written in 1 byte, not {len(encoded)}")
        return cls(encoded[0])


def draw(stream: Stream) -> int:
    """0 for heads, 1 for tails."""
    return stream.below(SIDES)


def prize(stake: int, pays: Edge = PAYS) -> int:
    return stake * SIDES * pays.kept // PARTS


def payout(stake: int, choice: Choice, result: int, pays: Edge = PAYS) -> int:
    return prize(stake, pays) if result == choice.side else 0


def most(stake: int, choice: Choice, pays: Edge = PAYS) -> int:
    return prize(stake, pays)


def odds(choice: Choice, pays: Edge = PAYS) -> list[tuple[Fraction, Fraction]]:
    fair = Fraction(1, SIDES)
    return [
        (fair, pays.share / fair if side == choice.side else Fraction(0)) for side in (HEADS, TAILS)
    ]


def rtp(choice: Choice, pays: Edge = PAYS) -> Fraction:
    return rules.mean(odds(choice, pays))


def variance(choice: Choice, pays: Edge = PAYS) -> Fraction:
    return rules.variance(odds(choice, pays))


def bounds(pays: Edge = PAYS) -> tuple[Fraction, Fraction]:
    return rules.spread(rtp(Choice(side), pays) for side in (HEADS, TAILS))
