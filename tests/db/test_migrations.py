"""The migrations make what the models say, and can be taken back."""

import asyncio
import tempfile
from pathlib import Path

import psycopg
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine

from casino.commands import Answer, commit_ahead, commit_many
from casino.wallets import TREASURY, Move
from db import migrate, session
from db.session import dialect
from db.tables import metadata
from local import postgres
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


async def test_a_login_without_a_superusers_powers_migrates_and_moves_money() -> None:
    """On a server of its own, as roles are a server's: it makes those of the books itself."""
    with tempfile.TemporaryDirectory(prefix="fairhouse-plain-") as name:
        Path(name).chmod(0o755)  # as root the server runs under another uid
        async with postgres.start(Path(name) / "postgres", fsync=False) as server:
            with psycopg.connect(server.url, autocommit=True) as connection:
                connection.execute("CREATE ROLE plain LOGIN CREATEROLE")
                connection.execute("CREATE DATABASE house OWNER plain")
            url = f"postgresql://plain@127.0.0.1:{server.port}/house"
            await asyncio.to_thread(migrate.upgrade, url)
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("INSERT INTO assets VALUES ('casino:house/COINS', 'COINS', 0)")
            session.configure(url)
            try:
                async with session.direct() as opened:
                    [careful] = await commit_many(opened, [given("first")])
                ahead = await commit_ahead([given("second")])
            finally:
                await session.close()
            assert isinstance(careful, Answer)
            assert ahead is not None
            assert [one.body["balance"] for one in ahead if isinstance(one, Answer)] == ["10"]
            await asyncio.to_thread(migrate.downgrade, url)


def given(key: str) -> Move:
    return Move(
        casino_id=1,
        casino="house",
        scope="test",
        actor="tests",
        key=key,
        type="top_up",
        player_id=1,
        asset="casino:house/COINS",
        amount=5,
        source=TREASURY,
        target="player:1:cash",
    )


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
