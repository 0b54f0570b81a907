"""Samples: the command around `casino.samples`, with a connection of its own."""

from __future__ import annotations

import psycopg
from sqlalchemy.exc import DBAPIError

from casino import samples
from casino.providers import samples as providers
from chains.redaction import plainly
from db import session
from settings import Settings


class Refused(Exception):
    """The database does not take them; the message is the one line to show."""


async def give(settings: Settings) -> int:
    """Give them to the default casino; how many balances were opened. Raises `Refused`."""
    session.configure(settings.database_url)
    try:
        async with session.transaction() as opened:
            given = await samples.give(opened, settings.default_casino)
            return given + await providers.give(opened, settings.default_casino)
    except (psycopg.Error, DBAPIError) as error:
        said = plainly(error.orig or error if isinstance(error, DBAPIError) else error)
        raise Refused(
            f"the database does not take them: {said}; fairhouse doctor says more"
        ) from None
    finally:
        await session.close()
