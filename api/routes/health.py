"""Health and metrics: open to load balancers and scrapers; they tell no secrets."""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from api import metrics, shapes
from api.documents import describe
from api.health import look
from api.state import state


@describe(shapes.Health, tag="health")
async def health(request: Request) -> Response:
    """Every part's state and lag; 503 when the house cannot serve."""
    report = await look(state(request))
    status = 503 if report["status"] == "unavailable" else 200
    return JSONResponse(report, status, {"cache-control": "no-store"})


async def scraped(request: Request) -> Response:
    return Response(metrics.text(await look(state(request))), media_type=CONTENT_TYPE_LATEST)


ROUTES = [Route("/health", health), Route("/metrics", scraped)]
