"""The API process: granian around the app, one event loop, stopped cleanly when cancelled."""

from __future__ import annotations

import asyncio
import gc
import logging

from granian.constants import Interfaces
from granian.server.embed import Server
from loguru import logger

from api.app import build
from settings import Settings

BACKLOG = 1024
# Also those that are kept and idle: providers and balancers keep many, and whoever comes after the
# last of them is not even accepted, however little there is to do.
CONNECTIONS = 8192
# Of new objects before the collector looks: a batch of commands makes thousands, and no cycles.
COLLECT = (50_000, 20, 100)


async def run(settings: Settings) -> None:
    """Serve until cancelled; requests under way are answered."""
    collect_less()
    logging.getLogger("_granian").setLevel(logging.ERROR)
    server = Server(
        build(settings),
        address=settings.api_host,
        port=settings.api_port,
        interface=Interfaces.ASGI,
        websockets=False,
        backlog=BACKLOG,
        backpressure=CONNECTIONS,
        log_enabled=False,
    )
    serving = asyncio.create_task(server.serve())
    logger.info("the API is at http://{}:{}", settings.api_host, settings.api_port)
    try:
        await asyncio.shield(serving)
    finally:
        server.stop()
        await serving


def collect_less() -> None:
    """What is loaded by now stays for good; what comes is looked at in larger amounts.

    Else the collector takes a sixth of the time that commands take.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT)
