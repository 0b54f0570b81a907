"""Worker processes that are stopped, killed or confused with a message in hand."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web
from dramatiq import Message
from sqlalchemy import text

import queues
from chains.solana.rpc import Rpc
from indexer import sweeper
from indexer.inbox import Inbox
from indexer.solana import SolanaListener
from local.forks import fork
from local.process import Child
from settings import Settings
from tests.indexer.conftest import follow, leading, solana_address
from tests.indexer.nodes import FakeNode, SolanaChain, serving

NETWORK = f"solana:{'G' * 32}"


@dataclass
class Gate(FakeNode):
    """A node that keeps whoever asks for a transaction waiting until it is opened."""

    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.Response:
        if orjson.loads(await request.read())["method"] == "getTransaction":
            self.arrived.set()
            await self.opened.wait()
        return await super().answer(request)


@dataclass
class Place:
    """A program with one transaction, a page that lists it, and a worker that will fetch it."""

    node: Gate
    inbox: Inbox
    listener: SolanaListener
    page: int
    start: Callable[[], Child]

    async def state(self) -> tuple[Any, ...]:
        """The page's state, and how many raw events it brought."""
        query = (
            "SELECT state, (SELECT count(*) FROM raw_events WHERE source_id = p.source_id)"
            " FROM pages p WHERE id = :id"
        )
        async with self.inbox.transaction() as session:
            return tuple((await session.execute(text(query), {"id": self.page})).one())

    async def stored(self) -> None:
        async with asyncio.timeout(60):
            while await self.state() != ("stored", 1):
                await asyncio.sleep(0.02)


@pytest.fixture
async def place(
    chosen: Settings, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Place]:
    monkeypatch.setattr(sweeper, "STILL_S", 0)
    chain = SolanaChain(solana_address())
    chain.add()
    async with contextlib.AsyncExitStack() as stack:
        inbox = await stack.enter_async_context(leading(database))
        while not await inbox.lead():
            await asyncio.sleep(0.01)
        async with inbox.transaction() as session:  # pages of the tests before stand still, too
            await session.execute(text("UPDATE pages SET state = 'interpreted'"))
        node = Gate(methods=chain.methods())
        await stack.enter_async_context(serving(node))
        rpc = Rpc([node.url], rate=10_000)
        stack.push_async_callback(rpc.close)
        listener = SolanaListener(await follow(inbox, chain.address, NETWORK), rpc, inbox, 0, 100)
        (page,) = (await listener.poll()).pages
        told = {
            **os.environ,
            "FAIRHOUSE_DATABASE_URL": database,
            "FAIRHOUSE_REDIS_URL": chosen.redis_url,
            "FAIRHOUSE_RPC": json.dumps({"solana-local": [node.url]}),
            "FAIRHOUSE_RPC_TIMEOUT_S": "120",
            "FAIRHOUSE_BACKOFF_MS": "10",
        }

        def start() -> Child:
            words = ["run", "worker", "chain"]
            child = fork("chain", words, log=tmp_path / "chain.log", env=told)
            stack.push_async_callback(child.stop)
            return child

        yield Place(node, inbox, listener, page, start)
        node.opened.set()


async def said(child: Child, words: str) -> None:
    async with asyncio.timeout(60):
        while words not in child.log.read_text():
            await asyncio.sleep(0.02)


async def held(queue: str) -> int:
    """How many messages Redis keeps of a queue, waiting or in somebody's hand."""
    found: Any = await asyncio.to_thread(queues.broker().client.hlen, f"dramatiq:{queue}.msgs")
    return int(found)


async def test_a_worker_that_is_told_to_stop_finishes_what_it_has_in_hand(place: Place) -> None:
    queues.send("chain", place.page)
    worker = place.start()
    await asyncio.wait_for(place.node.arrived.wait(), 60)
    worker.process.terminate()
    await said(worker, "stopping on SIGTERM")
    assert worker.process.poll() is None
    place.node.opened.set()
    assert await asyncio.to_thread(worker.process.wait) == 0
    assert await place.state() == ("stored", 1)
    assert await held("chain") == 0


async def test_what_a_killed_worker_had_in_hand_is_sent_again_and_done_once(place: Place) -> None:
    """Q1: the sweeper knows from the page; Redis would give it back after a minute at best."""
    queues.send("chain", place.page)
    worker = place.start()
    await asyncio.wait_for(place.node.arrived.wait(), 60)
    worker.process.kill()
    await asyncio.to_thread(worker.process.wait)
    assert queues.depth("chain") == 0
    assert await place.state() == ("found", 0)
    place.node.opened.set()
    worker = place.start()
    assert await sweeper.resend(place.inbox) >= 1
    await place.stored()
    async with asyncio.timeout(60):
        while await held("chain") > 1:
            await asyncio.sleep(0.02)
    assert await held("chain") == 1  # in the dead one's hand: given back one day, and harmless
    assert await worker.stop() == 0


async def test_messages_of_another_release_do_no_harm_and_hold_up_nothing(place: Place) -> None:
    """Q10: an unknown actor, a message with more to it, and one that is no id at all."""
    place.node.opened.set()
    broker = queues.broker()
    broker.enqueue(Message("chain", "store_v2", (place.page,), {}, {}))
    broker.enqueue(Message("chain", "store", (place.page, "deep"), {"fresh": True}, {}))
    broker.enqueue(Message("chain", "store", ("7f",), {}, {}))
    worker = place.start()
    queues.send("chain", place.page)
    await place.stored()
    async with asyncio.timeout(60):
        while await held("chain") or await held("chain.DQ"):
            await asyncio.sleep(0.02)
    assert worker.process.poll() is None
    assert await worker.stop() == 0


async def test_a_page_that_fails_says_why_until_it_succeeds(place: Place) -> None:
    """Q5, Q8: what is wrong stands on the page's row, whatever was rolled back."""
    place.node.opened.set()
    transaction = place.node.methods.pop("getTransaction")
    queues.send("chain", place.page)
    worker = place.start()
    asked = "SELECT attempts, error FROM pages WHERE id = :id"

    async def noted() -> tuple[int, str | None]:
        async with place.inbox.transaction() as session:
            row = (await session.execute(text(asked), {"id": place.page})).one()
            return row[0], row[1]

    async with asyncio.timeout(60):
        while (await noted())[0] < 4:  # the first try and three more: then Redis gives up
            await asyncio.sleep(0.05)
    assert "no method getTransaction" in str((await noted())[1])
    place.node.methods["getTransaction"] = transaction
    assert await sweeper.resend(place.inbox) >= 1
    await place.stored()
    assert await noted() == (4, None)
    assert await worker.stop() == 0
