"""Databases of one test's own."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

import psycopg
import pytest

from local.postgres import Postgres


@pytest.fixture(scope="module")
def fresh_database(
    postgres_server: Postgres, template_database: str
) -> Iterator[Callable[[], str]]:
    """A new, migrated database as often as it is called; its URL."""
    names: list[str] = []

    def make() -> str:
        names.append(f"own_{secrets.token_hex(4)}")
        with psycopg.connect(postgres_server.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {names[-1]} TEMPLATE {template_database}".encode())
        return postgres_server.database(names[-1])

    yield make
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        for name in names:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
