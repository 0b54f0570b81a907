"""How providers write amounts: read exactly or not at all, and never rounded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from casino.providers.codes import Code, Refused

MOST = 10**30  # smallest units; no sum of such amounts leaves the books' 78 digits


class Money(Protocol):
    """One provider's way with amounts; `scale` digits of the asset are a fraction."""

    def read(self, given: object, scale: int) -> int:
        """In the asset's smallest unit. Raises `Refused` for what is not exactly that."""

    def say(self, amount: int, scale: int) -> int | str:
        """As the provider reads it. What is finer than it can say is left out, never added."""


@dataclass(frozen=True, slots=True)
class Scaled:
    """Integers of which `digits` are a fraction, whatever the asset; None: the asset's own."""

    digits: int | None = None

    def read(self, given: object, scale: int) -> int:
        if type(given) is not int:
            raise Refused(Code.WRONG_TYPE, "an amount is an integer")
        if given < 0:
            raise Refused(Code.NEGATIVE_AMOUNT, "an amount is not negative")
        finer, coarser = self._shift(scale)
        amount, rest = divmod(given * coarser, finer)
        if rest:
            raise Refused(Code.BAD_AMOUNT, "an amount is finer than the currency")
        if amount > MOST:
            raise Refused(Code.BAD_AMOUNT, "an amount is too large")
        return amount

    def say(self, amount: int, scale: int) -> int:
        finer, coarser = self._shift(scale)
        return amount * finer // coarser

    def _shift(self, scale: int) -> tuple[int, int]:
        """By how much the provider writes finer than the asset, and by how much coarser."""
        digits = scale if self.digits is None else self.digits
        return int(10 ** max(digits - scale, 0)), int(10 ** max(scale - digits, 0))
