"""Dice: the player names a face and wins when the roll is under it, or over it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from games import rules
from games.fairness.stream import Stream
from games.paytables import PARTS, Edge
from games.rules import NotOffered

NAME = b"dice"
FACES = 10_000

PAYS = Edge(1_150)


@dataclass(frozen=True, slots=True)
class Choice:
    """Wins when the roll is under the face, or, with `over`, when it is over it."""

    over: bool
    face: int

    def __post_init__(self) -> None:
        if not 0 <= self.face < FACES or not self.wins:
            raise ValueError(f"a roll under 1..9999 or over 0..9998 can win, not {self}")

    @property
    def wins(self) -> range:
        """The faces that win."""
        return range(self.face + 1, FACES) if self.over else range(self.face)

    def encoded(self) -> bytes:
        return bytes([self.over]) + self.face.to_bytes(2, "big")

    @classmethod
    def decoded(cls, encoded: bytes) -> Choice:
        if len(encoded) != 3 or encoded[0] > 1:
            raise ValueError(f"00 or 01 and a face in 2 bytes, not {encoded[:8].hex()}")
        return cls(bool(encoded[0]), int.from_bytes(encoded[1:], "big"))


def draw(stream: Stream) -> int:
    """A face in 0..9999, uniform."""
    return stream.below(FACES)


def prize(stake: int, choice: Choice, pays: Edge = PAYS) -> int:
    """What a winning bet is paid. Raises `NotOffered` where a win would pay less than its stake."""
    if len(choice.wins) * PARTS > FACES * pays.kept:
        raise NotOffered(f"{len(choice.wins)} of {FACES} faces would win less than their stake")
    return stake * FACES * pays.kept // (len(choice.wins) * PARTS)


def payout(stake: int, choice: Choice, result: int, pays: Edge = PAYS) -> int:
    won = prize(stake, choice, pays)
    return won if result in choice.wins else 0


def most(stake: int, choice: Choice, pays: Edge = PAYS) -> int:
    return prize(stake, choice, pays)


def odds(choice: Choice, pays: Edge = PAYS) -> list[tuple[Fraction, Fraction]]:
    chance = Fraction(len(choice.wins), FACES)
    return [(chance, pays.share / chance), (1 - chance, Fraction(0))]


def rtp(choice: Choice, pays: Edge = PAYS) -> Fraction:
    return rules.mean(odds(choice, pays))


def variance(choice: Choice, pays: Edge = PAYS) -> Fraction:
    return rules.variance(odds(choice, pays))


def bounds(pays: Edge = PAYS) -> tuple[Fraction, Fraction]:
    widest = FACES * pays.kept // PARTS
    return rules.spread(rtp(Choice(False, face), pays) for face in range(1, min(widest, 9_999) + 1))
