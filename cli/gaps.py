"""What is not indexed yet, source by source, as a table or as JSON; and another try for it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import orjson
import psycopg
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError, SQLAlchemyError

import queues
from casino import dead_letters
from casino import gaps as rules
from casino.gaps import Gap
from casino.sources import followed
from chains.errors import ChainError
from cli.backfill import first_line
from db import session as database
from db.session import transaction
from indexer import source
from indexer.progress import duration
from settings import Settings
from workers import interpret

SOURCES = """
SELECT s.id, s.program, n.name, s.address, s.head, s.frontier, s.error
FROM sources s JOIN networks n USING (network) ORDER BY s.id
"""
FAILING = """
UPDATE pages SET attempts = 0, error = NULL, sent_at = clock_timestamp()
WHERE source_id = :source AND state = :state AND error IS NOT NULL RETURNING id
"""
LETTERS = "SELECT count(*) FROM dead_letters WHERE source_id = :source"
QUEUE_OF = {"found": "chain", "stored": "interpretation"}


class Refused(Exception):
    """The database cannot say."""


@dataclass(frozen=True, slots=True)
class Report:
    """One source. `frontier` is the position below which nothing is missing."""

    program: str
    network: str
    address: str
    head: int | None
    frontier: int | None
    error: str | None
    gaps: tuple[Gap, ...]


async def look(settings: Settings, *, retry: bool = False) -> list[Report]:
    """Every source of the database and of the settings. Raises `Refused`."""
    database.configure(settings.database_url, pool_size=2)
    try:
        async with transaction() as session:
            rows = (await session.execute(text(SOURCES))).all()
        if retry:
            queues.setup(settings)
            for row in rows:
                await again(settings, row.id)
        reports = []
        for row in rows:
            async with transaction() as session:
                gaps = tuple(await rules.found(session, row.id))
            about = (row.program, row.name, row.address, row.head, row.frontier, row.error)
            reports.append(Report(*about, gaps))
    except ProgrammingError as error:
        raise Refused("the database has no tables yet: fairhouse migrate") from error
    except (SQLAlchemyError, psycopg.Error, OSError) as error:
        raise Refused(f"the database cannot be reached: {first_line(error)}") from error
    finally:
        await database.close()
    return reports + unknown(settings, reports)


def unknown(settings: Settings, reports: Sequence[Report]) -> list[Report]:
    """Sources of the settings that no indexer has looked at."""
    known = {(report.network, report.address) for report in reports}
    return [
        Report(
            one.means.name,
            one.network.name,
            one.means.address,
            None,
            None,
            None,
            (Gap("unread", one.means.start, None, said="no indexer has looked at this source"),),
        )
        for one in source.plan(settings)
        if (one.network.name, one.means.address) not in known
    ]


async def again(settings: Settings, source_id: int) -> None:
    """Read a source's dead letters once more, and send its failing pages once more."""
    async with transaction() as session:
        its = await followed(session, source_id)
        left = int((await session.execute(text(LETTERS), {"source": source_id})).scalar_one())
    if left:
        try:
            program = interpret.load(its.program, its.address, settings.programs_dir)
        except ChainError as error:
            raise Refused(f"{its.program}: {error}") from error
        its = interpret.with_asset(its, program)
    while left > 0:
        async with transaction() as session:
            done = await dead_letters.replay(session, its, program.decoders, program.means)
        left = left - done.read - done.dead if done.read + done.dead else 0
        await asyncio.to_thread(queues.send, "stats", its.casino_id)
    for state, queue in QUEUE_OF.items():
        async with transaction() as session:
            keys = {"source": source_id, "state": state}
            pages = (await session.execute(text(FAILING), keys)).scalars().all()
        await asyncio.to_thread(queues.send_all, queue, pages)


def show(console: Console, reports: Sequence[Report], *, as_json: bool) -> None:
    """To a person or to a program."""
    if as_json:
        said = orjson.dumps([asdict(report) for report in reports], option=orjson.OPT_INDENT_2)
        console.out(said.decode(), highlight=False)
        return
    if not reports:
        console.print("no source is followed", highlight=False)
    for report in reports:
        about = f"{report.program} on {report.network}"
        if not report.gaps:
            edge = "" if report.frontier is None else f" up to {report.frontier:,}"
            console.print(f"{about}: all is indexed{edge}", markup=False, highlight=False)
            continue
        console.print(about + (f": {report.error}" if report.error else ""), markup=False)
        console.print(table(report.gaps))


def table(gaps: Sequence[Gap]) -> Table:
    made = Table("kind", box=box.SIMPLE)
    for title in ("from", "to", "count", "since"):
        made.add_column(title, justify="right")
    made.add_column("why")
    for gap in gaps:
        made.add_row(
            gap.kind,
            f"{gap.first:,}",
            "head" if gap.last is None else f"{gap.last:,}",
            "" if gap.count is None else f"{gap.count:,}",
            "" if gap.since_s is None else duration(gap.since_s),
            Text(gap.said or ""),
        )
    return made
