"""When to poll next: every interval, and soon after blocks that come in step with it."""

from __future__ import annotations

import random
from dataclasses import dataclass

SOONER = (0.94, 1.0)  # of the interval, after a poll that found a new head
SWAY = (0.75, 1.25)  # of the interval, while nothing moves
SHORTLY = 0.1  # of the interval, after a poll that came in vain
IN_STEP = 2  # polls that found something, one after the other, before one in vain is repeated so
LEAST_REST = 0.1  # of the interval, between a poll that took long and the next


@dataclass
class Rhythm:
    """The interval runs from poll to poll; a slow node still gets room to breathe.

    Every poll that finds something lets the next one come a little sooner, until one comes just
    too soon for a block; that one is repeated shortly. So polls fall into step with blocks that
    come once an interval, and wait for them a twentieth of it instead of half. They do for that a
    quarter more polls; chains of another pace are asked as often as ever.
    """

    interval_s: float
    _moves: int = 0

    def pause(self, *, moved: bool, took_s: float) -> float:
        """Seconds to rest after a poll that took so long, and found a new head or did not."""
        if moved:
            share = random.uniform(*SOONER)
        elif self._moves >= IN_STEP:
            share = SHORTLY
        else:
            share = random.uniform(*SWAY)
        self._moves = self._moves + 1 if moved else 0
        return self.interval_s * max(share - took_s / self.interval_s, LEAST_REST)
