"""Websocket subscriptions: they only wake the listener earlier; polling goes on regardless."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from loguru import logger
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException


def subscription(chain: str, address: str) -> dict[str, Any]:
    """What to ask for: every head on EVM, the program's logs on Solana."""
    if chain == "evm":
        return {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]}
    asked = [{"mentions": [address]}, {"commitment": "confirmed"}]
    return {"jsonrpc": "2.0", "id": 1, "method": "logsSubscribe", "params": asked}


async def wake(url: str, chain: str, address: str, woken: asyncio.Event) -> None:
    """Set `woken` at every notice, until cancelled; a lost connection is made again."""
    while True:
        try:
            async with connect(url, open_timeout=5, ping_interval=10, max_size=2**24) as socket:
                await socket.send(orjson.dumps(subscription(chain, address)))
                woken.set()  # what happened while there was no connection
                async for _ in socket:
                    woken.set()
        except (OSError, WebSocketException, TimeoutError) as error:
            logger.debug("no wake-up calls from {}: {}", url, error)
        await asyncio.sleep(1)
