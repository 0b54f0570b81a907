"""Assets that a casino counts in, by their whole name or, where that is clear, by their symbol."""

from __future__ import annotations

from typing import NamedTuple

from psycopg.rows import tuple_row

from casino import rows
from ledger.errors import UnknownAsset

# Those made by a casino are its own; coins of chains and countries are everybody's.
COUNTED = """
SELECT id, symbol, scale, starts_with(id, 'casino:') AS own FROM assets
WHERE NOT starts_with(id, 'casino:') OR starts_with(id, 'casino:' || %s::text || '/')
"""
ALL = COUNTED + "ORDER BY own DESC, id"
MEANT = f"SELECT * FROM ({COUNTED}) AS a WHERE id = %s OR symbol = %s ORDER BY own DESC, id"


class Asset(NamedTuple):
    """`scale` digits of an amount are a fraction; `own` ones are those of the casino itself."""

    id: str
    symbol: str
    scale: int
    own: bool = True


async def counted(connection: rows.Connection, slug: str) -> list[Asset]:
    """All assets of a casino, its own first."""
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(ALL, (slug,))
        return [Asset(*row) for row in await cursor.fetchall()]


async def meant(connection: rows.Connection, slug: str, word: str) -> Asset:
    """The asset with this id, else the casino's own with this symbol, else the only other one.

    Raises `UnknownAsset`.
    """
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(MEANT, (slug, word, word))
        found = [Asset(*row) for row in await cursor.fetchall()]
    for likely in ([one for one in found if one.id == word], [one for one in found if one.own]):
        if likely:
            return likely[0]
    if len(found) > 1:
        several = [one.id for one in found]
        raise UnknownAsset(f"several assets are called {word}", asset=word, several=several)
    if not found:
        raise UnknownAsset(f"this casino counts no asset {word!r}", asset=word)
    return found[0]
