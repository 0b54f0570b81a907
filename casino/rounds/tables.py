"""Tables: which game is played, within which limits, and to which bond it is bound.

A table's name is the word that its commitments on chain carry. Its pay table is a version that
never changes; which one a round pays by was fixed with the batch that its seed was drawn in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction
from functools import lru_cache
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

import games
from casino import audit, rows
from chains.evm import address as evm
from chains.solana import address as solana
from db.session import driver, tuples
from games import paytables
from games.fairness.rounds import Round as Place
from games.fairness.rounds import game_of
from games.rules import Game

GAMES: Mapping[str, Game] = {name.decode(): game for name, game in games.GAMES.items()}
ROOMS = {"eip155": evm, "solana": solana}
BP = 10_000

KEPT = b"SELECT id FROM pay_tables WHERE digest = %s"
KEEP = b"""
INSERT INTO pay_tables (game, digest, encoded, least_bp, most_bp) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (digest) DO NOTHING
"""
SET = b"""
INSERT INTO round_tables AS t (casino_id, name, game, pay_id, asset, network, program, beacon,
    least, most, most_win, most_player, most_operator, coins, units)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (network, program, name) DO UPDATE SET pay_id = excluded.pay_id,
    asset = excluded.asset, beacon = excluded.beacon, least = excluded.least, most = excluded.most,
    most_win = excluded.most_win, most_player = excluded.most_player,
    most_operator = excluded.most_operator, coins = excluded.coins, units = excluded.units
WHERE (t.casino_id, t.game) = (excluded.casino_id, excluded.game)
    AND (t.asset = excluded.asset
        OR NOT EXISTS (SELECT FROM round_batches b WHERE b.table_id = t.id))
RETURNING id
"""
BOUND = b"""
SELECT asset FROM round_tables
WHERE (network, program, name, casino_id, game) = (%s, %s, %s, %s, %s)
"""
TABLES = b"""
SELECT t.id, t.casino_id, c.slug, t.name, t.game, t.pay_id, t.asset, t.network, t.program,
    t.beacon, t.least, t.most, t.most_win, t.most_player, t.coins, t.units, t.most_operator,
    t.paused_at, t.trouble
FROM round_tables t JOIN casinos c ON c.id = t.casino_id ORDER BY t.id
"""
PAYS = b"SELECT id, game, encoded FROM pay_tables"
PAYS_OF = b"SELECT encoded FROM pay_tables WHERE id = %s AND game = %s"
STOP = b"UPDATE round_tables SET trouble = %s WHERE id = %s AND trouble IS DISTINCT FROM %s"


PAUSED = b"""
SELECT t.id, t.casino_id, t.paused_at, t.trouble FROM round_tables t
JOIN casinos c ON c.id = t.casino_id
WHERE t.name = %s AND (%s = '' OR c.slug = %s) ORDER BY t.id FOR UPDATE OF t
"""
RESUME = b"UPDATE round_tables SET paused_at = NULL, trouble = NULL WHERE id = %s"
RESUMED = b"""
SELECT extract(epoch FROM at)::float FROM audit
WHERE action = %s AND casino_id = %s AND (after->>'table')::int = %s ORDER BY id DESC LIMIT 1
"""
RESUMING = "table.resumed"


class BadTable(ValueError):
    """A table that may not be played: the game is unknown, or its pay table is out of the band."""


class AssetBound(BadTable):
    """A table's bets and proofs name its asset: once it has rounds, it keeps the one it has."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be staked and won, in the smallest unit of the table's asset.

    `least` and `most` are of one stake, `most_win` of one payout, `most_player` of all stakes of a
    player in a round. A win is backed by the bond with `coins` of its coin for each `units`.
    `most_operator` is what the casino may lose beyond the stakes in all its rounds under way, at
    all its tables of this asset; None for no such limit.
    """

    least: int
    most: int
    most_win: int
    most_player: int
    coins: int = 1
    units: int = 1
    most_operator: int | None = None

    def liability(self, win: int) -> int:
        """What backs a win, in the bond's coin, rounded up."""
        return -(-win * self.coins // self.units)


@dataclass(frozen=True, slots=True)
class Table:
    """A table as it is set; `pay_id` is the pay table of batches to come."""

    id: int
    casino_id: int
    casino: str
    name: str
    game: str
    pay_id: int
    asset: str
    network: str
    program: str
    beacon: str
    limits: Limits
    paused_at: datetime | None = None
    trouble: str | None = None

    @property
    def rules(self) -> Game:
        return GAMES[self.game]

    def place(self, number: int) -> Place:
        """A round of it, as commitments and outcomes know it."""
        program = ROOMS[self.network.partition(":")[0]].parse(self.program)
        return Place(self.network.encode(), program, self.name.encode(), number)


async def keep(connection: rows.Connection, game: str, pays: Any) -> int:
    """The number of a pay table, kept for good. Raises `BadTable` for one outside the band."""
    rules = GAMES.get(game)
    if rules is None:
        raise BadTable(f"no game is called {game}")
    low, high = _in_band(game, pays)
    digest = paytables.digest(rules, pays).hex()
    values = (game, digest, pays.encoded(), round(low * BP), round(high * BP))
    await connection.execute(KEEP, values)
    [(id,)] = await tuples(connection, KEPT, digest)
    return int(id)


async def settle(connection: rows.Connection, table: Table) -> int:
    """Make a table as it is set, or change one; its number.

    Raises `BadTable` when the name is taken at this bond by another game or casino, or when the
    pay table is none of its game's, or one that only pairs may pay by; `AssetBound` when it has
    rounds in another asset. Other changes are of bets and batches to come: a bet keeps what it was
    taken under, and a batch its beacon and pay table.
    """
    limits = table.limits
    if game_of(table.name.encode()).decode() != table.game:
        said = f"{table.game}, or {table.game}-2 and so on"
        raise BadTable(f"proofs tell the game by the table's name: call {table.name} {said}")
    await _check_pays(connection, table)
    names = (table.casino_id, table.name, table.game, table.pay_id, table.asset, table.network)
    amounts = (limits.least, limits.most, limits.most_win, limits.most_player)
    more = (limits.most_operator, limits.coins, limits.units)
    values = (*names, table.program, table.beacon, *amounts, *more)
    found = await tuples(connection, SET, *values)
    if not found:
        place = (table.network, table.program, table.name, table.casino_id, table.game)
        for (asset,) in await tuples(connection, BOUND, *place):
            raise AssetBound(
                f"{table.name} has rounds in {asset}: call a table of {table.asset} another name"
            )
        raise BadTable(f"another game or casino has a table {table.name} at {table.program}")
    return int(found[0][0])


async def _check_pays(connection: rows.Connection, table: Table) -> None:
    """Pairs keep their pay tables in the same place, and theirs know no band."""
    found = await tuples(connection, PAYS_OF, table.pay_id, table.game)
    if not found:
        raise BadTable(f"{table.game} has no pay table of the number {table.pay_id}")
    _in_band(table.game, type(table.rules.PAYS).decoded(bytes(found[0][0])))


@lru_cache(maxsize=64)  # thousands of choices are counted, and nothing about them ever changes
def _in_band(game: str, pays: Any) -> tuple[Fraction, Fraction]:
    """The ends of what comes back of stakes. Raises `BadTable` for a pay table outside the band."""
    try:
        return paytables.check_band(GAMES[game], pays)
    except paytables.OutsideBand as error:
        raise BadTable(str(error)) from error


async def stop(connection: rows.Connection, table_id: int, trouble: str | None) -> bool:
    """Say why no more rounds are committed at a table, or that they are; whether that is new."""
    changed = await connection.execute(STOP, (trouble, table_id, trouble))
    return changed.rowcount > 0


async def resume(
    session: AsyncSession, name: str, casino: str = "", *, actor: str, reason: str
) -> bool | None:
    """Let a stopped table take bets and get rounds again; who did it and why is noted.

    False for one that was not stopped, None when none has this name. Raises `BadTable` when
    several have, and the casino's slug is not said.
    """
    connection = await driver(session)
    found = await tuples(connection, PAUSED, name, casino, casino)
    if len(found) > 1:
        raise BadTable(f"several tables are called {name}: name the casino, too")
    for id, casino_id, paused_at, trouble in found:
        if paused_at is None:
            return False
        await connection.execute(RESUME, (id,))
        before = {"paused_at": paused_at.isoformat(), "trouble": trouble}
        note = audit.Note(
            actor=actor,
            action=RESUMING,
            reason=reason or None,
            before=before,
            after={"table": id, "name": name},
            casino_id=casino_id,
        )
        await audit.note_many(session, [note])
        return True
    return None


async def resumed_at(connection: rows.Connection, table: Table) -> float:
    """When somebody last let a stopped table go on, in unix seconds; 0 if never."""
    found = await tuples(connection, RESUMED, RESUMING, table.casino_id, table.id)
    return float(found[0][0]) if found else 0.0


async def all_tables(connection: rows.Connection) -> list[Table]:
    return [_table(row) for row in await tuples(connection, TABLES)]


async def all_pays(connection: rows.Connection) -> dict[int, Any]:
    """Pay tables by their numbers."""
    return {
        id: type(GAMES[game].PAYS).decoded(bytes(encoded))
        for id, game, encoded in await tuples(connection, PAYS)
        if game in GAMES
    }


def _table(row: tuple[Any, ...]) -> Table:
    most_operator = None if row[16] is None else int(row[16])
    limits = replace(Limits(*map(int, row[10:16])), most_operator=most_operator)
    values: tuple[Any, ...] = (*row[:10], limits, *row[17:])
    return Table(*values)
