"""Who asks, and what they may: services known by an API key, each key with its roles."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from starlette.requests import Request

from api.casinos import chosen
from api.errors import Problem
from api.state import Row, state
from settings import ApiKey, Role


@dataclass(frozen=True, slots=True)
class Caller:
    """A service, and the casino in which it acts with this request."""

    key: ApiKey
    casino: Row

    def scope(self, room: str) -> str:
        """Whose idempotency keys they are: a service's in a casino, whichever key it shows.

        A service that exchanges its key goes on under the same name, and so under the same scope.
        """
        return f"{room}:{self.casino['id']}:{self.key.name}"


async def acting(request: Request, role: Role) -> Caller:
    """The service that asks, and its casino; one bound to a casino means that one unless it says.

    Raises `Problem` 401, 403, and 404 for an unknown casino.
    """
    key = allowed(request, role)
    casino = await chosen(request, default=key.casino)
    if key.casino not in (None, casino["slug"]):
        raise Problem(403, "forbidden", f"the API key {key.name} does not act in this casino")
    return Caller(key, casino)


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
