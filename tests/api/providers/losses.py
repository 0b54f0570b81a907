"""A wire that loses things: it stands before an API and does to each call what it was told."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx

# What may become of a call on its way, and of its answer on the way back.
GOOD, LOST, DROPPED, LATE, BROKEN = "good", "lost", "dropped", "late", "broken"


@dataclass
class Wire:
    """`plan` says what befalls the next calls; when it is over, all is well. `seen` are calls."""

    url: str
    target: str
    plan: deque[str] = field(default_factory=deque)
    seen: list[tuple[str, bytes]] = field(default_factory=list)
    late_s: float = 1.0


@contextlib.asynccontextmanager
async def wired(target: str) -> AsyncIterator[Wire]:
    """A wire to `target` at a port of its own."""
    async with httpx.AsyncClient(timeout=20) as client:

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while await _one(wire, client, reader, writer):
                    pass
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        wire = Wire(f"http://127.0.0.1:{port}", target)
        async with server:
            yield wire


async def _one(
    wire: Wire,
    client: httpx.AsyncClient,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> bool:
    """One call; False when the connection is over."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    path = head[0].split()[1]
    headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    wire.seen.append((path, body))
    fate = wire.plan.popleft() if wire.plan else GOOD
    if fate == LOST:
        return False
    kept = {name: headers[name] for name in ("content-type", "x-casino-signature")}
    answer = await client.post(wire.target + path, content=body, headers=kept)
    if fate == DROPPED:
        return False
    if fate == LATE:
        await asyncio.sleep(wire.late_s)
    content = b"<html>" if fate == BROKEN else answer.content
    said = f"HTTP/1.1 {answer.status_code} X\r\ncontent-length: {len(content)}\r\n\r\n"
    writer.write(said.encode() + content)
    await writer.drain()
    return True
