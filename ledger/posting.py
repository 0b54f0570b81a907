"""The books are opened at some accounts, decided on, and written, in the caller's transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.pq import TransactionStatus

from db import pipeline
from db.arrays import documents, numbers, texts, times
from db.pipeline import Statement, Told
from db.session import Connection, Session, driver
from ledger.accounts import Account, kind
from ledger.books import Books, Held, Line, Written
from ledger.errors import NotReversible, Refusal
from ledger.known import BLOCK, ENOUGH, REMEMBERED, STANDING, Known, known, read
from ledger.transfers import Posted, Posting, Reference, Transfer

ASKED = 4  # statements of our own, before those of the caller
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
LOCK = STANDING + b"books_locked(%s::bigint[])"
LOCK_FREE = STANDING + b"books_free(%s::bigint[])"
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
) -> tuple[Books, list[list[Any]]]:
    """Lock accounts, in one order for everybody; missing ones of a known kind are opened.

    `references` and `reverses` are those of transfers to come: whether they stand already is
    looked up. `holds` are those to be ended, whose accounts are locked too. What else is asked
    `also` is answered as it stands behind the locks: whoever waited sees what the one before wrote.
    Raises `psycopg.errors.LockNotAvailable` when waiting lasts longer than `lock_timeout`.
    """
    opening = await prepared(
        session, accounts, references=references, reverses=reverses, holds=holds, also=also
    )
    told = await opening.ask(await driver(session))
    return opening.books(told), told[ASKED:]


async def prepared(
    session: Session,
    accounts: Iterable[Account],
    *,
    references: Sequence[Reference] = (),
    reverses: Sequence[int] = (),
    holds: Iterable[int] = (),
    also: Sequence[Statement] = (),
    waiting: bool = True,
) -> Opening:
    """What is asked to open the books as `opened` does; it is still to be asked.

    Not `waiting`, accounts that somebody else keeps locked are left out, and are among `busy`.
    """
    connection = await driver(session)
    here = known(connection)
    wanted, held = set(accounts), sorted(set(holds))
    if held:
        [rows] = await pipeline.ask(connection, [(HELD_ACCOUNTS, (held,))])
        wanted |= {Account(*row) for row in rows}
    ids = await _ids(connection, here, wanted)
    await _enough(connection, here)
    questions = (
        (LOCK if waiting else LOCK_FREE, (numbers(sorted(ids.values())),)),
        (HOLDS, (held,)) if held else None,
        *standing(references, reverses),
    )
    return Opening(here, ids, (*questions, *also))


def standing(
    references: Sequence[Reference], reverses: Sequence[int]
) -> tuple[Statement | None, Statement | None]:
    """What finds those of some references, and of some reversals, that stand already."""
    return (
        (TAKEN, _names(references)) if references else None,
        (REVERSED, (list(reverses),)) if reverses else None,
    )


@dataclass(slots=True)
class Opening:
    """What is asked to open the books at some accounts, and what the answers make of them.

    Within a `with` block it is decided on them, by this process in turn with others of its own.
    """

    known: Known
    ids: Mapping[Account, int]
    statements: tuple[Statement | None, ...]
    _undecided: bool = False

    def __enter__(self) -> Opening:
        self._undecided = True
        self.known.undecided.update(self.ids.keys())
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        if self._undecided:
            self._undecided = False
            self.known.undecided -= Counter(self.ids.keys())  # those of none are gone

    async def ask(self, connection: Connection) -> Told:
        """What is told to each of the `statements`.

        Raises `psycopg.errors.LockNotAvailable` when waiting lasts longer than `lock_timeout`.
        """
        told = await pipeline.ask(connection, self.statements)
        self.known.now = told[0][0][1]
        return told

    def books(self, told: Told) -> Books:
        """By what was told to the `statements`."""
        [(states, now)], held, taken, reversed, *_ = told
        names = {id: account for account, id in self.ids.items()}
        lines = {}
        for state in states.split(";") if states else ():
            line = read(names, state)
            lines[line.account] = line
        by_id = {line.id: line for line in lines.values()}
        return Books(
            now=now,
            lines=lines,
            holds={row[0]: _held(row, by_id[row[1]]) for row in held if row[1] in by_id},
            taken={Reference(*row) for row in taken},
            reversed={row[0] for row in reversed},
            number=self.known.next,
            busy=self.ids.keys() - lines.keys(),
            busy_holds={row[0] for row in held if row[1] not in by_id},
        )

    def remember(self, books: Books) -> None:
        """How accounts stand once it is durable; should it fail, the locks will tell."""
        self.known.remember(books.lines.values())
        self._end()

    def stands(self) -> None:
        """It is durable: accounts that were opened with it are there for good."""
        self.known.ids.update(self.ids)

    def forget(self) -> None:
        self.known.forget(self.ids)


async def written(session: Session, books: Books, *, also: Sequence[Statement] = ()) -> None:
    """Write what was decided; the database holds its own laws over it.

    What else the transaction writes may go `also` in the same breath.
    """
    await pipeline.ask(await driver(session), (*writes(books), *also))


def writes(books: Books) -> Iterator[Statement]:
    """What was decided. What is set aside shrinks before money leaves, and grows after it came."""
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
        times([at[id] for id in transfer_ids]),
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
    [rows] = await pipeline.ask(connection, [(REVERSIBLE, (list(ids),))])
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


async def _ids(
    connection: Connection, known: Known, accounts: Collection[Account]
) -> dict[Account, int]:
    """The rows of accounts; strangers are opened if their names have a kind.

    A transaction under way may see accounts of its own, which are gone if it fails.
    """
    ids = {account: known.ids[account] for account in accounts if account in known.ids}
    missing = sorted(account for account in accounts if account not in ids)
    if missing:
        committed = connection.info.transaction_status == TransactionStatus.IDLE
        found = await _find(connection, missing)
        if len(known.ids) > REMEMBERED:
            known.ids.clear()
        if committed:
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
    [rows] = await pipeline.ask(connection, [(FIND, _names(accounts))])
    return {Account(*row[:3]): row[3] for row in rows}


async def _open(connection: Connection, accounts: Sequence[Account]) -> None:
    """Accounts of assets that the books count; the others stay unknown."""
    [told] = await pipeline.ask(connection, [(ASSETS, ([account.asset for account in accounts],))])
    counted = {row[0] for row in told}
    rows = [
        (*account, rule.colour, rule.least, rule.most)
        for account in accounts
        if account.asset in counted
        for rule in (kind(account.name),)
    ]
    if rows:
        opening = OPEN, [list(part) for part in zip(*rows, strict=True)]
        await pipeline.ask(connection, [(BECOME, None), opening, (RETURN, None)])


def _held(row: Sequence[Any], line: Line) -> Held:
    id, _, amount, remaining, state, reference, expires_at = row
    return Held(id, line, int(amount), int(remaining), state, reference, expires_at)


async def _enough(connection: Connection, known: Known) -> None:
    """Numbers for a whole batch: another block when few are left."""
    if known.left < ENOUGH:
        asked = [(BECOME, None), (NUMBERS, None), (RETURN, None)]
        _, [(first,)], _ = await pipeline.ask(connection, asked)
        known.numbers.append(iter(range(first, first + BLOCK)))
        known.left += BLOCK
