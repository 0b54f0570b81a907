"""Statements: entries page by page, what an account holds now, and what it held at a moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import tuple_row

from ledger.accounts import Account

Connection = psycopg.AsyncConnection[Any]

NOW = b"""
SELECT id, casino_id, name, asset, version, balance, held, posted_at
FROM accounts WHERE casino_id = %s AND name = ANY(%s) ORDER BY name, asset
"""
THEN = b"""
SELECT a.id, a.casino_id, a.name, a.asset, past.version, coalesce(e.after, 0), NULL, e.at
FROM accounts a CROSS JOIN LATERAL (SELECT version_at(a.id, %s) AS version OFFSET 0) past
LEFT JOIN entries e ON e.account_id = a.id AND e.version = past.version
WHERE a.casino_id = %s AND a.name = ANY(%s) ORDER BY a.name, a.asset
"""

# Every account is read backwards from where its part of the page begins, by the primary key.
ENTRIES = b"""
SELECT e.account_id, a.casino_id, a.name, a.asset, e.version, e.transfer_id, e.type, e.amount,
    e.before, e.after, e.at, e.reference, e.description, e.extra, e.reverses, ARRAY(
        SELECT DISTINCT o.name FROM entries f JOIN accounts o ON o.id = f.account_id
        WHERE f.transfer_id = e.transfer_id AND f.account_id <> a.id AND o.asset = a.asset
        ORDER BY o.name
    )
FROM unnest(%(accounts)s::bigint[]) AS asked(id)
JOIN accounts a ON a.id = asked.id
CROSS JOIN LATERAL (
    SELECT version_at(a.id, %(since)s::timestamptz) AS oldest,
        least(version_at(a.id, %(until)s::timestamptz), CASE
            WHEN %(account)s::bigint IS NULL THEN a.version
            WHEN a.id = %(account)s THEN %(version)s::bigint - 1
            WHEN a.id < %(account)s THEN version_at(a.id, edge.at)
            ELSE version_at(a.id, edge.at - interval '1 microsecond')
        END) AS newest
    FROM (SELECT (
        SELECT at FROM entries WHERE account_id = %(account)s AND version = %(version)s
    ) AS at) AS edge
    OFFSET 0
) part
CROSS JOIN LATERAL (
    SELECT e.*, t.type, t.reference, t.description, t.extra, t.reverses
    FROM entries e JOIN transfers t ON t.id = e.transfer_id
    WHERE e.account_id = a.id AND e.version > part.oldest AND e.version <= part.newest
        AND (%(type)s::text IS NULL OR t.type = %(type)s)
    ORDER BY e.version DESC LIMIT %(limit)s
) e
ORDER BY e.at DESC, e.account_id DESC, e.version DESC LIMIT %(limit)s
"""
BEGINNING = datetime.fromisoformat("0001-01-02T00:00:00+00:00")
END = datetime.fromisoformat("9999-12-30T00:00:00+00:00")
TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account holds, and after how many entries; `held` of it is set aside.

    What was set aside at an earlier moment is not known: then `held` is None.
    """

    id: int
    account: Account
    version: int
    balance: int
    held: int | None
    at: datetime | None

    @property
    def available(self) -> int | None:
        return None if self.held is None else self.balance - self.held


class Place(NamedTuple):
    """An entry: the account's number, and the entry's among those of the account."""

    account_id: int
    version: int


@dataclass(frozen=True, slots=True)
class Recorded:
    """An entry, why its transfer moved the money, and the `others` that gave or got it."""

    place: Place
    account: Account
    transfer_id: int
    type: str
    amount: int
    before: int
    after: int
    at: datetime
    reference: str | None
    description: str | None
    extra: Mapping[str, Any] | None
    reverses: int | None
    others: tuple[str, ...]


async def balances(
    connection: Connection, casino_id: int, names: Sequence[str], *, at: datetime | None = None
) -> list[Balance]:
    """Accounts of these names in all their assets, as they stand or as they stood at a moment."""
    query, values = NOW, [casino_id, list(names)]
    if at is not None:
        query, values = THEN, [at, *values]
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(query, values)
        return [_balance(*row) for row in await cursor.fetchall()]


async def entries(
    connection: Connection,
    accounts: Sequence[int],
    *,
    before: Place | None = None,
    type: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 100,
) -> list[Recorded]:
    """The newest entries of some accounts, those of a page after the one that ended at `before`.

    From `since` on, and before `until`. Entries that come meanwhile move no page. A type that is
    rare is looked for as far back as `since`.
    """
    values = {
        "accounts": list(accounts),
        "account": before and before.account_id,
        "version": before and before.version,
        "type": type,
        "since": BEGINNING if since is None else max(since, BEGINNING) - TICK,
        "until": END if until is None else max(until, BEGINNING) - TICK,
        "limit": limit,
    }
    if before is not None and before.account_id not in accounts:
        return []
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(ENTRIES, values)
        return [_recorded(*row) for row in await cursor.fetchall()]


def _balance(
    id: int,
    casino_id: int,
    name: str,
    asset: str,
    version: int,
    balance: Any,
    held: Any,
    at: datetime | None,
) -> Balance:
    account = Account(casino_id, name, asset)
    return Balance(id, account, version, int(balance), None if held is None else int(held), at)


def _recorded(account_id: int, *row: Any) -> Recorded:
    casino_id, name, asset, version, transfer_id, type, amount, before, after, at, *why = row
    reference, description, extra, reverses, others = why
    return Recorded(
        place=Place(account_id, version),
        account=Account(casino_id, name, asset),
        transfer_id=transfer_id,
        type=type,
        amount=int(amount),
        before=int(before),
        after=int(after),
        at=at,
        reference=reference,
        description=description,
        extra=extra,
        reverses=reverses,
        others=tuple(others),
    )
