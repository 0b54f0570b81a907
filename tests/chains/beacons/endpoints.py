"""Endpoints of drand on this machine: they say what was recorded, or what they are told to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from chains.beacons.quicknet import QUICKNET
from tests.chains.beacons.quicknet import PUBLISHED, answer

KEY = "k3y0fTheEndpoint"
ENDLESS = 64 * 2**20  # more than what the sockets of this machine hold
Mood = Callable[["Place", web.Request, int], Awaitable[web.StreamResponse]]


def said(content: Any, **other: Any) -> web.Response:
    return web.Response(body=orjson.dumps(content), content_type="application/json", **other)


async def honest(place: Place, request: web.Request, number: int) -> web.StreamResponse:
    if number in PUBLISHED:
        return said(answer(number))
    return web.Response(status=404)


async def not_yet(place: Place, request: web.Request, number: int) -> web.StreamResponse:
    return web.Response(status=404)


async def stalling(place: Place, request: web.Request, number: int) -> web.StreamResponse:
    await asyncio.sleep(3600)
    raise AssertionError("nobody waits so long")


async def cut_off(place: Place, request: web.Request, number: int) -> web.StreamResponse:
    whole = web.StreamResponse(headers={"content-length": "300"})
    await whole.prepare(request)
    await whole.write(b'{"round":')
    assert request.transport is not None
    request.transport.abort()
    return whole


async def endless(place: Place, request: web.Request, number: int) -> web.StreamResponse:
    """A true answer, and after it spaces, which JSON allows."""
    flood = web.StreamResponse()
    await flood.prepare(request)
    with contextlib.suppress(ConnectionError):
        await flood.write(orjson.dumps(answer(number)))
        while place.written < ENDLESS:
            await flood.write(b" " * 2**16)
            place.written += 2**16
    return flood


def saying(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Mood:
    async def mood(place: Place, request: web.Request, number: int) -> web.StreamResponse:
        return web.Response(body=body, status=status, headers=headers)

    return mood


def changing(**other: Any) -> Mood:
    """The recorded answer, with something of it changed."""
    return saying_of(lambda number: answer(number, **other))


def saying_of(content: Callable[[int], Any]) -> Mood:
    async def mood(place: Place, request: web.Request, number: int) -> web.StreamResponse:
        return said(content(number))

    return mood


@dataclass
class Place:
    mood: Mood = honest
    asked: list[int] = field(default_factory=list)
    written: int = 0
    url: str = ""

    async def get(self, request: web.Request) -> web.StreamResponse:
        assert request.match_info["chain"] == QUICKNET.hash.hex()
        number = int(request.match_info["number"])
        self.asked.append(number)
        return await self.mood(self, request, number)


@contextlib.asynccontextmanager
async def endpoints(*moods: Mood) -> AsyncIterator[list[Place]]:
    """An endpoint for each mood, with a key in its URL as some providers have it."""
    async with contextlib.AsyncExitStack() as stack:
        places = [Place(mood) for mood in moods]
        for place in places:
            app = web.Application()
            app.router.add_get(f"/{KEY}/{{chain}}/public/{{number}}", place.get)
            runner = web.AppRunner(app, shutdown_timeout=0.1)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0][:2]
            place.url = f"http://{host}:{port}/{KEY}"
        yield places
