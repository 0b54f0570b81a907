"""How far a long work came, how fast it goes, and when it will be done."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

RECENT_S = 60.0  # the pace is that of the last minute: old blocks are often emptier than new ones


@dataclass
class Pace:
    """Positions a second, by what was done lately."""

    _seen: deque[tuple[float, int]] = field(default_factory=deque)

    def note(self, done: int, at: float) -> None:
        """That so many were done at this time, of a clock that only goes forward."""
        self._seen.append((at, done))
        while len(self._seen) > 2 and self._seen[1][0] <= at - RECENT_S:
            self._seen.popleft()

    def rate(self) -> float | None:
        """None until something was done."""
        if not self._seen:
            return None
        (began, before), (at, done) = self._seen[0], self._seen[-1]
        return (done - before) / (at - began) if at > began and done > before else None


@dataclass
class Walk:
    """A work whose size shows while it goes on: `done` so far, and what is `left`."""

    done: int = 0
    left: int | None = None
    pace: Pace = field(default_factory=Pace)

    def note(self, left: int, at: float) -> None:
        """That so much is left at this time; it may also have grown."""
        self.done += max(0, (left if self.left is None else self.left) - left)
        self.left = left
        self.pace.note(self.done, at)

    def line(self, noun: str) -> str:
        return line(self.done, self.done + (self.left or 0), self.pace.rate(), noun)


def line(done: int, size: int, rate: float | None, noun: str) -> str:
    """One line for a log: percent, pace and what time is left."""
    said = f"{100 * done / size if size else 100:.1f} %, {size - done:,} of {size:,} {noun} left"
    if rate is None:
        return said
    return f"{said}, {rate:,.0f} {noun} a second, done in {duration((size - done) / rate)}"


def duration(seconds: float) -> str:
    """In the two largest units that say something."""
    whole = round(seconds)
    days, hours, minutes = whole // 86_400, whole // 3_600 % 24, whole // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"
