"""JSON-RPC over HTTP: a budget for each provider, back-off, and the next one on failure."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiohttp
import msgspec
from loguru import logger

from chains.errors import ChainError, RpcError, WrongChain
from chains.redaction import plainly, redacted

T = TypeVar("T")
Call = tuple[str, Sequence[Any]]
TIMEOUT_S = 10.0
FIRST_REST_S, LONGEST_REST_S = 0.25, 15.0
TOO_MANY = (-32005, -32029, -32097)
LAGGING = (-32004, -32014, -32016)
INTERNAL = -32603
NOT_HERE = (401, 402, 403, 404, 408, 429)  # no key, no credit, no such place, not now
UNREADABLE = (msgspec.MsgspecError, RecursionError)  # the second for brackets without an end
UNKNOWN_METHOD = -32601
# What providers say under codes that mean nothing; all of it passes with time or elsewhere.
PASSING = re.compile(
    r"rate.?limit|too many requests|request limit|compute units|capacity|throttl|quota"
    r"|header not found|unknown block|block not found|not (yet )?available|unavailable"
    r"|timed? ?out|temporar|try again|overload|busy|behind|minimum context slot"
    r"|unauthori[sz]ed|forbidden|access denied|api.?key|suspended",
    re.IGNORECASE,
)

NO_METHOD = re.compile(
    r"method.{0,60}(not found|not exist|not supported|not available|unknown|unsupported)"
    r"|(unknown|unsupported|invalid) method",
    re.IGNORECASE,
)


class ErrorObject(msgspec.Struct):
    code: int = 0
    message: str = ""
    data: Any = None


class Head(msgspec.Struct):
    """What every answer has beside its result, which is parsed by itself, typed."""

    id: int | str | None = None
    error: ErrorObject | None = None
    result: msgspec.Raw = msgspec.Raw(b"null")


class Refused(RpcError):
    """The node understood the question and said no; `code`, `said` and `data` are its own."""

    def __init__(
        self, method: str, code: int, said: str, retryable: bool, data: Any = None
    ) -> None:
        super().__init__(f"{method}: {' '.join(said.split())} ({code})", retryable)
        self.code = code
        self.said = said
        self.data = data


class Rested(RpcError):
    """The provider asked for a pause of its own length."""

    def __init__(self, message: str, rest_s: float | None) -> None:
        super().__init__(message)
        self.rest_s = rest_s


Judge = Callable[[Refused], ChainError | None]
Check = Callable[[Sequence[msgspec.Raw]], None]


@dataclass
class Provider:
    """One URL with its budget: `rate` calls a second, and a rest after each failure."""

    url: str = field(repr=False)
    rate: float
    resting_until: float = 0.0
    failures: int = 0
    checked: bool = False
    wrong: str | None = None
    batches: bool = True
    _next: float = field(default=0.0)

    async def turn(self, calls: int = 1) -> None:
        """Wait for these calls' place in the budget; a second's worth may go at once."""
        now = time.monotonic()
        start = max(now - 1, self._next)
        self._next = start + calls / self.rate
        if start > now:
            await asyncio.sleep(start - now)

    def failed(self, rest_s: float | None = None) -> None:
        self.failures += 1
        self.checked = False
        grown = min(FIRST_REST_S * 2 ** min(self.failures - 1, 8), LONGEST_REST_S)
        pause = grown if rest_s is None else min(rest_s, 4 * LONGEST_REST_S)
        self.resting_until = time.monotonic() + pause * random.uniform(0.8, 1.2)

    def answered(self) -> None:
        self.failures, self.resting_until = 0, 0.0


class Node:
    """Providers of one network, asked in their order; the first that rests not is asked.

    `identify` is the question by which a provider shows its chain, and how to read the answer.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        identify: tuple[str, Callable[[str], str]],
        rate: float = 50.0,
        concurrency: int = 8,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        if not urls:
            raise ValueError("a network needs at least one RPC URL")
        self.providers = [Provider(url, rate) for url in urls]
        self.expected: str | None = None
        self._identify = identify
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._slots = asyncio.Semaphore(concurrency)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def identity(self) -> str:
        """Which chain this is. From then on every provider is held to the first one's answer.

        Raises `WrongChain` when the node does not know the question: it is of another kind.
        """
        method, _ = self._identify
        found = self._read(await self.ask(method, [], str, judge=stranger))
        if self.expected is None:
            self.expected = found
        return found

    def forget(self) -> None:
        """Hold providers to no chain any more: the one that they were held to was a wrong one."""
        self.expected = None
        for provider in self.providers:
            provider.checked, provider.wrong = False, None

    async def everywhere(
        self, method: str, params: Sequence[Any], kind: type[T]
    ) -> list[T | Refused]:
        """What each provider of this chain answers, or why it refuses.

        Raises `RpcError` unless every one of them answers.
        """
        answers: list[T | Refused] = []
        async with self._slots:
            for provider in self.providers:
                if provider.wrong is not None:
                    continue
                try:
                    await self._fit(provider)
                    results = await self._together(provider, [(method, params)])
                    answers.append(_typed(method, results[0], kind))
                except Refused as error:
                    answers.append(error)
                except WrongChain as error:
                    self._strike(provider, error)
        return answers

    async def ask(
        self,
        method: str,
        params: Sequence[Any],
        kind: type[T],
        *,
        judge: Judge | None = None,
        tries: int = 3,
    ) -> T:
        """The result, parsed as `kind`. Raises `RpcError`; a `Refused` that stays is final.

        `judge` may know a refusal better: the error that it gives is raised at once.
        """
        found: list[T] = []

        def shaped(results: Sequence[msgspec.Raw]) -> None:
            found[:] = [_typed(method, results[0], kind)]

        await self.ask_together([(method, params)], judge=judge, check=shaped, tries=tries)
        return found[0]

    async def ask_together(
        self,
        calls: Sequence[Call],
        *,
        judge: Judge | None = None,
        check: Check | None = None,
        tries: int = 3,
    ) -> list[msgspec.Raw]:
        """The results of several calls, all by the same provider.

        `check` may raise `RpcError` for results not to be believed: the next provider is asked.
        """
        last: RpcError = RpcError("no provider answered")
        async with self._slots:
            for _ in range(tries * len(self.providers)):
                provider = await self._awake()
                try:
                    await self._fit(provider)
                    results = await self._together(provider, calls)
                    if check is not None:
                        check(results)
                except RpcError as error:
                    known = judge(error) if judge and isinstance(error, Refused) else None
                    if known is not None:
                        raise known from error
                    if not error.retryable:
                        raise
                    last = error
                    provider.failed(error.rest_s if isinstance(error, Rested) else None)
                    continue
                except WrongChain as error:
                    self._strike(provider, error)
                    continue
                provider.answered()
                return results
        raise last

    async def _awake(self) -> Provider:
        """The first provider that rests not, or else the one whose rest ends first."""
        fit = [provider for provider in self.providers if provider.wrong is None]
        if not fit:
            raise WrongChain(self.providers[0].wrong or "no provider is left")
        now = time.monotonic()
        provider = min(fit, key=lambda one: max(one.resting_until - now, 0.0))
        await asyncio.sleep(max(0.0, min(provider.resting_until - now, 2.0)))
        return provider

    async def _fit(self, provider: Provider) -> None:
        """Raises `WrongChain` when a provider serves another chain than the one expected."""
        if self.expected is None or provider.checked:
            return
        method, _ = self._identify
        try:
            results = await self._together(provider, [(method, [])])
        except Refused as error:
            other = stranger(error)
            if other is None:
                raise
            raise other from error
        found = self._read(_typed(method, results[0], str))
        if found != self.expected:
            raise WrongChain(f"it serves {found}, not {self.expected}")
        provider.checked = True

    def _strike(self, provider: Provider, error: WrongChain) -> None:
        logger.error("{} is not asked any more: {}", redacted(provider.url), error)
        provider.wrong = str(error)

    def _read(self, answer: str) -> str:
        method, read = self._identify
        try:
            return read(answer)
        except ValueError as error:
            raise WrongChain(f"it answers {method} with {answer[:80]!r}") from error

    async def _together(self, provider: Provider, calls: Sequence[Call]) -> list[msgspec.Raw]:
        await provider.turn(len(calls))
        if len(calls) > 1 and provider.batches:
            found = await self._batch(provider, calls)
            if found is not None:
                return found
            provider.batches = False
        results = []
        for method, params in calls:
            status, raw, rest_s = await self._post(provider, method, _body(0, method, params))
            results.append(_result(method, status, _head(method, status, raw, rest_s)))
        return results

    async def _batch(self, provider: Provider, calls: Sequence[Call]) -> list[msgspec.Raw] | None:
        """The results in the order of the calls, or None when the provider takes no batches."""
        body = [_body(n, method, params) for n, (method, params) in enumerate(calls)]
        name = calls[0][0]
        status, raw, rest_s = await self._post(provider, name, body)
        try:
            heads = msgspec.json.decode(raw, type=list[Head])
        except UNREADABLE:
            # One object for a whole batch is an error of the batch, or a page that is no JSON.
            one = _head(name, status, raw, rest_s)
            if one.error is not None and not _passes(one.error, status):
                return None
            _result(name, status, one)
            return None
        found = {head.id: head for head in heads}
        if set(found) != set(range(len(calls))):
            raise RpcError(f"{name}: {len(heads)} answers to a batch of {len(calls)}")
        return [_result(method, status, found[n]) for n, (method, _) in enumerate(calls)]

    async def _post(
        self, provider: Provider, method: str, body: Any
    ) -> tuple[int, bytes, float | None]:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=self._timeout,
                connector=aiohttp.TCPConnector(limit=64),
            )
        try:
            async with self._session.post(
                provider.url,
                data=msgspec.json.encode(body),
                headers={"content-type": "application/json"},
            ) as answer:
                return answer.status, await answer.read(), _rest(answer.headers)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, RuntimeError) as error:
            # The last is a session that somebody closed under way: the next question opens another.
            where = redacted(provider.url)
            raise RpcError(f"{method}: {where} does not answer: {plainly(error)}") from None


def stranger(refused: Refused) -> WrongChain | None:
    """A node that does not know the question which chain it serves is of another kind."""
    if refused.code != UNKNOWN_METHOD and not NO_METHOD.search(refused.said):
        return None
    return WrongChain(f"it is a node of another kind of chain, which refuses {refused}")


def _body(n: int, method: str, params: Sequence[Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": n, "method": method, "params": list(params)}


def _rest(headers: Any) -> float | None:
    after = headers.get("retry-after", "")
    return float(after) if after.isdecimal() else None


def _head(method: str, status: int, raw: bytes, rest_s: float | None) -> Head:
    """The answer's outside. 429, 5xx and what is no JSON pass with time."""
    try:
        head = msgspec.json.decode(raw, type=Head)
    except UNREADABLE as error:
        raise Rested(f"{method}: HTTP {status}, and no JSON-RPC answer", rest_s) from error
    if status == 429:
        raise Rested(f"{method}: HTTP 429", rest_s)
    return head


def _result(method: str, status: int, head: Head) -> msgspec.Raw:
    if head.error is not None:
        said = head.error.message
        raise Refused(method, head.error.code, said, _passes(head.error, status), head.error.data)
    if status >= 400:
        raise RpcError(f"{method}: HTTP {status}", retryable=_of_the_provider(status))
    return head.result


def _passes(error: ErrorObject, status: int) -> bool:
    """Whether asking again, later or elsewhere, may help."""
    known = error.code in TOO_MANY or error.code in LAGGING or error.code == INTERNAL
    return known or _of_the_provider(status) or PASSING.search(error.message) is not None


def _of_the_provider(status: int) -> bool:
    """Whether a status says that this provider will not do, whatever it was asked."""
    return status >= 500 or status in NOT_HERE


def _typed(method: str, raw: msgspec.Raw, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(raw, type=kind)
    except UNREADABLE as error:
        raise RpcError(f"{method}: an answer of another shape: {error}") from error


def typed(raw: msgspec.Raw, kind: type[T]) -> T:
    """One result of `ask_together`. Raises `RpcError` when it has another shape."""
    return _typed("batch", raw, kind)
