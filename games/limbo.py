"""Limbo: the player names a multiplier and wins it when the drawn one is at least as high."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from games import rules
from games.fairness.stream import Stream
from games.paytables import Edge

NAME = b"limbo"
SPAN = 1_000_000_000
LEAST, MOST = 101, 100_000_000  # multipliers in hundredths: 1.01 to 1,000,000.00

PAYS = Edge(1_150)


@dataclass(frozen=True, slots=True)
class Choice:
    """Wins `target` hundredths of the stake when the point is at least as high."""

    target: int

    def __post_init__(self) -> None:
        if not LEAST <= self.target <= MOST:
            raise ValueError(f"a target is {LEAST}..{MOST} hundredths, not {self.target}")

    def encoded(self) -> bytes:
        return self.target.to_bytes(4, "big")

    @classmethod
    def decoded(cls, encoded: bytes) -> Choice:
        if len(encoded) != 4:
            raise ValueError(f"a target is written in 4 bytes, not {len(encoded)}")
        return cls(int.from_bytes(encoded, "big"))


def draw(stream: Stream) -> int:
    """An integer in 1..10^9, uniform: the smaller it is, the higher the multiplier."""
    return 1 + stream.below(SPAN)


def point(drawn: int, pays: Edge = PAYS) -> int:
    """The drawn multiplier in hundredths, rounded down; 100, which nobody can name, if less.

    floor(100 * (1 - edge) * 10^9 / drawn), in whole numbers: floor(kept * 10^9 / (100 * drawn)),
    with `kept` of 10,000 parts. The game of that name elsewhere divides (1 - edge) by a float in
    0..1 (stake.com/provably-fair/game-events); this is the same division over 10^9 whole steps.
    """
    return max(100, min(MOST, pays.kept * SPAN // (100 * drawn)))


def payout(stake: int, choice: Choice, result: int, pays: Edge = PAYS) -> int:
    return most(stake, choice, pays) if point(result, pays) >= choice.target else 0


def most(stake: int, choice: Choice, pays: Edge = PAYS) -> int:
    return stake * choice.target // 100


def reaching(target: int, pays: Edge = PAYS) -> int:
    """How many of the draws reach a target, found by halving: points only fall as draws rise."""
    low, high = 0, SPAN
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if point(middle, pays) >= target else (low, middle - 1)
    return low


def odds(choice: Choice, pays: Edge = PAYS) -> list[tuple[Fraction, Fraction]]:
    chance = Fraction(reaching(choice.target, pays), SPAN)
    return [(chance, Fraction(choice.target, 100)), (1 - chance, Fraction(0))]


def rtp(choice: Choice, pays: Edge = PAYS) -> Fraction:
    return rules.mean(odds(choice, pays))


def variance(choice: Choice, pays: Edge = PAYS) -> Fraction:
    return rules.variance(odds(choice, pays))


def bounds(pays: Edge = PAYS) -> tuple[Fraction, Fraction]:
    """floor(share * 100 * SPAN / t) draws reach a target t: rounding costs less than one."""
    return pays.share - Fraction(MOST, 100 * SPAN), pays.share
