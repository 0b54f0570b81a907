"""Which casino a request means: `?casino=`, else `X-Casino-Slug`, else the default."""

from __future__ import annotations

import time

from pydantic import BaseModel, Field
from starlette.requests import Request

from api.errors import Problem
from api.state import Row, state

CASINO = """
SELECT id, slug, name, owner, theme, status, created_at FROM casinos WHERE slug = %(slug)s
"""
KNOWN_S = 1.0


class OfCasino(BaseModel):
    """What every read of a casino takes; the header `X-Casino-Slug` says the same."""

    casino: str | None = Field(default=None, max_length=64, pattern=r"^[a-z0-9-]*$")


async def chosen(request: Request, *, default: str | None = None) -> Row:
    """The casino's row as of a second ago; without a name the `default`, else the house's own.

    Raises `Problem` 404 when there is none of that name.
    """
    house = state(request)
    header = OfCasino(casino=request.headers.get("x-casino-slug")).casino
    query = OfCasino(casino=request.query_params.get("casino")).casino
    slug = query or header or default or house.settings.default_casino
    until, known = house.casinos.get(slug, (0.0, {}))
    if time.monotonic() < until:
        return known
    if known:  # one asks again, and the others go by what was known meanwhile
        house.casinos[slug] = (time.monotonic() + KNOWN_S, known)
    row = await house.row(CASINO, {"slug": slug})
    if row is None:
        house.casinos.pop(slug, None)
        raise Problem(404, "unknown_casino", f"there is no casino {slug!r}")
    house.casinos[slug] = (time.monotonic() + KNOWN_S, row)
    return row
