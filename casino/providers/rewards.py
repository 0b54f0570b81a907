"""Rewards: bets that a player may place at a provider's games for nothing, a number of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from casino.commands import Answer, Command, Desk, Shelf
from casino.outbox import Message
from casino.providers.records import Rows
from db.arrays import numbers, texts, times
from db.pipeline import Statement
from ledger.accounts import Account, cash
from ledger.errors import Refusal

GRANTED, CANCELLED = "granted", "cancelled"


class UnknownReward(Refusal):
    code = "UNKNOWN_REWARD"


class RewardStands(Refusal):
    """The provider has a reward of this name already, of somebody else or over something else."""

    code = "REWARD_STANDS"


class RewardCancelled(Refusal):
    code = "REWARD_CANCELLED"


class RewardClaimed(Refusal):
    """A bet was placed with it, so it is not cancelled any more."""

    code = "REWARD_CLAIMED"


class RewardKey(NamedTuple):
    """Where a reward stands: names are unique for a provider at one casino.

    With `call` it is looked up as that of an earlier bet, and then stands under its own name.
    """

    casino_id: int
    provider: str
    id: str
    call: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reward:
    """See `db.rewards`. Without a `game` it is for all of the provider's."""

    number: int
    player_id: int
    asset: str
    game: str | None
    count: int
    used: int
    state: str
    expires_at: datetime
    actor: str
    given_at: datetime
    reason: str | None = None

    def body(self, key: RewardKey) -> dict[str, Any]:
        """What the doors and the feed say of it."""
        return {
            "reward": key.id,
            "provider": key.provider,
            "asset": self.asset,
            "game": self.game,
            "count": self.count,
            "used": self.used,
            "state": self.state,
            "expires_at": self.expires_at.isoformat(),
        }


REWARDS = b"""
SELECT r.* FROM (
    SELECT DISTINCT n.casino_id, n.provider, coalesce(c.reward, n.id) AS id
    FROM unnest(%s::int[], %s::text[], %s::text[], %s::text[]) AS n(casino_id, provider, id, call)
    LEFT JOIN LATERAL (
        SELECT reward FROM casino_calls
        WHERE casino_id = n.casino_id AND provider = n.provider AND id = nullif(n.call, '') LIMIT 1
    ) c ON true
    ORDER BY 1, 2, 3
) n
CROSS JOIN LATERAL (
    SELECT casino_id, provider, id, number, player_id, asset, game, count, used, state, expires_at,
        actor, given_at, reason
    FROM casino_rewards WHERE casino_id = n.casino_id AND provider = n.provider AND id = n.id
    LIMIT 1 FOR NO KEY UPDATE
) r
"""
NEW = b"""
INSERT INTO casino_rewards (casino_id, provider, id, number, player_id, asset, game, count, used,
    state, expires_at, actor, given_at, reason)
SELECT * FROM unnest(%s::int[], %s::text[], %s::text[], %s::bigint[], %s::bigint[],
    %s::text[], %s::text[], %s::int[], %s::int[], %s::text[], %s::timestamptz[], %s::text[],
    %s::timestamptz[], %s::text[])
"""
MOVED = b"""
UPDATE casino_rewards r SET used = n.used, state = n.state, reason = n.reason
FROM unnest(%s::int[], %s::text[], %s::text[], %s::int[], %s::text[], %s::text[])
    AS n(casino_id, provider, id, used, state, reason)
WHERE (r.casino_id, r.provider, r.id) = (n.casino_id, n.provider, n.id)
"""


class Rewards(Rows[RewardKey, Reward]):
    @classmethod
    def find(cls, keys: Sequence[RewardKey]) -> Statement:
        return REWARDS, (*_names(keys), texts(key.call for key in keys))

    @classmethod
    def read(cls, row: Sequence[Any]) -> tuple[RewardKey, Reward]:
        number, player_id, asset, game, count, used, state, *rest = row[3:]
        expires_at, actor, given_at, reason = rest
        return RewardKey(*row[:3]), Reward(
            number=number,
            player_id=player_id,
            asset=asset,
            game=game,
            count=count,
            used=used,
            state=state,
            expires_at=expires_at,
            actor=actor,
            given_at=given_at,
            reason=reason,
        )

    def inserted(self, rows: Sequence[tuple[RewardKey, Reward]]) -> Statement:
        rewards = [one for _, one in rows]
        return NEW, (
            *_names([key for key, _ in rows]),
            numbers(one.number for one in rewards),
            numbers(one.player_id for one in rewards),
            texts(one.asset for one in rewards),
            texts(one.game for one in rewards),
            numbers(one.count for one in rewards),
            numbers(one.used for one in rewards),
            texts(one.state for one in rewards),
            times(one.expires_at for one in rewards),
            texts(one.actor for one in rewards),
            times(one.given_at for one in rewards),
            texts(one.reason for one in rewards),
        )

    def updated(self, rows: Sequence[tuple[RewardKey, Reward]]) -> Statement:
        return MOVED, (
            *_names([key for key, _ in rows]),
            numbers(one.used for _, one in rows),
            texts(one.state for _, one in rows),
            texts(one.reason for _, one in rows),
        )


def _names(keys: Sequence[RewardKey]) -> tuple[str, str, str]:
    return (
        numbers(key.casino_id for key in keys),
        texts(key.provider for key in keys),
        texts(key.id for key in keys),
    )


@dataclass(frozen=True, kw_only=True)
class OfReward(Command):
    """A command about a player's reward, decided behind the lock of the player's cash."""

    casino: str
    provider: str
    reward: str
    player_id: int
    asset: str

    @property
    def at(self) -> RewardKey:
        return RewardKey(self.casino_id, self.provider, self.reward)

    def accounts(self) -> Iterable[Account]:
        yield cash(self.casino_id, self.player_id, self.asset)

    def rows(self) -> Iterable[tuple[type[Shelf[Any, Any]], Any]]:
        yield Rewards, self.at

    def kept(self, desk: Desk, reward: Reward) -> Answer:
        """Keep it as it stands now, and tell its player."""
        desk.shelf(Rewards).put(self.at, reward)
        said = reward.body(self.at)
        data = {**said, "at": desk.books.now.isoformat()}
        player = str(self.player_id)
        told = Message("user", f"reward.{reward.state}", self.casino, data, player=player)
        desk.messages.append(told)
        return Answer(said)


@dataclass(frozen=True, kw_only=True)
class Give(OfReward):
    """`count` bets for nothing, until they expire. What they win is the player's cash."""

    count: int
    game: str | None
    expires_h: int

    @property
    def verb(self) -> str:
        return "reward.give"

    def asked(self) -> Mapping[str, Any]:
        return {
            "provider": self.provider,
            "reward": self.reward,
            "player": self.player_id,
            "asset": self.asset,
            "game": self.game,
            "count": self.count,
            "expires_h": self.expires_h,
        }

    def decide(self, desk: Desk) -> Answer:
        if desk.shelf(Rewards).get(self.at) is not None:
            raise RewardStands(f"{self.provider} has a reward {self.reward}", reward=self.reward)
        now = desk.books.now
        reward = Reward(
            number=desk.books.number(),
            player_id=self.player_id,
            asset=self.asset,
            game=self.game,
            count=self.count,
            used=0,
            state=GRANTED,
            expires_at=now + timedelta(hours=self.expires_h),
            actor=self.actor,
            given_at=now,
        )
        return self.kept(desk, reward)


@dataclass(frozen=True, kw_only=True)
class Take(OfReward):
    """Cancel a reward of which nothing was played; `reason` says why, and is kept."""

    reason: str

    @property
    def verb(self) -> str:
        return "reward.cancel"

    def asked(self) -> Mapping[str, Any]:
        return {"provider": self.provider, "reward": self.reward, "reason": self.reason}

    def decide(self, desk: Desk) -> Answer:
        reward = desk.shelf(Rewards).get(self.at)
        if reward is None or (reward.player_id, reward.asset) != (self.player_id, self.asset):
            raise UnknownReward(f"there is no reward {self.reward}", reward=self.reward)
        if reward.state == CANCELLED:
            raise RewardCancelled(f"{self.reward} is cancelled", reward=self.reward)
        if reward.used:
            raise RewardClaimed(
                f"{reward.used} bets of {self.reward} are placed", reward=self.reward
            )
        return self.kept(desk, replace(reward, state=CANCELLED, reason=self.reason))
