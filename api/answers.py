"""How answers leave: JSON with an ETag, and 304 when the caller has it already."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response


def private(body: Any) -> Response:
    """A read for its caller alone, kept nowhere."""
    raw = orjson.dumps(body, default=str)
    return Response(raw, headers={"cache-control": "no-store"}, media_type="application/json")


def fresh(request: Request, body: Any, *, max_age_s: int = 1) -> Response:
    """A read that may be kept for a moment."""
    raw = orjson.dumps(body, default=str)
    tag = f'"{blake2b(raw, digest_size=12).hexdigest()}"'
    headers = {"etag": tag, "cache-control": f"public, max-age={max_age_s}"}
    headers["vary"] = "x-casino-slug"
    known = {
        one.strip().removeprefix("W/")
        for one in request.headers.get("if-none-match", "").split(",")
    }
    if tag in known:
        return Response(status_code=304, headers=headers)
    return Response(raw, headers=headers, media_type="application/json")
