"""What a browser opens: the live page, wallets, proofs, documentation, and where the feed is."""

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


async def wallet(request: Request) -> Response:
    return FileResponse(STATIC / "wallet.html", headers=ASK_AGAIN)


async def verify(request: Request) -> Response:
    """A file that works without us, too: what it may do, it says itself in a `meta` element."""
    headers = {**ASK_AGAIN, "content-security-policy": "frame-ancestors 'none'"}
    return FileResponse(STATIC / "verify.html", headers=headers)


async def documentation(request: Request) -> Response:
    return FileResponse(STATIC / "docs.html", headers=ASK_AGAIN)


async def description(request: Request) -> Response:
    return JSONResponse(openapi(), headers={"cache-control": "public, max-age=60"})


@describe(shapes.Line, tag="feed")
async def line(request: Request) -> Response:
    """Where the live feed is, and which casino is meant when none is named."""
    settings = state(request).settings
    feed = settings.feed_public_url or beside(request, settings.feed_port)
    said = {"feed_url": feed, "casino": settings.default_casino}
    return JSONResponse(said, headers={"cache-control": "no-store"})


def beside(request: Request, port: int) -> str:
    """The feed on the host that was asked; behind TLS when the caller, or its proxy, came so."""
    forwarded = request.headers.get("x-forwarded-proto", "").split(",")[0].strip().lower()
    scheme = "wss" if (forwarded or request.url.scheme) == "https" else "ws"
    host = request.url.hostname or "localhost"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/ws"


ROUTES = [
    Route("/", page),
    Route("/wallet", wallet),
    Route("/verify", verify),
    Route("/docs", documentation),
    Route("/openapi.json", description),
    Route("/api/line", line),
]
