"""How many blocks to ask for at once: as many as the provider answers and memory should hold."""

from __future__ import annotations

from dataclasses import dataclass

GROWTH = 1.1
PATIENCE = 100  # successes before a refused size is tried again
DENSE = 10_000  # logs in one answer: about 40 MB on their way, and one page to interpret


@dataclass
class Stride:
    """`size` is what is asked for next; a refused size becomes the ceiling for a long while.

    A provider's own number stays for good: it is a rule. A refusal without one may be about how
    dense these blocks are, so the ceiling is lifted after `PATIENCE` answers.
    """

    size: int
    most: int
    ceiling: int | None = None
    _answers: int = 0

    @classmethod
    def of(cls, most: int) -> Stride:
        return cls(most, most)

    def refused(self, asked: int, hint: int | None) -> None:
        """Ask for less: what the provider named, or half."""
        if hint is not None:
            self.size = self.most = min(hint, self.most)
            return
        self.ceiling = asked
        self.size = max(1, asked // 2)
        self._answers = 0

    def answered(self, asked: int, found: int) -> None:
        """Shrink to where an answer holds `DENSE` logs; else grow slowly, below a refused size."""
        if found > DENSE:
            self.size = min(self.size, max(1, asked * DENSE // found))
            return
        if asked < self.size:
            return
        self._answers += 1
        if self._answers >= PATIENCE:
            self.ceiling, self._answers = None, 0
        highest = self.most if self.ceiling is None else min(self.most, self.ceiling - 1)
        if found * GROWTH < DENSE:
            self.size = max(1, min(int(self.size * GROWTH) + 1, highest))
