"""The indexer process: takes the lead or waits for it, then listens to every source at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from loguru import logger
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

import queues
from chains.errors import RpcError
from chains.evm import rpc as evm_rpc
from db.session import engine
from indexer import source
from indexer.evm import EvmListener
from indexer.inbox import Inbox, NotLeader
from indexer.listener import Loop
from indexer.solana import SolanaListener
from indexer.source import Planned
from indexer.sweeper import sweep
from indexer.wake import wake
from settings import Settings

STANDBY_S = 1.0


async def run(settings: Settings) -> None:
    """Follow all sources until cancelled. Raises `ChainError` on a mistake in the settings."""
    planned = source.plan(settings)
    queues.setup(settings)
    made = engine(settings.database_url, pool_size=1)
    try:
        while True:
            try:
                await lead(settings, made, planned)
            except* (NotLeader, SQLAlchemyError, OSError) as group:
                logger.warning("standing by: {}", group.exceptions[0])
            await asyncio.sleep(STANDBY_S)
    finally:
        await made.dispose()


async def lead(settings: Settings, made: AsyncEngine, planned: Sequence[Planned]) -> None:
    """Listen for as long as this connection holds the lock; returns when somebody else has it."""
    async with made.connect() as connection:
        inbox = Inbox(connection)
        if not await inbox.lead():
            return
        logger.info("leading {} sources", len(planned))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(sweep(inbox))
            for one in planned:
                tasks.create_task(listen(settings, inbox, one))


async def listen(settings: Settings, inbox: Inbox, planned: Planned) -> None:
    """One source, from asking which chain its node serves to following it."""
    rpc = source.rpc_of(settings, planned)
    try:
        found = await _first_answer(rpc)
        async with inbox.transaction() as session:
            followed = await source.register(session, planned, found)
        depth = settings.confirmations.get(planned.network.name, planned.network.confirmations)
        listener: EvmListener | SolanaListener
        if isinstance(rpc, evm_rpc.Rpc):
            queue = "interpretation"
            listener = EvmListener(followed, rpc, inbox, planned.means.start, settings.evm_range)
        else:
            queue = "chain"
            listener = SolanaListener(followed, rpc, inbox, planned.means.start, settings.page_size)

        def send(pages: Sequence[int]) -> None:
            for page in pages:
                queues.send(queue, page)

        loop = Loop(listener, rpc, inbox, send, settings.poll_ms / 1000, depth)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(loop.run())
            if planned.ws_url:
                chain = planned.network.chain
                tasks.create_task(wake(planned.ws_url, chain, followed.address, loop.woken))
    finally:
        await rpc.close()


async def _first_answer(rpc: source.Rpc) -> str:
    """Which chain a node serves; a node that does not answer yet is asked again."""
    while True:
        with contextlib.suppress(OSError):
            try:
                return await rpc.network()
            except RpcError as error:
                logger.warning("{}", error)
        await asyncio.sleep(1)
