"""Websocket subscriptions: they only wake the listener earlier; polling goes on regardless."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import orjson
from loguru import logger
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidURI, WebSocketException

from chains.redaction import plainly, redacted

FIRST_S, LONGEST_S = 0.5, 15.0


def subscription(chain: str, address: str) -> dict[str, Any]:
    """What to ask for: every head on EVM, the program's logs on Solana."""
    if chain == "evm":
        return {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]}
    asked = [{"mentions": [address]}, {"commitment": "confirmed"}]
    return {"jsonrpc": "2.0", "id": 1, "method": "logsSubscribe", "params": asked}


async def wake(url: str, chain: str, address: str, woken: asyncio.Event) -> None:
    """Set `woken` at every notice, until cancelled; a lost connection is made again."""
    pause = FIRST_S
    while True:
        try:
            # Pings find a connection that died silently; their answers are not needed for more.
            async with connect(url, open_timeout=5, ping_interval=10, max_size=2**24) as socket:
                await socket.send(orjson.dumps(subscription(chain, address)).decode())
                woken.set()  # what happened while there was no connection
                async for _ in socket:
                    woken.set()
                    pause = FIRST_S
        except (InvalidURI, ValueError):
            logger.error("no wake-up calls, only polling: {} is no websocket", redacted(url))
            return
        except (OSError, WebSocketException, TimeoutError) as error:
            logger.debug("no wake-up calls from {}: {}", redacted(url), plainly(error))
        await asyncio.sleep(pause * random.uniform(0.8, 1.2))
        pause = min(pause * 2, LONGEST_S)
