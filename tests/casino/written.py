"""Money moved, refused and noted, for whatever is to be sealed or checked."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from casino import audit, seals
from casino.seals import COLUMNS, Checkpoint, Seal
from casino.wallets import REVENUE, TREASURY, Move, move_many
from db.session import driver, transaction

USD = "iso4217:USD"
PUT = """
INSERT INTO seals (n, format, lower, upper, first, count, root, leaves, prev, at, hash)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s::timestamp AT TIME ZONE 'UTC', %s)
"""
_keys = itertools.count(1)


async def counted() -> None:
    """The books count dollars."""
    async with transaction() as opened:
        await execute(
            opened, f"INSERT INTO assets VALUES ('{USD}', 'USD', 2) ON CONFLICT DO NOTHING"
        )


async def execute(opened: AsyncSession, query: str, values: Any = None) -> list[tuple[Any, ...]]:
    cursor = await (await driver(opened)).execute(query.encode(), values)
    return await cursor.fetchall() if cursor.description else []


async def value(query: str) -> Any:
    async with transaction() as opened:
        return (await execute(opened, query))[0][0]


def command(player: int, type: str, amount: int, treasury: str = TREASURY) -> Move:
    mine = f"player:{player}:cash"
    source, target = (mine, REVENUE) if type == "spend" else (treasury, mine)
    return Move(
        casino_id=1,
        casino="house",
        scope="test",
        key=f"key-{next(_keys)}",
        actor="tests",
        type=type,
        player_id=player,
        asset=USD,
        amount=amount,
        source=source,
        target=target,
        description='with a "quote" and a é',
        extra={"deep": [1, None, "é"]},
    )


async def play(opened: AsyncSession, *, players: Sequence[int] = (1, 2)) -> None:
    """Two requests that move money for each player, one that is refused, and a note."""
    commands = [command(one, "top_up", 10 + one) for one in players]
    commands += [command(one, "spend", 3) for one in players]
    await move_many(opened, [*commands, command(players[0], "spend", 10**9)])
    await audit.note(
        opened, actor="ann", action="campaign.made", reason="to test", after={"amount": "10"}
    )


async def written(times: int, **more: Any) -> None:
    for _ in range(times):
        async with transaction() as opened:
            await play(opened, **more)


async def sealed(most: int = seals.MOST) -> list[Seal]:
    """Everything that can be, seal by seal."""
    made: list[Seal] = []
    while True:
        async with transaction() as opened:
            one = await seals.seal(opened, most=most)
        if one is None:
            return made
        made.append(one)


async def verdict(*held: Checkpoint) -> seals.Verdict:
    async with transaction() as opened:
        return await seals.verify(opened, held=held)


async def rows() -> int:
    counts = " + ".join(f"(SELECT count(*) FROM {table})" for table in COLUMNS)
    return int(await value(f"SELECT {counts}"))


async def put(opened: AsyncSession, one: Seal) -> None:
    columns = (one.n, one.format, one.lower, one.upper, one.first, one.count)
    await execute(opened, PUT, (*columns, one.root, one.leaves, one.prev, one.at, one.hash))
