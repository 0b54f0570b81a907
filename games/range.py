"""Range: the player names a run of faces and wins when the roll falls inside."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from games.fairness.stream import Stream

NAME = b"range"
FACES = 10_000
EDGE = 100  # one percent, counted in faces
WIDTHS = range(1, 9_801)


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


def roll(outcome: bytes) -> int:
    """A face in 0..9999, uniform."""
    return Stream(outcome).below(FACES)


def prize(stake: int, choice: Choice) -> int:
    """What a winning bet is paid, the stake included, rounded down."""
    return stake * (FACES - EDGE) // choice.width


def payout(stake: int, choice: Choice, rolled: int) -> int:
    return prize(stake, choice) if choice.low <= rolled < choice.high else 0


def rtp(choice: Choice) -> Fraction:
    """The exact share of stakes that comes back, before rounding down a single unit."""
    return Fraction(choice.width, FACES) * Fraction(FACES - EDGE, choice.width)
