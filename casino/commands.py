"""Commands about money: decided many at once, each by itself, each exactly once for its key."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from casino import outbox
from db.arrays import documents, numbers, texts
from ledger import posting
from ledger.accounts import Account
from ledger.books import Books
from ledger.errors import Refusal
from ledger.posting import Statement

FIND = b"""
SELECT r.scope, r.key, r.verb, r.fingerprint, r.code, r.answer, r.facts
FROM requests r JOIN unnest(%s::text[], %s::text[]) AS n(scope, key) USING (scope, key)
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
    facts: Mapping[str, Any] | None = None
    transfer_id: int | None = None
    replayed: bool = False


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
        """Do it on the desk's books. Raises a `Refusal`, which is remembered as the answer."""

    def related(self) -> Iterable[Key]:
        """Other requests it must know: scope and key."""
        return ()

    @property
    def place(self) -> Key:
        return self.scope, self.key

    def fingerprint(self) -> bytes:
        said = orjson.dumps([self.verb, self.asked()], option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(said).digest()


@dataclass(slots=True)
class Desk:
    """Where commands are decided: the open books, the requests that stand, what is to be told."""

    books: Books
    decided: dict[Key, Decided]
    messages: list[outbox.Message] = field(default_factory=list)
    fresh: list[tuple[Key, int, str, Decided]] = field(default_factory=list)

    def keep(self, command: Command, answer: Answer, *, place: Key | None = None) -> None:
        """Remember an answer under the command's key, or at a `place` it bars for good."""
        made = Decided(command.verb, command.fingerprint(), answer)
        self.decided[place or command.place] = made
        self.fresh.append((place or command.place, command.casino_id, command.actor, made))


async def run_many(session: AsyncSession, commands: Sequence[Command]) -> list[Answer | KeyReused]:
    """Decide commands in their order, in the caller's transaction.

    Refusals are answers with a `code`, and stay refused. A key used for something else is answered
    with `KeyReused` and changes nothing. Raises `psycopg.errors.UniqueViolation` when another
    transaction decided one of the keys at the same time, over other accounts: try again.
    """
    accounts = {account for command in commands for account in command.accounts()}
    places = {key for one in commands for key in (one.place, *one.related())}
    find = (FIND, tuple(texts(column) for column in zip(*sorted(places), strict=True)))
    books, [found] = await posting.opened(session, accounts, also=[find])
    desk = Desk(books, {(row[0], row[1]): _decided(row) for row in found})
    answers = [_answer(desk, command) for command in commands]
    await posting.written(session, books, also=list(_writes(desk)))
    return answers


def _answer(desk: Desk, command: Command) -> Answer | KeyReused:
    before = desk.decided.get(command.place)
    if before is not None:
        if (before.verb, before.fingerprint) != (command.verb, command.fingerprint()):
            return KeyReused(command.key)
        was = before.answer
        return Answer(was.body, was.code, was.facts, was.transfer_id, replayed=True)
    told = len(desk.messages)
    try:
        with desk.books.attempt():
            answer = command.decide(desk)
    except Refusal as refusal:
        del desk.messages[told:]
        answer = Answer({"detail": str(refusal), **refusal.evidence}, code=refusal.code)
    desk.keep(command, answer)
    return answer


def _decided(row: Sequence[Any]) -> Decided:
    _, _, verb, fingerprint, code, body, facts = row
    return Decided(verb, bytes(fingerprint), Answer(body, code, facts))


def _writes(desk: Desk) -> Iterable[Statement]:
    if desk.fresh:
        # In the order of their keys, so that two transactions never wait for each other.
        rows = sorted(desk.fresh, key=lambda row: row[0])
        answers = [made.answer for *_, made in rows]
        yield (
            KEEP,
            (
                texts(place[0] for place, *_ in rows),
                texts(place[1] for place, *_ in rows),
                numbers(casino_id for _, casino_id, *_ in rows),
                texts(made.verb for *_, made in rows),
                texts(actor for _, _, actor, _ in rows),
                texts(made.fingerprint.hex() for *_, made in rows),
                texts(answer.code for answer in answers),
                documents(answer.body for answer in answers),
                documents(answer.facts for answer in answers),
                numbers(answer.transfer_id for answer in answers),
            ),
        )
    if desk.messages:
        yield outbox.statement(desk.messages)
