"""The migrations make what the models say, and can be taken back."""

import psycopg
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine

from db import migrate
from db.session import dialect
from db.tables import metadata
from local.postgres import Postgres


def tables(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        ).fetchall()
    return {row[0] for row in rows}


def test_the_models_and_the_migrations_agree(database_url: str) -> None:
    engine = create_engine(dialect(database_url))
    try:
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, metadata) == []
    finally:
        engine.dispose()


def test_the_migrations_go_up_down_and_up_again(postgres_server: Postgres) -> None:
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE up_and_down")
    url = postgres_server.database("up_and_down")

    migrate.upgrade(url)
    assert set(metadata.tables) < tables(url)
    migrate.downgrade(url)
    assert tables(url) == {"alembic_version"}
    migrate.upgrade(url)
    assert set(metadata.tables) < tables(url)


def test_amounts_hold_a_whole_uint256(database_url: str) -> None:
    largest = 2**256 - 1
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO bets (casino_id, source_id, network, bet, asset, stake, status)"
            " VALUES (1, 1, 'eip155:1', 'a', 'eip155:1/slip44:60', %s, 'placed')",
            (largest,),
        )
        row = connection.execute("SELECT stake FROM bets").fetchone()
    assert row is not None
    assert int(row[0]) == largest
