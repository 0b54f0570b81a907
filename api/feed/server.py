"""The feed process: websockets at `/ws`, welcomed, subscribed, served, and drained on SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from http import HTTPStatus

from loguru import logger
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from api.feed.hub import Hub, Listener
from api.feed.protocol import CHANNELS, BadCommand, Ping, Subscribe, Unsubscribe, encode, parse
from queues.client import client
from settings import Settings

LARGEST_COMMAND = 64 << 10
MOST_CONNECTIONS = 5_000
COMMANDS_A_SECOND = 20
TOO_SLOW, TOO_MANY_COMMANDS = 3008, 4429
GOODBYE_S = 5.0


async def run(settings: Settings) -> None:
    """Serve until cancelled."""
    async with client(settings.redis_url) as redis:
        hub = Hub(redis)
        async with serving(hub, settings.feed_host, settings.feed_port):
            logger.info("the feed is at ws://{}:{}/ws", settings.feed_host, settings.feed_port)
            await hub.run()


@contextlib.asynccontextmanager
async def serving(hub: Hub, host: str, port: int) -> AsyncIterator[Server]:
    """The server for a hub; at the end every client is told to come again (1001)."""
    attended: set[ServerConnection] = set()

    async def handle(connection: ServerConnection) -> None:
        attended.add(connection)
        try:
            await attend(hub, connection)
        finally:
            attended.discard(connection)

    async def admit(connection: ServerConnection, request: Request) -> Response | None:
        if request.path.split("?")[0] != "/ws":
            return connection.respond(HTTPStatus.NOT_FOUND, "the feed is at /ws\n")
        if len(hub.listeners) >= MOST_CONNECTIONS:
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections\n")
        return None

    async with serve(
        handle,
        host,
        port,
        process_request=admit,
        compression=None,
        max_size=LARGEST_COMMAND,
        ping_interval=25,
        ping_timeout=20,
    ) as server:
        try:
            yield server
        finally:
            server.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE_S):
                    await server.wait_closed()
            for connection in attended:
                connection.transport.abort()


async def attend(hub: Hub, connection: ServerConnection) -> None:
    """One client from welcome to goodbye; one that is too slow is let go at once."""
    parting: list[asyncio.Task[None]] = []

    def let_go() -> None:
        sending.cancel()
        parting.append(asyncio.create_task(part(connection, TOO_SLOW, "too slow")))

    listener = Listener(let_go)
    sending = asyncio.create_task(send(listener, connection))
    hub.listeners.add(listener)
    listener.put(encode("welcome", data={"channels": list(CHANNELS), "protocol": "fairhouse.v1"}))
    try:
        await listen(hub, listener, connection)
    except ConnectionClosed:
        pass
    finally:
        hub.listeners.discard(listener)
        sending.cancel()
        await asyncio.gather(sending, *parting, return_exceptions=True)


async def listen(hub: Hub, listener: Listener, connection: ServerConnection) -> None:
    allowance, before = float(COMMANDS_A_SECOND), time.monotonic()
    async for frame in connection:
        now = time.monotonic()
        allowance = min(allowance + (now - before) * COMMANDS_A_SECOND, COMMANDS_A_SECOND)
        before = now
        if allowance < 1:
            # Reading goes on while closing: what the client still sends would hold up the goodbye.
            parting = part(connection, TOO_MANY_COMMANDS, "too many commands")
            await asyncio.gather(parting, ignored(connection))
            return
        allowance -= 1
        try:
            await obey(hub, listener, frame)
        except BadCommand as error:
            listener.put(encode("error", code=error.code, message=str(error)))


async def obey(hub: Hub, listener: Listener, frame: str | bytes) -> None:
    match parse(frame):
        case Ping():
            listener.put(encode("pong"))
        case Unsubscribe(channels):
            for channel in channels:
                listener.wants.pop(channel, None)
            listener.put(encode("unsubscribed", channels=list(channels)))
        case Subscribe() as wanted:
            await hub.subscribe(listener, wanted)


async def send(listener: Listener, connection: ServerConnection) -> None:
    """Write what waits, frame by frame, as fast as the client takes it."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            await connection.send(await listener.take(), text=True)


async def part(connection: ServerConnection, code: int, reason: str) -> None:
    """Say goodbye behind what is already on its way; who does not take it is cut off."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(GOODBYE_S):
            await connection.close(code, reason)
    connection.transport.abort()


async def ignored(connection: ServerConnection) -> None:
    with contextlib.suppress(ConnectionClosed):
        async for _ in connection:
            pass
