"""Tables of rounds as this process knows them: read again when what it knows is a second old."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from api.errors import Problem
from casino.rounds import tables
from casino.rounds.tables import Table

KNOWN_S = 1.0


@dataclass
class Tables:
    """All tables by casino and name, and all pay tables by number."""

    by_name: dict[tuple[int, str], Table] = field(default_factory=dict)
    pays: dict[int, Any] = field(default_factory=dict)
    _until: float = 0.0
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def known(self, pool: Any) -> None:
        """Read them, unless they were just read; once for all who ask meanwhile."""
        if time.monotonic() < self._until:
            return
        async with self._reading:
            if time.monotonic() < self._until:
                return
            async with pool.connection() as connection:
                found = await tables.all_tables(connection)
                self.pays = await tables.all_pays(connection)
            self.by_name = {(one.casino_id, one.name): one for one in found}
            self._until = time.monotonic() + KNOWN_S

    def of_casino(self, casino_id: int) -> list[Table]:
        return [one for (casino, _), one in sorted(self.by_name.items()) if casino == casino_id]

    def named(self, casino_id: int, name: str) -> Table:
        """Raises `Problem` 404."""
        found = self.by_name.get((casino_id, name))
        if found is None:
            raise Problem(404, "unknown_table", f"this casino has no table {name!r}")
        return found
