"""Rounds, calls and games of providers, as rows beside the books."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, Generic, NamedTuple, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from casino.commands import Shelf
from casino.stakes import Split
from db.arrays import documents, numbers, texts, times
from db.pipeline import Statement
from db.session import driver

NOTHING = Split(0)
OPEN, CLOSED, STALE = "open", "closed", "stale"
DONE, DECLINED, RETURNED, TOMBSTONE = "done", "declined", "returned", "tombstone"

K = TypeVar("K", bound=tuple[Any, ...])
R = TypeVar("R")


class CallKey(NamedTuple):
    """Where a call stands: ids are a provider's own, and a provider's at one casino."""

    casino_id: int
    provider: str
    id: str


class RoundKey(NamedTuple):
    """A player's part in a provider's round.

    With `call` it is looked up as that of an earlier call, and then stands under its own name.
    """

    casino_id: int
    provider: str
    player_id: int
    round: str
    call: str = ""


class Call(NamedTuple):
    """A debit, credit or rollback that was decided; see `db.providers`."""

    number: int
    kind: str
    state: str
    player_id: int
    asset: str
    game: str
    round: str
    place: int
    at: datetime
    code: str | None = None
    target: str | None = None
    amount: int = 0
    split: Split = NOTHING
    played: str | None = None
    transfer_id: int | None = None
    reward: str | None = None
    reversed: bool = False  # its transfer was taken back, by whomever


class Part(NamedTuple):
    """Which stakes: those placed under a bonus at one game, that are counted for it or not yet.

    `age` is 0 for those placed since the last payout, and for those it paid as long as no other is
    placed; then it is 1, and 2 for all before them. Of these, stakes under no bonus are a part too.
    """

    grant: int | None
    game: str
    counted: bool = False
    age: int = 0


LATEST, BEFORE, OLD = range(3)  # the ages of a part


class Round(NamedTuple):
    """What stands in a round; see `db.providers`.

    `parts` are those of its stakes that were placed under a bonus, or were paid before others were
    placed. When bets of a round are over, all are that stand in it: they are counted for their
    bonuses together. A round that the provider gave no name is that of a whole session, in which a
    payout that names a bet is of this bet alone.
    """

    asset: str
    game: str
    opened_at: datetime
    touched_at: datetime
    state: str = OPEN
    calls: int = 0
    settled: int = 0
    standing: int = 0
    stake: Split = NOTHING
    parts: Mapping[Part, Split] = MappingProxyType({})
    closed_at: datetime | None = None

    def staked(self, bet: Call) -> Round:
        """With a bet more. The first one after a payout is none of those that were paid."""
        paid = 0 < self.settled == self.calls
        return (self._aged(self._latest) if paid else self)._changed(bet, 1)

    def unstaked(self, bet: Call) -> Round:
        """Without a bet that is rolled back."""
        return self._changed(bet, -1)

    def paid(self, bet: Call) -> Round:
        """With a bet paid by itself, which was not paid before: it is counted."""
        stake = Split(bet.split.cash, bet.split.bonus)
        return self._aged({self._part(bet): stake})

    def owed(self) -> Mapping[Part, Split]:
        """The stakes that a payout is for which names none of them."""
        before = {part: stake for part, stake in self.parts.items() if part.age == BEFORE}
        return self._latest or before or self.parts

    def has_counted(self, bet: Call) -> bool:
        """Whether a bet that may still be rolled back is over, and was counted."""
        return self._part(bet).counted

    @property
    def uncounted(self) -> Mapping[Part, Split]:
        return {part: stake for part, stake in self.parts.items() if not _is_counted(part)}

    def counted(self) -> Round:
        """With all parts counted."""
        parts: dict[Part, Split] = {}
        for part, stake in self.parts.items():
            _add(parts, _counted(part), stake)
        return self._replace(parts=parts)

    @property
    def _latest(self) -> Mapping[Part, Split]:
        """Stakes of which none was paid before another was placed."""
        bare = self.stake.total - sum(stake.total for stake in self.parts.values())
        parts = {Part(None, ""): Split(bare)} if bare else {}
        return parts | {part: stake for part, stake in self.parts.items() if part.age == LATEST}

    def _aged(self, paid: Mapping[Part, Split]) -> Round:
        """With some of the latest stakes behind the others, as those that were paid last."""
        if not any(stake.total for stake in paid.values()):
            return self
        parts: dict[Part, Split] = {}
        for part, stake in self.parts.items():
            _add(parts, part._replace(age=OLD) if part.age else part, stake)
        for part, stake in paid.items():
            if part.grant is not None:
                _add(parts, part, Split(-stake.cash, -stake.bonus))
            _add(parts, _counted(part)._replace(age=BEFORE), stake)
        return self._replace(parts=parts)

    def _part(self, bet: Call) -> Part:
        """Where the stake of a bet is that was placed since the last payout."""
        if bet.split.grant is None or bet.played is None:
            return Part(None, "")
        # In a round that is closed all are counted, and only there, or where it was before.
        bare = Part(bet.split.grant, bet.played)
        reopened = self.state == STALE and bare not in self.parts
        return bare._replace(counted=self.state == CLOSED or reopened)

    def _changed(self, bet: Call, sign: int) -> Round:
        split = Split(sign * bet.split.cash, sign * bet.split.bonus)
        parts, part = dict(self.parts), self._part(bet)
        if part.grant is not None:
            _add(parts, part, split)
        return self._replace(
            standing=self.standing + sign, stake=_sum(self.stake, split), parts=parts
        )


def _add(parts: dict[Part, Split], part: Part, stake: Split) -> None:
    found = _sum(parts.get(part, NOTHING), stake)
    if found.total:
        parts[part] = found
    else:
        parts.pop(part, None)


def _counted(part: Part) -> Part:
    return part if part.grant is None else part._replace(counted=True)


def _is_counted(part: Part) -> bool:
    """What is under no bonus is counted for none."""
    return part.counted or part.grant is None


def _sum(one: Split, other: Split) -> Split:
    return Split(one.cash + other.cash, one.bonus + other.bonus)


class Offer(NamedTuple):
    """A game that the casino has of a provider: is it offered, and what do bonuses call it?"""

    open: bool
    game: str


class Rows(Shelf[K, R], Generic[K, R]):
    """Rows that are inserted when they were not found, so that two at once cannot both make one."""

    def writes(self) -> Iterable[Statement]:
        made = [one for one in sorted(self.changed.items()) if one[0] not in self.found]
        kept = [one for one in sorted(self.changed.items()) if one[0] in self.found]
        if made:
            yield self.inserted(made)
        if kept:
            yield self.updated(kept)

    def inserted(self, rows: Sequence[tuple[K, R]]) -> Statement:
        raise NotImplementedError

    def updated(self, rows: Sequence[tuple[K, R]]) -> Statement:
        raise NotImplementedError


# LIMIT keeps it a look at the index for each key, however little the planner knows of the table:
# of an EXISTS it may make one read of all transfers.
CALLS = b"""
SELECT c.*, c.transfer_id IS NOT NULL
    AND (SELECT t.id FROM transfers t WHERE t.reverses = c.transfer_id LIMIT 1) IS NOT NULL
FROM unnest(%s::int[], %s::text[], %s::text[]) AS n(casino_id, provider, id)
CROSS JOIN LATERAL (
    SELECT casino_id, provider, id, number, kind, state, code, player_id, asset, game, round,
        place, target, amount, cash, bonus, grant_id, played, reward, transfer_id, at
    FROM casino_calls WHERE casino_id = n.casino_id AND provider = n.provider AND id = n.id
    LIMIT 1 FOR NO KEY UPDATE
) c
"""
NEW_CALLS = b"""
INSERT INTO casino_calls (casino_id, provider, id, number, kind, state, code, player_id, asset,
    game, round, place, target, amount, cash, bonus, grant_id, played, reward, transfer_id, at)
SELECT * FROM unnest(%s::int[], %s::text[], %s::text[], %s::bigint[], %s::text[], %s::text[],
    %s::text[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::int[], %s::text[],
    %s::numeric[], %s::numeric[], %s::numeric[], %s::bigint[], %s::text[], %s::text[],
    %s::bigint[], %s::timestamptz[])
"""
MOVED_CALLS = b"""
UPDATE casino_calls c SET state = n.state
FROM unnest(%s::int[], %s::text[], %s::text[], %s::text[]) AS n(casino_id, provider, id, state)
WHERE (c.casino_id, c.provider, c.id) = (n.casino_id, n.provider, n.id)
"""


class Calls(Rows[CallKey, Call]):
    @classmethod
    def find(cls, keys: Sequence[CallKey]) -> Statement:
        ids, providers, names = zip(*keys, strict=True)
        return CALLS, (numbers(ids), texts(providers), texts(names))

    @classmethod
    def read(cls, row: Sequence[Any]) -> tuple[CallKey, Call]:
        _, _, _, number, kind, state, code, player, asset, game, round, place, *rest = row
        target, amount, cash, bonus, grant_id, played, reward, transfer_id, at, reversed = rest
        return CallKey(*row[:3]), Call(
            number=number,
            kind=kind,
            state=state,
            code=code,
            player_id=player,
            asset=asset,
            game=game,
            round=round,
            place=place,
            target=target,
            amount=int(amount),
            split=Split(int(cash), int(bonus), grant_id),
            played=played,
            reward=reward,
            transfer_id=transfer_id,
            at=at,
            reversed=reversed,
        )

    def inserted(self, rows: Sequence[tuple[CallKey, Call]]) -> Statement:
        keys, calls = [key for key, _ in rows], [call for _, call in rows]
        return NEW_CALLS, (
            *_names(keys),
            numbers(one.number for one in calls),
            texts(one.kind for one in calls),
            texts(one.state for one in calls),
            texts(one.code for one in calls),
            numbers(one.player_id for one in calls),
            texts(one.asset for one in calls),
            texts(one.game for one in calls),
            texts(one.round for one in calls),
            numbers(one.place for one in calls),
            texts(one.target for one in calls),
            numbers(one.amount for one in calls),
            numbers(one.split.cash for one in calls),
            numbers(one.split.bonus for one in calls),
            numbers(one.split.grant for one in calls),
            texts(one.played for one in calls),
            texts(one.reward for one in calls),
            numbers(one.transfer_id for one in calls),
            times(one.at for one in calls),
        )

    def updated(self, rows: Sequence[tuple[CallKey, Call]]) -> Statement:
        return MOVED_CALLS, (*_names([key for key, _ in rows]), texts(one.state for _, one in rows))


ROUNDS = b"""
SELECT r.* FROM (
    SELECT DISTINCT n.casino_id, n.provider, n.player_id, coalesce(c.round, n.round) AS round
    FROM unnest(%s::int[], %s::text[], %s::bigint[], %s::text[], %s::text[])
        AS n(casino_id, provider, player_id, round, call)
    LEFT JOIN LATERAL (
        SELECT round FROM casino_calls
        WHERE casino_id = n.casino_id AND provider = n.provider AND id = nullif(n.call, '') LIMIT 1
    ) c ON true
    ORDER BY 1, 2, 3, 4
) n
CROSS JOIN LATERAL (
    SELECT casino_id, provider, player_id, round, asset, game, state, calls, settled, standing,
        cash, bonus, parts, opened_at, touched_at, closed_at
    FROM casino_rounds
    WHERE casino_id = n.casino_id AND provider = n.provider AND player_id = n.player_id
        AND round = n.round
    LIMIT 1 FOR NO KEY UPDATE
) r
"""
NEW_ROUNDS = b"""
INSERT INTO casino_rounds (casino_id, provider, player_id, round, asset, game, state, calls,
    settled, standing, cash, bonus, parts, opened_at, touched_at, closed_at)
SELECT * FROM unnest(%s::int[], %s::text[], %s::bigint[], %s::text[], %s::text[], %s::text[],
    %s::text[], %s::int[], %s::int[], %s::int[], %s::numeric[], %s::numeric[], %s::jsonb[],
    %s::timestamptz[], %s::timestamptz[], %s::timestamptz[])
"""
MOVED_ROUNDS = b"""
UPDATE casino_rounds r SET state = n.state, calls = n.calls, settled = n.settled,
    standing = n.standing, cash = n.cash, bonus = n.bonus, parts = n.parts,
    touched_at = n.touched_at, closed_at = n.closed_at
FROM unnest(%s::int[], %s::text[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::text[],
    %s::int[], %s::int[], %s::int[], %s::numeric[], %s::numeric[], %s::jsonb[], %s::timestamptz[],
    %s::timestamptz[], %s::timestamptz[])
    AS n(casino_id, provider, player_id, round, asset, game, state, calls, settled, standing, cash,
        bonus, parts, opened_at, touched_at, closed_at)
WHERE (r.casino_id, r.provider, r.player_id, r.round)
    = (n.casino_id, n.provider, n.player_id, n.round)
"""
CLOSE_STALE = b"""
UPDATE casino_rounds SET state = 'stale', closed_at = now()
WHERE ctid IN (
    SELECT ctid FROM casino_rounds
    WHERE state = 'open' AND touched_at < now() - make_interval(hours => %s)
    ORDER BY touched_at LIMIT %s FOR UPDATE SKIP LOCKED
)
"""


class Rounds(Rows[RoundKey, Round]):
    @classmethod
    def find(cls, keys: Sequence[RoundKey]) -> Statement:
        ids, providers, players, rounds, calls = zip(*keys, strict=True)
        found = (numbers(ids), texts(providers), numbers(players), texts(rounds), texts(calls))
        return ROUNDS, found

    @classmethod
    def read(cls, row: Sequence[Any]) -> tuple[RoundKey, Round]:
        asset, game, state, calls, settled, standing, cash, bonus, parts, *times = row[4:]
        opened, touched, closed = times
        return RoundKey(*row[:4]), Round(
            asset=asset,
            game=game,
            state=state,
            calls=calls,
            settled=settled,
            standing=standing,
            stake=Split(int(cash), int(bonus)),
            parts={
                Part(*one[:3], *one[5:]): Split(int(one[3]), int(one[4])) for one in parts or ()
            },
            opened_at=opened,
            touched_at=touched,
            closed_at=closed,
        )

    def inserted(self, rows: Sequence[tuple[RoundKey, Round]]) -> Statement:
        return NEW_ROUNDS, self._columns(rows)

    def updated(self, rows: Sequence[tuple[RoundKey, Round]]) -> Statement:
        return MOVED_ROUNDS, self._columns(rows)

    def _columns(self, rows: Sequence[tuple[RoundKey, Round]]) -> tuple[str, ...]:
        keys, rounds = [key for key, _ in rows], [round for _, round in rows]
        return (
            numbers(key.casino_id for key in keys),
            texts(key.provider for key in keys),
            numbers(key.player_id for key in keys),
            texts(key.round for key in keys),
            texts(one.asset for one in rounds),
            texts(one.game for one in rounds),
            texts(one.state for one in rounds),
            numbers(one.calls for one in rounds),
            numbers(one.settled for one in rounds),
            numbers(one.standing for one in rounds),
            numbers(one.stake.cash for one in rounds),
            numbers(one.stake.bonus for one in rounds),
            documents(
                [_written(part, stake) for part, stake in one.parts.items()] or None
                for one in rounds
            ),
            times(one.opened_at for one in rounds),
            times(one.touched_at for one in rounds),
            times(one.closed_at for one in rounds),
        )


def _written(part: Part, stake: Split) -> list[int | str | bool | None]:
    aged = [part.age] if part.age else []
    return [part.grant, part.game, part.counted, str(stake.cash), str(stake.bonus), *aged]


NEW_JACKPOTS = b"""
INSERT INTO casino_jackpots (casino_id, provider, call, jackpot, contributed, won)
SELECT casino_id, provider, call, jackpot, contributed * 0.000001, won
FROM unnest(%s::int[], %s::text[], %s::text[], %s::text[], %s::numeric[], %s::numeric[])
    AS n(casino_id, provider, call, jackpot, contributed, won)
"""


class Jackpot(NamedTuple):
    """What a call had to do with a jackpot: beside its money, of which this is a part.

    A bet contributed `contributed` millionths of the asset's smallest unit, a payout has `won`.
    """

    name: str
    contributed: int = 0
    won: int = 0


class Jackpots(Rows[CallKey, tuple[Jackpot, ...]]):
    """Those of new calls; nobody asks for older ones here."""

    @classmethod
    def find(cls, keys: Sequence[CallKey]) -> Statement:
        return b"SELECT WHERE false", None

    @classmethod
    def read(cls, row: Sequence[Any]) -> tuple[CallKey, tuple[Jackpot, ...]]:
        raise LookupError(row)

    def inserted(self, rows: Sequence[tuple[CallKey, tuple[Jackpot, ...]]]) -> Statement:
        told = [(key, one) for key, jackpots in rows for one in jackpots]
        return NEW_JACKPOTS, (
            *_names([key for key, _ in told]),
            texts(one.name for _, one in told),
            numbers(one.contributed for _, one in told),
            numbers(one.won for _, one in told),
        )


GAMES = b"""
SELECT g.casino_id, g.provider, g.code, g.closed_at IS NULL, g.product FROM casino_games g
JOIN unnest(%s::int[], %s::text[], %s::text[]) AS n(casino_id, provider, code)
    USING (casino_id, provider, code)
"""


class Games(Shelf[CallKey, Offer]):
    """A casino's games, by their provider's code; only looked at, so not locked."""

    @classmethod
    def find(cls, keys: Sequence[CallKey]) -> Statement:
        return GAMES, _names(keys)

    @classmethod
    def read(cls, row: Sequence[Any]) -> tuple[CallKey, Offer]:
        *key, open, product = row
        return CallKey(*key), Offer(open, played(product, *key[1:]))

    def writes(self) -> Iterable[Statement]:
        return ()


def played(product: str, provider: str, code: str) -> str:
    """What terms of bonuses call a game: two providers may have the same code."""
    return f"{product}/{provider}:{code}"


async def close_stale(session: AsyncSession, *, hours: int, limit: int = 1000) -> int:
    """Close rounds in which nothing came for so long; how many those were.

    They take no more bets. What they are owed still comes in: a late payout is better than none.
    """
    connection = await driver(session)
    return (await connection.execute(CLOSE_STALE, (hours, limit))).rowcount


def _names(keys: Sequence[CallKey]) -> tuple[str, str, str]:
    return (
        numbers(key.casino_id for key in keys),
        texts(key.provider for key in keys),
        texts(key.id for key in keys),
    )
