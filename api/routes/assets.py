"""Assets: what a casino counts in."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api import shapes
from api.answers import fresh
from api.casinos import OfCasino, chosen
from api.documents import describe
from api.parameters import asked
from api.state import state
from casino import assets


@describe(shapes.Assets, 404, query=OfCasino, tag="wallets")
async def counted(request: Request) -> Response:
    """The assets of a casino: its own, and those of chains and countries."""
    asked(request, OfCasino)
    casino = await chosen(request)
    async with state(request).pool.connection() as connection:
        found = await assets.counted(connection, casino["slug"])
    items = [{"id": one.id, "symbol": one.symbol, "scale": one.scale} for one in found]
    return fresh(request, {"items": items}, max_age_s=10)


ROUTES = [Route("/api/assets", counted)]
