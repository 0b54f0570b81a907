"""Range: the player names a run of faces and wins when the roll falls inside."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from games import rules
from games.fairness.stream import Stream
from games.paytables import PARTS, Edge
from games.rules import NotOffered

NAME = b"range"
FACES = 10_000
EDGE = 100  # one percent, counted in faces
WIDTHS = range(1, 9_801)

PAYS = Edge(EDGE * PARTS // FACES)


@dataclass(frozen=True, slots=True)
class Choice:
    """Wins when low <= roll < high."""

    low: int
    high: int

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high <= FACES:
            raise ValueError(f"a range needs 0 <= low < high <= {FACES}, not {self}")
        if self.width not in WIDTHS:
            raise ValueError(f"a range holds 1..{WIDTHS[-1]} faces, not {self.width}")

    @property
    def width(self) -> int:
        return self.high - self.low

    def encoded(self) -> bytes:
        return self.low.to_bytes(2, "big") + self.high.to_bytes(2, "big")

    @classmethod
    def decoded(cls, encoded: bytes) -> Choice:
        if len(encoded) != 4:
            raise ValueError(f"a range is written in 4 bytes, not {len(encoded)}")
        return cls(int.from_bytes(encoded[:2], "big"), int.from_bytes(encoded[2:], "big"))


def draw(stream: Stream) -> int:
    """A face in 0..9999, uniform."""
    return stream.below(FACES)


def roll(outcome: bytes) -> int:
    """The face that an outcome draws."""
    return draw(Stream(outcome))


def prize(stake: int, choice: Choice, pays: Edge = PAYS) -> int:
    """What a winning bet is paid, the stake included, rounded down.

    Raises `NotOffered` where a win would pay less than its stake.
    """
    if choice.width * PARTS > FACES * pays.kept:
        raise NotOffered(f"{choice.width} of {FACES} faces would win less than their stake")
    return stake * FACES * pays.kept // (choice.width * PARTS)


def payout(stake: int, choice: Choice, rolled: int, pays: Edge = PAYS) -> int:
    won = prize(stake, choice, pays)
    return won if choice.low <= rolled < choice.high else 0


def most(stake: int, choice: Choice, pays: Edge = PAYS) -> int:
    return prize(stake, choice, pays)


def odds(choice: Choice, pays: Edge = PAYS) -> list[tuple[Fraction, Fraction]]:
    chance = Fraction(choice.width, FACES)
    return [(chance, pays.share / chance), (1 - chance, Fraction(0))]


def rtp(choice: Choice, pays: Edge = PAYS) -> Fraction:
    """The exact share of stakes that comes back, before rounding down a single unit."""
    return rules.mean(odds(choice, pays))


def variance(choice: Choice, pays: Edge = PAYS) -> Fraction:
    return rules.variance(odds(choice, pays))


def bounds(pays: Edge = PAYS) -> tuple[Fraction, Fraction]:
    widest = min(FACES * pays.kept // PARTS, WIDTHS[-1])
    return rules.spread(rtp(Choice(0, width), pays) for width in range(1, widest + 1))
