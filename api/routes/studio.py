"""The studio's door: a casino launches games here, and has a round played by script."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from api.bodies import parsed, raw
from api.errors import Problem
from api.state import state
from settings import Settings
from studio import rounds, wire
from studio.wire import Casino

SIGNATURE = "x-provider-signature"
M = TypeVar("M", bound=BaseModel)


class Launch(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel,
        str_min_length=1,
        str_max_length=128,
        coerce_numbers_to_str=True,
    )

    session_token: str
    user_id: str
    game_id: str
    currency: str


class Simulation(BaseModel, alias_generator=to_camel):
    session_token: str


@contextlib.asynccontextmanager
async def resuming(settings: Settings) -> AsyncIterator[None]:
    """Meanwhile the studio goes on with calls of which nobody knows what became of them."""
    casino = _casino(settings)
    if casino is None:
        yield
        return
    task = asyncio.create_task(rounds.resuming(casino))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def launch(request: Request) -> Response:
    """A session for a casino's token."""
    given = await _signed(request, Launch)
    session = await rounds.launched(
        given.session_token, given.user_id, given.game_id, given.currency
    )
    url = f"/provider/games/{session.game}?session={session.id}"
    return JSONResponse({"providerSessionId": session.id, "launchUrl": url})


async def simulate(request: Request) -> Response:
    """A round by script, over the casino's own callbacks."""
    given = await _signed(request, Simulation)
    try:
        session = await rounds.playing(given.session_token)
    except rounds.NoSession as error:
        raise Problem(404, "unknown_session", str(error)) from error
    casino = _casino(state(request).settings)
    if casino is None:
        raise Problem(503, "casino_unavailable", "no secret is set for the casino")
    steps = await rounds.simulate(casino, session)
    round = next((one["request"]["roundId"] for one in steps if "roundId" in one["request"]), None)
    return JSONResponse({"roundId": round, "steps": steps})


def _casino(settings: Settings) -> Casino | None:
    """Whom the studio calls: this very house, where it has a secret for it."""
    keys = settings.casino_keys
    if not keys:
        return None
    return Casino(settings.own_url, keys[0], timeout_s=settings.provider_timeout_s)


async def _signed(request: Request, model: type[M]) -> M:
    """The body, if the casino signed it. Raises `Problem` 401, 413 and 400."""
    body = await raw(request)
    given = request.headers.get(SIGNATURE, "")
    if not wire.signed(body, given, state(request).settings.studio_keys):
        raise Problem(401, "INVALID_SIGNATURE", "the signature is wrong")
    try:
        return model.model_validate(parsed(body))
    except ValidationError as error:
        names = sorted({".".join(map(str, one["loc"])) or "body" for one in error.errors()})
        raise Problem(400, "MALFORMED", f"wrong: {', '.join(names)}") from error


ROUTES = [
    Route("/provider/launch", launch, methods=["POST"]),
    Route("/provider/simulate", simulate, methods=["POST"]),
]
