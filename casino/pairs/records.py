"""Pairs and their bets as rows beside the books: what a bet is decided by, and what it leaves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from casino.commands import Made, Shelf
from casino.stakes import Split
from db.arrays import documents, numbers, texts, times
from db.pipeline import Statement

WAITING, ACTIVE, RETIRED, REVEALED = "waiting", "active", "retired", "revealed"
UNPLAYED = "unplayed"

# LIMIT keeps it a look at the index for each key, however little the planner knows of the table.
PAIRS = b"""
SELECT p.*, b.activation, b.signer
FROM unnest(%s::bigint[], %s::bigint[]) AS n(player_id, epoch)
CROSS JOIN LATERAL (
    SELECT player_id, epoch, booth_id, casino_id, account, asset, state, number, sealed, commit,
        client_seed, bets, stake, payout, last, retired_at
    FROM pairs WHERE player_id = n.player_id AND epoch = n.epoch LIMIT 1 FOR NO KEY UPDATE
) p
LEFT JOIN LATERAL (
    SELECT activation, signer FROM pair_batches
    WHERE booth_id = p.booth_id AND number = p.number LIMIT 1
) b ON true
"""
# Behind it nobody else writes the pair, and what is retired takes no bet.
MOVED = b"""
UPDATE pairs p SET state = n.state, client_seed = decode(n.client_seed, 'hex'), bets = n.bets,
    stake = n.stake, payout = n.payout, last = decode(n.last, 'hex'), retired_at = n.retired_at
FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::int[], %s::numeric[],
    %s::numeric[], %s::text[], %s::timestamptz[])
    AS n(player_id, epoch, state, client_seed, bets, stake, payout, last, retired_at)
WHERE (p.player_id, p.epoch) = (n.player_id, n.epoch)
"""
# The newest epoch of a player at any booth, and whether one waits at this one.
OPENINGS = b"""
SELECT n.booth_id, n.player_id, (
    SELECT max(epoch) FROM pairs WHERE player_id = n.player_id
), (
    SELECT epoch FROM pairs
    WHERE booth_id = n.booth_id AND player_id = n.player_id AND state = 'waiting'
)
FROM unnest(%s::int[], %s::bigint[]) AS n(booth_id, player_id)
"""
OPENED = b"""
INSERT INTO pairs (player_id, epoch, booth_id, casino_id, account, asset, client_seed, opened_at)
SELECT player_id, epoch, booth_id, casino_id, account, asset, decode(client_seed, 'hex'), opened_at
FROM unnest(%s::bigint[], %s::bigint[], %s::int[], %s::int[], %s::text[], %s::text[], %s::text[],
    %s::timestamptz[])
    AS n(player_id, epoch, booth_id, casino_id, account, asset, client_seed, opened_at)
"""
MADE = b"""
INSERT INTO pair_bets (player_id, epoch, nonce, casino_id, game, pay_id, choice, params, stake,
    cash, bonus, grant_id, said_at, previous, digest, signature, outcome, result, payout,
    transfer_id, paid_id, at)
SELECT player_id, epoch, nonce, casino_id, game, pay_id, choice, decode(params, 'hex'), stake,
    cash, bonus, grant_id, said_at, decode(previous, 'hex'), decode(digest, 'hex'),
    decode(signature, 'hex'), decode(outcome, 'hex'), result, payout, transfer_id, paid_id, at
FROM unnest(%s::bigint[], %s::bigint[], %s::int[], %s::int[], %s::text[], %s::int[], %s::jsonb[],
    %s::text[], %s::numeric[], %s::numeric[], %s::numeric[], %s::bigint[], %s::bigint[],
    %s::text[], %s::text[], %s::text[], %s::text[], %s::jsonb[], %s::numeric[], %s::bigint[],
    %s::bigint[], %s::timestamptz[])
    AS n(player_id, epoch, nonce, casino_id, game, pay_id, choice, params, stake, cash, bonus,
        grant_id, said_at, previous, digest, signature, outcome, result, payout, transfer_id,
        paid_id, at)
"""


class PairKey(NamedTuple):
    """A pair by its player and epoch; people write it `7.0`."""

    player_id: int
    epoch: int

    def __str__(self) -> str:
        return f"{self.player_id}.{self.epoch}"


@dataclass(frozen=True, slots=True)
class Standing:
    """A pair as a bet finds it: `bets` is the next nonce, the sums are those of its bets so far.

    `activation` is the hash of its beacon and `signer` who signs its receipts; both are there, as
    its sealed seed and its commitment, once it is active. `last` is the newest receipt's digest.
    """

    booth_id: int
    casino_id: int
    account: str
    asset: str
    state: str
    number: int | None
    sealed: bytes | None
    commit: bytes | None
    client_seed: bytes | None
    bets: int
    stake: int
    payout: int
    last: bytes | None
    retired_at: datetime | None
    activation: bytes | None
    signer: bytes | None


class Pairs(Shelf[PairKey, Standing]):
    """Pairs, locked: one bet after the other has its nonce, and retiring waits for bets."""

    @classmethod
    def find(cls, keys: Sequence[PairKey]) -> Statement:
        return PAIRS, tuple(numbers(column) for column in zip(*keys, strict=True))

    @classmethod
    def read(cls, row: Sequence[Any]) -> tuple[PairKey, Standing]:
        *about, sealed, commit, client_seed, bets, stake, payout, last, retired_at = row[2:16]
        seeds = map(_raw, (sealed, commit, client_seed))
        sums = (bets, int(stake), int(payout), _raw(last), retired_at)
        values: tuple[Any, ...] = (*about, *seeds, *sums, *map(_raw, row[16:]))
        return PairKey(*row[:2]), Standing(*values)

    def writes(self) -> Iterable[Statement]:
        keys = sorted(self.changed)
        pairs = [self.changed[key] for key in keys]
        yield (
            MOVED,
            (
                numbers(key.player_id for key in keys),
                numbers(key.epoch for key in keys),
                texts(one.state for one in pairs),
                texts(_hex(one.client_seed) for one in pairs),
                numbers(one.bets for one in pairs),
                numbers(one.stake for one in pairs),
                numbers(one.payout for one in pairs),
                texts(_hex(one.last) for one in pairs),
                times(one.retired_at for one in pairs),
            ),
        )


class Door(NamedTuple):
    """A player in front of a booth."""

    booth_id: int
    player_id: int


class Opening(NamedTuple):
    """A player's newest epoch at any booth, and the one that waits at this one."""

    newest: int | None
    waiting: int | None


class Openings(Shelf[Door, Opening]):
    """What players have opened; only read: that nothing is opened twice the database holds."""

    @classmethod
    def find(cls, keys: Sequence[Door]) -> Statement:
        return OPENINGS, tuple(numbers(column) for column in zip(*keys, strict=True))

    @classmethod
    def read(cls, row: Sequence[Any]) -> tuple[Door, Opening]:
        return Door(*row[:2]), Opening(*row[2:])

    def writes(self) -> Iterable[Statement]:
        return ()


@dataclass(frozen=True, slots=True)
class Fresh:
    """A pair that was just opened."""

    booth_id: int
    casino_id: int
    account: str
    asset: str
    client_seed: bytes | None
    at: datetime


class FreshPairs(Made[PairKey, Fresh]):
    """Pairs that were opened."""

    def writes(self) -> Iterable[Statement]:
        keys = sorted(self.changed)
        made = [self.changed[key] for key in keys]
        yield (
            OPENED,
            (
                numbers(key.player_id for key in keys),
                numbers(key.epoch for key in keys),
                numbers(one.booth_id for one in made),
                numbers(one.casino_id for one in made),
                texts(one.account for one in made),
                texts(one.asset for one in made),
                texts(_hex(one.client_seed) for one in made),
                times(one.at for one in made),
            ),
        )


class BetKey(NamedTuple):
    """A bet of a pair."""

    player_id: int
    epoch: int
    nonce: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bet:
    """A bet that is over; see `db.pairs`."""

    casino_id: int
    game: str
    pay_id: int
    choice: dict[str, Any]
    params: bytes
    split: Split
    said_at: int
    previous: bytes
    digest: bytes
    signature: bytes
    outcome: bytes
    result: Any
    payout: int
    transfer_id: int
    paid_id: int | None
    at: datetime


class PairBets(Made[BetKey, Bet]):
    """Bets that were placed, and are over."""

    def writes(self) -> Iterable[Statement]:
        keys = sorted(self.changed)
        made = [self.changed[key] for key in keys]
        yield (
            MADE,
            (
                *(numbers(column) for column in zip(*keys, strict=True)),
                numbers(one.casino_id for one in made),
                texts(one.game for one in made),
                numbers(one.pay_id for one in made),
                documents(one.choice for one in made),
                texts(one.params.hex() for one in made),
                numbers(one.split.total for one in made),
                numbers(one.split.cash for one in made),
                numbers(one.split.bonus for one in made),
                numbers(one.split.grant for one in made),
                numbers(one.said_at for one in made),
                texts(one.previous.hex() for one in made),
                texts(one.digest.hex() for one in made),
                texts(one.signature.hex() for one in made),
                texts(one.outcome.hex() for one in made),
                documents({"drawn": one.result} for one in made),
                numbers(one.payout for one in made),
                numbers(one.transfer_id for one in made),
                numbers(one.paid_id for one in made),
                times(one.at for one in made),
            ),
        )


def _raw(value: Any) -> bytes | None:
    return None if value is None else bytes(value)


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()
