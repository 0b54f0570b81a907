"""Seals over the books and the audit log: made in batches off the hot path, checked row by row.

Every row of `requests`, `transfers`, `entries` and `audit` has one canonical line, a JSON array of
all its columns. Lines are ordered by the transaction that wrote them and then by their bytes; that
place is a row's index, for good. A seal covers all lines of a range of transactions that have all
ended, so no row can ever join them, however late it was committed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple

import psycopg
from sqlalchemy.ext.asyncio import AsyncSession

from casino import inclusion
from db.session import driver
from ledger.posting import BECOME, RETURN

Connection = psycopg.AsyncConnection[Any]

FORMAT = 1
MOST = 5_000  # rows of a seal, unless one transaction wrote more
AHEAD = 50_000  # rows checked in one go
LEADER = 7_302_114_005  # any number that nothing else locks
NOTHING = bytes(32)
HASH = 32
BEGINNING = -(2**63)

# A new column means a new format, under which rows are sealed from then on.
COLUMNS = {
    "audit": ("xact", "id", "at", "casino_id", "actor", "action", "reason", "before", "after"),
    "entries": ("xact", "account_id", "version", "transfer_id", "amount", "before", "after", "at"),
    "requests": (
        *("xact", "scope", "key", "casino_id", "verb", "actor", "fingerprint", "code", "answer"),
        *("facts", "transfer_id", "at"),
    ),
    "transfers": (
        *("xact", "id", "casino_id", "type", "reference", "reverses", "hold_id", "description"),
        *("extra", "at"),
    ),
}
# Whatever the session's own time zone and styles are.
SAID = {"at": "at AT TIME ZONE 'UTC'", "fingerprint": "encode(fingerprint, 'hex')"}


def line(table: str) -> str:
    """The SQL expression for the line of a row."""
    said = ", ".join(SAID.get(column, column) for column in COLUMNS[table])
    return f"json_build_array('{table}', {said})::text"


WITHIN = "WHERE xact >= %(lower)s AND xact < %(upper)s"
LINES = " UNION ALL ".join(
    f"SELECT xact, {line(table)} FROM {table} {WITHIN}" for table in COLUMNS
).encode()
ROWS = " UNION ALL ".join(f"SELECT 1 FROM {table} {WITHIN}" for table in COLUMNS)
COUNT = f"SELECT count(*) FROM (SELECT FROM ({ROWS}) AS r LIMIT %(limit)s) AS rows".encode()
LEAD = b"SELECT pg_try_advisory_xact_lock(%s)"
SEAL = """
SELECT n, format, lower, upper, first, count, root, leaves, prev,
    to_json(at AT TIME ZONE 'UTC') #>> '{}', hash FROM seals
"""
LAST = f"{SEAL} ORDER BY n DESC LIMIT 1".encode()
AFTER = f"{SEAL} WHERE n > %s ORDER BY n LIMIT %s".encode()
COVERING = f"{SEAL} WHERE first <= %s ORDER BY n DESC LIMIT 1".encode()
NUMBERS = b"SELECT ledger_horizon(), ledger_next()"
# Later than the last seal's, whatever the clock does.
CLOCK = b"""
SELECT to_json(greatest(clock_timestamp(), (SELECT at FROM seals ORDER BY n DESC LIMIT 1)
    + interval '1 microsecond') AT TIME ZONE 'UTC') #>> '{}'
"""
INSERT = b"""
INSERT INTO seals (n, format, lower, upper, first, count, root, leaves, prev, at, hash)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s::timestamp AT TIME ZONE 'UTC', %s)
"""
# Rows that pretend to be of a transaction that there has not been: no seal would cover them.
HIDDEN = " UNION ALL ".join(
    f"SELECT '{table}' FROM {table} WHERE xact IS NULL OR xact >= ledger_next()"
    for table in COLUMNS
).encode()
UNSEALED = f"SELECT count(*) FROM ({ROWS}) AS rows".encode()
WHOLE = b"SELECT coalesce(max(first + count), 0) FROM seals"


class Rewound(Exception):
    """The database counts transactions anew, since it was restored: `fairhouse migrate` first."""


class BadCheckpoint(ValueError):
    """The text is no line that a checkpoint says of itself."""


@dataclass(frozen=True, slots=True)
class Seal:
    """As `db.seals` describes it; `at` as the database says it, in UTC."""

    n: int
    format: int
    lower: int
    upper: int
    first: int
    count: int
    root: bytes
    leaves: bytes
    prev: bytes
    at: str
    hash: bytes

    @property
    def end(self) -> int:
        """The index of the first row behind it."""
        return self.first + self.count

    def digest(self) -> bytes:
        """What its hash must be: over one line of text with everything else in it."""
        words = (self.format, self.n, self.lower, self.upper, self.first, self.count)
        said = " ".join(map(str, words))
        line = f"fairhouse seal {said} {self.root.hex()} {self.prev.hex()} {self.at}"
        return sha256(line.encode()).digest()

    def split(self) -> list[bytes]:
        return [self.leaves[at : at + HASH] for at in range(0, len(self.leaves), HASH)]


class Line(NamedTuple):
    """A row: the transaction that wrote it, and its canonical bytes."""

    xact: int
    text: bytes


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What to keep elsewhere: the last seal's number, how many rows there are, and its hash."""

    n: int
    rows: int
    hash: bytes

    def __str__(self) -> str:
        return f"fairhouse checkpoint {self.n} {self.rows} {self.hash.hex()}"


@dataclass(frozen=True, slots=True)
class Bad:
    """The index of the first row that is not as it was sealed."""

    index: int
    said: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """`rows` were found as they were sealed; `unsealed` ones are too young for it."""

    seals: int
    rows: int
    unsealed: int
    checkpoint: Checkpoint | None
    bad: Bad | None


@dataclass(frozen=True, slots=True)
class Proof:
    """That a line stands at an index of the log: its seal's root follows from it."""

    seal: Seal
    index: int
    line: bytes
    siblings: Sequence[bytes]

    def holds(self) -> bool:
        return self.seal.hash == self.seal.digest() and inclusion.proved(
            self.line,
            position=self.index - self.seal.first,
            count=self.seal.count,
            siblings=self.siblings,
            under=self.seal.root,
        )


async def seal(session: AsyncSession, *, most: int = MOST) -> Seal | None:
    """Seal what was written since the last seal; None when there is nothing, or somebody is at it.

    At most so many rows, if several transactions wrote them. Raises `Rewound`.
    """
    connection = await driver(session)
    if not (await _row(connection, LEAD, (LEADER,)))[0]:
        return None
    last = await newest(session)
    lower, first, prev = (last.upper, last.end, last.hash) if last else (0, 0, NOTHING)
    horizon, following = await _row(connection, NUMBERS)
    if lower > following:
        raise Rewound("the database was restored and counts anew: run `fairhouse migrate`")
    span = last.upper - last.lower if last else 1
    upper = await _upper(connection, lower, horizon, span=span, most=most)
    leaves = [inclusion.leaf(row.text) for row in await lines(connection, lower, upper)]
    if not leaves:
        return None
    (at,) = await _row(connection, CLOCK)
    about = (FORMAT, lower, upper, first, len(leaves), inclusion.root(leaves), b"".join(leaves))
    made = Seal((last.n if last else 0) + 1, *about, prev, at, b"")
    hash = made.digest()
    await connection.execute(BECOME)
    await connection.execute(INSERT, (made.n, *about, prev, at, hash))
    await connection.execute(RETURN)
    return Seal(made.n, *about, prev, at, hash)


async def newest(session: AsyncSession) -> Seal | None:
    cursor = await (await driver(session)).execute(LAST)
    row = await cursor.fetchone()
    return Seal(*row) if row else None


async def checkpoint(session: AsyncSession) -> Checkpoint | None:
    """Of the last seal; None before the first."""
    last = await newest(session)
    return Checkpoint(last.n, last.end, last.hash) if last else None


def checkpoints(text: str) -> list[Checkpoint]:
    """Those of a file, a line for each. Raises `BadCheckpoint`."""
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        said = re.fullmatch(r"fairhouse checkpoint (\d{1,18}) (\d{1,18}) ([0-9a-f]{64})", line)
        if said is None:
            raise BadCheckpoint(f"{line[:100]!r} is no checkpoint")
        found.append(Checkpoint(int(said[1]), int(said[2]), bytes.fromhex(said[3])))
    return found


async def lines(connection: Connection, lower: int, upper: int) -> list[Line]:
    """The rows of a range of transactions, in their order."""
    cursor = await connection.execute(LINES, {"lower": lower, "upper": upper})
    return sorted(Line(xact, text.encode()) for xact, text in await cursor.fetchall())


async def verify(
    session: AsyncSession,
    *,
    held: Sequence[Checkpoint] = (),
    told: Callable[[int, int], object] = lambda done, whole: None,
) -> Verdict:
    """Compare every sealed row with its seal, up to the first that is not as it was.

    `held` are checkpoints that were kept elsewhere: without one, a tail that was cut off, rows and
    seals alike, cannot be seen. It may take long and needs no snapshot: what is sealed stays, and
    seals made meanwhile are followed too. `told` hears how many rows are done, of how many.
    """
    connection = await driver(session)
    (whole,) = await _row(connection, WHOLE)
    chain, bad = _Chain(held), None
    while bad is None:
        row = await _some(connection, chain.n)
        sound, bad = chain.follow(row)
        if sound:
            begin = BEGINNING if sound[0].n == 1 else sound[0].lower
            found = await lines(connection, begin, sound[-1].upper)
            bad = _first_bad(sound, found) or bad
        if not row or bad:
            break
        told(chain.rows, whole)
    return await _verdict(connection, chain, bad)


async def proof(session: AsyncSession, index: int) -> Proof:
    """Raises `IndexError` when no seal covers that index yet."""
    connection = await driver(session)
    row = await (await connection.execute(COVERING, (index,))).fetchone()
    found = Seal(*row) if row else None
    if found is None or not found.first <= index < found.end:
        raise IndexError(f"no seal covers row {index}")
    place = index - found.first
    row = (await lines(connection, found.lower, found.upper))[place]
    return Proof(found, index, row.text, inclusion.proof(found.split(), place))


class _Chain:
    """Seals one behind the other, and the checkpoints they must agree with."""

    def __init__(self, held: Sequence[Checkpoint]) -> None:
        self.n, self.rows, self.upper, self.prev = 0, 0, 0, NOTHING
        self.first_of_last = 0
        self.held = {one.n: one for one in held}
        self.disagree = next((one for one in held if self.held[one.n] != one), None)

    def follow(self, seals: Iterable[Seal]) -> tuple[list[Seal], Bad | None]:
        """Those that follow each other, and what is wrong with the next one."""
        sound: list[Seal] = []
        for one in seals:
            bad = self._wrong(one)
            if bad is not None:
                # Where the last one was written anew, the fault is its own.
                return [seal for seal in sound if seal.end <= bad.index], bad
            sound.append(one)
            self.n, self.upper, self.prev = one.n, one.upper, one.hash
            self.first_of_last, self.rows = one.first, one.end
        return sound, None

    def missing(self) -> Bad | None:
        """A checkpoint of a seal that is gone."""
        if any(n > self.n for n in self.held):
            return Bad(self.rows, "the log ends before a checkpoint that was kept")
        return None

    def _wrong(self, one: Seal) -> Bad | None:
        if one.n != self.n + 1:
            return Bad(self.rows, f"seal {self.n + 1} is missing")
        if one.hash != one.digest() or one.format != FORMAT:
            return Bad(self.rows, f"seal {one.n} was changed")
        if one.prev != self.prev:
            return Bad(self.first_of_last, f"seal {self.n} was written anew")
        if one.first != self.rows or (one.lower != self.upper):
            return Bad(self.rows, f"seal {one.n} does not begin where the last one ended")
        kept = self.held.get(one.n)
        if kept is not None and (kept.hash, kept.rows) != (one.hash, one.end):
            return Bad(one.first, f"seal {one.n} is not that of the checkpoint")
        return None


def _first_bad(seals: Sequence[Seal], found: Sequence[Line]) -> Bad | None:
    """The first row that differs from what its seal says of it."""
    at = 0
    for one in seals:
        begin = at
        while at < len(found) and found[at].xact < one.upper:
            at += 1
        leaves = [inclusion.leaf(row.text) for row in found[begin:at]]
        if b"".join(leaves) == one.leaves and len(leaves) == one.count:
            if inclusion.root(leaves) != one.root:
                return Bad(one.first, f"seal {one.n} has another root")
            continue
        return Bad(one.first + _differs(leaves, one), _how(leaves, one))
    return None


def _differs(leaves: Sequence[bytes], one: Seal) -> int:
    sealed = one.split()
    pairs = enumerate(zip(leaves, sealed, strict=False))
    return next((at for at, (here, then) in pairs if here != then), min(len(leaves), len(sealed)))


def _how(leaves: Sequence[bytes], one: Seal) -> str:
    if leaves and inclusion.root(leaves) == one.root:
        return f"the hashes kept in seal {one.n} were changed"
    if len(leaves) != one.count:
        return f"seal {one.n} is over {one.count} rows, and there are {len(leaves)}"
    return f"a row of seal {one.n} is not as it was sealed"


async def _verdict(connection: Connection, chain: _Chain, bad: Bad | None) -> Verdict:
    hidden = await (await connection.execute(HIDDEN)).fetchall()
    following = (await _row(connection, NUMBERS))[1]
    young = {"lower": chain.upper, "upper": following}
    (unsealed,) = await _row(connection, UNSEALED, young)
    bad = bad or chain.missing()
    if bad is None and hidden:
        bad = Bad(chain.rows + unsealed, f"{len(hidden)} rows of {hidden[0][0]} hide from sealing")
    last = Checkpoint(chain.n, chain.rows, chain.prev) if chain.n else None
    return Verdict(chain.n, chain.rows, unsealed, last, bad)


async def _some(connection: Connection, after: int) -> list[Seal]:
    """The next seals: as many as are checked in one go."""
    cursor = await connection.execute(AFTER, (after, AHEAD // MOST))
    return [Seal(*row) for row in await cursor.fetchall()]


async def _upper(connection: Connection, lower: int, horizon: int, *, span: int, most: int) -> int:
    """Where to end: all if that is not too much, else some `most` rows, or one transaction."""

    async def rows(upper: int) -> int:
        asked = {"lower": lower, "upper": upper, "limit": most + 1}
        return int((await _row(connection, COUNT, asked))[0])

    if await rows(horizon) <= most:
        return horizon
    good, few, wide = lower, 0, lower + span
    while wide < horizon and (found := await rows(wide)) <= most:
        good, few, wide = wide, found, lower + 2 * (wide - lower)
    wide = min(wide, horizon)
    while wide - good > 1 and few <= most // 2:
        middle = (good + wide) // 2
        found = await rows(middle)
        if found <= most:
            good, few = middle, found
        else:
            wide = middle
    return good if few else wide


async def _row(connection: Connection, query: bytes, values: Any = None) -> tuple[Any, ...]:
    row = await (await connection.execute(query, values)).fetchone()
    if row is None:
        raise RuntimeError("the database answers with no row")
    return tuple(row)
