"""The API process: granian around the app, one event loop, stopped cleanly when cancelled."""

from __future__ import annotations

import asyncio
import logging

from granian.constants import Interfaces
from granian.server.embed import Server
from loguru import logger

from api.app import build
from settings import Settings


async def run(settings: Settings) -> None:
    """Serve until cancelled; requests under way are answered."""
    logging.getLogger("_granian").setLevel(logging.ERROR)
    server = Server(
        build(settings),
        address=settings.api_host,
        port=settings.api_port,
        interface=Interfaces.ASGI,
        websockets=False,
        log_enabled=False,
    )
    serving = asyncio.create_task(server.serve())
    logger.info("the API is at http://{}:{}", settings.api_host, settings.api_port)
    try:
        await asyncio.shield(serving)
    finally:
        server.stop()
        await serving
