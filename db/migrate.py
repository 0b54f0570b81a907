"""Migrations from code: up to the newest, down to nothing."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.exc import OperationalError

from db.session import dialect


class Unreachable(Exception):
    """The database does not take us; the message is the driver's first line."""


def config(url: str) -> Config:
    made = Config()
    made.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    made.attributes["url"] = dialect(url)
    return made


def upgrade(url: str, revision: str = "head") -> None:
    """Bring the database up; safe to run twice and by two at once (they take turns).

    Raises `Unreachable`.
    """
    try:
        command.upgrade(config(url), revision)
    except OperationalError as error:
        raise Unreachable(str(error.orig).strip().splitlines()[0]) from error


def newest() -> str | None:
    """The revision that an up-to-date database has."""
    return ScriptDirectory.from_config(config("postgresql://")).get_current_head()


def downgrade(url: str, revision: str = "base") -> None:
    command.downgrade(config(url), revision)
