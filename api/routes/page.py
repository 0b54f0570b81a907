"""What a browser opens: the live page, the documentation, and where the feed is."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from api import shapes
from api.documents import describe, openapi
from api.state import state

STATIC = Path(__file__).parents[1] / "static"
ASK_AGAIN = {"cache-control": "no-cache"}


async def page(request: Request) -> Response:
    return FileResponse(STATIC / "index.html", headers=ASK_AGAIN)


async def documentation(request: Request) -> Response:
    return FileResponse(STATIC / "docs.html", headers=ASK_AGAIN)


async def description(request: Request) -> Response:
    return JSONResponse(openapi(), headers={"cache-control": "public, max-age=60"})


@describe(shapes.Line, tag="feed")
async def line(request: Request) -> Response:
    """Where the live feed is, and which casino is meant when none is named."""
    settings = state(request).settings
    feed = settings.feed_public_url or f"ws://{request.url.hostname}:{settings.feed_port}/ws"
    return JSONResponse({"feed_url": feed, "casino": settings.default_casino})


ROUTES = [
    Route("/", page),
    Route("/docs", documentation),
    Route("/openapi.json", description),
    Route("/api/line", line),
]
