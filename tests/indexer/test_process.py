"""The indexer as a process: who leads, what wakes it, what one failing source does to others."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from loguru import logger
from websockets.asyncio.server import ServerConnection, serve

import queues
from chains.errors import WrongChain
from indexer import inbox as inbox_room
from indexer import main, sweeper
from indexer.inbox import Inbox, NotLeader
from local.forks import fork
from local.process import Child
from settings import Settings, SourceSetting
from tests.indexer.conftest import evm_address, follow, leading, solana_address
from tests.indexer.nodes import EvmChain, Oops, SolanaChain, html, serving

Rows = Callable[..., list[tuple[Any, ...]]]
NO_REDIS = "redis://127.0.0.1:9/0"


async def until(rows: Rows, query: str, expected: object, seconds: float = 20) -> float:
    """How long it took until a query found this."""
    started = time.monotonic()
    while (found := rows(query)) != [(expected,)]:
        assert time.monotonic() - started < seconds, (found, expected)
        await asyncio.sleep(0.02)
    return time.monotonic() - started


def settings(database_url: str, nodes: dict[str, str], *chains: EvmChain, **more: Any) -> Settings:
    names = list(nodes)
    sources = [
        SourceSetting(program="casino_evm", network=names[n % len(names)], address=chain.address)
        for n, chain in enumerate(chains)
    ]
    return Settings(
        database_url=database_url,
        redis_url=NO_REDIS,
        rpc={name: [url] for name, url in nodes.items()},
        sources=sources,
        rpc_rate=1000,
        **{"poll_ms": 50, **more},
    )


def surroundings(chosen: Settings) -> dict[str, str]:
    """The same settings for a process of its own."""
    return os.environ | {
        "FAIRHOUSE_DATABASE_URL": chosen.database_url,
        "FAIRHOUSE_REDIS_URL": NO_REDIS,
        "FAIRHOUSE_RPC": json.dumps(chosen.rpc),
        "FAIRHOUSE_SOURCES": json.dumps([one.model_dump() for one in chosen.sources]),
        "FAIRHOUSE_POLL_MS": "100",
    }


@contextlib.asynccontextmanager
async def running(chosen: Settings) -> AsyncIterator[None]:
    task = asyncio.create_task(main.run(chosen))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_one_leads_and_a_cursor_moved_by_another_is_left_alone(
    database: str, inbox: Inbox
) -> None:
    source = await follow(inbox, evm_address(), "eip155:31337")
    async with leading(database) as other:
        assert not await other.lead()
        async with inbox.transaction() as session:
            await inbox_room.open_span(session, source.id, lower=0, upper=0, closed=True)
            edge = await inbox_room.top(session, source.id)
        assert edge is not None
        async with other.transaction() as session:
            await inbox_room.extend(session, edge, upper=5, upper_tx=None)
        with pytest.raises(NotLeader, match="moved by another"):
            async with inbox.transaction() as session:
                await inbox_room.extend(session, edge, upper=6, upper_tx=None)


async def test_a_leader_that_lost_its_connection_writes_no_more(
    database: str, inbox: Inbox, rows: Rows
) -> None:
    async with inbox.transaction() as session:
        await follow_nothing(session)
    rows("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
    for _ in range(2):
        with pytest.raises(NotLeader, match="gone"):
            async with inbox.transaction() as session:
                await follow_nothing(session)
    async with leading(database) as other:
        assert await other.lead()


async def follow_nothing(session: Any) -> None:
    from sqlalchemy import text

    await session.execute(text("SELECT 1"))


async def test_a_node_of_another_chain_stops_the_start_and_nothing_is_written(
    database: str, rows: Rows
) -> None:
    chain = EvmChain(evm_address(), chain_id=5)
    async with serving(chain.node()) as node:
        with pytest.raises(WrongChain, match=r"base is eip155:8453, but .* serves eip155:5"):
            await main.run(settings(database, {"base": node.url}, chain))
    assert rows("SELECT count(*) FROM sources WHERE address = %s", chain.address) == [(0,)]
    assert rows("SELECT count(*) FROM networks WHERE name = 'base'") == [(0,)]


@pytest.mark.parametrize("said", ["no method eth_chainId", "eth_chainId is not available"])
async def test_a_node_of_the_other_kind_of_chain_stops_the_start_with_one_line(
    database: str, rows: Rows, tmp_path: Path, said: str
) -> None:
    chain = EvmChain(evm_address(), chain_id=8453)
    other = SolanaChain(solana_address()).node()

    def refuse() -> None:
        raise Oops(-32601, said)

    other.methods["eth_chainId"] = refuse
    async with serving(other) as node:
        environment = surroundings(settings(database, {"base": node.url}, chain))
        child = fork("indexer", ["run", "indexer"], log=tmp_path / "log", env=environment)
        assert await asyncio.to_thread(child.process.wait, 60) == 2
    last = (tmp_path / "log").read_text().splitlines()[-1]
    assert last.startswith("network base: it is a node of another kind of chain")
    assert rows("SELECT count(*) FROM sources WHERE address = %s", chain.address) == [(0,)]
    assert rows("SELECT count(*) FROM networks WHERE name = 'base'") == [(0,)]


@pytest.mark.parametrize("kind", ["another chain", "another kind"])
async def test_a_wrong_node_that_comes_late_is_noted_and_stops_no_other_source(
    database: str, rows: Rows, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(main, "WRONG_AGAIN_S", 0.05)
    good, bad = EvmChain(evm_address()), EvmChain(evm_address(), chain_id=8453)
    wrong = EvmChain(bad.address, chain_id=5).node()
    if kind == "another kind":
        wrong = SolanaChain(solana_address()).node()
    wrong.troubles = [html(502) for _ in range(6)]
    head = "SELECT head FROM sources WHERE address = '{}'"
    error = f"SELECT error ~ '{{}}' FROM sources WHERE address = '{bad.address}'"
    async with serving(good.node()) as first, serving(wrong) as second:
        chosen = settings(database, {"evm-local": first.url, "base": second.url}, good, bad)
        async with running(chosen):
            line = "network base is eip155:8453, but its RPC serves eip155:5"
            line = line if kind == "another chain" else "network base: it is a node of another kind"
            await until(rows, error.format(line), True)
            for _ in range(3):
                good.add(1)
                await until(rows, head.format(good.address), good.head)
            assert rows(head.format(bad.address)) == [(None,)]
            # Somebody puts the right node behind the URL.
            second.methods = bad.methods()
            await until(rows, head.format(bad.address), 0)
            await until(rows, error.format("."), None)
            # It is held to what it is now, also when it is asked again which chain it is.
            second.troubles = [html(502)]
            bad.add(1)
            await until(rows, head.format(bad.address), 1)


async def test_a_source_that_fails_says_so_and_holds_up_no_other(database: str, rows: Rows) -> None:
    good, bad = EvmChain(evm_address()), EvmChain(evm_address(), chain_id=8453)
    async with serving(good.node()) as first, serving(bad.node()) as second:
        chosen = settings(database, {"evm-local": first.url, "base": second.url}, good, bad)
        head = "SELECT head FROM sources WHERE address = '{}'"
        error = "SELECT error ~ '502' FROM sources WHERE address = '{}'"
        async with running(chosen):
            await until(rows, head.format(bad.address), 0)
            second.troubles = [html(502) for _ in range(200)]
            await until(rows, error.format(bad.address), True)
            for _ in range(5):
                good.add(1)
                assert await until(rows, head.format(good.address), good.head) < 2
            bad.add(1)
            second.troubles = []
            await until(rows, head.format(bad.address), 1)
            await until(rows, error.format(bad.address), None)
    assert rows(
        "SELECT count(*) FROM pages p JOIN sources s ON s.id = p.source_id WHERE s.address = %s",
        good.address,
    ) == [(5,)]


async def test_the_websocket_wakes_a_listener_that_polls_rarely(database: str, rows: Rows) -> None:
    chain = EvmChain(evm_address())
    callers: list[ServerConnection] = []
    asked: list[Any] = []

    async def subscribe(caller: ServerConnection) -> None:
        callers.append(caller)
        async for message in caller:
            asked.append(json.loads(message))

    head = f"SELECT head FROM sources WHERE address = '{chain.address}'"
    async with serving(chain.node()) as node, serve(subscribe, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        url = f"ws://127.0.0.1:{port}"
        chosen = settings(
            database, {"evm-local": node.url}, chain, ws={"evm-local": url}, poll_ms=60_000
        )
        async with running(chosen):
            await until(rows, head, 0)
            while not asked:
                await asyncio.sleep(0.01)
            assert asked[0]["params"] == ["newHeads"]
            for _ in range(3):
                number = chain.add(1)
                await callers[-1].send("{}")
                assert await until(rows, head, number) < 2
            # A connection that was lost is made again, and wakes for what happened meanwhile.
            number = chain.add(1)
            await callers[-1].close()
            assert await until(rows, head, number) < 5


async def test_a_websocket_that_never_says_anything_holds_up_no_poll(
    database: str, rows: Rows
) -> None:
    """S39: it takes the subscription and is silent; and one that is not there at all."""
    chain = EvmChain(evm_address())

    async def silent(caller: ServerConnection) -> None:
        async for _ in caller:
            pass

    head = f"SELECT head FROM sources WHERE address = '{chain.address}'"
    async with serving(chain.node()) as node, serve(silent, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        for url in (f"ws://127.0.0.1:{port}", "ws://127.0.0.1:9"):
            chosen = settings(database, {"evm-local": node.url}, chain, ws={"evm-local": url})
            async with running(chosen):
                for _ in range(3):
                    await until(rows, head, chain.add(1))


async def test_what_stands_still_is_sent_again(
    inbox: Inbox, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, int]] = []
    waiting: dict[str, int | None] = {"chain": 0, "interpretation": 0}
    monkeypatch.setattr(queues, "depth", lambda queue: waiting[queue])
    monkeypatch.setattr(queues, "send_all", lambda q, ids: sent.extend((q, id) for id in ids))
    source = await follow(inbox, evm_address(), "eip155:31337")
    rows("UPDATE pages SET state = 'interpreted' RETURNING 1")

    def page(state: str, age_s: int, attempts: int = 0) -> int:
        found: int = rows(
            "INSERT INTO pages (source_id, lower, upper, fresh, state, sent_at, attempts)"
            " VALUES (%s, 1, 1, true, %s, now() - make_interval(secs => %s), %s) RETURNING id",
            source.id,
            state,
            age_s,
            attempts,
        )[0][0]
        return found

    lost, done = page("found", 10), page("stored", 10)
    page("found", 1), page("interpreted", 999), page("stored", 30, attempts=4)
    tried = page("stored", 100, attempts=4)
    assert await sweeper.resend(inbox) == 3
    expected = [("chain", lost), ("interpretation", done), ("interpretation", tried)]
    assert sorted(sent) == expected
    assert await sweeper.resend(inbox) == 0
    # While others wait on the queue, a page has not been lost so soon.
    waiting["chain"] = 7
    page("found", 30)
    buried = page("found", 70)
    sent.clear()
    await sweeper.resend(inbox)
    assert sent == [("chain", buried)]
    waiting["chain"] = None
    page("found", 1000)
    assert await sweeper.resend(inbox) == 0
    await sweeper.prune(inbox, 1)
    rows("UPDATE pages SET interpreted_at = now() - interval '2 h' RETURNING 1")
    await sweeper.prune(inbox, 1)
    assert rows("SELECT count(*) FROM pages WHERE state = 'interpreted'") == [(0,)]


async def test_the_standby_takes_over_within_five_seconds_of_a_kill(
    database: str, rows: Rows, tmp_path: Path
) -> None:
    chain = EvmChain(evm_address())
    head = f"SELECT head FROM sources WHERE address = '{chain.address}'"
    async with serving(chain.node()) as node:
        chosen = settings(database, {"evm-local": node.url}, chain)
        environment = surroundings(chosen)

        def start(name: str) -> Child:
            return fork(name, ["run", "indexer"], log=tmp_path / f"{name}.log", env=environment)

        leader = start("leader")
        standby = None
        try:
            await until(rows, head, 0, seconds=60)
            standby = start("standby")
            beat = f"SELECT count(*) FROM heartbeats WHERE pid = {standby.pid}"
            await until(rows, beat, 1, seconds=60)
            leader.process.kill()
            number = chain.add(3)
            took = await until(rows, head, number, seconds=15)
            logger.info("the standby took over in {:.2f} s", took)
            assert took < 5
        finally:
            await leader.stop()
            if standby is not None:
                assert await standby.stop() == 0
