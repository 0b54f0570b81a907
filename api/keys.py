"""Who asks, and what they may: services known by an API key, each key with its roles."""

from __future__ import annotations

import hashlib

from starlette.requests import Request

from api.errors import Problem
from api.state import state
from settings import ApiKey, Role


def allowed(request: Request, role: Role) -> ApiKey:
    """The key that `Authorization: Bearer` or `X-Api-Key` carries.

    Raises `Problem` 401 without a known key and 403 without the role. Keys are compared by their
    digests, so the time it takes says nothing about them.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    given = token.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key", "")
    digest = hashlib.sha256(given.encode()).hexdigest()
    known = {one.digest: one for one in state(request).settings.api_keys}
    if not given or digest not in known:
        raise Problem(401, "unauthorized", "this needs an API key (Authorization: Bearer ...)")
    key = known[digest]
    if role not in key.roles:
        raise Problem(403, "forbidden", f"the API key {key.name} lacks the role {role}")
    return key
