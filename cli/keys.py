"""API keys: made here, shown once, and kept by the house as a digest only."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Sequence

from settings import ApiKey, Role

WALLETS: tuple[Role, ...] = ("wallets:read", "wallets:write")


def fresh(name: str, roles: Sequence[Role], casino: str | None = None) -> tuple[str, ApiKey]:
    """A key of 256 random bits, and what the house keeps of it. Raises `ValidationError`."""
    secret = f"fh_{secrets.token_urlsafe(32)}"
    digest = hashlib.sha256(secret.encode()).hexdigest()
    return secret, ApiKey(name=name, digest=digest, roles=list(roles), casino=casino)


def written(keys: Iterable[ApiKey]) -> str:
    """Keys as `FAIRHOUSE_API_KEYS` takes them."""
    return json.dumps([key.model_dump(exclude_none=True) for key in keys])
