"""A door before a real node: it passes questions on, or answers what it is told to."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
from aiohttp import web

from tests.indexer.nodes import html, said

SECRET = "k3y0fTheProvider"
DEEP = b"[" * 100_000 + b"]" * 100_000
Mood = Callable[[list[str]], web.Response | None]


def result(content: bytes) -> Callable[[], web.Response]:
    body = b'{"jsonrpc":"2.0","id":0,"result":' + content + b"}"
    return lambda: web.Response(body=body, content_type="application/json")


def failed(content: Any, status: int = 200) -> Callable[[], web.Response]:
    return lambda: said({"jsonrpc": "2.0", "id": 0, "error": content}, status)


# What nodes, and what stands before them, answer on a bad day.
TROUBLES: dict[str, Callable[[], web.Response]] = {
    "no key": lambda: web.Response(status=401, text="no"),
    "no key, in JSON": lambda: said({"message": "unauthorized"}, 401),
    "no key, in words": failed({"code": -32000, "message": "invalid api key"}, 403),
    "too many": failed({"code": -32005, "message": "rate limited"}, 429),
    "too many, in words": failed({"code": -32005, "message": "rate limited"}),
    "down": lambda: html(503),
    "a page": html,
    "nothing": lambda: web.Response(body=b""),
    "no JSON": lambda: web.Response(body=b"\xff\x00"),
    "a list": lambda: said([]),
    "a number": lambda: said(7),
    "null": result(b"null"),
    "a text": result(b'"what"'),
    "an empty object": result(b"{}"),
    "an object of another shape": result(b'{"value": {"data": 3, "blockhash": 3}, "number": []}'),
    "brackets without an end": result(DEEP),
    "an error without data": failed({"code": -32002, "message": "Transaction simulation failed"}),
    "an error that is a text": failed("no"),
    "an error of a node within": failed({"code": -32603, "message": "internal", "data": 7}),
    "a moved page": lambda: web.Response(status=302, headers={"location": f"/{SECRET}"}),
}


@dataclass
class Moody:
    """`mood` says what is answered to these methods, None passes them on to the node behind."""

    behind: str
    mood: Mood = field(default=lambda methods: None)
    moods: int = 0
    url: str = ""
    methods: list[str] = field(default_factory=list)

    def always(self, trouble: Callable[[], web.Response]) -> None:
        self.mood = lambda methods: trouble()

    async def answer(self, request: web.Request) -> web.Response:
        raw = await request.read()
        body = orjson.loads(raw)
        methods = [one["method"] for one in (body if isinstance(body, list) else [body])]
        self.methods += methods
        told = self.mood(methods)
        if told is not None:
            self.moods += 1
            return told
        return await self.passed_on(raw)

    async def passed_on(self, raw: bytes) -> web.Response:
        headers = {"content-type": "application/json"}
        async with (
            aiohttp.ClientSession() as session,
            session.post(self.behind, data=raw, headers=headers) as answer,
        ):
            return web.Response(
                status=answer.status, body=await answer.read(), content_type="application/json"
            )


@contextlib.asynccontextmanager
async def moody(behind: str, kind: type[Moody] = Moody) -> AsyncIterator[Moody]:
    """The door behind a URL of its own, which holds a key as providers' URLs do."""
    door = kind(behind)
    app = web.Application(client_max_size=2**24)
    app.router.add_post("/{path:.*}", door.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    door.url = f"http://{host}:{port}/v2/{SECRET}"
    try:
        yield door
    finally:
        await runner.cleanup()
