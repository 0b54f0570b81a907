"""Booths: where a casino's players play pairs, which games, within which limits, at which bond."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from psycopg.rows import tuple_row
from psycopg.types.json import Jsonb

from casino import rows
from casino.rounds.tables import BP, GAMES, KEEP, KEPT
from games import paytables
from games.rules import Game

SET = b"""
INSERT INTO pair_booths AS b (casino_id, network, program, asset, beacon, games, least, most,
    most_win, most_player)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (network, program) DO UPDATE SET asset = excluded.asset, beacon = excluded.beacon,
    games = excluded.games, least = excluded.least, most = excluded.most,
    most_win = excluded.most_win, most_player = excluded.most_player
WHERE b.casino_id = excluded.casino_id
RETURNING id
"""
BOOTHS = b"""
SELECT b.id, b.casino_id, c.slug, b.network, b.program, b.asset, b.beacon, b.games, b.least, b.most,
    b.most_win, b.most_player, b.trouble, b.stopped
FROM pair_booths b JOIN casinos c ON c.id = b.casino_id ORDER BY b.id
"""
STOP = b"""
UPDATE pair_booths SET trouble = %(said)s, stopped = coalesce(%(stopped)s::boolean, stopped)
WHERE id = %(id)s AND (trouble, stopped) IS DISTINCT FROM
    (%(said)s, coalesce(%(stopped)s::boolean, stopped))
"""
NAMED = b"SELECT network FROM networks WHERE name = %s"


class BadBooth(ValueError):
    """A booth that may not be played at: a game is unknown, or its pay table is none."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be staked and won, in the smallest unit of the booth's asset.

    `least` and `most` are of one stake, `most_win` of one payout, `most_player` of all stakes of a
    player under one pair.
    """

    least: int
    most: int
    most_win: int
    most_player: int


@dataclass(frozen=True, slots=True)
class Booth:
    """A booth as it is set; `games` are the numbers of their pay tables, for bets to come.

    While it is `stopped` no bet is taken.
    """

    id: int
    casino_id: int
    casino: str
    network: str
    program: str
    asset: str
    beacon: str
    games: Mapping[str, int] = field(hash=False)
    limits: Limits
    trouble: str | None = None
    stopped: bool = False

    @property
    def chain(self) -> bytes:
        """What commitments, outcomes and receipts call the chain."""
        return self.network.encode()

    @property
    def kind(self) -> bytes:
        """Of the beacon that activates its pairs."""
        return self.beacon.partition(":")[0].encode()

    def place(self, account: str, epoch: int) -> bytes:
        """Where a seed is sealed for: it opens nowhere else."""
        return f"{self.network}/{self.program}/pairs/{account}/{epoch}".encode()


def rules(game: str) -> Game:
    """Raises `BadBooth`."""
    found = GAMES.get(game)
    if found is None:
        raise BadBooth(f"no game is called {game}")
    return found


async def keep(connection: rows.Connection, game: str, encoded: str) -> int:
    """The number of a game's pay table, kept for good; without one it is the house's own.

    `encoded` is hex. Raises `BadBooth` for what is none, or returns more than is staked.
    """
    played = rules(game)
    try:
        pays = type(played.PAYS).decoded(bytes.fromhex(encoded)) if encoded else played.PAYS
    except ValueError as error:
        raise BadBooth(f"no pay table of {game}: {error}") from error
    low, high = played.bounds(pays)
    if high > 1:
        raise BadBooth(f"{game} would return {float(high):.4f} of the stakes")
    digest = paytables.digest(played, pays).hex()
    await connection.execute(
        KEEP, (game, digest, pays.encoded(), round(low * BP), round(high * BP))
    )
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(KEPT, (digest,))
        [(id,)] = await cursor.fetchall()
    return int(id)


async def settle(connection: rows.Connection, booth: Booth) -> int:
    """Make a booth as it is set, or change one; its number.

    Raises `BadBooth` when another casino plays at the bond.
    """
    limits = booth.limits
    place = (booth.casino_id, booth.network, booth.program, booth.asset, booth.beacon)
    amounts = (limits.least, limits.most, limits.most_win, limits.most_player)
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(SET, (*place, Jsonb(dict(booth.games)), *amounts))
        found = await cursor.fetchall()
    if not found:
        raise BadBooth(f"another casino plays pairs at {booth.program}")
    return int(found[0][0])


async def stop(
    connection: rows.Connection, booth_id: int, trouble: str | None, *, stopped: bool | None = None
) -> bool:
    """Say why no more seeds are committed, or that they are; whether that is new.

    While the booth is `stopped` no bet is taken either; None leaves that as it is.
    """
    said = {"id": booth_id, "said": trouble, "stopped": stopped}
    changed = await connection.execute(STOP, said)
    return changed.rowcount > 0


async def named(connection: rows.Connection, network: str | None) -> str | None:
    """The chain that a network's name stands for; None while that is not settled."""
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(NAMED, (network,))
        found = await cursor.fetchall()
    return str(found[0][0]) if found else None


async def all_booths(connection: rows.Connection) -> list[Booth]:
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(BOOTHS)
        return [_booth(row) for row in await cursor.fetchall()]


def _booth(row: tuple[Any, ...]) -> Booth:
    limits = Limits(*map(int, row[8:12]))
    values: tuple[Any, ...] = (*row[:8], limits, *row[12:])
    return Booth(*values)
