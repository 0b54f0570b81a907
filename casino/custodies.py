"""Custodies: programs that hold players' money for the books, and how both sides add up.

What came into a custody is a debt of the chain to the books: its account is below zero by what was
credited and not yet paid out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from sqlalchemy.ext.asyncio import AsyncSession

from db.session import driver
from ledger.accounts import Account

FIND = b"""
SELECT s.id, s.network, s.address, s.casino_id, c.slug
FROM sources s JOIN networks n USING (network) JOIN casinos c ON c.id = s.casino_id
WHERE n.name = %s AND s.address = %s
"""
DECLARE = b"INSERT INTO assets (id, symbol, scale) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
OPEN = b"""
INSERT INTO custodies (source_id, casino_id, network, address, asset) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT DO NOTHING
"""
NOTE = b"UPDATE custodies SET free = %s, free_at = clock_timestamp() WHERE source_id = %s"
FIGURES = b"""
SELECT c.source_id, c.casino_id, k.slug, c.network, c.address, c.asset,
    coalesce(-a.balance, 0)::numeric, m.came, m.went, m.arriving, m.leaving, m.strays, p.owed,
    c.free
FROM custodies c JOIN casinos k ON k.id = c.casino_id
LEFT JOIN accounts a ON a.casino_id = c.casino_id AND a.asset = c.asset
    AND a.name = 'custody:' || c.network || ':' || c.address
CROSS JOIN LATERAL (
    SELECT coalesce(sum(t.amount) FILTER (WHERE t.direction = 'deposited'), 0) AS came,
        coalesce(sum(t.amount) FILTER (WHERE t.direction = 'withdrawn'), 0) AS went,
        coalesce(sum(t.amount) FILTER (
            WHERE t.direction = 'deposited' AND t.transfer_id IS NULL), 0) AS arriving,
        coalesce(sum(t.amount) FILTER (
            WHERE t.direction = 'withdrawn' AND w.state IN ('approved', 'sending', 'sent')), 0)
            AS leaving,
        count(*) FILTER (WHERE t.direction = 'withdrawn' AND (w.id IS NULL
            OR w.state NOT IN ('approved', 'sending', 'sent', 'settled'))) AS strays
    FROM chain_transfers t LEFT JOIN withdrawals w ON t.direction = 'withdrawn'
        AND w.request = t.request AND w.source_id = t.source_id
        AND w.address = t.player AND w.amount = t.amount
    WHERE t.source_id = c.source_id AND t.finality = 'finalized' AND t.asset = c.asset
) m
CROSS JOIN LATERAL (
    SELECT coalesce(sum(o.balance), 0) AS owed FROM accounts o
    WHERE o.casino_id = c.casino_id AND o.asset = c.asset AND o.name ~ '^player:[0-9]+:cash$'
) p
ORDER BY c.source_id
"""


@dataclass(frozen=True, slots=True)
class Custody:
    """A program that players pay into and are paid from, in one asset."""

    source_id: int
    network: str
    address: str
    casino_id: int
    casino: str
    asset: str

    @property
    def account(self) -> Account:
        return Account(self.casino_id, f"custody:{self.network}:{self.address}", self.asset)


@dataclass(frozen=True, slots=True)
class Figures:
    """What books and chain say of a custody, all in one moment and in the asset's smallest unit.

    `booked` is what the books believe lies there. `came` and `went` are the final deposits and
    withdrawals on the chain, `arriving` and `leaving` those among them that are not in the books
    yet, `strays` the number of withdrawals on the chain that nobody asked for. `owed` is the
    players' cash in this asset in the whole casino. `free` is what the vault could pay out at the
    keeper's last look, None before the first.
    """

    custody: Custody
    booked: int
    came: int
    went: int
    arriving: int
    leaving: int
    strays: int
    owed: int
    free: int | None

    @property
    def difference(self) -> int:
        """By how much the books believe more to be there than the chain; 0, always."""
        return self.booked - (self.came - self.arriving) + (self.went - self.leaving)


async def met(
    session: AsyncSession,
    *,
    network: str,
    address: str,
    slip44: int,
    symbol: str,
    decimals: int,
) -> Custody | None:
    """The custody that a network's name and a program's address stand for.

    It and its asset are noted if they are new. None until the program is followed.
    """
    connection = await driver(session)
    row = await (await connection.execute(FIND, (network, address))).fetchone()
    if row is None:
        return None
    source_id, caip2, address, casino_id, casino = row
    asset = f"{caip2}/slip44:{slip44}"
    await connection.execute(DECLARE, (asset, symbol, decimals))
    await connection.execute(OPEN, (source_id, casino_id, caip2, address, asset))
    return Custody(source_id, caip2, address, casino_id, casino, asset)


async def note(session: AsyncSession, custody: Custody, free: int) -> None:
    """Keep what the vault can pay out now."""
    connection = await driver(session)
    await connection.execute(NOTE, (free, custody.source_id))


async def figures(session: AsyncSession) -> Sequence[Figures]:
    """Every custody, as books and chain stand in one moment."""
    return await figured(await driver(session))


async def figured(connection: psycopg.AsyncConnection[Any]) -> Sequence[Figures]:
    """The same, for who has the connection only."""
    found = await (await connection.execute(FIGURES)).fetchall()
    return [_figures(row) for row in found]


def _figures(row: Sequence[Any]) -> Figures:
    source_id, casino_id, casino, network, address, asset, *sums, free = row
    booked, came, went, arriving, leaving, strays, owed = map(int, sums)
    return Figures(
        custody=Custody(source_id, network, address, casino_id, casino, asset),
        booked=booked,
        came=came,
        went=went,
        arriving=arriving,
        leaving=leaving,
        strays=strays,
        owed=owed,
        free=None if free is None else int(free),
    )
