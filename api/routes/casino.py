"""A casino: what it is, its sums, its hours, its best players."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api import shapes
from api.answers import fresh
from api.casinos import OfCasino, chosen
from api.documents import describe
from api.parameters import asked
from api.queries import casino as queries
from api.state import state


class ActivityAsked(OfCasino):
    """Hours or days, newest first."""

    bucket: Literal["hour", "day"] = "hour"
    limit: int = Field(default=24, ge=1, le=100)


class LeaderboardAsked(OfCasino):
    """Players by what they staked, were paid, kept, or how often they bet, in one asset."""

    by: Literal["staked", "paid", "net", "bets"] = "staked"
    asset: str | None = Field(default=None, max_length=128, pattern=r"^[ -~]*$")
    limit: int = Field(default=20, ge=1, le=100)


@describe(shapes.Info, 404, query=OfCasino, tag="casino")
async def info(request: Request) -> Response:
    """The casino and the programs it is made of."""
    asked(request, OfCasino)
    casino = await chosen(request)
    programs = await state(request).rows(queries.PROGRAMS, {"casino": casino["id"]})
    shown = {key: value for key, value in casino.items() if key != "id"}
    return fresh(request, {**shown, "programs": programs}, max_age_s=10)


@describe(shapes.Stats, 404, query=OfCasino, tag="casino")
async def stats(request: Request) -> Response:
    """All bets, per asset, and how many players there are."""
    asked(request, OfCasino)
    casino = await chosen(request)
    values = {"casino": casino["id"]}
    totals = await state(request).rows(queries.TOTALS, values)
    players = await state(request).row(queries.PLAYERS, values) or {}
    return fresh(request, {"casino": casino["slug"], **players, "assets": totals})


@describe(shapes.Activity, 404, query=ActivityAsked, tag="casino")
async def activity(request: Request) -> Response:
    """What was played by hour or by day, newest first."""
    wanted = asked(request, ActivityAsked)
    casino = await chosen(request)
    values = {"casino": casino["id"], "bucket": wanted.bucket, "limit": wanted.limit}
    return fresh(request, {"items": await state(request).rows(queries.ACTIVITY, values)})


@describe(shapes.Leaderboard, 404, query=LeaderboardAsked, tag="casino")
async def leaderboard(request: Request) -> Response:
    """The best players. Amounts of different assets are not comparable: name one."""
    wanted = asked(request, LeaderboardAsked)
    casino = await chosen(request)
    values = {"casino": casino["id"], **wanted.model_dump(exclude={"casino"})}
    found = await state(request).rows(queries.LEADERBOARD, values)
    items = [{"place": place, **row} for place, row in enumerate(found, 1)]
    return fresh(request, {"items": items}, max_age_s=5)


ROUTES = [
    Route("/api/casino/info", info),
    Route("/api/casino/stats", stats),
    Route("/api/casino/activity", activity),
    Route("/api/casino/leaderboard", leaderboard),
]
