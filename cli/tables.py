"""Tables as an operator starts them again, once it is known why they were stopped."""

from __future__ import annotations

import psycopg
from sqlalchemy.exc import ProgrammingError, SQLAlchemyError

from casino.rounds import tables
from cli.backfill import first_line
from db import session as database
from db.session import transaction
from settings import Settings

ACTOR = "terminal"


class Refused(Exception):
    """There is no such table, or the database does not answer."""


async def resume(settings: Settings, name: str, casino: str, reason: str) -> bool:
    """Whether the table was stopped; it goes on. Raises `Refused`."""
    database.configure(settings.database_url, pool_size=1)
    try:
        async with transaction() as session:
            done = await tables.resume(session, name, casino, actor=ACTOR, reason=reason)
    except tables.BadTable as error:
        raise Refused(str(error)) from error
    except ProgrammingError as error:
        raise Refused("the database has no tables yet: fairhouse migrate") from error
    except (SQLAlchemyError, psycopg.Error, OSError) as error:
        raise Refused(f"the database cannot be reached: {first_line(error)}") from error
    finally:
        await database.close()
    if done is None:
        raise Refused(f"no table is called {name}" + (f" in {casino}" if casino else ""))
    return done
