"""The books and the audit log put to the proof, as a table or as JSON."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson
import psycopg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text
from sqlalchemy.exc import ProgrammingError, SQLAlchemyError

from casino import seals
from casino.invariants import LAWS
from casino.invariants.laws import Finding, Law, examined
from casino.seals import BadCheckpoint, Checkpoint, Verdict
from db import session as database
from db.session import transaction
from settings import Settings

MARKS = {True: ("✓", "green"), False: ("✗", "red")}
WIDTH = 10
LINE_S = 5.0  # between lines of progress where there is no terminal

Told = Callable[[int, int], object]


class Refused(Exception):
    """The database cannot say, or the question is none."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A law and what a look at everything came to."""

    law: Law
    found: Finding


async def books(settings: Settings, names: Sequence[str], told: Told) -> AsyncIterator[Checked]:
    """Every law, or those named, each looked at whole in one snapshot. Raises `Refused`."""
    known = {law.name: law for law in LAWS}
    if strangers := [name for name in names if name not in known]:
        raise Refused(f"there is no law {strangers[0]!r} (known: {', '.join(known)})")
    chosen = [known[name] for name in names] or list(LAWS)
    async with _opened(settings):
        for done, law in enumerate(chosen):
            told(done, len(chosen))
            async with transaction() as opened:
                found = await examined(opened, law)
            yield Checked(law, found)


async def audit(settings: Settings, kept: Path | None, told: Told) -> Verdict:
    """Every sealed row compared with its seal, and the chain with checkpoints. Raises `Refused`."""
    try:
        held = seals.checkpoints(kept.read_text()) if kept else []
    except (OSError, UnicodeDecodeError, BadCheckpoint) as error:
        raise Refused(f"the checkpoints cannot be read: {error}") from error
    if kept and not held:
        raise Refused(f"there is no checkpoint in {kept}")
    async with _opened(settings), transaction() as opened:
        return await seals.verify(opened, held=held, told=told)


async def checkpoint(settings: Settings) -> Checkpoint:
    """That of the last seal. Raises `Refused` when nothing was sealed."""
    async with _opened(settings), transaction() as opened:
        found = await seals.checkpoint(opened)
    if found is None:
        raise Refused("nothing is sealed yet: does the auditor run?")
    return found


@contextlib.asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[None]:
    database.configure(settings.database_url, pool_size=2)
    try:
        yield
    except (ProgrammingError, psycopg.ProgrammingError) as error:
        raise Refused("the database lacks what is asked for: fairhouse migrate") from error
    except (SQLAlchemyError, psycopg.Error, OSError) as error:
        said = str(getattr(error, "orig", None) or error).partition("\n")[0]
        raise Refused(f"the database cannot be reached: {said}") from error
    finally:
        await database.close()


async def show_books(
    console: Console, settings: Settings, names: Sequence[str], told: Told, *, as_json: bool
) -> bool:
    """A line for each law once it is known, or all at once for a program; whether all hold."""
    every = []
    async for one in books(settings, names, told):
        every.append(one)
        if not as_json:
            _line(console, one)
    if as_json:
        _json(console, [_said(one) for one in every])
    return all(one.found.holds for one in every)


def _line(console: Console, one: Checked) -> None:
    mark, colour = MARKS[bool(one.found.holds)]
    took = f"({one.found.took_ms:,} ms)"
    about = Text.assemble(("  " + mark, colour), f"  {one.law.name:<{WIDTH}}  {one.law.says}  ")
    console.print(about.append(took, "dim"), soft_wrap=True)
    for fault in one.found.faults:
        console.print(Text(f"       {'':<{WIDTH}}{fault.said}", colour), soft_wrap=True)


def _said(one: Checked) -> dict[str, object]:
    return {
        "law": one.law.name,
        "says": one.law.says,
        "holds": one.found.holds,
        "faults": [asdict(fault) for fault in one.found.faults],
        "took_ms": one.found.took_ms,
    }


def show_audit(console: Console, verdict: Verdict, *, as_json: bool) -> None:
    bad, last = verdict.bad, verdict.checkpoint
    if as_json:
        kept = {**asdict(verdict), "checkpoint": None if last is None else str(last)}
        _json(console, kept)
        return
    mark, colour = MARKS[bad is None]
    if bad is not None:
        said = f"row {bad.index:,} is the first that is not as it was sealed: {bad.said}"
    else:
        said = f"{verdict.rows:,} rows under {verdict.seals:,} seals are as they were sealed"
    young = f"; {verdict.unsealed:,} wait for a seal" if verdict.unsealed and not bad else ""
    console.print(Text.assemble(("  " + mark, colour), f"  {said}{young}"), soft_wrap=True)
    if last is not None and bad is None:
        console.out(str(last), highlight=False)


def _json(console: Console, said: object) -> None:
    console.out(orjson.dumps(said, option=orjson.OPT_INDENT_2).decode(), highlight=False)


@contextlib.contextmanager
def shown(console: Console, noun: str) -> Iterator[Told]:
    """A bar on a terminal, elsewhere a line now and then."""
    if not console.is_terminal:
        yield _Lines(console, noun)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        task = progress.add_task(noun, total=None)
        yield lambda done, whole: progress.update(task, completed=done, total=whole)


@dataclass
class _Lines:
    """Lines of progress, for what takes long."""

    console: Console
    noun: str
    _next: float = 0.0

    def __call__(self, done: int, whole: int) -> None:
        now = time.monotonic()
        self._next = self._next or now + LINE_S
        if now >= self._next:
            self._next = now + LINE_S
            said = f"{self.noun}: {done:,} of {whole:,}"
            self.console.print(said, soft_wrap=True, markup=False, highlight=False)
