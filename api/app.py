"""The API's table of contents: routes, errors, headers, and what lives as long as the process."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from api.booths import booths_of
from api.documents import SPEC
from api.envelope import Envelope
from api.errors import HANDLERS
from api.routes import (
    assets,
    bets,
    bonuses,
    casino,
    health,
    page,
    pairs,
    players,
    providers,
    rewards,
    rounds,
    studio,
    wallets,
    withdrawals,
)
from api.state import opened
from chains.signers import signer
from settings import Settings

STATIC = Path(__file__).parent / "static"


def build(settings: Settings) -> Starlette:
    """The app; its connections live as long as its lifespan.

    Raises `ChainError` for a key that signs nothing, or none where pairs are played.
    """
    sign = signer(settings.signer_key) if settings.signer_key else None
    booths = booths_of(settings, sign)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with opened(settings, booths, sign) as house, studio.resuming(settings):
            app.state.house = house
            yield

    cors = Middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_headers=["x-casino-slug", "x-request-id", "if-none-match"],
        expose_headers=["etag", "x-request-id", "retry-after"],
    )
    app = Starlette(
        routes=[
            # They are looked through in this order, so what is asked most often stands first.
            *providers.ROUTES,
            *rounds.ROUTES,
            *pairs.ROUTES,
            *wallets.ROUTES,
            *bets.ROUTES,
            *casino.ROUTES,
            *page.ROUTES,
            *health.ROUTES,
            *players.ROUTES,
            *bonuses.ROUTES,
            *rewards.ROUTES,
            *studio.ROUTES,
            *assets.ROUTES,
            *withdrawals.ROUTES,
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        middleware=[Middleware(Envelope), cors],
        exception_handlers=HANDLERS,
        lifespan=lifespan,
    )
    SPEC.register(app)
    return app
