"""What every answer carries: a request id, security headers, and its place in the metrics."""

from __future__ import annotations

import secrets
import time

from loguru import logger
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.metrics import ANSWERED, SECONDS

SECURITY = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (
        b"content-security-policy",
        b"default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
)
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")


class Envelope:
    """Takes a caller's `X-Request-Id` when it is 1 to 64 letters and digits, else makes one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, method = time.perf_counter(), str(scope["method"])
        given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        usable = given.isascii() and given.isalnum() and len(given) <= 64
        request = given if usable else secrets.token_hex(8)

        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"]
                said = {name for name, _ in headers}
                more = [pair for pair in SECURITY if pair[0] not in said]
                message["headers"] = [*headers, *more, (b"x-request-id", request.encode())]
                counted = method if method in METHODS else "OTHER"
                ANSWERED.labels(counted, message["status"]).inc()
                SECONDS.observe(time.perf_counter() - began)
            await send(message)

        with logger.contextualize(request=request):
            await self._app(scope, receive, stamped)
