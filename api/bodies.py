"""What a request brings, checked before anything is done with it: its size, its JSON, its shape."""

from __future__ import annotations

from typing import TypeVar

import orjson
from pydantic import BaseModel
from starlette.requests import Request

from api.errors import Problem

M = TypeVar("M", bound=BaseModel)
MOST_BYTES = 64 * 1024
MOST_HEARD = 256 * MOST_BYTES


async def raw(request: Request) -> bytes:
    """The body as it came. Raises `Problem` 413 when it is too long; no more of it is kept.

    Who is still sending does not hear an answer, so a good deal more is listened to. It comes once,
    and is kept for whoever asks again.
    """
    kept: bytes | None = getattr(request.state, "raw", None)
    if kept is not None:
        return kept
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size <= MOST_BYTES:
            parts.append(part)
        elif size > MOST_HEARD:
            break
    if size > MOST_BYTES:
        raise Problem(413, "too_large", f"a body may have {MOST_BYTES} bytes")
    request.state.raw = found = b"".join(parts)
    return found


async def given(request: Request, model: type[M]) -> M:
    """The body as a model. Raises `Problem` 413, 415 and 400, and `ValidationError`."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem(415, "not_json", "the body must be application/json")
    return model.model_validate(parsed(await raw(request)))


def parsed(body: bytes) -> object:
    """JSON. Raises `Problem` 400, also for JSON nested too deep."""
    try:
        found: object = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if error.msg.startswith("depth limit"):
            raise Problem(400, "too_deep", "the body is nested too deep") from error
        raise Problem(400, "bad_json", f"the body is no JSON: {error.msg}") from error
    return found


def whole(number: object) -> object:
    """JSON knows no difference between 1 and 1.0."""
    return int(number) if isinstance(number, float) and number.is_integer() else number
