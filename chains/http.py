"""JSON-RPC over HTTP: a budget for each provider, back-off, and the next one on failure."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiohttp
import msgspec

from chains.errors import RpcError

T = TypeVar("T")
TIMEOUT_S = 30.0
FIRST_REST_S, LONGEST_REST_S = 0.25, 15.0
TOO_MANY = (-32005, -32029, -32097)
LAGGING = (-32004, -32014, -32016)


class ErrorObject(msgspec.Struct):
    code: int = 0
    message: str = ""
    data: Any = None


class Head(msgspec.Struct):
    """What every answer has beside its result, which is parsed by itself, typed."""

    error: ErrorObject | None = None
    result: msgspec.Raw = msgspec.Raw(b"null")


class Refused(RpcError):
    """The node understood the question and said no; `code` and the message are its own."""

    def __init__(self, code: int, message: str, retryable: bool) -> None:
        super().__init__(f"{message} ({code})", retryable)
        self.code = code


@dataclass
class Provider:
    """One URL with its budget: `rate` calls a second, and a rest after each failure."""

    url: str
    rate: float
    resting_until: float = 0.0
    failures: int = 0
    _next: float = field(default=0.0)

    async def turn(self) -> None:
        """Wait for this call's place in the budget."""
        now = time.monotonic()
        start = max(now, self._next)
        self._next = start + 1 / self.rate
        if start > now:
            await asyncio.sleep(start - now)

    def failed(self, rest_s: float | None = None) -> None:
        self.failures += 1
        grown = min(FIRST_REST_S * 2 ** min(self.failures - 1, 8), LONGEST_REST_S)
        pause = rest_s or grown
        self.resting_until = time.monotonic() + pause * random.uniform(0.8, 1.2)

    def answered(self) -> None:
        self.failures, self.resting_until = 0, 0.0


class Node:
    """Providers of one network, asked in their order; the first that rests not is asked."""

    def __init__(self, urls: Sequence[str], *, rate: float = 50.0, concurrency: int = 8) -> None:
        if not urls:
            raise ValueError("a network needs at least one RPC URL")
        self.providers = [Provider(url, rate) for url in urls]
        self._slots = asyncio.Semaphore(concurrency)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def ask(self, method: str, params: Sequence[Any], kind: type[T], *, tries: int = 3) -> T:
        """The result, parsed as `kind`. Raises `RpcError`; a `Refused` that stays is final."""
        last: RpcError = RpcError("no provider answered")
        async with self._slots:
            for _ in range(tries * len(self.providers)):
                provider = min(self.providers, key=lambda p: max(p.resting_until, 0.0))
                await asyncio.sleep(max(0.0, min(provider.resting_until - time.monotonic(), 2.0)))
                await provider.turn()
                try:
                    result = await self._once(provider, method, params, kind)
                except RpcError as error:
                    last = error
                    if not error.retryable:
                        raise
                    provider.failed()
                    continue
                provider.answered()
                return result
        raise last

    async def _once(
        self, provider: Provider, method: str, params: Sequence[Any], kind: type[T]
    ) -> T:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
                connector=aiohttp.TCPConnector(limit=64),
            )
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        try:
            async with self._session.post(
                provider.url,
                data=msgspec.json.encode(body),
                headers={"content-type": "application/json"},
            ) as answer:
                raw = await answer.read()
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise RpcError(f"{method}: {type(error).__name__} {error}".strip()) from error
        return _parsed(method, status, raw, kind)


def _parsed(method: str, status: int, raw: bytes, kind: type[T]) -> T:
    """Errors by what time can do about them: 429, 5xx and HTML pass, a refusal stays."""
    try:
        head = msgspec.json.decode(raw, type=Head)
    except msgspec.MsgspecError as error:
        raise RpcError(f"{method}: HTTP {status}, and no JSON-RPC answer") from error
    if head.error is not None:
        passing = head.error.code in TOO_MANY or head.error.code in LAGGING or status == 429
        raise Refused(head.error.code, f"{method}: {head.error.message}", passing)
    if status >= 400:
        raise RpcError(f"{method}: HTTP {status}", retryable=status == 429 or status >= 500)
    try:
        return msgspec.json.decode(head.result, type=kind)
    except msgspec.MsgspecError as error:
        raise RpcError(f"{method}: an answer of another shape: {error}") from error
