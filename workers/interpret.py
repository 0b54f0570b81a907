"""From a stored page to rows in the house: decode, apply, keep what could not be read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from loguru import logger
from sqlalchemy.ext.asyncio import AsyncSession

import queues
import settings
from casino import dead_letters, pages, rows
from casino.sources import Followed, followed
from chains import manifest
from chains.chain import Raw
from db.session import driver, transaction

LOCK = "SELECT source_id, state, fresh, final FROM pages WHERE id = %s FOR UPDATE"
RAWS = """
SELECT position, tx, index, kind, body, block_hash, tx_index, time FROM raw_events
WHERE page_id = %s ORDER BY position, tx_index NULLS LAST, index
"""
DONE = """
UPDATE pages SET state = 'interpreted', interpreted_at = clock_timestamp(), error = NULL
WHERE id = %s
"""


@dataclass(frozen=True, slots=True)
class Program:
    """A manifest with its decoders, made once per address."""

    means: manifest.Manifest
    decoders: manifest.Decoders
    asset_slip44: int


async def interpret(page_id: int) -> None:
    """Interpret a page once; every further delivery returns early."""
    with logger.contextualize(page=page_id):
        async with transaction() as session:
            casino_id = await interpret_in(session, page_id)
        if casino_id is not None:
            queues.send("stats", casino_id)


async def interpret_in(session: AsyncSession, page_id: int) -> int | None:
    """The casino whose stats may have moved, or None if there was nothing to do."""
    connection = await driver(session)
    page = await (await connection.execute(LOCK, (page_id,))).fetchone()
    if page is None:
        logger.warning("there is no such page")
        return None
    source_id, state, fresh, final = page
    if state != "stored":
        logger.debug("the page is {}, nothing to interpret", state)
        return None
    source = await followed(session, source_id)
    folder = settings.load().programs_dir
    program = load(source.program, source.address, folder)
    source = with_asset(source, program)
    facts, letters = dead_letters.read(
        program.decoders, program.means, await raw_events(connection, page_id)
    )
    applied = await pages.apply(session, source, facts, fresh=fresh, final=final)
    await dead_letters.keep(connection, source, letters)
    await connection.execute(DONE, (page_id,))
    if letters:
        logger.warning("{} events could not be read: {}", len(letters), letters[0].reason)
    logger.debug(
        "{} facts, {} bets and {} others changed", len(facts), applied.bets, applied.others
    )
    return source.casino_id if applied.bets else None


@lru_cache(maxsize=256)
def load(name: str, address: str, folder: Path | None) -> Program:
    """The program of a source, at the address it is followed at."""
    means = manifest.load(name, [folder] if folder else []).located(address=address)
    return Program(means, means.decoders(), means.asset_slip44)


def with_asset(source: Followed, program: Program) -> Followed:
    """The source with its asset as the manifest says."""
    asset = f"{source.network}/slip44:{program.asset_slip44}"
    return Followed(
        source.id,
        source.program,
        source.network,
        source.address,
        source.casino_id,
        source.casino,
        asset,
    )


async def raw_events(connection: rows.Connection, page_id: int) -> list[Raw]:
    """What the chain said on this page."""
    async with connection.cursor(binary=True) as cursor:
        await cursor.execute(RAWS, (page_id,))
        return [Raw(*row) for row in await cursor.fetchall()]
