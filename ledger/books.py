"""Locked accounts, on which transfers and holds are decided one by one in plain Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

from ledger.accounts import Account
from ledger.errors import (
    AccountClosed,
    AlreadyReversed,
    Duplicate,
    HoldEnded,
    HoldExceeded,
    InsufficientFunds,
    LimitExceeded,
    UnknownAccount,
    VersionMismatch,
)
from ledger.transfers import MOST, Posted, Posting, Reference, Transfer

T = TypeVar("T")

TICK = timedelta(microseconds=1)


@dataclass(slots=True)
class Line:
    """A locked account as it stands after what was decided so far."""

    id: int
    account: Account
    balance: int
    held: int
    version: int
    least: int | None
    most: int | None
    at: datetime | None
    closed: bool

    @property
    def available(self) -> int:
        return self.balance - self.held


class Stood(NamedTuple):
    """How a line stood before it was moved."""

    line: Line
    balance: int
    held: int
    version: int
    at: datetime | None


Undo = Stood | Callable[[], object]


def _take_back(undo: Undo) -> None:
    if isinstance(undo, Stood):
        line = undo.line
        line.balance, line.held, line.version, line.at = undo[1:]
    else:
        undo()


@dataclass(slots=True)
class Held:
    """A hold as it stands after what was decided so far."""

    id: int
    line: Line
    amount: int
    remaining: int
    state: str
    reference: str | None
    expires_at: datetime | None


class Entry(NamedTuple):
    """A row to write: one posting of a transfer."""

    account_id: int
    version: int
    transfer_id: int
    amount: int
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Written:
    """A transfer to write."""

    id: int
    transfer: Transfer
    hold_id: int | None
    at: datetime


class Attempt:
    """Takes back what was decided on books since it began, and what was `told`, if it fails.

    Rows to write only grow, so it remembers how many there were.
    """

    __slots__ = ("_books", "_grown", "_lengths", "_outer", "_undo")

    def __init__(self, books: Books, told: list[Any] | None = None) -> None:
        self._books = books
        rows: list[list[Any]] = [books.transfers, books.entries, books.made]
        self._grown = rows if told is None else [*rows, told]

    def __enter__(self) -> None:
        self._lengths = [len(rows) for rows in self._grown]
        self._undo: list[Undo] = []
        self._outer, self._books._undo = self._books._undo, self._undo

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._books._undo = self._outer
        if kind is not None:
            while self._undo:
                _take_back(self._undo.pop())
            for rows, length in zip(self._grown, self._lengths, strict=True):
                del rows[length:]
        elif self._outer is not None:
            self._outer.extend(self._undo)


@dataclass(slots=True)
class Books:
    """Accounts that nobody else can move before this transaction ends.

    `taken` are references that stand (casino, reference, type), `reversed` transfers that were
    taken back: those among them that the caller's transfers name. `number` gives the next number.
    `busy` are accounts that somebody else keeps, `busy_holds` the holds on them.
    """

    now: datetime
    lines: dict[Account, Line]
    holds: dict[int, Held]
    taken: set[Reference]
    reversed: set[int]
    number: Callable[[], int]
    busy: set[Account] = field(default_factory=set)
    busy_holds: set[int] = field(default_factory=set)
    transfers: list[Written] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    made: list[Held] = field(default_factory=list)
    moved: dict[int, Held] = field(default_factory=dict)
    _undo: list[Undo] | None = None

    def line(self, account: Account) -> Line:
        """Raises `UnknownAccount` when it is none of the locked ones."""
        try:
            return self.lines[account]
        except KeyError:
            raise UnknownAccount(f"no account {account.name}", account=account.name) from None

    def attempt(self) -> Attempt:
        """All of a `with` block or nothing: an exception takes back what it did before it.

        Within another attempt, it is a part of that one: taken back with it, or before it alone.
        """
        return Attempt(self)

    def post(self, transfer: Transfer, *, hold_id: int | None = None) -> Posted:
        """One transfer, if the accounts allow it as they stand now.

        Raises a `Refusal`, and then nothing has changed.
        """
        lines = [self.line(account) for account, _ in transfer.postings]
        standing = transfer.standing
        self._agree(transfer, standing)
        _allow(transfer.postings, lines)
        at = self.now
        for line in lines:
            if line.at is not None and line.at >= at:
                at = line.at + TICK
        id = self.number()
        for posting, line in zip(transfer.postings, lines, strict=True):
            self._enter(id, line, posting.amount, at)
        self.transfers.append(Written(id, transfer, hold_id, at))
        if standing is not None:
            self._add(self.taken, standing)
        if transfer.reverses is not None:
            self._add(self.reversed, transfer.reverses)
        return Posted(id, at, {line.account: line.balance for line in lines})

    def hold(
        self,
        account: Account,
        amount: int,
        *,
        reference: str | None = None,
        expires_at: datetime | None = None,
    ) -> Held:
        """Set money aside. Raises a `Refusal`, and then nothing has changed."""
        line = self.line(account)
        if amount <= 0:
            raise ValueError(f"a hold of {amount}")
        if line.closed:
            raise closed(line)
        if line.least is not None and line.available - amount < line.least:
            raise short(line, amount)
        self._keep(line)
        line.held += amount
        held = Held(self.number(), line, amount, amount, "open", reference, expires_at)
        self.made.append(held)
        self.holds[held.id] = held
        self.later(lambda: self.holds.pop(held.id))
        return held

    def capture(self, id: int, transfer: Transfer, *, final: bool = True) -> Posted:
        """Spend what was set aside, in part or wholly; a final capture releases the rest.

        The transfer takes from the hold's account. Raises a `Refusal`, and then nothing changed.
        """
        held = self.holding(id)
        mine = [amount for account, amount in transfer.postings if account == held.line.account]
        taken = -sum(mine)
        if taken <= 0:
            raise ValueError("a capture takes from the account of its hold")
        if taken > held.remaining:
            raise HoldExceeded(
                f"hold {id} has {held.remaining} left, not {taken}",
                hold=id,
                remaining=held.remaining,
            )
        freed = held.remaining if final else taken
        self._keep(held.line)
        held.line.held -= freed
        try:
            posted = self.post(transfer, hold_id=id)
        except BaseException:
            held.line.held += freed
            raise
        self._shrink(held, freed, "captured")
        return posted

    def release(self, id: int, *, state: str = "released") -> int:
        """Give back what a hold still sets aside; how much. Raises `HoldEnded`."""
        held = self.holding(id, expired=state == "expired")
        freed = held.remaining
        self._keep(held.line)
        held.line.held -= freed
        self._shrink(held, freed, state)
        return freed

    def holding(self, id: int, *, expired: bool = False) -> Held:
        """An open hold; one past its time only when it is to be ended. Raises `HoldEnded`."""
        held = self.holds.get(id)
        if held is None:
            raise HoldEnded(f"there is no hold {id}", hold=id, state="unknown")
        late = held.expires_at is not None and held.expires_at <= self.now and not expired
        if held.state != "open" or late:
            state = "expired" if held.state == "open" else held.state
            raise HoldEnded(f"hold {id} is {state}", hold=id, state=state)
        return held

    def _agree(self, transfer: Transfer, standing: Reference | None) -> None:
        """Raises a `Refusal` when the transfer stands already, or an account moved on."""
        if standing in self.taken:
            raise Duplicate(
                f"{transfer.type} {transfer.reference} stands already",
                reference=transfer.reference,
            )
        if transfer.reverses is not None and transfer.reverses in self.reversed:
            raise AlreadyReversed(
                f"transfer {transfer.reverses} is reversed", transfer=transfer.reverses
            )
        for account, version in transfer.expect.items():
            found = self.line(account).version
            if found != version:
                raise VersionMismatch(
                    f"{account.name} is at version {found}, not {version}",
                    account=account.name,
                    version=found,
                )

    def _enter(self, transfer_id: int, line: Line, amount: int, at: datetime) -> None:
        self._keep(line)
        before = line.balance
        line.balance = after = before + amount
        line.version = version = line.version + 1
        line.at = at
        self.entries.append(Entry(line.id, version, transfer_id, amount, before, after))

    def _shrink(self, held: Held, freed: int, state: str) -> None:
        before = (held.remaining, held.state)
        held.remaining -= freed
        held.state = state if held.remaining == 0 else "open"
        known = held.id in self.moved
        self.moved[held.id] = held

        def undo() -> None:
            held.remaining, held.state = before
            if not known:
                del self.moved[held.id]

        self.later(undo)

    def _keep(self, line: Line) -> None:
        """Remember how a line stood, for an attempt that fails."""
        if self._undo is not None:
            self._undo.append(Stood(line, line.balance, line.held, line.version, line.at))

    def _add(self, known: set[T], one: T) -> None:
        known.add(one)
        self.later(lambda: known.discard(one))

    def later(self, undo: Callable[[], object]) -> None:
        """What takes back a change beside the books, should the attempt under way fail."""
        if self._undo is not None:
            self._undo.append(undo)


def _allow(postings: Sequence[Posting], lines: Sequence[Line]) -> None:
    """Raises a `Refusal` when an account is closed, or would end below or above its limits."""
    change: dict[int, int] = {}
    for posting, line in zip(postings, lines, strict=True):
        change[line.id] = change.get(line.id, 0) + posting.amount
        if abs(line.balance + change[line.id]) > MOST:
            raise beyond(line, MOST, line.balance + change[line.id])
    for line in lines:
        if line.closed:
            raise closed(line)
        moved = change[line.id]
        if moved < 0 and line.least is not None and line.available + moved < line.least:
            raise short(line, -moved)
        if moved > 0 and line.most is not None and line.balance + moved > line.most:
            raise beyond(line, line.most, line.balance + moved)


def closed(line: Line) -> AccountClosed:
    return AccountClosed(f"{line.account.name} is closed", account=line.account.name)


def beyond(line: Line, most: int, wanted: int) -> LimitExceeded:
    return LimitExceeded(
        f"{line.account.name} may hold {most}, not {wanted}",
        account=line.account.name,
        most=str(most),
    )


def short(line: Line, wanted: int) -> InsufficientFunds:
    return InsufficientFunds(
        f"{line.account.name} has {line.available} {line.account.asset} to spend, not {wanted}",
        account=line.account.name,
        asset=line.account.asset,
        available=str(line.available),
        wanted=str(wanted),
    )
