"""Beacons: chance that nobody knows while bets are open, and that anybody can check afterwards.

A batch of rounds names kind and chain of its beacon when it is committed, and which draw of it
counts follows from the moment when betting closes: afterwards nothing is left to choose.

    drand   a signature that members of the League of Entropy make together every three seconds
    block   the hash of a block, which whoever makes blocks can withhold: weaker, for local chains
    verify  what a batch must use, without any network
"""

from __future__ import annotations

import abc
import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import ClassVar, TypeVar

from chains.errors import ChainError

DRAND, BLOCK = b"drand", b"block"
AFTER_CLOSE = 2  # seconds that lie at least between the last bet and the beacon
KEPT = 1024  # draws that a process remembers
LONGEST_REST_S = 5.0

T = TypeVar("T")


class Fallback(StrEnum):
    """What becomes of a round whose beacon never comes.

    `VOID`: it has no result and is never drawn again, with whatever chance; its seed stays hidden,
    so that the bond pays its bets as those of any round that was not revealed.
    """

    VOID = "void"


# It goes with the kind, so a commitment that names the kind has named it, too.
FALLBACKS: Mapping[bytes, Fallback] = MappingProxyType({DRAND: Fallback.VOID, BLOCK: Fallback.VOID})


class BeaconError(ChainError):
    """A beacon that cannot be used."""


class Gone(BeaconError):
    """Nobody had the draw for as long as was to be waited: `fallback` says what now."""

    def __init__(self, message: str, fallback: Fallback) -> None:
        super().__init__(message)
        self.fallback = fallback


class Forged(BeaconError):
    """What was said is not what this beacon drew for this closing."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """One draw, with all that is needed to check it: `verify` does.

    `round` is drand's round or the block's number; `evidence` is drand's signature, or the headers
    of the block and of the one before it.
    """

    kind: bytes
    chain_hash: bytes
    round: int
    randomness: bytes
    evidence: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if self.kind not in FALLBACKS:
            raise ValueError(f"a beacon is drand or block, not {self.kind!r}")
        if len(self.chain_hash) != 32 or len(self.randomness) != 32:
            raise ValueError("a beacon's chain hash and randomness have 32 bytes each")
        if not 0 <= self.round < 2**64:
            raise ValueError(f"a beacon's round fits into 64 bits, unlike {self.round}")


@dataclass(slots=True)
class Missed:
    """Since when a draw is missed, and until when nobody is asked for it, by a clock without jumps.

    That is a quarter of the time for which it is missed: the world is asked often for what is a
    moment late, and hardly ever for what does not come.
    """

    since: float
    again_at: float

    def again(self) -> None:
        now = time.monotonic()
        self.again_at = now + min((now - self.since) / 4, LONGEST_REST_S)


class Beacon(abc.ABC):
    """A source of draws. Several may ask for one draw at once: the world is asked once for it.

    `patience_s` is for how long a draw may be missed, by a clock that does not jump, before it is
    `Gone` for who has no patience of his own; it is counted from the first time that this process
    misses it.
    """

    kind: ClassVar[bytes]

    def __init__(self, chain_hash: bytes, *, patience_s: float) -> None:
        self.chain_hash = chain_hash
        self.fallback = FALLBACKS[self.kind]
        self._patience_s = patience_s
        self._drawn: dict[float, Drawn] = {}
        self._missed: dict[float, Missed] = {}
        self._looking: dict[float, asyncio.Task[Drawn | None]] = {}

    @abc.abstractmethod
    def due(self, closes_at: float) -> int | None:
        """The round that counts for a closing (unix seconds), or None if only known later.

        Raises `ValueError` for a moment that no beacon of this kind can follow.
        """

    @abc.abstractmethod
    def expected_at(self, closes_at: float) -> float:
        """When the draw is there at the earliest, in unix seconds; nobody is asked before."""

    @abc.abstractmethod
    async def look(self, closes_at: float) -> Drawn | None:
        """Ask for the draw once. Raises `Forged`."""

    async def fetch(
        self, closes_at: float, now: float | None = None, *, patience_s: float | None = None
    ) -> Drawn | None:
        """The draw of a closing, or None while it is not there; it may be asked for at any pace.

        `now` is the moment in unix seconds by the clock that closed the betting; without it this
        machine's clock counts, and one that is slow asks for nothing in time. `patience_s` is that
        of who asks, where several do that are not equally patient.

        Raises `Forged` when all that is heard is wrong, which may pass, and `Gone`, which is not
        remembered: a draw that turns up later is given, for whoever has not gone by the fallback.
        """
        which = self.due(closes_at) or closes_at
        if which in self._drawn:
            return self._drawn[which]
        if (time.time() if now is None else now) < self.expected_at(closes_at):
            return None
        if which not in self._looking:
            missed = self._missed.get(which)
            if missed is not None and time.monotonic() < missed.again_at:
                self._check_patience(which, patience_s)
                return None
            self._looking[which] = asyncio.create_task(self._look(which, closes_at))
        try:
            # Whoever stops waiting does not stop the others.
            drawn = await asyncio.shield(self._looking[which])
        except Forged:
            self._check_patience(which, patience_s)
            raise
        if drawn is None:
            self._check_patience(which, patience_s)
        return drawn

    async def close(self) -> None:
        looking = list(self._looking.values())
        for task in looking:
            task.cancel()
        await asyncio.gather(*looking, return_exceptions=True)

    async def _look(self, which: float, closes_at: float) -> Drawn | None:
        try:
            drawn = await self.look(closes_at)
        except Forged:
            self._miss(which)
            raise
        finally:
            del self._looking[which]
        if drawn is None:
            self._miss(which)
            return None
        self._missed.pop(which, None)
        return keep(self._drawn, which, drawn)

    def _miss(self, which: float) -> None:
        now = time.monotonic()
        missed = self._missed.get(which) or keep(self._missed, which, Missed(now, now))
        missed.again()

    def _check_patience(self, which: float, patience_s: float | None) -> None:
        """Raises `Gone` when there has been nothing for longer than who asks waits."""
        most_s = self._patience_s if patience_s is None else patience_s
        missed = self._missed.get(which)
        if missed is not None and time.monotonic() - missed.since >= most_s:
            name = self.kind.decode()
            raise Gone(f"{name} had nothing for {which} in {most_s} s", self.fallback)


def keep(found: dict[float, T], which: float, one: T) -> T:
    """Remember one more, and forget the oldest."""
    while len(found) >= KEPT:
        del found[next(iter(found))]
    found[which] = one
    return one


def check_moment(closes_at: float) -> float:
    """Raises `ValueError` for what is no moment in unix seconds, such as NaN."""
    if not 0 <= closes_at < 2**63:
        raise ValueError(f"betting closes at a moment in unix seconds, not at {closes_at}")
    return closes_at
