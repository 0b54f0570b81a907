"""Withdrawals: a player's cash is held, approved, paid on its chain, and taken when that is final.

requested -> approved -> sending -> sent -> settled; rejected and failed give back what was held.
The name of a withdrawal on the chain follows from what was asked for: a request that comes again
after a restored backup is the same one there, and no contract pays it twice.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from types import ModuleType
from typing import Any, NamedTuple, Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from casino import audit, bonuses, outbox
from casino.audit import Note
from casino.bonuses import Grants, Wallet
from casino.commands import Answer, Command, Desk, Shelf
from casino.custodies import Custody
from casino.outbox import Message
from chains.errors import BadAddress
from chains.evm import address as evm
from chains.solana import address as solana
from db.arrays import numbers, texts, times
from db.pipeline import Statement
from db.session import driver
from ledger import posting
from ledger.accounts import Account, cash
from ledger.books import Books
from ledger.errors import Duplicate, Refusal
from ledger.transfers import Reference, move

TYPE = "chain_withdrawal"
BATCH = 200
RULE = "rule"
KEEPER = "house:keeper"
UNDER_WAY = ("approved", "sending", "sent")
ADDRESSES: Mapping[str, ModuleType] = {"eip155": evm, "solana": solana}


class AmountTooSmall(Refusal):
    code = "AMOUNT_TOO_SMALL"


class AmountTooLarge(Refusal):
    code = "AMOUNT_TOO_LARGE"


class BadRecipient(Refusal):
    """No address of this chain, with a wrong checksum, or one whose money nobody can move."""

    code = "BAD_ADDRESS"


class WrongNetwork(Refusal):
    """The address is of another network than the asset."""

    code = "WRONG_NETWORK"


class OwnAddress(Refusal):
    """The address is one of the custody's own: it would pay itself."""

    code = "OWN_ADDRESS"


class UnknownWithdrawal(Refusal):
    code = "UNKNOWN_WITHDRAWAL"


class WrongState(Refusal):
    """The withdrawal went on to where this cannot be done any more."""

    code = "WRONG_STATE"


class Limits(Protocol):
    """What one withdrawal may take, and up to where a rule approves it."""

    @property
    def least(self) -> int: ...
    @property
    def most(self) -> int | None: ...
    @property
    def automatic(self) -> int: ...
    @property
    def automatic_daily(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A withdrawal as it stands; its fields are the columns of its row."""

    id: int
    request: str
    casino_id: int
    player_id: int
    source_id: int
    network: str
    asset: str
    address: str
    amount: int
    hold_id: int
    actor: str
    state: str
    requested_at: datetime
    decided_by: str | None = None
    reason: str | None = None
    decided_at: datetime | None = None
    trouble: str | None = None
    tx: str | None = None
    transfer_id: int | None = None
    ended_at: datetime | None = None

    @property
    def body(self) -> dict[str, Any]:
        """What the doors say of it."""
        return {
            "id": str(self.id),
            "state": self.state,
            "player_id": self.player_id,
            "asset": self.asset,
            "amount": str(self.amount),
            "network": self.network,
            "address": self.address,
            "request": self.request,
            "actor": self.actor,
            "requested_at": self.requested_at.isoformat(),
            "decided_by": self.decided_by,
            "decided_at": _written(self.decided_at),
            "reason": self.reason,
            "trouble": self.trouble,
            "tx": self.tx,
            "ended_at": _written(self.ended_at),
        }

    @property
    def account(self) -> Account:
        return cash(self.casino_id, self.player_id, self.asset)

    def told(self, casino: str) -> Message:
        """What the feed says of it: not who decided, nor why."""
        kept = ("id", "state", "asset", "amount", "network", "address", "tx")
        data = {name: self.body[name] for name in kept}
        player = str(self.player_id)
        return Message("user", f"withdrawal.{self.state}", casino, data, player=player)


def _written(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


COLUMNS = tuple(one.name for one in fields(Withdrawal))
CHANGING = COLUMNS[COLUMNS.index("state") :]
NAMED = ", ".join(f"w.{name}" for name in COLUMNS)
CASTS: Mapping[str, tuple[str, Any]] = {
    **dict.fromkeys(("id", "player_id", "hold_id", "transfer_id"), ("bigint", numbers)),
    **dict.fromkeys(("casino_id", "source_id"), ("int", numbers)),
    **dict.fromkeys(("requested_at", "decided_at", "ended_at"), ("timestamptz", times)),
    "amount": ("numeric", numbers),
}
ARRAYS = ", ".join(f"%s::{CASTS.get(name, ('text',))[0]}[]" for name in COLUMNS)
FIND = f"SELECT {NAMED} FROM withdrawals w WHERE request = ANY(%s) ORDER BY request FOR UPDATE"
ADD = f"INSERT INTO withdrawals ({', '.join(COLUMNS)}) SELECT * FROM unnest({ARRAYS})"
CHANGE = (
    f"UPDATE withdrawals w SET {', '.join(f'{name} = n.{name}' for name in CHANGING)}"
    f" FROM unnest({ARRAYS}) AS n({', '.join(COLUMNS)}) WHERE w.request = n.request"
)


def found(row: Sequence[Any]) -> Withdrawal:
    """A row of `NAMED` columns."""
    values = dict(zip(COLUMNS, row, strict=True))
    return Withdrawal(**{**values, "amount": int(values["amount"])})


class Withdrawals(Shelf[str, Withdrawal]):
    """Withdrawals by their request."""

    @classmethod
    def find(cls, keys: Sequence[str]) -> Statement:
        return FIND.encode(), (list(keys),)

    @classmethod
    def read(cls, row: Sequence[Any]) -> tuple[str, Withdrawal]:
        one = found(row)
        return one.request, one

    def writes(self) -> Iterable[Statement]:
        changed = [self.changed[key] for key in sorted(self.changed)]
        yield from written([one for one in changed if one.request not in self.found], by=ADD)
        yield from written([one for one in changed if one.request in self.found])


def written(rows: Sequence[Withdrawal], *, by: str = CHANGE) -> Iterable[Statement]:
    """What writes withdrawals, if there are any; new ones `by` `ADD`."""
    if rows:
        columns = (
            CASTS.get(name, ("text", texts))[1](getattr(one, name) for one in rows)
            for name in COLUMNS
        )
        yield by.encode(), tuple(columns)


class Day(NamedTuple):
    """Whose withdrawals a rule counts together."""

    casino_id: int
    player_id: int
    asset: str


class Days(Shelf[Day, int]):
    """What was approved by rule for a player in the last 24 hours; only read, never written."""

    FIND = b"""
    SELECT w.casino_id, w.player_id, w.asset, sum(w.amount)
    FROM withdrawals w
    JOIN unnest(%s::int[], %s::bigint[], %s::text[]) AS n(casino_id, player_id, asset)
        USING (casino_id, player_id, asset)
    WHERE w.decided_by = 'rule' AND w.state <> 'failed' AND w.state <> 'rejected'
        AND w.requested_at > clock_timestamp() - interval '24 hours'
    GROUP BY 1, 2, 3
    """

    @classmethod
    def find(cls, keys: Sequence[Day]) -> Statement:
        casino_ids, player_ids, assets = zip(*keys, strict=True)
        return cls.FIND, (numbers(casino_ids), numbers(player_ids), texts(assets))

    @classmethod
    def read(cls, row: Sequence[Any]) -> tuple[Day, int]:
        return Day(*row[:3]), int(row[3])

    def writes(self) -> Iterable[Statement]:
        return ()


@dataclass(frozen=True, kw_only=True)
class Request(Command):
    """Money of a player, to be paid to an address on the custody's network.

    It ends an active bonus: what is wagered becomes cash first, and anything else is forfeited.
    """

    player_id: int
    amount: int
    address: str
    custody: Custody
    limits: Limits

    @property
    def verb(self) -> str:
        return "withdrawal.request"

    @property
    def request(self) -> str:
        """32 bytes in hex that stand for all of what is asked, by whom and under which key."""
        said = [self.custody.network, self.custody.address, self.scope, self.key]
        said += [str(self.player_id), str(self.amount), self.address]
        parts = [struct.pack("<I", len(one.encode())) + one.encode() for one in said]
        return hashlib.sha256(b"fairhouse withdrawal" + b"".join(parts)).hexdigest()

    def asked(self) -> Mapping[str, Any]:
        return {
            "player": self.player_id,
            "asset": self.custody.asset,
            "amount": str(self.amount),
            "address": self.address,
            "custody": self.custody.address,
        }

    def accounts(self) -> Iterable[Account]:
        return (*self._wallet.accounts(), *self._wallet.exits())

    def rows(self) -> Iterable[tuple[type[Shelf[Any, Any]], Any]]:
        return ((Withdrawals, self.request), (Days, self._day), (Grants, self._wallet))

    def decide(self, desk: Desk) -> Answer:
        recipient = payable(self.custody, self.address)
        self._within()
        if desk.shelf(Withdrawals).get(self.request) is not None:
            raise Duplicate("this withdrawal was asked for before", reference=self.request)
        bonuses.withdrawn(desk, self._wallet, self.amount)
        held = desk.books.hold(self._wallet.cash, self.amount, reference=self.request)
        row = Withdrawal(
            id=desk.books.number(),
            request=self.request,
            casino_id=self.casino_id,
            player_id=self.player_id,
            source_id=self.custody.source_id,
            network=self.custody.network,
            asset=self.custody.asset,
            address=recipient,
            amount=self.amount,
            hold_id=held.id,
            actor=self.actor,
            state="requested",
            requested_at=desk.books.now,
        )
        row = self._ruled(desk, row)
        desk.shelf(Withdrawals).put(self.request, row)
        desk.messages.append(row.told(self.custody.casino))
        return Answer(row.body)

    @property
    def _wallet(self) -> Wallet:
        return Wallet(self.casino_id, self.player_id, self.custody.asset)

    @property
    def _day(self) -> Day:
        return Day(self.casino_id, self.player_id, self.custody.asset)

    def _within(self) -> None:
        """Raises `AmountTooSmall`, `AmountTooLarge`."""
        largest = _room(self.custody.network).LARGEST
        most = largest if self.limits.most is None else min(self.limits.most, largest)
        if self.amount < self.limits.least:
            raise AmountTooSmall(
                f"a withdrawal takes at least {self.limits.least}", least=str(self.limits.least)
            )
        if self.amount > most:
            raise AmountTooLarge(f"a withdrawal takes at most {most}", most=str(most))

    def _ruled(self, desk: Desk, row: Withdrawal) -> Withdrawal:
        """Approved at once if it is small, and the player's others of the day are."""
        days = desk.shelf(Days)
        together = (days.get(self._day) or 0) + self.amount
        if self.amount > self.limits.automatic or together > self.limits.automatic_daily:
            return row
        days.put(self._day, together)
        return replace(row, state="approved", decided_by=RULE, decided_at=desk.books.now)


@dataclass(frozen=True, kw_only=True)
class Decision(Command):
    """A person approves or rejects a withdrawal, and says why."""

    request: str
    hold_id: int
    account: Account
    casino: str
    reason: str
    approved: bool

    @property
    def verb(self) -> str:
        return "withdrawal.approve" if self.approved else "withdrawal.reject"

    def asked(self) -> Mapping[str, Any]:
        return {"request": self.request, "reason": self.reason}

    def accounts(self) -> Iterable[Account]:
        return () if self.approved else (self.account,)

    def holds(self) -> Iterable[int]:
        return () if self.approved else (self.hold_id,)

    def rows(self) -> Iterable[tuple[type[Shelf[Any, Any]], Any]]:
        return ((Withdrawals, self.request),)

    def decide(self, desk: Desk) -> Answer:
        shelf = desk.shelf(Withdrawals)
        row = shelf.get(self.request)
        if row is None or row.casino_id != self.casino_id:
            raise UnknownWithdrawal("there is no such withdrawal", request=self.request)
        open_to = ("requested",) if self.approved else ("requested", "approved")
        if row.state not in open_to:
            raise WrongState(f"withdrawal {row.id} is {row.state}", state=row.state)
        now, state = desk.books.now, "approved" if self.approved else "rejected"
        if not self.approved:
            desk.books.release(row.hold_id)
        row = replace(
            row,
            state=state,
            decided_by=self.actor,
            decided_at=now,
            reason=self.reason,
            ended_at=None if self.approved else now,
        )
        shelf.put(self.request, row)
        desk.messages.append(row.told(self.casino))
        return Answer(row.body)


def payable(custody: Custody, text: str) -> str:
    """The address as we write it; CAIP-10 may name its network.

    Raises `WrongNetwork`, `BadRecipient`, `OwnAddress`.
    """
    room = _room(custody.network)
    network, scoped, bare = text.rpartition(":")
    if scoped and network != custody.network:
        raise WrongNetwork(f"the asset is on {custody.network}", network=custody.network)
    try:
        address: str = room.canonical(bare)
    except BadAddress as error:
        if any(other is not room and other.is_valid(bare) for other in ADDRESSES.values()):
            raise WrongNetwork(
                f"an address of another chain: the asset is on {custody.network}",
                network=custody.network,
            ) from error
        raise BadRecipient(str(error)) from error
    if address in room.of_program(custody.address):
        raise OwnAddress(f"{address} is the custody's own")
    if room.lost(room.parse(address)):
        raise BadRecipient(f"nobody could move what is sent to {address}")
    return address


def _room(network: str) -> ModuleType:
    return ADDRESSES[network.partition(":")[0]]


@dataclass(frozen=True, slots=True)
class Payment:
    """A signed tx that pays a withdrawal if it lands.

    On EVM `tx_nonce` is its number among those of its `sender`, on Solana `last_valid` the block
    height after which it never lands.
    """

    tx: str
    sender: str
    raw: bytes
    tx_nonce: int | None = None
    last_valid: int | None = None


class Overtaken(Exception):
    """A withdrawal is not where it was: what was to be done with it must not be done."""


APPROVED = f"""
SELECT {NAMED} FROM withdrawals w WHERE w.source_id = %s AND w.state = 'approved'
    AND NOT EXISTS (SELECT FROM chain_transfers t WHERE t.request = w.request
        AND t.source_id = w.source_id AND t.direction = 'withdrawn' AND t.finality <> 'retracted')
    AND w.id <> ALL(%s) ORDER BY w.id LIMIT %s
"""
UNLANDED = f"""
SELECT {NAMED} FROM withdrawals w WHERE w.source_id = %s AND w.state IN ('sending', 'sent')
    AND NOT EXISTS (SELECT FROM chain_transfers t WHERE t.request = w.request
        AND t.source_id = w.source_id AND t.direction = 'withdrawn' AND t.finality <> 'retracted')
    AND w.id <> ALL(%s) ORDER BY w.id LIMIT %s
"""
PAYMENTS = b"""
SELECT tx, sender, raw, tx_nonce, last_valid FROM payments WHERE withdrawal_id = %s ORDER BY id
"""
SIGNED = b"""
UPDATE withdrawals SET state = CASE state WHEN 'sent' THEN 'sent' ELSE 'sending' END, trouble = NULL
WHERE id = %s AND state = ANY(%s) RETURNING id
"""
PAY = b"""
INSERT INTO payments (withdrawal_id, tx, sender, raw, tx_nonce, last_valid)
VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (tx) DO NOTHING
"""
SENT = b"UPDATE withdrawals SET state = 'sent' WHERE id = %s AND state = 'sending'"
TROUBLE = b"""
UPDATE withdrawals SET trouble = %s
WHERE id = %s AND state = ANY(%s) AND trouble IS DISTINCT FROM %s RETURNING id
"""


async def to_pay(
    session: AsyncSession, custody: Custody, *, but: Sequence[int] = (), limit: int = BATCH
) -> list[Withdrawal]:
    """Approved ones that nothing was signed for; the oldest first."""
    return await _listed(session, APPROVED, custody, but, limit)


async def unlanded(
    session: AsyncSession, custody: Custody, *, but: Sequence[int] = (), limit: int = BATCH
) -> list[Withdrawal]:
    """Those that something was signed for, and whose landing nobody has seen."""
    return await _listed(session, UNLANDED, custody, but, limit)


async def payments(session: AsyncSession, withdrawal: Withdrawal) -> list[Payment]:
    """All that was ever signed for a withdrawal, the oldest first."""
    connection = await driver(session)
    rows = await (await connection.execute(PAYMENTS, (withdrawal.id,))).fetchall()
    return [Payment(tx, sender, bytes(raw), *more) for tx, sender, raw, *more in rows]


async def signed(session: AsyncSession, withdrawal: Withdrawal, payment: Payment) -> None:
    """Keep a signed tx before anybody else has it.

    The first one for a withdrawal is signed by whoever comes first. Raises `Overtaken` when the
    withdrawal went on meanwhile: then it must not be sent.
    """
    connection = await driver(session)
    expected = ["approved"] if withdrawal.state == "approved" else ["sending", "sent"]
    done = await connection.execute(SIGNED, (withdrawal.id, expected))
    if await done.fetchone() is None:
        raise Overtaken(f"withdrawal {withdrawal.id} is not {withdrawal.state} any more")
    values = (payment.tx, payment.sender, payment.raw, payment.tx_nonce, payment.last_valid)
    await connection.execute(PAY, (withdrawal.id, *values))


async def sent(session: AsyncSession, withdrawal: Withdrawal) -> None:
    """A node has taken what was signed."""
    await (await driver(session)).execute(SENT, (withdrawal.id,))


async def wait(session: AsyncSession, withdrawal: Withdrawal, trouble: str | None) -> bool:
    """Say why a withdrawal waits, or that it does no more; whether that is news."""
    values = (trouble, withdrawal.id, list(UNDER_WAY), trouble)
    done = await (await driver(session)).execute(TROUBLE, values)
    return await done.fetchone() is not None


async def _listed(
    session: AsyncSession, query: str, custody: Custody, but: Sequence[int], limit: int
) -> list[Withdrawal]:
    connection = await driver(session)
    values = (custody.source_id, list(but), limit)
    asked = await connection.execute(query.encode(), values)
    return [found(row) for row in await asked.fetchall()]


# A fact that says another amount or address than was asked for settles nothing: it is a stray.
LANDED = f"""
SELECT {NAMED}, t.tx FROM withdrawals w JOIN chain_transfers t ON t.request = w.request
    AND t.source_id = w.source_id AND t.direction = 'withdrawn' AND t.finality = 'finalized'
    AND t.player = w.address AND t.amount = w.amount AND t.asset = w.asset
WHERE w.source_id = %s AND w.state IN ('approved', 'sending', 'sent') AND w.id <> ALL(%s)
ORDER BY w.id LIMIT %s
"""
Ending = Callable[[Books, Withdrawal], Withdrawal]


@dataclass(frozen=True, slots=True)
class Ended:
    """Withdrawals that ended, and those whose accounts refuse it although the chain is done."""

    done: list[Withdrawal]
    refused: dict[int, Refusal]


async def settle(
    session: AsyncSession, custody: Custody, *, but: Sequence[int] = (), limit: int = BATCH
) -> Ended:
    """Take what was held for payments that are final on the chain. Again while it is `limit`."""
    connection = await driver(session)
    asked = await connection.execute(LANDED.encode(), (custody.source_id, list(but), limit))
    rows = await asked.fetchall()
    txs = {row[COLUMNS.index("request")]: row[-1] for row in rows}

    def taken(books: Books, row: Withdrawal) -> Withdrawal:
        tx = txs[row.request]
        transfer = move(
            TYPE,
            source=row.account,
            target=custody.account,
            amount=row.amount,
            reference=row.request,
            extra={"tx": tx, "address": row.address},
        )
        posted = books.capture(row.hold_id, transfer)
        ended = replace(row, state="settled", tx=tx, trouble=None, ended_at=posted.at)
        return replace(ended, transfer_id=posted.id)

    return await _end(session, custody, [found(row[:-1]) for row in rows], taken)


async def fail(session: AsyncSession, custody: Custody, withdrawal: Withdrawal, why: str) -> Ended:
    """Give back what was held for one that was not paid and never will be, with a note of it."""

    def given_back(books: Books, row: Withdrawal) -> Withdrawal:
        books.release(row.hold_id)
        return replace(row, state="failed", ended_at=books.now)

    ended = await _end(session, custody, [withdrawal], given_back)
    await audit.note_many(session, [_failed(withdrawal, row, why) for row in ended.done])
    return ended


def _failed(before: Withdrawal, after: Withdrawal, why: str) -> Note:
    about = {"withdrawal": str(after.id), "request": after.request, "hold": str(after.hold_id)}
    return Note(
        casino_id=after.casino_id,
        actor=KEEPER,
        action="withdrawal.failed",
        reason=why,
        before={**about, "state": before.state, "held": str(after.amount), "asset": after.asset},
        after={**about, "state": after.state, "held": "0", "asset": after.asset},
    )


async def _end(
    session: AsyncSession, custody: Custody, rows: Sequence[Withdrawal], ending: Ending
) -> Ended:
    """End withdrawals on the books, each by itself; one that went on meanwhile is left alone."""
    ended = Ended([], {})
    if not rows:
        return ended
    requests = sorted(one.request for one in rows)
    books, [held] = await posting.opened(
        session,
        {custody.account, *(one.account for one in rows)},
        references=[Reference(custody.casino_id, request, TYPE) for request in requests],
        holds=[one.hold_id for one in rows],
        also=[Withdrawals.find(requests)],
    )
    for row in map(found, held):
        if row.state in UNDER_WAY:
            try:
                with books.attempt():
                    ended.done.append(ending(books, row))
            except Refusal as refusal:
                ended.refused[row.id] = refusal
    told = [one.told(custody.casino) for one in ended.done]
    also = [*written(ended.done), *([outbox.statement(told)] if told else [])]
    await posting.written(session, books, also=also)
    return ended
