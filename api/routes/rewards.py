"""Rewards: giving a player bets for nothing at a provider's games, and cancelling unused ones."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api import shapes
from api.answers import private
from api.bodies import given
from api.casinos import OfCasino
from api.desk import idempotency_key
from api.documents import describe
from api.errors import Problem
from api.keys import acting
from api.owners import known
from api.pages import paged
from api.parameters import asked, named
from api.queries import rewards as queries
from api.routes.bonuses import Keyed, Listed, Reason, Text, Whole, answered, decided, of
from api.state import state
from casino import assets
from casino.providers import DIALECTS, rewards
from settings import Role

READ: Role = "wallets:read"
WRITE: Role = "bonuses:write"
MOST_BETS = 1_000

Name = Annotated[str, Field(strict=True, min_length=1, max_length=128, pattern=r"^[ -}]+$")]
Own = Annotated[str, Field(strict=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@+-]{0,127}$")]


class Free(BaseModel):
    """How many bets, for whom, at which game: `reward` is what the provider's calls call it."""

    model_config = ConfigDict(extra="forbid")

    reward: Own
    provider: Name
    user: Annotated[Text, Field(max_length=128)]
    asset: Annotated[Text, Field(max_length=128)]
    game: Name | None = None
    count: Annotated[int, Field(strict=True, ge=1, le=MOST_BETS), Whole]
    expires_h: Annotated[int, Field(strict=True, ge=1, le=8784), Whole] = 168


@describe(shapes.GivenReward, 404, 409, body=Free, headers=Keyed, role=WRITE, tag="rewards")
async def give(request: Request) -> Response:
    """Give a player bets for nothing at a provider's games, once for the key."""
    caller = await acting(request, WRITE)
    asked(request, OfCasino)
    key = idempotency_key(request)
    wanted = await given(request, Free)
    player_id = await known(request, caller, wanted.user)
    if player_id is None:
        raise Problem(404, "unknown_user", "this casino has no such user")
    if "cancel" not in _verbs(wanted.provider):
        raise Problem(404, "unknown_provider", "no provider of this name places bets for nothing")
    at = {"casino": caller.casino["id"], "provider": wanted.provider, "game": wanted.game}
    if wanted.game is not None and await state(request).row(queries.GAME, at) is None:
        raise Problem(404, "unknown_game", "the provider has no such game here")
    async with state(request).pool.connection() as connection:
        asset = await assets.meant(connection, caller.casino["slug"], wanted.asset)
    command = rewards.Give(
        **of(caller, key),
        casino=caller.casino["slug"],
        provider=wanted.provider,
        reward=wanted.reward,
        player_id=player_id,
        asset=asset.id,
        game=wanted.game,
        count=wanted.count,
        expires_h=wanted.expires_h,
    )
    answer = await decided(request, command)
    return answered(answer, deduped=answer.replayed)


@describe(shapes.Reward, 404, 409, body=Reason, headers=Keyed, role=WRITE, tag="rewards")
async def cancel(request: Request) -> Response:
    """Take back a reward of which no bet is placed."""
    caller = await acting(request, WRITE)
    asked(request, OfCasino)
    key = idempotency_key(request)
    wanted = await given(request, Reason)
    provider, reward = named(request, "provider"), named(request, "reward")
    values = {"casino": caller.casino["id"], "provider": provider, "reward": reward}
    row = await state(request).row(queries.REWARD, values)
    if row is None:
        raise Problem(404, "UNKNOWN_REWARD", "this casino has no such reward")
    command = rewards.Take(
        **of(caller, key),
        casino=caller.casino["slug"],
        provider=provider,
        reward=reward,
        player_id=row["player_id"],
        asset=row["asset"],
        reason=wanted.reason,
    )
    return answered(await decided(request, command))


@describe(shapes.Rewards, 404, query=Listed, role=READ, tag="rewards")
async def of_player(request: Request) -> Response:
    """A player's rewards, and how many bets of each are placed."""
    caller = await acting(request, READ)
    page = asked(request, Listed)
    player_id = await known(request, caller, named(request, "account"))
    if player_id is None:
        raise Problem(404, "unknown_player", "this casino has no such player")
    values = {"casino": caller.casino["id"], "player": player_id, **page.edge()}
    found = paged(await state(request).rows(queries.OF_PLAYER, values), page, time="given_at")
    for row in found["items"]:
        del row["id"]
    return private(found)


def _verbs(provider: str) -> frozenset[str]:
    dialect = DIALECTS.get(provider)
    return frozenset() if dialect is None else frozenset(dialect.verbs)


ROUTES = [
    Route("/api/rewards", give, methods=["POST"]),
    Route("/api/rewards/{provider}/{reward}/cancel", cancel, methods=["POST"]),
    Route("/api/players/{account}/rewards", of_player),
]
