"""Calls to a casino: signed, never waited for long, sent again under their id when nobody knows."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

import httpx
import orjson

AGAIN = frozenset({408, 425, 429})  # refusals that say nothing about the call


@lru_cache(maxsize=1)
def trusted() -> ssl.SSLContext:
    """Whose certificates are good: read once, as that takes longer than a call."""
    return httpx.create_ssl_context()


def sign(body: bytes, key: str) -> str:
    return hmac.new(key.encode(), body, hashlib.sha256).hexdigest()


def signed(body: bytes, given: str, keys: Sequence[str]) -> bool:
    """Whether one of the keys made it."""
    right = [hmac.compare_digest(given.encode(), sign(body, key).encode()) for key in keys]
    return any(right)


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of a call. `unknown`: it may have been done or not, and only asking tells."""

    outcome: Literal["done", "refused", "unknown"]
    status: int | None = None
    body: Mapping[str, Any] = field(default_factory=dict)

    @property
    def code(self) -> str | None:
        return str(self.body["code"]) if "code" in self.body else None


@dataclass(frozen=True, slots=True)
class Casino:
    """A casino's callbacks at `url`."""

    url: str
    key: str = field(repr=False)
    timeout_s: float = 3.0
    tries: int = 3
    pause_s: float = 0.3

    @property
    def longest_s(self) -> float:
        """How long a call is on its way at most, with all its tries."""
        return self.tries * self.timeout_s + self.pause_s * 2.0**self.tries

    async def call(self, name: str, body: Mapping[str, Any]) -> Heard:
        """The outcome after as many tries as it takes, of the same bytes each time."""
        raw = orjson.dumps(body)
        headers = {"content-type": "application/json", "x-casino-signature": sign(raw, self.key)}
        heard = Heard("unknown")
        async with httpx.AsyncClient(timeout=self.timeout_s, verify=trusted()) as client:
            for tries in range(self.tries):
                if tries:
                    await asyncio.sleep(self.pause_s * 2 ** (tries - 1))
                heard = await self._once(client, f"{self.url}/casino/{name}", raw, headers)
                if heard.outcome != "unknown":
                    break
        return heard

    async def _once(
        self, client: httpx.AsyncClient, url: str, raw: bytes, headers: Mapping[str, str]
    ) -> Heard:
        try:
            async with asyncio.timeout(self.timeout_s):
                answer = await client.post(url, content=raw, headers=dict(headers))
        except (httpx.HTTPError, TimeoutError):
            return Heard("unknown")
        return understood(answer.status_code, answer.content)


def understood(status: int, content: bytes) -> Heard:
    """What an answer means. Whatever cannot be read as yes or no is neither."""
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        return Heard("unknown", status)
    if not isinstance(body, dict):
        return Heard("unknown", status)
    if status == 200 and body.get("status") == "OK" and type(body.get("balance")) is int:
        return Heard("done", status, body)
    if 400 <= status < 500 and status not in AGAIN and isinstance(body.get("code"), str):
        return Heard("refused", status, body)
    return Heard("unknown", status, body)
