"""A thousand tamperings with the books, the audit log and its seals: each found where it begins."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from casino import inclusion, seals
from casino.seals import BEGINNING, COLUMNS, Line, Seal
from db import session
from db.session import driver, transaction
from tests.casino.written import counted, execute, put, sealed, verdict, written

KEYS = {
    "audit": {"id"},
    "entries": {"account_id", "version"},
    "requests": {"scope", "key"},
    "transfers": {"id"},
}
# What a column becomes, by its type.
CHANGES = {
    "bigint": "coalesce({0}, 0) + 1000003",
    "integer": "coalesce({0}, 0) + 1",
    "numeric": "{0} + 1",
    "text": "coalesce({0}, '') || 'x'",
    "jsonb": "CASE WHEN {0} IS NULL THEN '{{}}' ELSE {0} || '{{\"x\": 1}}' END",
    "timestamp with time zone": "{0} + interval '1 microsecond'",
    "bytea": "set_byte({0}, 7, get_byte({0}, 7) # 1)",
}
WITHOUT_LAWS = (
    "ALTER TABLE audit ALTER id DROP IDENTITY",
    "SET LOCAL session_replication_role = replica",
    "ALTER TABLE entries DROP CONSTRAINT entries_after, DROP CONSTRAINT entries_amount",
)
TYPES = """
SELECT table_name, column_name, data_type FROM information_schema.columns
WHERE table_schema = 'public' AND table_name = ANY(%s)
"""


class Eve:
    """Somebody with all rights, who changes one thing and says where it must be noticed."""

    def __init__(
        self, opened: AsyncSession, log: list[Line], chain: list[Seal], types: dict[Any, str]
    ) -> None:
        self.opened, self.log, self.chain, self.types = opened, log, chain, types
        self.columns = {
            table: [column for one, column in types if one == table and column != "xact"]
            for table in COLUMNS
        }
        self.chance = random.Random(20261121)
        self.deeds = (
            *[self.changes_a_column] * 8,
            *(self.deletes, self.inserts, self.moves, self.swaps, self.changes_a_seal),
            *(self.deletes_a_seal, self.changes_a_kept_hash, self.writes_a_seal_anew),
        )

    async def acts(self) -> tuple[str, int]:
        deed = self.chance.choice(self.deeds)
        return deed.__name__, await deed()

    async def changes_a_column(self) -> int:
        index, table, key = self.some()
        column = self.chance.choice(self.columns[table])
        become = CHANGES[self.types[table, column]].format(column)
        return await self.becomes(index, table, key, column, become)

    async def moves(self) -> int:
        index, table, key = self.some()
        own = self.log[index].xact
        other = self.chance.choice([one.xact for one in self.log if one.xact != own])
        return await self.becomes(index, table, key, "xact", self.chance.choice(("-5", f"{other}")))

    async def becomes(self, index: int, table: str, key: str, column: str, become: str) -> int:
        change = f"UPDATE {table} SET {column} = {become} WHERE {key}"
        told = f"{change} RETURNING xact, {seals.line(table)}"
        return self.first_other([index], await execute(self.opened, told))

    async def deletes(self) -> int:
        index, table, key = self.some()
        await execute(self.opened, f"DELETE FROM {table} WHERE {key}")
        return self.first_other([index], [])

    async def inserts(self) -> int:
        _, table, key = self.some()
        put = ", ".join(COLUMNS[table])
        own = {name: CHANGES[self.types[table, name]].format(name) for name in KEYS[table]}
        own |= {"reference": "NULL"}
        own["xact"] = str(self.chance.choice(self.log).xact)
        said = ", ".join(own.get(column, column) for column in COLUMNS[table])
        query = (
            f"INSERT INTO {table} ({put}) OVERRIDING SYSTEM VALUE SELECT {said} FROM {table}"
            f" WHERE {key} RETURNING xact, {seals.line(table)}"
        )
        return self.first_other([], await execute(self.opened, query))

    async def swaps(self) -> int:
        """Two rows that change places in the order of things."""
        index, table, _ = self.some()
        others = [
            one
            for one in range(len(self.log))
            if self.table(one) == table and self.log[one].xact != self.log[index].xact
        ]
        other = self.chance.choice(others)
        found = []
        for here, there in ((index, other), (other, index)):
            found += await execute(
                self.opened,
                f"UPDATE {table} SET xact = {self.log[there].xact} WHERE {self.key(here)}"
                f" RETURNING xact, {seals.line(table)}",
            )
        return self.first_other([index, other], found)

    async def changes_a_seal(self) -> int:
        one = self.chance.choice(self.chain)
        columns = ("n", "format", "lower", "upper", "first", "count", "root", "prev", "hash", "at")
        column = self.chance.choice(columns)
        become = CHANGES[self.types["seals", column]].format(column)
        become = "lower - 1" if column == "lower" else become
        await execute(self.opened, f"UPDATE seals SET {column} = {become} WHERE n = {one.n}")
        return one.first

    async def changes_a_kept_hash(self) -> int:
        one = self.chance.choice(self.chain)
        place = self.chance.randrange(len(one.leaves))
        become = f"set_byte(leaves, {place}, get_byte(leaves, {place}) # 8)"
        await execute(self.opened, f"UPDATE seals SET leaves = {become} WHERE n = {one.n}")
        return one.first + place // 32

    async def deletes_a_seal(self) -> int:
        one = self.chance.choice(self.chain)
        await execute(self.opened, f"DELETE FROM seals WHERE n = {one.n}")
        return one.first

    async def writes_a_seal_anew(self) -> int:
        """A row changed, and its seal made right again: only the seals after it can tell."""
        index, table, key = self.some()
        change = "amount = 99" if table == "entries" else "casino_id = 99"
        await execute(self.opened, f"UPDATE {table} SET {change} WHERE {key}")
        one = next(seal for seal in self.chain if seal.first <= index < seal.end)
        found = await seals.lines(await driver(self.opened), one.lower, one.upper)
        leaves = [inclusion.leaf(row.text) for row in found]
        made = replace(one, leaves=b"".join(leaves), root=inclusion.root(leaves))
        await execute(self.opened, f"DELETE FROM seals WHERE n = {one.n}")
        await put(self.opened, replace(made, hash=made.digest()))
        return one.first

    def some(self) -> tuple[int, str, str]:
        index = self.chance.randrange(len(self.log))
        return index, self.table(index), self.key(index)

    def table(self, index: int) -> str:
        return str(json.loads(self.log[index].text)[0])

    def key(self, index: int) -> str:
        """What finds the row at an index."""
        table, *values = json.loads(self.log[index].text)
        named = dict(zip(COLUMNS[table], values, strict=True))
        return " AND ".join(f"{name} = '{named[name]}'" for name in KEYS[table])

    def first_other(self, gone: list[int], come: list[tuple[Any, ...]]) -> int:
        """Where the log as it now is differs from the one that was sealed."""
        kept = [line for index, line in enumerate(self.log) if index not in gone]
        now = sorted([*kept, *(Line(xact, text.encode()) for xact, text in come)])
        pairs = enumerate(zip(now, self.log, strict=False))
        least = min(len(now), len(self.log))
        return next((index for index, (one, then) in pairs if one != then), least)


async def test_a_thousand_tamperings_are_all_found_at_the_first_bad_row(
    database_url: str,
) -> None:
    session.configure(database_url)
    await counted()
    await written(8)
    await sealed(most=25)
    kept = (await verdict()).checkpoint
    assert kept is not None
    missed = []
    async with transaction() as opened:
        connection = await driver(opened)
        log = await seals.lines(connection, BEGINNING, 2**62)
        chain = [Seal(*row) for row in await execute(opened, f"{seals.SEAL} ORDER BY n")]
        names = await execute(opened, TYPES, ([*COLUMNS, "seals"],))
        eve = Eve(opened, log, chain, {(table, column): type for table, column, type in names})
        for statement in WITHOUT_LAWS:
            await execute(opened, statement)
        for _ in range(1000):
            async with connection.transaction(force_rollback=True):
                deed, index = await eve.acts()
                found = (await seals.verify(opened, held=[kept])).bad
                if found is None or found.index != index:
                    missed.append((deed, index, found))
        assert (await seals.verify(opened, held=[kept])).bad is None
        await opened.rollback()
    await session.close()
    assert missed == []
