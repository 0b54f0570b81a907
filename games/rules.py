"""Rules: what every game answers, and what follows for all of them from their odds alone."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any, Protocol

from games.fairness.stream import Stream

# How likely a multiplier of the stake is; the multiplier counts the stake in, a loss is 0.
Odds = Iterable[tuple[Fraction, Fraction]]


class NotOffered(ValueError):
    """A choice that a pay table has no win for."""


class Game(Protocol):
    """A file of `games/`. Stakes and payouts are integers in the smallest unit of one asset.

    A choice and a pay table are checked values with `encoded()` and a `decoded(bytes)` of their
    class: one way to write each of them, and `ValueError` for every other. What `draw` brings is
    an integer or a tuple of integers below 2^53.
    """

    NAME: bytes
    Choice: Any
    PAYS: Any  # the pay table this house ships; its class knows every other

    def draw(self, stream: Stream, /) -> Any:
        """The result of a round or bet, the same for everybody who bets on it."""

    def payout(self, stake: int, choice: Any, result: Any, pays: Any = ..., /) -> int:
        """What comes back, the stake included, rounded down; 0 for a loss."""

    def most(self, stake: int, choice: Any, pays: Any = ..., /) -> int:
        """The largest payout any result can bring."""

    def rtp(self, choice: Any, pays: Any = ..., /) -> Fraction:
        """The exact share of stakes that comes back, before rounding down a single unit."""

    def variance(self, choice: Any, pays: Any = ..., /) -> Fraction:
        """Of the payout of one unit staked; the volatility is its square root."""

    def bounds(self, pays: Any = ..., /) -> tuple[Fraction, Fraction]:
        """No choice of the pay table returns less than the first share, or more than the second."""


def mean(odds: Odds) -> Fraction:
    return sum((chance * multiplier for chance, multiplier in odds), Fraction(0))


def variance(odds: Odds) -> Fraction:
    told = list(odds)
    return mean((chance, multiplier**2) for chance, multiplier in told) - mean(told) ** 2


def spread(returns: Iterable[Fraction]) -> tuple[Fraction, Fraction]:
    told = list(returns)
    return min(told), max(told)
