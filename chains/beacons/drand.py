"""Draws of drand's quicknet: heard from any of its endpoints, believed for their signature alone.

Only one signature of a round is possible (`chains.beacons.quicknet`), so endpoints cannot lie, only
be silent.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Annotated

import aiohttp
import msgspec
from loguru import logger

from chains.beacons import AFTER_CLOSE, DRAND, Beacon, Drawn, Forged, check_moment
from chains.beacons.quicknet import KNOWN, QUICKNET, Chain, check
from chains.http import UNREADABLE
from chains.redaction import plainly, redacted

TIMEOUT_S = 3.0
SLOW_S = 0.2  # after which the next endpoint is asked beside those that have not answered
ASIDE_S = 600.0  # for which an endpoint that said something wrong is not asked
LONGEST = 4096  # bytes of an answer; a true one has some 250


Heard = Drawn | Forged | None  # a lie is heard, too; None is silence


class Answer(msgspec.Struct):
    """What an endpoint says of a round, in its first API, which all endpoints have."""

    round: int
    randomness: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
    signature: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{96}\Z")]


@dataclass(slots=True)
class Endpoint:
    """One place that has draws, and until when it is not asked."""

    url: str = field(repr=False)
    aside_until: float = 0.0


class Drand(Beacon):
    """A drand chain by way of its endpoints (`urls` without the chain's hash)."""

    kind = DRAND

    def __init__(
        self,
        urls: Sequence[str],
        *,
        patience_s: float,
        timeout_s: float = TIMEOUT_S,
        chain: Chain = QUICKNET,
    ) -> None:
        if not urls:
            raise ValueError("drand needs at least one endpoint")
        super().__init__(chain.hash, patience_s=patience_s)
        self.endpoints = [Endpoint(url.rstrip("/")) for url in urls]
        self.chain = chain
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    def due(self, closes_at: float) -> int:
        return self.chain.first_after(check_moment(closes_at) + AFTER_CLOSE)

    def expected_at(self, closes_at: float) -> float:
        return self.chain.time(self.due(closes_at))

    async def look(self, closes_at: float) -> Drawn | None:
        number = self.due(closes_at)
        now = time.monotonic()
        # Those aside are better than none.
        endpoints = [one for one in self.endpoints if one.aside_until <= now] or self.endpoints
        lies = []
        async with contextlib.aclosing(self._answers(endpoints, number)) as answers:
            async for heard in answers:
                if isinstance(heard, Drawn):
                    return heard
                if isinstance(heard, Forged):
                    lies.append(heard)
        if len(lies) == len(endpoints):
            raise Forged(f"no endpoint of drand has a true round {number}: {lies[0]}")
        return None

    async def close(self) -> None:
        await super().close()
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _answers(self, endpoints: Sequence[Endpoint], number: int) -> AsyncGenerator[Heard]:
        """What endpoints say, as it comes: one more is asked when one had nothing, or is slow."""
        asked: list[asyncio.Task[Heard]] = []
        waiting: set[asyncio.Task[Heard]] = set()
        try:
            while waiting or len(asked) < len(endpoints):
                if len(asked) < len(endpoints):
                    asked.append(asyncio.create_task(self._hear(endpoints[len(asked)], number)))
                    waiting.add(asked[-1])
                done, waiting = await asyncio.wait(
                    waiting,
                    timeout=SLOW_S if len(asked) < len(endpoints) else None,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                for one in done:
                    yield one.result()
        finally:
            for one in waiting:
                one.cancel()
            await asyncio.gather(*asked, return_exceptions=True)

    async def _hear(self, endpoint: Endpoint, number: int) -> Heard:
        """What one endpoint says; a lie sets it aside."""
        body = await self._get(endpoint, f"{self.chain_hash.hex()}/public/{number}")
        if body is None:
            return None
        try:
            # Some milliseconds, most of them without Python's lock: not in the loop's way.
            return await asyncio.to_thread(read, self.chain, number, body)
        except Forged as lie:
            endpoint.aside_until = time.monotonic() + ASIDE_S
            where = redacted(endpoint.url)
            logger.error("{} is not asked for drand for {:.0f} s: {}", where, ASIDE_S, lie)
            return lie

    async def _get(self, endpoint: Endpoint, path: str) -> bytes | None:
        """An answer's body, or enough of it, if it claims to be one: not yet is 404."""
        if self._session is None:
            # Compressed, a few bytes could become many.
            headers = {"accept": "application/json", "accept-encoding": "identity"}
            self._session = aiohttp.ClientSession(
                timeout=self._timeout, headers=headers, auto_decompress=False
            )
        try:
            url = f"{endpoint.url}/{path}"
            async with self._session.get(url, allow_redirects=False) as answer:
                if answer.status == 200:
                    return await answer.content.readexactly(LONGEST + 1)
        except asyncio.IncompleteReadError as end:
            return end.partial
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, RuntimeError) as error:
            logger.debug("{} has no answer of drand: {}", redacted(endpoint.url), plainly(error))
        return None


def read(chain: Chain, number: int, body: bytes) -> Drawn:
    """The draw in an endpoint's answer. Raises `Forged` for any other than this round's."""
    if len(body) > LONGEST:
        raise Forged(f"it answers with more than {LONGEST} bytes")
    try:
        answer = msgspec.json.decode(body, type=Answer)
    except UNREADABLE as error:
        raise Forged(f"it answers with what is no round of drand: {error}") from error
    if answer.round != number:
        raise Forged(f"asked for round {number}, it answers with round {answer.round}")
    drawn = draw(chain, number, bytes.fromhex(answer.signature))
    if drawn.randomness.hex() != answer.randomness:
        raise Forged(f"the randomness of round {number} is not the hash of its signature")
    return drawn


def draw(chain: Chain, number: int, signature: bytes) -> Drawn:
    """The draw that a signature is. Raises `Forged` unless it is the chain's, of this round."""
    check(chain, number, signature)
    return Drawn(DRAND, chain.hash, number, sha256(signature).digest(), signature)


def verify(drawn: Drawn, closes_at: float) -> None:
    """Raises `Forged` unless this is what drand drew for a closing."""
    chain = KNOWN.get(drawn.chain_hash)
    if chain is None:
        raise Forged(f"no chain of drand is known by {drawn.chain_hash.hex()}")
    number = chain.first_after(check_moment(closes_at) + AFTER_CLOSE)
    if drawn.round != number:
        raise Forged(f"round {number} counts, not round {drawn.round}")
    if draw(chain, number, drawn.evidence) != drawn:
        raise Forged(f"the randomness of round {number} is not the hash of its signature")
