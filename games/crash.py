"""Crash: a curve rises until it breaks; the player names beforehand where to leave it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from games import rules
from games.fairness.stream import Stream
from games.paytables import Edge

NAME = b"crash"
SPAN = 1 << 52
LEAST, MOST = 101, 1_000_000  # multipliers in hundredths: 1.01 to 10,000.00

PAYS = Edge(1_150)


@dataclass(frozen=True, slots=True)
class Choice:
    """Leaves at `target` hundredths of the stake, and wins them when the curve gets there."""

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
    """An integer in 0..2^52-1, uniform: the greater it is, the later the curve breaks."""
    return stream.below(SPAN)


def point(drawn: int, pays: Edge = PAYS) -> int:
    """Where the curve breaks, in hundredths, rounded down; 100, at once, if less.

    floor(100 * (1 - edge) / (1 - drawn / 2^52)), the formula of bustabit/verifier
    src/utils/math.ts (there with an edge of 1 percent and floats), in whole numbers:
    floor(kept * 2^52 / (100 * (2^52 - drawn))), with `kept` of 10,000 parts.
    """
    return max(100, min(MOST, pays.kept * SPAN // (100 * (SPAN - drawn))))


def payout(stake: int, choice: Choice, result: int, pays: Edge = PAYS) -> int:
    return most(stake, choice, pays) if point(result, pays) >= choice.target else 0


def most(stake: int, choice: Choice, pays: Edge = PAYS) -> int:
    return stake * choice.target // 100


def reaching(target: int, pays: Edge = PAYS) -> int:
    """How many of the draws reach a target, found by halving: points only rise with draws."""
    low, high = 0, SPAN
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if point(middle, pays) >= target else (middle + 1, high)
    return SPAN - low


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
