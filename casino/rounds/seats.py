"""Rounds and bets as rows beside the books: what a bet is decided by, and what it leaves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from casino.commands import Made, Shelf
from casino.stakes import Split
from db.arrays import documents, numbers, texts, times
from db.pipeline import Statement

WAITING, CLOSED, DRAWN = "waiting", "closed", "drawn"
SETTLED, VOID, SKIPPED = "settled", "void", "skipped"
PLACED, WON, LOST, RETURNED, OWED = "placed", "won", "lost", "returned", "owed"

# LIMIT keeps it a look at the index for each key, however little the planner knows of the table.
ROUNDS = b"""
SELECT r.*, b.max_liability, b.pay_id, b.signer
FROM unnest(%s::int[], %s::bigint[]) AS n(table_id, number)
CROSS JOIN LATERAL (
    SELECT table_id, number, batch_first, state, opens_at, closes_at, bets, stake, liability, risk
    FROM rounds WHERE table_id = n.table_id AND number = n.number LIMIT 1 FOR NO KEY UPDATE
) r
CROSS JOIN LATERAL (
    SELECT max_liability, pay_id, signer FROM round_batches
    WHERE table_id = r.table_id AND first = r.batch_first LIMIT 1
) b
"""
GROWN = b"""
UPDATE rounds r SET bets = n.bets, stake = n.stake, liability = n.liability, risk = n.risk
FROM unnest(%s::int[], %s::bigint[], %s::int[], %s::numeric[], %s::numeric[], %s::numeric[])
    AS n(table_id, number, bets, stake, liability, risk)
WHERE (r.table_id, r.number) = (n.table_id, n.number)
"""
STAKED = b"""
SELECT n.table_id, n.number, n.player_id, (
    SELECT coalesce(sum(stake), 0) FROM round_bets
    WHERE table_id = n.table_id AND number = n.number AND player_id = n.player_id
)
FROM unnest(%s::int[], %s::bigint[], %s::bigint[]) AS n(table_id, number, player_id)
"""
# Of rounds that take bets, or took them and are not over; those that never opened risk nothing.
RISKED = b"""
SELECT n.casino_id, n.asset, (
    SELECT coalesce(sum(r.risk), 0) FROM round_tables t
    JOIN rounds r ON r.table_id = t.id AND r.state IN ('waiting', 'closed', 'drawn')
        AND r.opens_at < clock_timestamp() + interval '1 minute'
    WHERE t.casino_id = n.casino_id AND t.asset = n.asset
)
FROM unnest(%s::int[], %s::text[]) AS n(casino_id, asset)
"""
MADE = b"""
INSERT INTO round_bets (id, table_id, number, position, bet, casino_id, player_id, account, payee,
    choice, params, stake, cash, bonus, grant_id, liability, leaf, transfer_id, at)
SELECT id, table_id, number, position, decode(bet, 'hex'), casino_id, player_id, account,
    decode(payee, 'hex'), choice, decode(params, 'hex'), stake, cash, bonus, grant_id, liability,
    decode(leaf, 'hex'), transfer_id, at
FROM unnest(%s::bigint[], %s::int[], %s::bigint[], %s::int[], %s::text[], %s::int[], %s::bigint[],
    %s::text[], %s::text[], %s::jsonb[], %s::text[], %s::numeric[], %s::numeric[], %s::numeric[],
    %s::bigint[], %s::numeric[], %s::text[], %s::bigint[], %s::timestamptz[])
    AS n(id, table_id, number, position, bet, casino_id, player_id, account, payee, choice, params,
        stake, cash, bonus, grant_id, liability, leaf, transfer_id, at)
"""
ENDED = b"""
UPDATE round_bets b SET state = n.state, payout = n.payout, paid_id = n.paid_id, ended_at = n.at
FROM unnest(%s::bigint[], %s::text[], %s::numeric[], %s::bigint[], %s::timestamptz[])
    AS n(id, state, payout, paid_id, at)
WHERE b.id = n.id
"""


class RoundKey(NamedTuple):
    """Where a round stands."""

    table_id: int
    number: int


@dataclass(frozen=True, slots=True)
class Round:
    """A round as a bet finds it; the sums are those of the bets it took so far.

    `risk` is the most that they win beyond their stakes, in the table's asset, and `liability` what
    backs that. `signer` is the address that its batch is bound to.
    """

    state: str
    opens_at: datetime
    closes_at: datetime
    bets: int
    stake: int
    liability: int
    risk: int
    max_liability: int
    pay_id: int
    signer: bytes


class Rounds(Shelf[RoundKey, Round]):
    """Rounds that take bets: locked, so that closing waits for who came in time."""

    @classmethod
    def find(cls, keys: Sequence[RoundKey]) -> Statement:
        tables, rounds = zip(*keys, strict=True)
        return ROUNDS, (numbers(tables), numbers(rounds))

    @classmethod
    def read(cls, row: Sequence[Any]) -> tuple[RoundKey, Round]:
        table_id, number, _, state, opens_at, closes_at, bets, *sums, pay_id, signer = row
        stake, liability, risk, most = map(int, sums)
        times = (opens_at, closes_at)
        found = Round(state, *times, bets, stake, liability, risk, most, pay_id, bytes(signer))
        return RoundKey(table_id, number), found

    def writes(self) -> Iterable[Statement]:
        keys = sorted(self.changed)
        rounds = [self.changed[key] for key in keys]
        yield (
            GROWN,
            (
                numbers(key.table_id for key in keys),
                numbers(key.number for key in keys),
                numbers(one.bets for one in rounds),
                numbers(one.stake for one in rounds),
                numbers(one.liability for one in rounds),
                numbers(one.risk for one in rounds),
            ),
        )


class Seat(NamedTuple):
    """A player in a round."""

    table_id: int
    number: int
    player_id: int


class Seats(Shelf[Seat, int]):
    """What players have staked in a round; only read, and behind the lock of the player's money."""

    @classmethod
    def find(cls, keys: Sequence[Seat]) -> Statement:
        return STAKED, tuple(numbers(column) for column in zip(*keys, strict=True))

    @classmethod
    def read(cls, row: Sequence[Any]) -> tuple[Seat, int]:
        return Seat(*row[:3]), int(row[3])

    def writes(self) -> Iterable[Statement]:
        return ()


class Stakes(NamedTuple):
    """All rounds of a casino in one asset."""

    casino_id: int
    asset: str


class Risks(Shelf[Stakes, int]):
    """What a casino may lose in rounds that are not over, at all its tables.

    Only read, and behind the lock of the account that takes the casino's stakes in this asset:
    whoever takes a bet locks it, so the sum counts every bet before.
    """

    @classmethod
    def find(cls, keys: Sequence[Stakes]) -> Statement:
        casinos, assets = zip(*keys, strict=True)
        return RISKED, (numbers(casinos), texts(assets))

    @classmethod
    def read(cls, row: Sequence[Any]) -> tuple[Stakes, int]:
        return Stakes(*row[:2]), int(row[2])

    def writes(self) -> Iterable[Statement]:
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bet:
    """An accepted bet; see `db.rounds`."""

    id: int
    key: RoundKey
    position: int
    bet: bytes
    casino_id: int
    player_id: int
    account: str
    payee: bytes
    choice: dict[str, Any]
    params: bytes
    split: Split
    liability: int
    leaf: bytes
    transfer_id: int
    at: datetime

    @property
    def stake(self) -> int:
        return self.split.total


class Bets(Made[int, Bet]):
    """Bets that were accepted, by their numbers."""

    def writes(self) -> Iterable[Statement]:
        made = [self.changed[id] for id in sorted(self.changed)]
        yield (
            MADE,
            (
                numbers(one.id for one in made),
                numbers(one.key.table_id for one in made),
                numbers(one.key.number for one in made),
                numbers(one.position for one in made),
                texts(one.bet.hex() for one in made),
                numbers(one.casino_id for one in made),
                numbers(one.player_id for one in made),
                texts(one.account for one in made),
                texts(one.payee.hex() for one in made),
                documents(one.choice for one in made),
                texts(one.params.hex() for one in made),
                numbers(one.stake for one in made),
                numbers(one.split.cash for one in made),
                numbers(one.split.bonus for one in made),
                numbers(one.split.grant for one in made),
                numbers(one.liability for one in made),
                texts(one.leaf.hex() for one in made),
                numbers(one.transfer_id for one in made),
                times(one.at for one in made),
            ),
        )


class Ending(NamedTuple):
    """What became of a bet."""

    state: str
    payout: int
    paid_id: int | None
    at: datetime | None


class Endings(Made[int, Ending]):
    """Endings of bets by their numbers; the database holds that each ends once."""

    def writes(self) -> Iterable[Statement]:
        ids = sorted(self.changed)
        endings = [self.changed[id] for id in ids]
        yield (
            ENDED,
            (
                numbers(ids),
                texts(one.state for one in endings),
                numbers(one.payout for one in endings),
                numbers(one.paid_id for one in endings),
                times(one.at for one in endings),
            ),
        )
