"""Books that are decided on before they are asked, as this process left their accounts.

What was decided is written in the same breath in which the database looks whether all is so.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from operator import attrgetter

from psycopg import Error
from psycopg.errors import LockNotAvailable, UniqueViolation

from db.arrays import numbers
from db.pipeline import Statement, Told
from ledger.accounts import Account
from ledger.books import Books
from ledger.known import ENOUGH, Known, state

NEAR = timedelta(milliseconds=250)  # from the moment for which it was decided to its locks
BLIND_S = 0.2  # in which nothing is foreseen after it was not so
NOT_SO = "FH001"

SAME = b"SELECT books_foreseen(%s::bigint[], %s, %s, %s)"
NOTHING = b"SELECT unforeseen(count(*)) FROM (%s) q"


@dataclass(slots=True)
class Foresight:
    """Books as they will be opened if nobody else moves their accounts first.

    Whoever decides on them says so by `decided`: the next batch may foresee what comes of it.
    """

    known: Known
    books: Books
    states: str

    def decided(self) -> None:
        self.known.remember(self.books.lines.values())

    def breath(self, absent: Iterable[Statement | None]) -> Iterator[Statement]:
        """What the database is asked before anything is written: fails unless all is as foreseen.

        The accounts have to be the same, soon enough, and nothing must be found by `absent`.
        """
        ids = sorted(line.id for line in self.books.lines.values())
        yield SAME, (numbers(ids), self.states, self.books.now, NEAR)
        for query, values in filter(None, absent):
            yield NOTHING.replace(b"%s", query), values

    def stands(self, told: Told) -> None:
        """It was so, and what was decided is durable."""
        [[now]] = told[0]
        self.known.now = now

    def failed(self, error: Exception) -> bool:
        """Whether it has to be decided anew: not all was as foreseen, or could be told so soon.

        Where accounts were others, or are kept, nothing is foreseen for a while. Errors of deciding
        are for who decides anew, too.
        """
        self.known.forget(self.books.lines)
        if not isinstance(error, Error):
            return True
        if isinstance(error, UniqueViolation):  # it stands already
            return True
        missed = isinstance(error, LockNotAvailable) or error.diag.sqlstate == NOT_SO
        if missed:
            self.known.blind_until = time.monotonic() + BLIND_S
        return missed


def foresee(known: Known, accounts: Iterable[Account]) -> Foresight | None:
    """The books if only this process moved these accounts; None when that is not known.

    So it is when another batch is still to be decided on one of them, or went wrong just now.
    """
    if known.left < ENOUGH or time.monotonic() < known.blind_until:
        return None
    lines = {}
    for account in accounts:
        line = known.stood.get(account)
        if line is None or account in known.undecided:
            return None
        lines[account] = line
    states = ";".join(map(state, sorted(lines.values(), key=attrgetter("id"))))
    return Foresight(known, Books(known.now, lines, {}, set(), set(), known.next), states)
