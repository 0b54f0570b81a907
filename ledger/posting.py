"""The books are opened at some accounts, decided on, and written, in the caller's transaction."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from db.arrays import documents, numbers, texts, times
from db.session import Connection, Session, driver
from ledger.accounts import Account, kind
from ledger.books import Books, Held, Line, Written
from ledger.errors import NotReversible, Refusal
from ledger.transfers import Posted, Posting, Reference, Transfer

Statement = tuple[bytes, Sequence[Any] | None]

BLOCK = 10_000  # numbers that one call of the sequence stands for
ENOUGH = 5_000  # numbers that a batch may need
REMEMBERED = 100_000
REMEMBERED_VALUES = 50  # with more, psycopg does not keep what it read of a statement
BECOME = b"SET LOCAL ROLE fairhouse_ledger"
RETURN = b"RESET ROLE"

# LIMIT keeps it a look at the index for each name, however little the planner knows of the table.
FIND = b"""
SELECT a.* FROM unnest(%s::int[], %s::text[], %s::text[]) AS n(casino_id, name, asset)
CROSS JOIN LATERAL (
    SELECT casino_id, name, asset, id FROM accounts
    WHERE casino_id = n.casino_id AND name = n.name AND asset = n.asset LIMIT 1
) a
"""
ASSETS = b"SELECT id FROM assets WHERE id = ANY(%s)"
OPEN = b"""
INSERT INTO accounts (casino_id, name, asset, colour, least, most)
SELECT * FROM unnest(%s::int[], %s::text[], %s::text[], %s::text[], %s::numeric[], %s::numeric[])
    AS n(casino_id, name, asset, colour, least, most)
ORDER BY casino_id, name, asset
ON CONFLICT DO NOTHING
"""
NOW = b"SELECT clock_timestamp()"
LOCK = b"SELECT * FROM books_locked(%s::bigint[])"
LOCK_FREE = b"SELECT * FROM books_free(%s::bigint[])"
TAKEN = b"""
SELECT t.* FROM unnest(%s::int[], %s::text[], %s::text[]) AS n(casino_id, reference, type)
CROSS JOIN LATERAL (
    SELECT casino_id, reference, type FROM transfers
    WHERE casino_id = n.casino_id AND reference = n.reference AND type = n.type LIMIT 1
) t
"""
REVERSED = b"SELECT reverses FROM transfers WHERE reverses = ANY(%s)"
HOLDS = b"""
SELECT id, account_id, amount, remaining, state, reference, expires_at
FROM holds WHERE id = ANY(%s)
"""
HELD_ACCOUNTS = b"""
SELECT a.casino_id, a.name, a.asset FROM holds h JOIN accounts a ON a.id = h.account_id
WHERE h.id = ANY(%s)
"""
NUMBERS = b"SELECT nextval('ledger_numbers')"
WRITE = b"""
SELECT books_written(%s::bigint[], %s::int[], %s::text[], %s::text[], %s::bigint[], %s::bigint[],
    %s::text[], %s::jsonb[], %s::timestamptz[], %s::bigint[], %s::bigint[], %s::bigint[],
    %s::numeric[], %s::numeric[], %s::numeric[], %s::timestamptz[])
"""
MADE = b"""
SELECT books_held(%s::bigint[], %s::int[], %s::bigint[], %s::numeric[], %s::numeric[], %s::text[],
    %s::text[], %s::timestamptz[])
"""
MOVED = b"SELECT books_freed(%s::timestamptz, %s::bigint[], %s::numeric[], %s::text[])"
REVERSIBLE = b"""
SELECT t.id, t.reverses, a.casino_id, a.name, a.asset, e.amount
FROM transfers t JOIN entries e ON e.transfer_id = t.id JOIN accounts a ON a.id = e.account_id
WHERE t.id = ANY(%s) ORDER BY t.id, e.account_id, e.version
"""


async def post_many(session: Session, transfers: Sequence[Transfer]) -> list[Posted | Refusal]:
    """Every transfer by itself, in order: what was posted, or why not.

    A refused one changes nothing for the others, which see the balances as they then stand.
    Raises `psycopg.errors.LockNotAvailable` when an account stays locked longer than the
    transaction's `lock_timeout`.
    """
    accounts = {account for transfer in transfers for account, _ in transfer.postings}
    books, _ = await opened(
        session,
        accounts,
        references=[one.standing for one in transfers if one.standing],
        reverses=[one.reverses for one in transfers if one.reverses is not None],
    )
    answers: list[Posted | Refusal] = []
    for transfer in transfers:
        try:
            answers.append(books.post(transfer))
        except Refusal as refusal:
            answers.append(refusal)
    await written(session, books)
    return answers


async def opened(
    session: Session,
    accounts: Iterable[Account],
    *,
    references: Sequence[Reference] = (),
    reverses: Sequence[int] = (),
    holds: Iterable[int] = (),
    also: Sequence[Statement] = (),
    waiting: bool = True,
) -> tuple[Books, list[list[Any]]]:
    """Lock accounts, in one order for everybody; missing ones of a known kind are opened.

    `references` and `reverses` are those of transfers to come: whether they stand already is
    looked up. `holds` are those to be ended, whose accounts are locked too. What else is asked
    `also` is answered as it stands behind the locks: whoever waited sees what the one before wrote.
    Not `waiting`, accounts that somebody else keeps locked are left out, and are among `busy`.
    Raises `psycopg.errors.LockNotAvailable` when waiting lasts longer than `lock_timeout`.
    """
    connection = await driver(session)
    known = _known.setdefault(_place(connection), Known())
    wanted, held = set(accounts), sorted(set(holds))
    if held:
        rows = await (await connection.execute(HELD_ACCOUNTS, (held,))).fetchall()
        wanted |= {Account(*row) for row in rows}
    ids = await _ids(connection, known, wanted)
    await _enough(connection, known)
    lock = LOCK if waiting else LOCK_FREE
    questions = _questions(lock, ids, held, references, reverses)
    told = await _ask(connection, [*questions, *also])
    rows_by_id = {row[0]: row for row in told[0]}
    lines = {
        account: _line(account, rows_by_id[id]) for account, id in ids.items() if id in rows_by_id
    }
    by_id = {line.id: line for line in lines.values()}
    books = Books(
        now=max([row[8] for row in told[0]]) if told[0] else await _clock(connection),
        lines=lines,
        holds={row[0]: _held(row, by_id[row[1]]) for row in told[1] if row[1] in by_id},
        taken={Reference(*row) for row in told[2]},
        reversed={row[0] for row in told[3]},
        number=known.next,
        busy={account for account, id in ids.items() if id not in rows_by_id},
        busy_holds={row[0] for row in told[1] if row[1] not in by_id},
    )
    return books, told[4:]


def _questions(
    lock: bytes,
    ids: Mapping[Account, int],
    holds: list[int],
    references: Sequence[Reference],
    reverses: Sequence[int],
) -> Iterator[Statement | None]:
    """What is asked, the locks first; with them comes the clock as it stood behind them."""
    yield lock, (numbers(sorted(ids.values())),)
    yield (HOLDS, (holds,)) if holds else None
    yield (TAKEN, _names(references)) if references else None
    yield (REVERSED, (list(reverses),)) if reverses else None


async def _ask(
    connection: Connection, statements: Iterable[Statement | None]
) -> list[list[tuple[Any, ...]]]:
    """The rows of each statement, all of them in one round trip; none for no statement."""
    async with connection.pipeline():
        cursors = [one and await connection.execute(*one) for one in statements]
    return [
        await cursor.fetchall() if cursor is not None and cursor.description else []
        for cursor in cursors
    ]


async def written(
    session: Session, books: Books, *, also: Sequence[Statement] = (), ends: bool = False
) -> None:
    """Write what was decided; the database holds its own laws over it.

    What else the transaction writes may go `also` in the same breath, and so may the COMMIT, if it
    `ends` with them: then the accounts are free for others before we have read that they are.
    """
    connection = await driver(session)
    async with connection.pipeline():
        for query, values in joined((*_writes(books), *also)):
            await connection.execute(query, values)
        if ends:
            await connection.commit()  # left out by the server where a statement before it failed


def _writes(books: Books) -> Iterator[Statement]:
    """What is set aside shrinks before money leaves, and grows after it came."""
    if not (books.transfers or books.made or books.moved):
        return
    fresh = {held.id for held in books.made}
    moved = [held for id, held in sorted(books.moved.items()) if id not in fresh]
    if moved:
        yield MOVED, (books.now, *_moved(moved))
    if books.transfers:
        yield WRITE, (*_transfers(books.transfers), *_entries(books))
    if books.made:
        yield MADE, _made(books.made)


def joined(statements: Iterable[Statement]) -> Iterator[Statement]:
    """The same with those neighbours as one that only add rows, in which order they may.

    To the driver, a statement more is as dear as two transfers more in one of these. One with more
    than `REMEMBERED_VALUES` is dearer than two: it reads the text anew each time.
    """
    together: list[Statement] = []
    for query, values in statements:
        adds = query == WRITE or _inserts(query)
        held = sum(len(told or ()) for _, told in together)
        if together and not (adds and held + len(values or ()) <= REMEMBERED_VALUES):
            yield _one(together)
            together = []
        if adds:
            together.append((query, values))
        else:
            yield query, values
    if together:
        yield _one(together)


def _one(together: Sequence[Statement]) -> Statement:
    queries, values = zip(*together, strict=True)
    # What others are joined to stands last, and WRITE must: it is no INSERT. PostgreSQL begins with
    # it, and goes on as they were told.
    return _text(queries[::-1]), [one for told in values[::-1] for one in told or ()]


def _inserts(query: bytes) -> bool:
    return query.lstrip().startswith(b"INSERT")


@lru_cache(maxsize=256)
def _text(queries: tuple[bytes, ...]) -> bytes:
    *others, last = queries
    named = b", ".join(b"w%d AS (%s)" % (at, query) for at, query in enumerate(others))
    return b"WITH %s %s" % (named, last) if others else last


def _transfers(written: Sequence[Written]) -> tuple[str, ...]:
    moved = [one.transfer for one in written]
    return (
        numbers(one.id for one in written),
        numbers(one.casino_id for one in moved),
        texts(one.type for one in moved),
        texts(one.reference for one in moved),
        numbers(one.reverses for one in moved),
        numbers(one.hold_id for one in written),
        texts(one.description for one in moved),
        documents(one.extra for one in moved),
        times(one.at for one in written),
    )


def _entries(books: Books) -> tuple[str, ...]:
    at = {one.id: one.at for one in books.transfers}
    account_ids, versions, transfer_ids, amounts, before, after = zip(*books.entries, strict=True)
    return (
        *map(numbers, (account_ids, versions, transfer_ids, amounts, before, after)),
        times(at[id] for id in transfer_ids),
    )


def _made(made: Sequence[Held]) -> tuple[str, ...]:
    return (
        numbers(one.id for one in made),
        numbers(one.line.account.casino_id for one in made),
        numbers(one.line.id for one in made),
        numbers(one.amount for one in made),
        numbers(one.remaining for one in made),
        texts(one.state for one in made),
        texts(one.reference for one in made),
        times(one.expires_at for one in made),
    )


def _moved(moved: Sequence[Held]) -> tuple[str, ...]:
    return (
        numbers(one.id for one in moved),
        numbers(one.remaining for one in moved),
        texts(one.state for one in moved),
    )


async def reversals(
    session: Session, ids: Sequence[int], *, type: str, description: str | None = None
) -> dict[int, Transfer | NotReversible]:
    """The transfers that would take back others, entry by entry; they still have to be posted."""
    connection = await driver(session)
    rows = await (await connection.execute(REVERSIBLE, (list(ids),))).fetchall()
    postings: dict[int, list[Posting]] = {}
    backward = set()
    for id, reverses, casino_id, name, asset, amount in rows:
        postings.setdefault(id, []).append(Posting(Account(casino_id, name, asset), -int(amount)))
        if reverses is not None:
            backward.add(id)
    answers: dict[int, Transfer | NotReversible] = {}
    for id in ids:
        if id not in postings:
            answers[id] = NotReversible(f"there is no transfer {id}", transfer=id)
        elif id in backward:
            answers[id] = NotReversible(f"transfer {id} is a reversal", transfer=id)
        else:
            answers[id] = Transfer(type, tuple(postings[id]), description=description, reverses=id)
    return answers


@dataclass(slots=True)
class Known:
    """What a process remembers of a database: accounts are never deleted, numbers its own."""

    ids: dict[Account, int] = field(default_factory=dict)
    blocks: deque[range] = field(default_factory=deque)

    @property
    def left(self) -> int:
        return sum(map(len, self.blocks))

    def next(self) -> int:
        """A number no other transfer or hold has. Raises `IndexError` after `ENOUGH` of them."""
        while not self.blocks[0]:
            self.blocks.popleft()
        number, self.blocks[0] = self.blocks[0][0], self.blocks[0][1:]
        return number


_known: dict[tuple[str, int, str], Known] = {}


def _place(connection: Connection) -> tuple[str, int, str]:
    """Which database of which server this is."""
    told = connection.info
    return told.host, told.port, told.dbname


async def _ids(
    connection: Connection, known: Known, accounts: Collection[Account]
) -> dict[Account, int]:
    """The rows of accounts; strangers are opened if their names have a kind."""
    ids = {account: known.ids[account] for account in accounts if account in known.ids}
    missing = sorted(account for account in accounts if account not in ids)
    if missing:
        found = await _find(connection, missing)
        if len(known.ids) > REMEMBERED:
            known.ids.clear()
        known.ids.update(found)
        strangers = [account for account in missing if account not in found]
        if strangers:
            await _open(connection, strangers)
            found |= await _find(connection, strangers)
        ids |= found
    return ids


def _names(rows: Iterable[tuple[int, str, str]]) -> tuple[str, ...]:
    ids, *words = zip(*rows, strict=True)
    return (numbers(ids), *map(texts, words))


async def _find(connection: Connection, accounts: Sequence[Account]) -> dict[Account, int]:
    cursor = await connection.execute(FIND, _names(accounts))
    return {Account(*row[:3]): row[3] for row in await cursor.fetchall()}


async def _open(connection: Connection, accounts: Sequence[Account]) -> None:
    """Accounts of assets that the books count; the others stay unknown."""
    cursor = await connection.execute(ASSETS, ([account.asset for account in accounts],))
    counted = {row[0] for row in await cursor.fetchall()}
    rows = [
        (*account, rule.colour, rule.least, rule.most)
        for account in accounts
        if account.asset in counted
        for rule in (kind(account.name),)
    ]
    if rows:
        await connection.execute(BECOME)
        await connection.execute(OPEN, [list(part) for part in zip(*rows, strict=True)])
        await connection.execute(RETURN)


async def _clock(connection: Connection) -> datetime:
    """The database's, for books without an account."""
    row = await (await connection.execute(NOW)).fetchone()
    return datetime.now(UTC) if row is None else datetime.fromisoformat(str(row[0]))


def _line(account: Account, row: Sequence[Any]) -> Line:
    id, balance, held, version, least, most, at, closed, _ = row
    return Line(
        id=id,
        account=account,
        balance=int(balance),
        held=int(held),
        version=version,
        least=None if least is None else int(least),
        most=None if most is None else int(most),
        at=at,
        closed=closed,
    )


def _held(row: Sequence[Any], line: Line) -> Held:
    id, _, amount, remaining, state, reference, expires_at = row
    return Held(id, line, int(amount), int(remaining), state, reference, expires_at)


async def _enough(connection: Connection, known: Known) -> None:
    """Numbers for a whole batch: another block when few are left."""
    if known.left < ENOUGH:
        await connection.execute(BECOME)
        row = await (await connection.execute(NUMBERS)).fetchone()
        await connection.execute(RETURN)
        if row is not None:
            known.blocks.append(range(row[0], row[0] + BLOCK))
