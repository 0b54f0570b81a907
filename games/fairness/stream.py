"""Uniform integers from an outcome: 64-bit words, rejected where they would favour a value."""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import TypeVar

T = TypeVar("T")

WORD = 1 << 64


class Stream:
    """An endless, repeatable row of uniform integers keyed by one outcome."""

    def __init__(self, outcome: bytes) -> None:
        self._words = words(outcome)

    def below(self, n: int) -> int:
        """A uniform integer in 0..n-1."""
        if not 1 <= n <= WORD:
            raise ValueError(f"a word decides among 1..2^64 values, not {n}")
        limit = WORD // n * n
        return next(word for word in self._words if word < limit) % n

    def pick(self, items: Sequence[T], count: int) -> list[T]:
        """The first `count` of a shuffle of the items, in the order they are drawn.

        Fisher-Yates from the front: place i is changed with place i + below(n - i).
        """
        if not 0 <= count <= len(items):
            raise ValueError(f"{count} of {len(items)} cannot be picked")
        row = list(items)
        for at in range(count):
            other = at + self.below(len(row) - at)
            row[at], row[other] = row[other], row[at]
        return row[:count]

    def shuffle(self, items: Sequence[T]) -> list[T]:
        """All the items in a drawn order, each order as likely as any other."""
        return self.pick(items, len(items))


def block(outcome: bytes, number: int) -> bytes:
    message = b"cgf/v1/stream\0" + number.to_bytes(4, "big")
    return hmac.digest(outcome, message, sha256)


def words(outcome: bytes) -> Iterator[int]:
    number = 0
    while True:
        drawn = block(outcome, number)
        for at in range(0, 32, 8):
            yield int.from_bytes(drawn[at : at + 8], "big")
        number += 1
