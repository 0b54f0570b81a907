"""Numbers: twenty of eighty are drawn, and the player has marked one to ten of them."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from games import rules
from games.fairness.stream import Stream
from games.paytables import PARTS
from games.rules import NotOffered

NAME = b"numbers"
BALLS = range(1, 81)
DRAWN = 20
SPOTS = range(1, 11)
ENTRY = 8  # bytes of a multiplier


@dataclass(frozen=True, slots=True)
class Choice:
    """The marked numbers, ascending."""

    spots: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.spots) not in SPOTS:
            raise ValueError(f"1..10 numbers are marked, not {len(self.spots)}")
        if any(spot not in BALLS for spot in self.spots):
            raise ValueError(f"the numbers are 1..80, not {self.spots}")
        if list(self.spots) != sorted(set(self.spots)):
            raise ValueError(f"marked numbers ascend, each once, unlike {self.spots}")

    def encoded(self) -> bytes:
        return bytes(self.spots)

    @classmethod
    def decoded(cls, encoded: bytes) -> Choice:
        return cls(tuple(encoded))


@dataclass(frozen=True, slots=True)
class PayTable:
    """Multipliers in basis points of the stake: `rows[spots - 1][hits]`; a row of zeros offers
    nothing for so many spots."""

    rows: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        if [len(row) for row in self.rows] != [spots + 1 for spots in SPOTS]:
            raise ValueError("a pay table has a row for 1..10 spots, each for 0 hits to all")
        if any(not 0 <= entry < 1 << 8 * ENTRY for row in self.rows for entry in row):
            raise ValueError("a multiplier is within 0..2^64-1 basis points")
        if not any(map(any, self.rows)):
            raise ValueError("a pay table offers something")

    def row(self, spots: int) -> tuple[int, ...]:
        """What 0, 1, 2.. hits pay. Raises `NotOffered` for a row of zeros."""
        row = self.rows[spots - 1]
        if not any(row):
            raise NotOffered(f"this pay table has nothing for {spots} spots")
        return row

    def encoded(self) -> bytes:
        return b"".join(entry.to_bytes(ENTRY, "big") for row in self.rows for entry in row)

    @classmethod
    def decoded(cls, encoded: bytes) -> PayTable:
        size = sum(spots + 1 for spots in SPOTS) * ENTRY
        if len(encoded) != size:
            raise ValueError(f"a pay table is written in {size} bytes, not {len(encoded)}")
        entries = iter(range(0, size, ENTRY))
        return cls(
            tuple(
                tuple(
                    int.from_bytes(encoded[at : at + ENTRY], "big")
                    for at in (next(entries) for _ in range(spots + 1))
                )
                for spots in SPOTS
            )
        )


PAYS = PayTable(
    (
        (0, 35_400),
        (0, 10_000, 84_000),
        (0, 0, 25_000, 390_000),
        (0, 0, 10_000, 50_000, 1_500_000),
        (0, 0, 0, 30_000, 150_000, 7_000_000),
        (0, 0, 0, 10_000, 70_000, 800_000, 24_000_000),
        (0, 0, 0, 10_000, 20_000, 220_000, 2_000_000, 110_000_000),
        (0, 0, 0, 0, 20_000, 130_000, 1_000_000, 10_000_000, 200_000_000),
        (0, 0, 0, 0, 10_000, 60_000, 450_000, 3_000_000, 35_000_000, 400_000_000),
        (20_000, 0, 0, 0, 0, 20_000, 200_000, 1_600_000, 12_000_000, 50_000_000, 1_000_000_000),
    )
)


def draw(stream: Stream) -> tuple[int, ...]:
    """Twenty numbers in the order they are drawn, each of the eighty as likely at each place."""
    return tuple(stream.pick(BALLS, DRAWN))


def hits(choice: Choice, result: tuple[int, ...]) -> int:
    return len(set(choice.spots) & set(result))


def payout(stake: int, choice: Choice, result: tuple[int, ...], pays: PayTable = PAYS) -> int:
    return stake * pays.row(len(choice.spots))[hits(choice, result)] // PARTS


def most(stake: int, choice: Choice, pays: PayTable = PAYS) -> int:
    return stake * max(pays.row(len(choice.spots))) // PARTS


def chances(spots: int) -> list[Fraction]:
    """How likely 0, 1, 2.. hits are: each marked number in turn is among those drawn, or not."""
    told = [Fraction(1)]
    for at in range(spots):
        left, after = len(BALLS) - at, [Fraction(0)] * (len(told) + 1)
        for hit, chance in enumerate(told):
            drawn = Fraction(DRAWN - hit, left)
            after[hit] += chance * (1 - drawn)
            after[hit + 1] += chance * drawn
        told = after
    return told


def odds(choice: Choice, pays: PayTable = PAYS) -> list[tuple[Fraction, Fraction]]:
    row = pays.row(len(choice.spots))
    return [
        (chance, Fraction(entry, PARTS))
        for chance, entry in zip(chances(len(choice.spots)), row, strict=True)
    ]


def rtp(choice: Choice, pays: PayTable = PAYS) -> Fraction:
    return rules.mean(odds(choice, pays))


def variance(choice: Choice, pays: PayTable = PAYS) -> Fraction:
    return rules.variance(odds(choice, pays))


def bounds(pays: PayTable = PAYS) -> tuple[Fraction, Fraction]:
    """One choice of each length speaks for all: no number is likelier than another."""
    offered = [spots for spots in SPOTS if any(pays.rows[spots - 1])]
    return rules.spread(rtp(Choice(tuple(BALLS[:spots])), pays) for spots in offered)
