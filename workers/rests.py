"""Rests: what was done just now, and is left alone for a while."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

RESEND_S = 20.0  # how long a sent tx is waited for before it is sent again


@dataclass
class Rests:
    """Until when each thing is left alone, by a clock that does not jump."""

    again_at: dict[Any, float] = field(default_factory=dict)

    def begun(self, what: Any) -> bool:
        """Whether that was done just now; if not, it is from now on."""
        if self.now(what):
            return True
        self.rest(what, RESEND_S)
        return False

    def rest(self, what: Any, seconds: float) -> None:
        """Leave something alone for so long."""
        now = time.monotonic()
        self.again_at = {one: at for one, at in self.again_at.items() if at > now}
        self.again_at[what] = now + seconds

    def now(self, what: Any) -> bool:
        """Whether something rests now."""
        return self.again_at.get(what, 0.0) > time.monotonic()
