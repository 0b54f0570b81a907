"""Deposits: money that finally came into a custody, credited to its player once.

The facts themselves say what is still to be credited, so whoever was down goes on where it was. A
deposit's place on the chain is its reference: the books would refuse it a second time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from casino import outbox
from casino.custodies import Custody
from casino.outbox import Message
from db.arrays import numbers, texts
from db.session import driver
from ledger.accounts import Account, cash
from ledger.errors import Duplicate, Refusal
from ledger.posting import post_many
from ledger.transfers import Posted, Transfer, move

TYPE = "chain_deposit"
UNCLAIMED = "house:unclaimed"
BATCH = 500

# Others promote and retract these rows, and look for none that wait.
DUE = b"""
SELECT t.id, t.tx, t.index, t.amount, i.player_id
FROM chain_transfers t JOIN player_identities i ON i.casino_id = t.casino_id
    AND i.kind = 'wallet' AND i.scope = t.network AND i.external_id = t.player
WHERE t.source_id = %s AND t.direction = 'deposited' AND t.finality = 'finalized'
    AND t.transfer_id IS NULL AND t.asset = %s AND t.amount > 0
ORDER BY t.id LIMIT %s FOR UPDATE OF t SKIP LOCKED
"""
CREDITED = b"""
UPDATE chain_transfers t SET transfer_id = n.transfer_id
FROM unnest(%s::bigint[], %s::bigint[]) AS n(id, transfer_id) WHERE t.id = n.id
"""
STANDING = b"""
SELECT t.reference, t.id FROM transfers t JOIN unnest(%s::text[]) AS n(reference) USING (reference)
WHERE t.casino_id = %s AND t.type = %s
"""


@dataclass(frozen=True, slots=True)
class Deposit:
    """A final deposit that is not in the books yet."""

    id: int
    tx: str
    index: int
    amount: int
    player_id: int

    def transfer(self, custody: Custody, target: Account, why: str | None = None) -> Transfer:
        return move(
            TYPE,
            source=custody.account,
            target=target,
            amount=self.amount,
            reference=self.reference(custody),
            description=why,
            extra={"player": self.player_id, "tx": self.tx},
        )

    def reference(self, custody: Custody) -> str:
        return f"{custody.network}/{self.tx}/{self.index}"

    def told(self, custody: Custody, posted: Posted) -> Message:
        data = {"transfer": str(posted.id), "asset": custody.asset, "amount": str(self.amount)}
        data |= {"network": custody.network, "tx": self.tx, "at": posted.at.isoformat()}
        mine = posted.balances.get(cash(custody.casino_id, self.player_id, custody.asset))
        data["balance"] = str(mine)
        player = str(self.player_id)
        return Message("user", "wallet.deposited", custody.casino, data, player=player)


async def credit(session: AsyncSession, custody: Custody, *, limit: int = BATCH) -> int:
    """Credit final deposits of a custody, the oldest first; how many. Again while it is `limit`.

    What a player's account refuses, because it is closed or full, waits in `house:unclaimed`.
    """
    connection = await driver(session)
    asked = await connection.execute(DUE, (custody.source_id, custody.asset, limit))
    rows = await asked.fetchall()
    due = [Deposit(id, tx, index, int(amount), who) for id, tx, index, amount, who in rows]
    if not due:
        return 0
    answers = await post_many(
        session,
        [
            one.transfer(custody, cash(custody.casino_id, one.player_id, custody.asset))
            for one in due
        ],
    )
    posted = dict(zip(due, answers, strict=True))
    refused = [one for one, answer in posted.items() if isinstance(answer, Refusal)]
    ids = await _known(session, custody, posted)
    ids |= await _unclaimed(session, custody, [one for one in refused if one.id not in ids], posted)
    told = []
    for one, answer in posted.items():
        if isinstance(answer, Posted):
            ids[one.id] = answer.id
            told.append(one.told(custody, answer))
    await connection.execute(CREDITED, (numbers(ids), numbers(ids.values())))
    await outbox.announce(session, told)
    return len(due)


async def _known(
    session: AsyncSession, custody: Custody, posted: dict[Deposit, Posted | Refusal]
) -> dict[int, int]:
    """The transfers of deposits that stand already: a fact may be read anew from the chain."""
    twice = {
        one.reference(custody): one.id
        for one, answer in posted.items()
        if isinstance(answer, Duplicate)
    }
    if not twice:
        return {}
    connection = await driver(session)
    asked = await connection.execute(STANDING, (texts(twice), custody.casino_id, TYPE))
    return {twice[row[0]]: row[1] for row in await asked.fetchall()}


async def _unclaimed(
    session: AsyncSession,
    custody: Custody,
    refused: Sequence[Deposit],
    posted: dict[Deposit, Posted | Refusal],
) -> dict[int, int]:
    """The transfers of deposits that wait for a person to say whose they are."""
    if not refused:
        return {}
    waiting = Account(custody.casino_id, UNCLAIMED, custody.asset)
    answers = await post_many(
        session, [one.transfer(custody, waiting, str(posted[one])) for one in refused]
    )
    return {
        one.id: answer.id
        for one, answer in zip(refused, answers, strict=True)
        if isinstance(answer, Posted)
    }
