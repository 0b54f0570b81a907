"""Who asks, and what they may: services known by an API key or a signature, with their roles."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass

from starlette.requests import Request

from api.bodies import raw
from api.casinos import chosen
from api.errors import Problem
from api.state import Row, state
from casino.providers import signatures
from settings import ApiKey, Role

CLIENT, TIME, SIGNATURE = "x-client-id", "x-timestamp", "x-signature"
IDEMPOTENCY = ("x-idempotency-key", "idempotency-key")


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
    key = await allowed(request, role)
    casino = await chosen(request, default=key.casino)
    if key.casino not in (None, casino["slug"]):
        raise Problem(403, "forbidden", f"the API key {key.name} does not act in this casino")
    return Caller(key, casino)


async def allowed(request: Request, role: Role) -> ApiKey:
    """The key that is shown or signs. Raises `Problem` 401 without one and 403 without the role."""
    key = await _signer(request) if CLIENT in request.headers else _shown(request)
    if role not in key.roles:
        raise Problem(403, "forbidden", f"the API key {key.name} lacks the role {role}")
    return key


def _shown(request: Request) -> ApiKey:
    """The key that `Authorization: Bearer` or `X-Api-Key` carries. Raises `Problem` 401.

    Keys are compared by their digests, so the time it takes says nothing about them.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    given = token.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key", "")
    digest = hashlib.sha256(given.encode()).hexdigest()
    known = {one.digest: one for one in state(request).settings.api_keys}
    if not given or digest not in known:
        raise Problem(401, "unauthorized", "this needs an API key (Authorization: Bearer ...)")
    return known[digest]


async def _signer(request: Request) -> ApiKey:
    """The key whose owner signed this very request, now. Raises `Problem` 401 and 413.

    Signed are client, time, method and path, idempotency key and body, a line for each: whatever
    decides what is done. So whoever sends it again within the window asks the same thing under the
    same idempotency key.
    """
    said = request.headers
    client, when = said[CLIENT], said.get(TIME, "")
    sent: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    query: bytes = request.scope["query_string"]
    path = (b"?".join([sent, query]) if query else sent).decode("latin-1")
    once = ",".join(value for name in IDEMPOTENCY for value in said.getlist(name))
    signed = signatures.stamped(await raw(request), client, when, f"{request.method} {path}", once)
    for key in state(request).settings.api_keys:
        if key.name == client and signatures.is_hmac(
            signed, said.get(SIGNATURE, ""), key.secrets or ()
        ):
            if signatures.in_time(when, time.time()):
                return key
            window = signatures.WINDOW_S
            raise Problem(401, "signature_stale", f"signed more than {window} s away from now")
    raise Problem(401, "unauthorized", "the signature is wrong")
