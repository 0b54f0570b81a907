"""Alembic's way in: every table as target, the address from `db.migrate` or the settings."""

from __future__ import annotations

from alembic import context
from sqlalchemy import create_engine, pool

import settings
from db.session import dialect
from db.tables import metadata


def run() -> None:
    url = context.config.attributes.get("url") or settings.load().database_url
    engine = create_engine(dialect(url), poolclass=pool.NullPool)
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("SELECT pg_advisory_lock(7461)")  # two at once take turns
            connection.commit()
            context.configure(connection=connection, target_metadata=metadata, compare_type=True)
            with context.begin_transaction():
                context.run_migrations()
            # A restored database counts its transactions anew: nobody writes into the past.
            if connection.exec_driver_sql("SELECT to_regproc('ledger_rebase')").scalar():
                connection.exec_driver_sql("SELECT ledger_rebase()")
                connection.commit()
    finally:
        engine.dispose()


run()
