"""One real PostgreSQL per test session, and one fresh, migrated database per test module."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from cli import processes
from db import migrate
from db import session as db_session
from local import forks, postgres

forks.preload((*processes.modules(), "cli.backfill", "cli.doctor", "cli.gaps", "cli.verify"))

_numbers = itertools.count()

# Files of minutes, begun first: when several processes share the tests, none waits for one at the
# end.
LONG = (
    "workers/test_keeper.py",
    "cli/test_demo.py",
    "workers/test_dealer.py",
    "flow/test_line.py",
    "workers/test_keeper_answers.py",
    "cli/test_backfill.py",
    "image/test_image.py",
    "indexer/test_process.py",
    "cli/test_gaps.py",
    "workers/test_payments.py",
    "workers/test_pairs.py",
    "api/test_rounds.py",
    "reliability/test_kills.py",
    "reliability/test_mutants.py",
    "reliability/test_storms.py",
    "workers/test_leader.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    rank = {here / name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: rank.get(item.path, len(LONG)))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Postgres]:
    """The session's server: embedded, in a loop and thread of its own."""
    folder = Path(tempfile.mkdtemp(prefix="fairhouse-tests-"))
    handle: list[postgres.Postgres] = []
    failure: list[BaseException] = []
    up, down = threading.Event(), threading.Event()

    async def serve() -> None:
        async with postgres.start(folder / "postgres", fsync=False) as started:
            handle.append(started)
            up.set()
            while not down.is_set():
                await asyncio.sleep(0.05)

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            failure.append(error)
        finally:
            up.set()

    thread = threading.Thread(target=run)
    thread.start()
    up.wait()
    try:
        if failure:
            raise failure[0]
        yield handle[0]
    finally:
        down.set()
        thread.join()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def template_database(postgres_server: postgres.Postgres) -> str:
    """A migrated database that is only copied."""
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE fairhouse_template")
    migrate.upgrade(postgres_server.database("fairhouse_template"))
    return "fairhouse_template"


@contextlib.contextmanager
def copied(server: postgres.Postgres, template: str) -> Iterator[str]:
    """The URL of a database as `template` is, for the length of a block."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(
            f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy".encode()
        )
    try:
        yield server.database(name)
    finally:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture(scope="module")
def database_url(postgres_server: postgres.Postgres, template_database: str) -> Iterator[str]:
    """A fresh, migrated database for this module."""
    with copied(postgres_server, template_database) as url:
        yield url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[str]:
    """This process pointed at the module's database: `transaction()` works."""
    db_session.configure(database_url)
    yield database_url
    await db_session.close()


@pytest.fixture
async def session(database: str) -> AsyncIterator[AsyncSession]:
    """A session in a transaction that is rolled back after the test."""
    async with db_session.transaction() as opened:
        yield opened
        await opened.rollback()
