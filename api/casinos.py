"""Which casino a request means: `?casino=`, else `X-Casino-Slug`, else the default."""

from __future__ import annotations

from pydantic import BaseModel, Field
from starlette.requests import Request

from api.errors import Problem
from api.state import Row, state

CASINO = """
SELECT id, slug, name, owner, theme, status, created_at FROM casinos WHERE slug = %(slug)s
"""


class OfCasino(BaseModel):
    """What every read of a casino takes; the header `X-Casino-Slug` says the same."""

    casino: str | None = Field(default=None, max_length=64, pattern=r"^[a-z0-9-]*$")


async def chosen(request: Request, *, default: str | None = None) -> Row:
    """The casino's row; without a name the `default`, else the house's own.

    Raises `Problem` 404 when there is none of that name.
    """
    house = state(request)
    header = OfCasino(casino=request.headers.get("x-casino-slug")).casino
    query = OfCasino(casino=request.query_params.get("casino")).casino
    slug = query or header or default or house.settings.default_casino
    row = await house.row(CASINO, {"slug": slug})
    if row is None:
        raise Problem(404, "unknown_casino", f"there is no casino {slug!r}")
    return row
