"""Commands about money: decided many at once, each by itself, each exactly once for its key."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

import orjson
from psycopg import OperationalError
from psycopg.errors import LockNotAvailable

from casino import outbox
from db import pipeline
from db.arrays import documents, numbers, texts
from db.pipeline import Row, Statement
from db.session import Connection, Session, driver, stream
from ledger import posting
from ledger.accounts import Account
from ledger.books import Attempt, Books
from ledger.errors import Refusal
from ledger.foresight import foresee
from ledger.known import known
from ledger.posting import Opening
from ledger.transfers import Reference

# LIMIT keeps it a look at the index for each key, however little the planner knows of the table.
FIND = b"""
SELECT r.* FROM unnest(%s::text[], %s::text[]) AS n(scope, key) CROSS JOIN LATERAL (
    SELECT scope, key, verb, fingerprint, code, answer FROM requests
    WHERE scope = n.scope AND key = n.key LIMIT 1
) r
"""
KEEP = b"""
INSERT INTO requests (scope, key, casino_id, verb, actor, fingerprint, code, answer, facts,
    transfer_id)
SELECT scope, key, casino_id, verb, actor, decode(fingerprint, 'hex'), code, answer, facts,
    transfer_id
FROM unnest(%s::text[], %s::text[], %s::int[], %s::text[], %s::text[], %s::text[], %s::text[],
    %s::jsonb[], %s::jsonb[], %s::bigint[])
    AS n(scope, key, casino_id, verb, actor, fingerprint, code, answer, facts, transfer_id)
"""

Key = tuple[str, str]
K = TypeVar("K")
R = TypeVar("R")
S = TypeVar("S", bound="Shelf[Any, Any]")
Later = Callable[[Callable[[], object]], None]  # as `Books.later`


class KeyReused(Exception):
    """The key stands already for another request."""

    def __init__(self, key: str) -> None:
        super().__init__(f"the key {key!r} was used for another request")
        self.key = key


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command came to; `code` says why it was refused. `replayed`: decided before."""

    body: Mapping[str, Any]
    code: str | None = None
    transfer_id: int | None = None
    replayed: bool = False


class Undecided(Exception):
    """A command is answered and stays open: asked again under its key it is decided anew.

    Raised by `decide`. All that was done for the command is taken back, and nothing remembered.
    """

    def __init__(self, answer: Answer) -> None:
        super().__init__(str(answer.code))
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Decided:
    """A request as it stands: what was asked under a key, and what it came to."""

    verb: str
    fingerprint: bytes
    answer: Answer


@dataclass(frozen=True, kw_only=True)
class Command(ABC):
    """One request. Its key is unique among those of its `scope`; `actor` is who asks."""

    casino_id: int
    scope: str
    key: str
    actor: str

    @property
    @abstractmethod
    def verb(self) -> str:
        """What is to be done, in a word."""

    @abstractmethod
    def asked(self) -> Mapping[str, Any]:
        """What must be equal when the key is used again: plain values."""

    @abstractmethod
    def accounts(self) -> Iterable[Account]:
        """All accounts it may move or look at."""

    @abstractmethod
    def decide(self, desk: Desk) -> Answer:
        """Do it on the desk's books.

        Raises a `Refusal`, which is remembered as the answer, or `Undecided`.
        """

    def related(self) -> Iterable[Key]:
        """Other requests it must know: scope and key."""
        return ()

    def references(self) -> Iterable[Reference]:
        """Those of the transfers it may post."""
        return ()

    def reverses(self) -> Iterable[int]:
        """Transfers it may take back."""
        return ()

    def holds(self) -> Iterable[int]:
        """Holds it may capture or release; their accounts are locked as well."""
        return ()

    def rows(self) -> Iterable[tuple[type[Shelf[Any, Any]], Any]]:
        """Rows beside the books that it reads or changes: where they are, and their key."""
        return ()

    def foreseeable(self) -> bool:
        """Whether it is usually decided the same a moment before its accounts are locked.

        It names nothing that is usually there besides, no other requests and no holds, and no
        moment decides on it.
        """
        return False

    @property
    def place(self) -> Key:
        return self.scope, self.key

    def fingerprint(self) -> bytes:
        said = orjson.dumps([self.verb, self.asked()], option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(said).digest()


class Shelf(ABC, Generic[K, R]):
    """Rows of one kind beside the books, by key: those that a batch's commands asked for.

    They are found and locked behind the accounts' locks, and written with the books. What a
    command changed is taken back with the rest of it when it is refused.
    """

    def __init__(self, rows: Mapping[K, R], later: Later) -> None:
        self.rows = dict(rows)
        self.found = frozenset(rows)
        self.changed: dict[K, R] = {}
        self._later = later

    @classmethod
    @abstractmethod
    def find(cls, keys: Sequence[K]) -> Statement:
        """What reads the rows of sorted keys, locking them in one order for everybody."""

    @classmethod
    def find_free(cls, keys: Sequence[K]) -> Statement:
        """The same without long waits for who locks rows alone, which then are `busy`."""
        return cls.find(keys)

    @classmethod
    @abstractmethod
    def read(cls, row: Sequence[Any]) -> tuple[K, R]:
        """A row that was found, and its key."""

    @abstractmethod
    def writes(self) -> Iterable[Statement]:
        """What writes `changed`, in the order of the keys."""

    def busy(self, key: K) -> bool:
        """Whether somebody else keeps a row of it: who names it cannot be decided."""
        return False

    def get(self, key: K) -> R | None:
        return self.rows.get(key)

    def put(self, key: K, row: R) -> None:
        """Keep a new or changed row; a refusal of the command takes the change back."""
        self._later(partial(_restore, self.rows, key, self.rows.get(key)))
        self._later(partial(_restore, self.changed, key, self.changed.get(key)))
        self.rows[key] = self.changed[key] = row


class Made(Shelf[K, R]):
    """Rows that are written only: no command asks for them beforehand."""

    @classmethod
    def find(cls, keys: Sequence[K]) -> Statement:
        raise NotImplementedError(f"{cls.__name__} is for writing")

    @classmethod
    def read(cls, row: Sequence[Any]) -> tuple[K, R]:
        raise NotImplementedError(f"{cls.__name__} is for writing")


def _restore(rows: dict[K, R], key: K, before: R | None) -> None:
    if before is None:
        del rows[key]
    else:
        rows[key] = before


@dataclass(slots=True)
class Desk:
    """Where commands are decided: the open books, the requests that stand, what is to be told."""

    books: Books
    decided: dict[Key, Decided]
    messages: list[outbox.Message] = field(default_factory=list)
    fresh: list[tuple[Key, Command, Decided]] = field(default_factory=list)
    shelves: dict[type[Shelf[Any, Any]], Shelf[Any, Any]] = field(default_factory=dict)

    def shelf(self, kind: type[S]) -> S:
        """The rows of a kind that this batch asked for, or makes."""
        if kind not in self.shelves and issubclass(kind, Made):
            self.shelves[kind] = kind({}, self.books.later)
        found = self.shelves[kind]
        if not isinstance(found, kind):
            raise TypeError(f"{found} is no {kind}")
        return found

    def attempt(self) -> Attempt:
        """All of a `with` block or nothing: what it moved, put on shelves and told."""
        return Attempt(self.books, told=self.messages)

    def keep(
        self,
        command: Command,
        answer: Answer,
        *,
        place: Key | None = None,
        fingerprint: bytes | None = None,
    ) -> None:
        """Remember an answer under the command's key, or at a `place` it bars for good.

        An attempt that fails forgets it.
        """
        made = Decided(command.verb, fingerprint or command.fingerprint(), answer)
        place = place or command.place
        self.decided[place] = made
        self.fresh.append((place, command, made))
        self.books.later(self._forget)

    def _forget(self) -> None:
        """Take back the latest that was kept."""
        place, *_ = self.fresh.pop()
        del self.decided[place]


async def run_many(session: Session, commands: Sequence[Command]) -> list[Answer | KeyReused]:
    """Decide commands in their order, in the caller's transaction.

    Refusals are answers with a `code`, and stay refused, but for what is `Undecided`. A key used
    for something else is answered with `KeyReused` and changes nothing. Raises
    `psycopg.errors.UniqueViolation` when another transaction decided one of the keys at the same
    time, over other accounts: try again. Raises `psycopg.errors.LockNotAvailable` when one of the
    accounts stays locked.
    """
    return await _run(session, commands, ends=False)


async def commit_many(
    connection: Connection, commands: Sequence[Command]
) -> list[Answer | KeyReused]:
    """The same in a transaction that ends with it, and is durable when this returns."""
    return await _run(connection, commands, ends=True)


async def _run(
    session: Session, commands: Sequence[Command], *, ends: bool
) -> list[Answer | KeyReused]:
    connection, asked = await driver(session), _asked(commands)
    named = _Named.by(commands)
    opening = await named.prepared(connection)
    try:
        with opening:
            told = await opening.ask(connection)
            desk = named.desk(opening.books(told), told[posting.ASKED :])
            answers = _decide(desk, asked)
            opening.remember(desk.books)
        await pipeline.ask(connection, _writes(desk), commit=ends)
    except BaseException:
        opening.forget()
        raise
    if ends:
        opening.stands()
    else:
        opening.forget()
    return answers


async def commit_ahead(commands: Sequence[Command]) -> list[Answer | KeyReused] | None:
    """As `commit_many`, but decided on how this process left the accounts, in one round trip.

    The database looks whether they stand so, and whether nothing else that is named does. None when
    it was otherwise or cannot be foreseen: then nothing has changed.
    """
    if not all(command.foreseeable() for command in commands):
        return None
    try:
        way = await stream()
    except OperationalError:  # those that are there already may do
        return None
    asked, named = _asked(commands), _Named.by(commands)
    # From here to the asking nothing is awaited: batches go in the order in which they are decided.
    foresight = foresee(known(way.connection), named.accounts)
    if foresight is None or named.holds:
        return None
    try:
        desk = named.desk(foresight.books)
        answers = _decide(desk, asked)
        kept = {place for place, *_ in desk.fresh}
        if not kept.issuperset(command.place for command in commands):
            raise LookupError("one is not kept, so its key does not tell whether it stands")
        absent = named.absent(commands, answers)
        breath = way.ask([*foresight.breath(absent), *_writes(desk)])
        foresight.decided()
        foresight.stands(await breath)
    except Exception as error:
        if foresight.failed(error):
            return None
        raise
    return answers


async def commit_free(
    connection: Connection, commands: Sequence[Command]
) -> list[Answer | KeyReused | LockNotAvailable]:
    """As `commit_many`, without those whose accounts or rows somebody else keeps.

    They are not decided.
    """
    asked = _asked(commands)
    named = _Named.by(commands, waiting=False)
    opening = await named.prepared(connection)
    opening.forget()
    told = await opening.ask(connection)
    desk = named.desk(opening.books(told), told[posting.ASKED :])
    answers: list[Answer | KeyReused | LockNotAvailable] = []
    for command, print in asked:
        busy = _busy(desk, command)
        answers.append(LockNotAvailable(busy) if busy else _answer(desk, command, print))
    await pipeline.ask(connection, _writes(desk), commit=True)
    return answers


Asked = list[tuple[Command, bytes]]


def _asked(commands: Sequence[Command]) -> Asked:
    return [(command, command.fingerprint()) for command in commands]


def _decide(desk: Desk, asked: Asked) -> list[Answer | KeyReused]:
    return [_answer(desk, command, print) for command, print in asked]


def _busy(desk: Desk, command: Command) -> str | None:
    """What of a command's somebody else keeps."""
    if not desk.books.busy.isdisjoint(command.accounts()):
        return "an account is busy"
    if not desk.books.busy_holds.isdisjoint(command.holds()):
        return "a hold is busy"
    busy = any(desk.shelves[kind].busy(key) for kind, key in command.rows())
    return "a row is busy" if busy else None


@dataclass(frozen=True, slots=True)
class _Named:
    """All that some commands name; `also` finds requests, and then rows of each of the `kinds`."""

    accounts: Collection[Account]
    references: Sequence[Reference]
    reverses: Sequence[int]
    holds: Collection[int]
    kinds: Sequence[type[Shelf[Any, Any]]]
    also: Sequence[Statement]
    waiting: bool

    @classmethod
    def by(cls, commands: Sequence[Command], *, waiting: bool = True) -> _Named:
        places = {key for one in commands for key in (one.place, *one.related())}
        keys: dict[type[Shelf[Any, Any]], set[Any]] = {}
        for kind, key in (row for one in commands for row in one.rows()):
            keys.setdefault(kind, set()).add(key)
        # Every batch locks one kind of rows after the other in the same order.
        kinds = sorted(keys, key=lambda kind: kind.__name__)
        return cls(
            accounts={account for one in commands for account in one.accounts()},
            references=sorted({reference for one in commands for reference in one.references()}),
            reverses=sorted({id for one in commands for id in one.reverses()}),
            holds={id for one in commands for id in one.holds()},
            kinds=kinds,
            also=[
                _found(places),
                *[_rows(kind, sorted(keys[kind]), waiting=waiting) for kind in kinds],
            ],
            waiting=waiting,
        )

    async def prepared(self, connection: Connection) -> Opening:
        return await posting.prepared(
            connection,
            self.accounts,
            references=self.references,
            reverses=self.reverses,
            holds=self.holds,
            also=self.also,
            waiting=self.waiting,
        )

    def absent(
        self, commands: Sequence[Command], answers: Sequence[Answer | KeyReused]
    ) -> Sequence[Statement | None]:
        """What finds nothing if none of it is there, as most often.

        What is written under a key of its own is not looked for, as writing it again fails; but the
        transfers of refused commands are not written, and might be refused for standing already.
        """
        related = {key for command in commands for key in command.related()}
        refused = [
            command
            for command, answer in zip(commands, answers, strict=True)
            if isinstance(answer, Answer) and answer.code
        ]
        references = {reference for one in refused for reference in one.references()}
        reverses = {id for one in refused for id in one.reverses()}
        standing = posting.standing(sorted(references), sorted(reverses))
        return (_found(related) if related else None, *standing, *self.also[1:])

    def desk(self, books: Books, told: Sequence[Sequence[Row]] = ()) -> Desk:
        """The desk, with what was told to `also`; or where nothing was found."""
        found, *shelved = told or [[] for _ in self.also]
        desk = Desk(books, {(row[0], row[1]): _decided(row) for row in found})
        for kind, rows in zip(self.kinds, shelved, strict=True):
            desk.shelves[kind] = kind(dict(map(kind.read, rows)), books.later)
        return desk


def _found(places: Iterable[Key]) -> Statement:
    return FIND, tuple(texts(column) for column in zip(*sorted(places), strict=True))


def _rows(kind: type[Shelf[Any, Any]], keys: Sequence[Any], *, waiting: bool) -> Statement:
    return kind.find(keys) if waiting else kind.find_free(keys)


def _answer(desk: Desk, command: Command, fingerprint: bytes) -> Answer | KeyReused:
    before = desk.decided.get(command.place)
    if before is not None:
        if (before.verb, before.fingerprint) != (command.verb, fingerprint):
            return KeyReused(command.key)
        was = before.answer
        return Answer(was.body, was.code, was.transfer_id, replayed=True)
    try:
        with desk.attempt():
            answer = command.decide(desk)
    except Refusal as refusal:
        answer = Answer({"detail": str(refusal), **refusal.evidence}, code=refusal.code)
    except Undecided as undecided:
        return undecided.answer
    desk.keep(command, answer, fingerprint=fingerprint)
    return answer


def _decided(row: Sequence[Any]) -> Decided:
    _, _, verb, fingerprint, code, body = row
    return Decided(verb, bytes(fingerprint), Answer(body, code))


def _writes(desk: Desk) -> Iterator[Statement]:
    yield from posting.writes(desk.books)
    if desk.fresh:
        # In the order of their keys, so that two transactions never wait for each other.
        rows = sorted(desk.fresh, key=lambda row: row[0])
        answers = [made.answer for *_, made in rows]
        yield (
            KEEP,
            (
                texts(place[0] for place, *_ in rows),
                texts(place[1] for place, *_ in rows),
                numbers(command.casino_id for _, command, _ in rows),
                texts(made.verb for *_, made in rows),
                texts(command.actor for _, command, _ in rows),
                texts(made.fingerprint.hex() for *_, made in rows),
                texts(answer.code for answer in answers),
                documents(answer.body for answer in answers),
                documents(command.asked() for _, command, _ in rows),
                numbers(answer.transfer_id for answer in answers),
            ),
        )
    if desk.messages:
        yield outbox.statement(desk.messages)
    for shelf in desk.shelves.values():
        if shelf.changed:
            yield from shelf.writes()
