"""The indexer process: takes the lead or waits for it, then listens to every source at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

import psycopg
from loguru import logger
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

import queues
from chains.errors import RpcError, WrongChain
from chains.evm.rpc import Rpc as EvmRpc
from db.session import engine
from indexer import backfill, source
from indexer.evm import EvmListener
from indexer.inbox import Inbox, NotLeader
from indexer.listener import Loop
from indexer.solana import SolanaListener
from indexer.source import AnyRpc, Listener, Planned
from indexer.sweeper import sweep
from indexer.wake import wake
from settings import Settings

STANDBY_S = 1.0
AGAIN_S = 1.0
WRONG_AGAIN_S = 5.0


async def run(settings: Settings) -> None:
    """Follow all sources until cancelled. Raises `ChainError` on a mistake in the settings."""
    planned = source.plan(settings)
    queues.setup(settings)
    rpcs = source.rpcs(settings, planned)
    made = engine(settings.database_url, pool_size=1)
    try:
        await source.check(made, planned, rpcs)
        while True:
            try:
                await lead(settings, made, planned, rpcs)
            except* (NotLeader, SQLAlchemyError, psycopg.Error, OSError) as group:
                logger.warning("standing by: {}", first(group))
            await asyncio.sleep(STANDBY_S)
    finally:
        await made.dispose()
        for rpc in rpcs.values():
            await rpc.close()


async def lead(
    settings: Settings,
    made: AsyncEngine,
    planned: Sequence[Planned],
    rpcs: dict[str, AnyRpc],
) -> None:
    """Listen for as long as this connection holds the lock; returns when somebody else has it."""
    async with made.connect() as connection:
        inbox = Inbox(connection)
        if not await inbox.lead():
            return
        logger.info("leading {} sources", len(planned))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(sweep(inbox, settings))
            for one in planned:
                tasks.create_task(abide(settings, inbox, one, rpcs[one.network.name]))


async def abide(settings: Settings, inbox: Inbox, planned: Planned, rpc: AnyRpc) -> None:
    """Listen to a source; a node that turns out to be of another chain holds up no other source.

    It was not there at the start, or it would have stopped us. The source says what is wrong, and
    the node is asked again later: somebody may put the right one behind its URL.
    """
    said = ""
    while True:
        try:
            await listen(settings, inbox, planned, rpc)
        except WrongChain as error:
            if str(error) != said:
                said = str(error)
                logger.error("{} is not followed: {}", planned.means.name, said)
            rpc.node.forget()
            async with inbox.transaction() as session:
                await source.misled(session, planned, said)
        await asyncio.sleep(WRONG_AGAIN_S)


async def listen(settings: Settings, inbox: Inbox, planned: Planned, rpc: AnyRpc) -> None:
    """One source, from asking which chain its node serves to following it."""
    network = await _first_answer(inbox, planned, rpc)
    async with inbox.transaction() as session:
        followed = await source.register(session, planned, network)
        # Settings may ask for more history than was known before.
        start = planned.means.start
        await backfill.widen(session, followed, max(start, 0))
    listener: Listener
    if isinstance(rpc, EvmRpc):
        queue = "interpretation"
        listener = EvmListener(followed, rpc, inbox, start, settings.evm_range)
    else:
        queue = "chain"
        listener = SolanaListener(followed, rpc, inbox, start, settings.page_size)
    depth = settings.confirmations.get(planned.network.name, planned.network.confirmations)
    loop = Loop(listener, rpc, inbox, partial(send, queue), settings.poll_ms / 1000, depth)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(loop.run())
        if planned.ws_url:
            chain = planned.network.chain
            tasks.create_task(wake(planned.ws_url, chain, followed.address, loop.woken))


async def send(queue: str, pages: Sequence[int]) -> None:
    """Send pages from a thread: a Redis that does not answer must not hold up the loop."""
    if pages:
        await asyncio.to_thread(queues.send_all, queue, pages)


async def _first_answer(inbox: Inbox, planned: Planned, rpc: AnyRpc) -> str:
    """Which chain a node serves; a node that does not answer yet is asked again."""
    while True:
        try:
            return await source.identity(rpc, planned.network)
        except RpcError as error:
            logger.warning("{} does not answer: {}", planned.network.name, error)
            async with inbox.transaction() as session:
                await source.unreachable(session, planned, str(error))
        await asyncio.sleep(AGAIN_S)


def first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first plain error of nested groups."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
