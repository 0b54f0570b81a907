"""Rows as COPY takes them: ready-made lines of text, because objects per row are what costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
import psycopg

from chains.chain import Fact

NULL = "\\N"
ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\ufffd"})

Connection = psycopg.AsyncConnection[Any]


def text(value: object) -> str:
    """A text; hashes, addresses and numbers need no escaping and pass untouched."""
    if value is None:
        return NULL
    written = value if isinstance(value, str) else str(value)
    return written if written.isalnum() else written.translate(ESCAPES)


def document(value: object) -> str:
    """A JSON document that `chains.facts.jsonable` has already made plain."""
    if value is None:
        return NULL
    written = orjson.dumps(value).decode()
    return written.replace("\\", "\\\\") if "\\" in written else written


class Times:
    """Moments as text; a page has few different ones."""

    def __init__(self) -> None:
        self._written: dict[datetime | None, str] = {None: NULL}

    def __call__(self, moment: datetime | None) -> str:
        written = self._written.get(moment)
        if written is None and moment is not None:
            written = self._written[moment] = moment.isoformat()
        return written or NULL


async def fill(connection: Connection, statement: str, lines: Iterable[str]) -> None:
    """Send all lines of a page in one COPY."""
    async with connection.cursor().copy(statement.encode()) as copy:
        await copy.write("".join(lines))


SHARED = ("casino_id", "source_id", "network", "position", "tx", "index", "at", "finality")
FIELDS = (
    "who",
    "amount",
    "pool",
    "bet",
    "words",
    "first",
    "count",
    "reveal_by",
    "document",
)
BLANK = [NULL] * len(FIELDS)
PLACE = {column: 5 + place for place, column in enumerate(FIELDS)}


@dataclass(frozen=True, slots=True)
class Beside:
    """A kind of fact beside bets: how its fields fill `page_facts`, and a table from there.

    `fields` maps a column of `page_facts` to the fact's field, `columns` a column of the table to
    an expression over `page_facts`. An event that landed again further up replaces its row.
    """

    kind: str
    table: str
    fields: Mapping[str, str]
    columns: Mapping[str, str]
    then: str = ""

    def line(self, fact: Fact, time: Times) -> str:
        said = fact.fields
        parts = [self.kind, str(fact.position), text(fact.tx), str(fact.index), time(fact.time)]
        parts += BLANK
        for column, name in self.fields.items():
            write = document if column == "document" else text
            parts[PLACE[column]] = write(said.get(name))
        return "\t".join(parts) + "\n"

    @property
    def insert(self) -> str:
        named = ", ".join(f'"{name}"' for name in (*SHARED, *self.columns))
        merged = ", ".join(
            f'"{name}" = excluded."{name}"'
            for name in ("source_id", "position", "at", "finality", *self.columns)
        )
        written = (
            f"INSERT INTO {self.table} AS t ({named})\n"
            "SELECT %(casino_id)s, %(source_id)s, %(network)s, position, tx, index, at,"
            f" %(finality)s, {', '.join(self.columns.values())}\n"
            f"FROM page_facts WHERE kind = '{self.kind}' ORDER BY tx, index\n"
            f"ON CONFLICT (network, tx, index) DO UPDATE SET {merged}\n"
            "WHERE t.finality = 'retracted' OR excluded.position > t.position"
        )
        return f"WITH landed AS ({written} RETURNING *)\n{self.then}" if self.then else written
