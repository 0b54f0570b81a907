"""Game providers: launching their games, their calls in every dialect, and what they played."""

from __future__ import annotations

import ssl
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any

import httpx
import orjson
from pydantic import BaseModel, Field, ValidationError
from pydantic.alias_generators import to_camel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from api import shapes
from api.answers import private
from api.bodies import parsed, raw
from api.calls import answering, balance
from api.casinos import OfCasino, chosen
from api.documents import describe
from api.errors import Problem
from api.keys import acting
from api.pages import LAST
from api.parameters import asked, named
from api.queries import providers as queries
from api.state import Row, State, state
from casino.providers import DIALECTS, launches
from casino.providers.dialect import Number, Word
from casino.providers.launches import Launched, Unlaunchable, Wanted
from casino.providers.signatures import hmac_sha256
from settings import Role

DEMO = DIALECTS["jaqpot"]
SIGNATURE = "x-provider-signature"
READ: Role = "reports:read"
LAUNCH: Role = "games:launch"


class Launch(BaseModel, alias_generator=to_camel):
    """Who plays what, in which currency. In development, what is left out is the first there is."""

    user_id: Number | None = None
    game_id: Number | None = None
    currency: Word | None = None
    provider: Word = DEMO.name


class TotalsAsked(OfCasino):
    """A day in UTC; without one, today."""

    day: date | None = None


class UnresolvedAsked(OfCasino):
    """Rounds in which nothing came for so many minutes."""

    minutes: int = Field(default=5, ge=0, le=100_000)


async def launch_game(request: Request) -> Response:
    """Open a game for a player; the provider gets to know of it before the player does."""
    try:
        _, answer = await _launched(request)
    except Unlaunchable as error:
        return _refused(404, error.code, str(error))
    return JSONResponse(answer)


async def simulate_round(request: Request) -> Response:
    """A whole round that the provider plays by script, with what every call of it came to.

    The script wins. So it is there in development only.
    """
    if not _open_to_all(request):
        raise Problem(404, "not_found", "rounds are simulated in development only")
    try:
        launched, answer = await _launched(request)
    except Unlaunchable as error:
        return _refused(404, error.code, str(error))
    said = {"sessionToken": answer["sessionToken"]}
    played = await _told(state(request), "/provider/simulate", said)
    steps = [{"step": "launchGame", "outcome": "done", "response": answer}, *played["steps"]]
    left = DEMO.money.say(await balance(state(request), launched), launched.scale)
    ok = all(step["outcome"] == "done" for step in steps)
    body = {"success": ok, "roundId": played.get("roundId"), "steps": steps, "finalBalance": left}
    return JSONResponse({**body, "currency": launched.currency})


@describe(shapes.ProviderRound, 404, query=OfCasino, role=READ, tag="providers")
async def round(request: Request) -> Response:
    """All calls of a round, of every player in it."""
    asked(request, OfCasino)
    values = await _reported(request)
    name = named(request, "round")
    calls = await state(request).rows(queries.ROUND, {**values, "round": name})
    if not calls:
        raise Problem(404, "unknown_round", "this provider played no such round")
    return private({"round": name, "calls": calls})


@describe(shapes.ProviderTotals, 404, query=TotalsAsked, role=READ, tag="providers")
async def totals(request: Request) -> Response:
    """Bets, payouts and rollbacks of a day, by game and asset: to hold against the provider's."""
    wanted = asked(request, TotalsAsked)
    values = await _reported(request)
    day = wanted.day or datetime.now(UTC).date()
    since = datetime(day.year, day.month, day.day, tzinfo=UTC)
    until = since + timedelta(days=1) if day < date.max else LAST
    rows = await state(request).rows(queries.TOTALS, {**values, "since": since, "until": until})
    return private({"day": day, "items": rows})


@describe(shapes.ProviderUnresolved, 404, query=UnresolvedAsked, role=READ, tag="providers")
async def unresolved(request: Request) -> Response:
    """What a person should look at: bets without an end, and payouts that could not be made."""
    wanted = asked(request, UnresolvedAsked)
    values = await _reported(request)
    house = state(request)
    rounds = await house.rows(queries.UNRESOLVED, {**values, "minutes": wanted.minutes})
    return private({"rounds": rounds, "declined": await house.rows(queries.DECLINED, values)})


async def _reported(request: Request) -> dict[str, Any]:
    """Whose reports are asked for. Raises `Problem` 401, 403 and 404."""
    provider = named(request, "provider")
    caller = await acting(request, READ)
    if provider not in DIALECTS:
        raise Problem(404, "unknown_provider", f"there is no provider {provider!r}")
    return {"casino": caller.casino["id"], "provider": provider}


async def _launched(request: Request) -> tuple[Launched, dict[str, Any]]:
    """A launch, and how it is answered. Raises `Unlaunchable` and `Problem`."""
    house = state(request)
    if _open_to_all(request):
        casino = await chosen(request)
    else:
        casino = (await acting(request, LAUNCH)).casino
    wanted = await _wanted(request, casino)
    async with house.pool.connection() as connection:
        seconds = house.settings.launch_h * 3600
        token, launched = await launches.launch(connection, wanted, seconds=seconds)
    answer: dict[str, Any] = {
        "status": "OK",
        "sessionToken": token,
        "userId": _number(launched.player),
        "gameId": _number(launched.game),
        "currency": launched.currency,
        "balance": DEMO.money.say(await balance(house, launched), launched.scale),
        "expiresAt": launched.expires_at.isoformat(),
    }
    if launched.provider == DEMO.name:
        said = {"sessionToken": token, "userId": launched.player, "gameId": launched.game}
        answer |= await _told(house, "/provider/launch", {**said, "currency": launched.currency})
    return launched, answer


def _open_to_all(request: Request) -> bool:
    """Whether anybody may try the games: only where no real money can be."""
    return state(request).settings.environment == "development"


async def _wanted(request: Request, casino: Row) -> Wanted:
    """What the body asks for, its gaps filled in development. Raises `Problem`."""
    body = await raw(request)
    try:
        launch = Launch.model_validate(parsed(body) if body.strip() else {})
    except ValidationError as error:
        names = sorted({".".join(map(str, one["loc"])) or "body" for one in error.errors()})
        raise Problem(400, "MALFORMED", f"wrong: {', '.join(names)}") from error
    if not _open_to_all(request) and (launch.user_id is None or launch.game_id is None):
        raise Problem(400, "MALFORMED", "missing: userId, gameId")
    if launch.provider not in DIALECTS:
        raise Problem(404, "unknown_provider", "there is no such provider")
    return Wanted(
        casino["id"],
        casino["slug"],
        launch.provider,
        launch.user_id or "1",
        launch.game_id,
        launch.currency,
    )


async def _told(house: State, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """What the provider answers. Raises `Problem` 503 when it does not, or makes no sense."""
    settings = house.settings
    if not settings.studio_keys:
        raise Problem(503, "provider_unavailable", "no secret is set for the provider")
    content = orjson.dumps(body)
    headers = {
        SIGNATURE: hmac_sha256(content, settings.studio_keys[0]),
        "content-type": "application/json",
    }
    url = settings.provider_url or settings.own_url
    # A script of several calls takes longer than one of them.
    timeout_s = settings.provider_timeout_s * (10 if path.endswith("simulate") else 1)
    try:
        async with httpx.AsyncClient(timeout=timeout_s, verify=_trusted()) as client:
            answer = await client.post(url + path, content=content, headers=headers)
        found = orjson.loads(answer.content)
    except (httpx.HTTPError, orjson.JSONDecodeError) as error:
        raise Problem(503, "provider_unavailable", "the provider does not answer") from error
    if answer.status_code != 200 or not isinstance(found, dict):
        raise Problem(503, "provider_unavailable", "the provider refused")
    return found


@lru_cache(maxsize=1)
def _trusted() -> ssl.SSLContext:
    """Whose certificates are good: read once, as that takes longer than a call."""
    return httpx.create_ssl_context()


def _number(name: str) -> int | str:
    return int(name) if name.isdecimal() and name.isascii() else name


def _refused(status: int, code: str, detail: str) -> Response:
    body = {"status": "ERROR", "error": code, "code": code, "message": detail}
    return JSONResponse(body, status)


ROUTES = [
    Route("/casino/launchGame", launch_game, methods=["POST"]),
    Route("/casino/simulateRound", simulate_round, methods=["POST"]),
    *(
        Route(path, answering(dialect, verb), methods=["POST"])
        for dialect in DIALECTS.values()
        for path, verb in dialect.paths.items()
    ),
    Route("/api/providers/{provider}/rounds/{round}", round),
    Route("/api/providers/{provider}/totals", totals),
    Route("/api/providers/{provider}/unresolved", unresolved),
]
