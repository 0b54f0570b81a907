"""Pairs as an operator ends them, all at once, after a database was put back."""

from __future__ import annotations

import psycopg
from sqlalchemy.exc import ProgrammingError, SQLAlchemyError

from casino import audit
from casino.pairs import booths, courses
from cli.backfill import first_line
from db import session as database
from db.session import driver, transaction
from settings import Settings

ACTOR, ENDING = "terminal", "pairs.retire_all"


class Refused(Exception):
    """The database has no pairs, or does not answer."""


async def retire_all(settings: Settings, reason: str) -> int:
    """End every pair at every booth that is not retired yet, and say so in the audit log.

    How many; afterwards the keeper commits at the number where the chain is. Raises `Refused`.
    """
    database.configure(settings.database_url, pool_size=1)
    ended = 0
    try:
        async with transaction() as session:
            connection = await driver(session)
            for booth in await booths.all_booths(connection):
                count = await courses.end_every(connection, booth)
                note = audit.Note(
                    actor=ACTOR,
                    action=ENDING,
                    reason=reason or None,
                    after={"booth": booth.id, "program": booth.program, "ended": count},
                    casino_id=booth.casino_id,
                )
                await audit.note_many(session, [note])
                ended += count
    except (ProgrammingError, psycopg.errors.UndefinedTable) as error:
        raise Refused("the database has no pairs yet: fairhouse migrate") from error
    except (SQLAlchemyError, psycopg.Error, OSError) as error:
        raise Refused(f"the database cannot be reached: {first_line(error)}") from error
    finally:
        await database.close()
    return ended
