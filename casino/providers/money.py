"""How providers write amounts: read exactly or not at all, and never rounded."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from casino.providers.codes import Code, Refused

MOST = 10**30  # smallest units; no sum of such amounts leaves the books' 78 digits
MILLION = 10**6  # parts of a smallest unit: jackpots grow by less than one
SHOWN = 15  # digits of a number that every reader of JSON understands as they are written


class Money(Protocol):
    """One provider's way with amounts; `scale` digits of the asset are a fraction."""

    def read(self, given: object, scale: int) -> int:
        """In the asset's smallest unit. Raises `Refused` for what is not exactly that."""

    def millionths(self, given: object, scale: int) -> int:
        """In millionths of the smallest unit, for what is only reported. Raises `Refused`."""

    def say(self, amount: int, scale: int) -> int | float:
        """As the provider reads it. What is finer than it can say is left out, never added."""


@dataclass(frozen=True, slots=True)
class Scaled:
    """Integers of which `digits` are a fraction, whatever the asset; None: the asset's own."""

    digits: int | None = None

    def read(self, given: object, scale: int) -> int:
        return self._read(given, scale, 1)

    def millionths(self, given: object, scale: int) -> int:
        return self._read(given, scale, MILLION)

    def say(self, amount: int, scale: int) -> int:
        finer, coarser = self._shift(scale)
        return amount * finer // coarser

    def _read(self, given: object, scale: int, parts: int) -> int:
        if type(given) is not int:
            raise Refused(Code.WRONG_TYPE, "an amount is an integer")
        if given < 0:
            raise Refused(Code.NEGATIVE_AMOUNT, "an amount is not negative")
        finer, coarser = self._shift(scale)
        return _whole(given * coarser * parts, finer, parts)

    def _shift(self, scale: int) -> tuple[int, int]:
        """By how much the provider writes finer than the asset, and by how much coarser."""
        digits = scale if self.digits is None else self.digits
        return int(10 ** max(digits - scale, 0)), int(10 ** max(scale - digits, 0))


@dataclass(frozen=True, slots=True)
class Decimals:
    """Decimal numbers of the currency itself, with `digits` after the point at most.

    They come as they were written, as `int` or `Decimal`: a `float` has lost what it was.
    """

    digits: int

    def read(self, given: object, scale: int) -> int:
        return self._read(given, scale, 1)

    def millionths(self, given: object, scale: int) -> int:
        return self._read(given, scale, MILLION)

    def say(self, amount: int, scale: int) -> int | float:
        digits = max(min(scale, self.digits, SHOWN - max(len(str(amount)) - scale, 1)), 0)
        finer = int(10**digits)
        said = amount * finer // int(10**scale)
        return said / finer if digits else said

    def _read(self, given: object, scale: int, parts: int) -> int:
        if type(given) is int:
            above, below = given, 1
        elif isinstance(given, Decimal) and given.is_finite():
            # What is written with an exponent may be longer than any memory.
            _, _, exponent = given.as_tuple()
            if not -2 * SHOWN <= int(exponent) <= 2 * SHOWN:
                raise Refused(Code.BAD_AMOUNT, "an amount is too fine or too large")
            above, below = given.as_integer_ratio()
        else:
            raise Refused(Code.WRONG_TYPE, "an amount is a number")
        if above < 0:
            raise Refused(Code.NEGATIVE_AMOUNT, "an amount is not negative")
        if above * 10**self.digits % below:
            raise Refused(Code.BAD_AMOUNT, f"an amount has {self.digits} decimals at most")
        return _whole(above * 10**scale * parts, below, parts)


def _whole(above: int, below: int, parts: int) -> int:
    amount, rest = divmod(above, below)
    if rest:
        raise Refused(Code.BAD_AMOUNT, "an amount is finer than the currency")
    if amount > MOST * parts:
        raise Refused(Code.BAD_AMOUNT, "an amount is too large")
    return amount
