"""The command `fairhouse`: everything a person at a terminal can ask for."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable
from typing import Annotated

import typer
from loguru import logger
from pydantic import ValidationError

import logs
import settings as environment
from chains.errors import ChainError
from cli import processes
from db import migrate as migrations
from db.session import plain

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def refuse(message: str) -> typer.Exit:
    """One line on stderr, exit code 2: nothing was changed."""
    typer.secho(message, err=True, fg="red")
    return typer.Exit(2)


def read_settings() -> environment.Settings:
    try:
        return environment.load()
    except ValidationError as error:
        first = error.errors()[0]
        raise refuse(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


@app.command()
def migrate() -> None:
    """Bring the database up to date."""
    chosen = read_settings()
    logs.setup(chosen, "migrate")
    migrations.upgrade(plain(chosen.database_url))
    logger.info("the database is up to date")


@app.command()
def run(
    process: Annotated[str, typer.Argument(help="feed, indexer, worker, relay")],
    queue: Annotated[str, typer.Argument(help="for worker: chain, interpretation, stats")] = "",
) -> None:
    """Run one process until SIGTERM."""
    chosen = read_settings()
    if process == "worker":
        if queue not in processes.QUEUES:
            raise refuse(f"a worker has one queue of {', '.join(processes.QUEUES)}, not {queue!r}")
        processes.worker(chosen, queue)
        return
    if process not in processes.LOOPS:
        known = ", ".join([*processes.LOOPS, "worker"])
        raise refuse(f"there is no process {process!r} (known: {known})")
    logs.setup(chosen, process)
    try:
        asyncio.run(until_told(lambda: processes.loop(process, chosen)))
    except* ChainError as group:
        raise refuse(str(group.exceptions[0])) from None


async def until_told(work: Callable[[], Awaitable[None]]) -> None:
    """Run until SIGTERM or SIGINT, then cancel and let it clean up."""
    task = asyncio.ensure_future(work())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


if __name__ == "__main__":
    app()
