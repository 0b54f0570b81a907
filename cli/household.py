"""All processes of the house as children of one: started, watched, started again, stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from local.forks import fork
from local.process import Child

PAUSE_S = 0.25
MOST_RESTARTS = 20


class TooManyRestarts(Exception):
    """A process does not stay up; carries where it says why."""

    def __init__(self, child: Child) -> None:
        tail = child.log.read_text(errors="replace")[-1500:]
        super().__init__(f"{child.name} does not stay up; {child.log} ends with:\n{tail}")


class Household:
    """Children that run `fairhouse run <name>` with one environment."""

    def __init__(self, logs: Path, environment: Mapping[str, str]) -> None:
        self._logs, self._environment = logs, environment
        self.children: dict[str, Child] = {}
        self.restarts: dict[str, int] = {}

    def start(self, name: str) -> None:
        log = self._logs / f"{name.replace(' ', '-')}.log"
        self.children[name] = fork(name, ["run", *name.split()], log=log, env=self._environment)

    async def watch(self, told: Callable[[str], None]) -> None:
        """Start again whatever ends, until cancelled. Raises `TooManyRestarts`."""
        while True:
            for name, child in list(self.children.items()):
                if child.process.poll() is None:
                    continue
                self.restarts[name] = self.restarts.get(name, 0) + 1
                if self.restarts[name] > MOST_RESTARTS:
                    raise TooManyRestarts(child)
                told(f"{name} ended with {child.process.returncode}; started again")
                await asyncio.sleep(PAUSE_S)
                self.start(name)
            await asyncio.sleep(PAUSE_S)

    async def stop(self) -> dict[str, int]:
        """Stop all at once; exit codes by name."""
        names = list(self.children)
        codes = await asyncio.gather(*(self.children[name].stop() for name in names))
        return dict(zip(names, codes, strict=True))

    def pids(self) -> dict[str, int]:
        return {name: child.pid for name, child in self.children.items()}
