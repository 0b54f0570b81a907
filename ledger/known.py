"""What this process remembers of a database's books: rows, numbers, and how accounts stood."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from db.session import Connection
from ledger.accounts import Account
from ledger.books import Line

BLOCK = 10_000  # numbers that one call of the sequence stands for
ENOUGH = 5_000  # numbers that a batch may need
REMEMBERED = 100_000  # accounts
EPOCH, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)

# One text for all accounts: to read it is cheaper than rows, and to compare it is cheaper still.
STANDING = b"""
SELECT string_agg(concat_ws(' ', id, version, balance, held, coalesce(least::text, '-'),
        coalesce(most::text, '-'), closed,
        coalesce((extract(epoch FROM posted_at) * 1000000)::bigint::text, '-')), ';'),
    clock_timestamp()
FROM """


@dataclass(slots=True)
class Known:
    """Accounts are never deleted; how they stand is only a guess until the locks tell the same."""

    ids: dict[Account, int] = field(default_factory=dict)
    stood: dict[Account, Line] = field(default_factory=dict)  # after what was decided last
    undecided: Counter[Account] = field(default_factory=Counter)  # of how many batches
    numbers: deque[Iterator[int]] = field(default_factory=deque)
    left: int = 0
    blind_until: float = 0.0
    _clock: datetime = EPOCH
    _read_at: float = 0.0  # on this machine's clock

    def next(self) -> int:
        """A number no other transfer or hold has. Raises `IndexError` after `ENOUGH` of them."""
        number = next(self.numbers[0], None)
        if number is None:
            self.numbers.popleft()
            return self.next()
        self.left -= 1
        return number

    @property
    def now(self) -> datetime:
        """The database's clock, as it was told last and went on since."""
        return self._clock + timedelta(seconds=time.monotonic() - self._read_at)

    @now.setter
    def now(self, told: datetime) -> None:
        self._clock, self._read_at = told, time.monotonic()

    def remember(self, lines: Iterable[Line]) -> None:
        if len(self.stood) > REMEMBERED:
            self.stood.clear()
        self.stood.update({line.account: line for line in lines})

    def forget(self, accounts: Iterable[Account]) -> None:
        for account in accounts:
            self.stood.pop(account, None)


_known: dict[tuple[str, int, str], Known] = {}


def known(connection: Connection) -> Known:
    """Of the database that a connection leads to."""
    told = connection.info
    return _known.setdefault((told.host, told.port, told.dbname), Known())


def state(line: Line) -> str:
    """As `STANDING` tells it."""
    least = "-" if line.least is None else line.least
    most = "-" if line.most is None else line.most
    at = "-" if line.at is None else (line.at - EPOCH) // MICROSECOND
    closed = "t" if line.closed else "f"
    return f"{line.id} {line.version} {line.balance} {line.held} {least} {most} {closed} {at}"


def read(names: Mapping[int, Account], state: str) -> Line:
    """A line of what `STANDING` tells."""
    id, version, balance, held, least, most, closed, at = state.split(" ")
    return Line(
        id=int(id),
        account=names[int(id)],
        balance=int(balance),
        held=int(held),
        version=int(version),
        least=None if least == "-" else int(least),
        most=None if most == "-" else int(most),
        at=None if at == "-" else EPOCH + timedelta(microseconds=int(at)),
        closed=closed == "t",
    )
