"""A backfill by command: asks for a stretch of a chain, and shows how it comes in."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import psycopg
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from casino import gaps
from casino.gaps import Stretch
from casino.sources import Followed, followed
from chains.errors import ChainError
from chains.evm.rpc import agree
from db import session as database
from db.session import transaction
from indexer import backfill, source
from indexer.progress import Walk, duration
from indexer.source import Planned
from indexer.substitute import stand_in
from settings import Settings, SourceSetting

ANSWER_S = 10.0
LOOK_S = 0.25
LINE_S = 10.0  # where there is no terminal, a line this often
AWAY = (SQLAlchemyError, psycopg.Error, OSError)

PIN = "SELECT network FROM networks WHERE name = :name"
SOURCE = """
SELECT s.id FROM sources s JOIN networks n USING (network)
WHERE n.name = :name AND s.address = :address
"""
TROUBLE = """
SELECT coalesce(error, CASE WHEN polled_at > now() - make_interval(secs => :silent) THEN ''
    ELSE 'no indexer reads this source' END) FROM sources WHERE id = :source
"""
WAITING = "SELECT count(*) FROM pages WHERE source_id = :source AND state <> 'interpreted'"


class Refused(Exception):
    """What was asked for cannot be; nothing was written."""


class Shows(Protocol):
    def __call__(self, walk: Walk, noun: str, trouble: str) -> None: ...


@dataclass
class Backfill:
    """A stretch of one source, from `first` to `last` or to what is known already."""

    settings: Settings
    planned: Planned
    first: int
    last: int | None
    walk: Walk | None = None
    opened: list[Stretch] | None = None
    pages: int = 0
    began: float = field(default_factory=time.monotonic)

    @property
    def name(self) -> str:
        return f"{self.planned.means.name} on {self.planned.network.name}"

    async def run(self, shows: Shows) -> None:
        """Ask for the stretch and see it through. Raises `Refused` before anything is written."""
        database.configure(self.settings.database_url, pool_size=2)
        try:
            await self._examine()
            reading = asyncio.create_task(stand_in(self.settings, self.planned))
            watching = asyncio.create_task(self._watch(shows))
            try:
                done, _ = await asyncio.wait(
                    (reading, watching), return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    task.result()
            finally:
                for task in (reading, watching):
                    task.cancel()
                await asyncio.gather(reading, watching, return_exceptions=True)
        finally:
            await database.close()

    async def _examine(self) -> None:
        """Whether the node, the database and the stretch go together. Raises `Refused`."""
        network, head = await self._node()
        name = self.planned.network.name
        try:
            async with transaction() as session:
                pinned = (await session.execute(text(PIN), {"name": name})).scalar_one_or_none()
                known = await self._followed(session)
                edge = (await gaps.coverage(session, known.id)).edge if known else None
        except ProgrammingError as error:
            raise Refused("the database has no tables yet: fairhouse migrate") from error
        except AWAY as error:
            raise Refused(f"the database cannot be reached: {first_line(error)}") from error
        for expected in (self.planned.network.caip2, pinned):
            try:
                agree(expected or network, network, name)
            except ChainError as error:
                raise Refused(str(error)) from error
        highest = head if edge is None else edge
        if self.first > highest:
            raise Refused(
                f"{self.first:,} is above {highest:,}, to where {self.name} is read:"
                " what is newer comes by itself"
            )

    async def _node(self) -> tuple[str, int]:
        rpc = source.rpcs(self.settings, [self.planned])[self.planned.network.name]
        try:
            async with asyncio.timeout(ANSWER_S):
                return await rpc.network(), await rpc.head()
        except (ChainError, TimeoutError) as error:
            network = self.planned.network.name
            raise Refused(f"no RPC of {network} answers: {first_line(error)}") from error
        finally:
            await rpc.close()

    async def _watch(self, shows: Shows) -> None:
        """Show what is left until nothing is; the stretch is asked for as soon as it can be."""
        while True:
            try:
                async with transaction() as session:
                    known = await self._followed(session)
                    if known is None:
                        left, trouble = None, "waiting for the first look at this source"
                    else:
                        left, trouble = await self._look(session, known)
            except AWAY as error:
                left, trouble = None, f"the database does not answer: {first_line(error)}"
            if self.walk is not None and left is not None:
                self.walk.note(left, time.monotonic())
            if left == 0:
                return
            shows(self.walk or Walk(), self.noun, trouble)
            await asyncio.sleep(LOOK_S)

    async def _look(self, session: AsyncSession, known: Followed) -> tuple[int | None, str]:
        """How much is left, or None before the first look; and what holds it up."""
        keys = {"source": known.id, "silent": gaps.SILENT_S}
        trouble = str((await session.execute(text(TROUBLE), keys)).scalar_one())
        if self.opened is None:
            self.opened = await self._ask(session, known)
        covered = await gaps.coverage(session, known.id)
        if self.opened is None or covered.edge is None:
            return None, trouble or "waiting for the first look at this source"
        self.pages = int((await session.execute(text(WAITING), keys)).scalar_one())
        last = covered.edge if self.last is None else min(self.last, covered.edge)
        asked = gaps.stretched(self.first, last)
        left = sum(one.size for whole in asked for one in gaps.within(whole, covered.left))
        if self.walk is None:
            self.walk = Walk(done=sum(one.size for one in asked) - left)
        return left, trouble

    async def _ask(self, session: AsyncSession, known: Followed) -> list[Stretch] | None:
        if (await gaps.coverage(session, known.id)).edge is None:
            return None
        return await backfill.widen(session, known, self.first)

    async def _followed(self, session: AsyncSession) -> Followed | None:
        keys = {"name": self.planned.network.name, "address": self.planned.means.address}
        found = (await session.execute(text(SOURCE), keys)).scalar_one_or_none()
        return None if found is None else await followed(session, found)

    @property
    def noun(self) -> str:
        return backfill.NOUNS[self.planned.network.chain]

    def result(self) -> str:
        """What came of it, in one line."""
        walk = self.walk or Walk()
        added = sum(one.size for one in self.opened or [])
        took = duration(time.monotonic() - self.began)
        done = f"{self.name}: {walk.done:,} {self.noun} are read from {self.first:,} up"
        new = f"{added:,} of them were not known before" if added else "all of them were known"
        waits = f"; {self.pages:,} pages wait for the workers" if self.pages else ""
        return f"{done}, {new} ({took}){waits}"


def choose(settings: Settings, name: str, network: str | None) -> Planned:
    """The source of the settings that is meant by program or address. Raises `Refused`."""
    named = [
        one
        for one in settings.sources
        if name.casefold() in (one.program.casefold(), (one.address or "").casefold())
    ]
    try:
        planned = [
            one
            for setting in named
            for one in source.plan(settings.model_copy(update={"sources": [setting]}))
            if network in (None, one.network.name)
        ]
    except ChainError as error:
        raise Refused(str(error)) from error
    if not planned:
        known = ", ".join(_named(one) for one in settings.sources) or "none"
        raise Refused(f"no source {name!r} in the settings (known: {known})")
    if len(planned) > 1:
        places = ", ".join(f"{one.means.address} on {one.network.name}" for one in planned)
        raise Refused(f"{name} is followed at {places}: say which address, or --network")
    return planned[0]


def asked(
    settings: Settings, name: str, network: str | None, first: int, last: int | None
) -> Backfill:
    """What a person asked for. Raises `Refused` for what cannot be meant."""
    if first < 0 or (last is not None and last < 0):
        raise Refused("a chain begins at 0: --from and --to cannot be negative")
    if last is not None and last < first:
        raise Refused(f"a stretch goes up, not from {first:,} to {last:,}")
    return Backfill(settings, choose(settings, name, network), first, last)


@contextlib.contextmanager
def shown(console: Console, name: str) -> Iterator[Shows]:
    """A bar on a terminal, elsewhere a line now and then."""
    if not console.is_terminal:
        yield Lines(console, name)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[said]}"))
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(name, total=None, said="")

        def show(walk: Walk, noun: str, trouble: str) -> None:
            whole = None if walk.left is None else walk.done + walk.left
            said = said_of(walk, noun, trouble)
            progress.update(task, total=whole, completed=walk.done, said=said)

        yield show


@dataclass
class Lines:
    """Lines of progress, one at a time."""

    console: Console
    name: str
    _next: float = 0.0

    def __call__(self, walk: Walk, noun: str, trouble: str) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + LINE_S
            said = f"{self.name}: {said_of(walk, noun, trouble)}"
            self.console.print(said, soft_wrap=True, markup=False, highlight=False)


def said_of(walk: Walk, noun: str, trouble: str) -> str:
    said: Sequence[str] = [walk.line(noun)] if walk.left is not None else []
    return "; ".join([*said, *([trouble] if trouble else [])])


def _named(one: SourceSetting) -> str:
    return f"{one.program} ({one.address})" if one.address else one.program


def first_line(error: BaseException) -> str:
    """The first line of what went wrong, in the driver's own words."""
    said = str(getattr(error, "orig", None) or error).strip().splitlines()
    return said[0] if said else type(error).__name__
