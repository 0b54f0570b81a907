"""Databases of one test's own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

from local.postgres import Postgres
from tests.conftest import copied


@pytest.fixture(scope="module")
def fresh_database(
    postgres_server: Postgres, template_database: str
) -> Iterator[Callable[[], str]]:
    """A new, migrated database as often as it is called; its URL."""
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(copied(postgres_server, template_database))
