"""The doctor: looks at everything the house needs, and says line by line how it is."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

import psycopg
from pydantic import ValidationError
from pydantic_settings import SettingsError
from redis.asyncio import Redis
from redis.exceptions import RedisError
from rich.console import Console
from rich.text import Text
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

import settings as environment
from chains import networks
from chains.errors import ChainError
from chains.evm.rpc import Rpc as EvmRpc
from chains.redaction import plainly, redacted
from db import migrate
from db.session import plain
from indexer import source
from indexer.source import AnyRpc, Planned
from settings import DEVELOPMENT_SEED_KEY, Settings
from workers import houses

ANSWER_S = 5.0
NO_ANSWER = (ChainError, TimeoutError)
OLDEST_POSTGRES = 16
OLDEST_REDIS = (6, 2)
DECIMALS = {"evm": 18, "solana": 9}
SETTLES = {"settleBet", "settle_bet"}
WIDTH = 34
MARKS = {"well": ("+", "green"), "open": ("o", "yellow"), "broken": ("x", "red")}

REVISION = "SELECT version_num FROM alembic_version"
PINS = "SELECT name, network FROM networks"
ERRORS = "SELECT program, address, error FROM sources WHERE error IS NOT NULL"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line. `open` is what may be missing; only `broken` is an illness."""

    state: Literal["well", "open", "broken"]
    part: str
    said: str


@dataclass(frozen=True, slots=True)
class Books:
    """What the database knows of networks and sources, as far as it answers."""

    pins: dict[str, str] = field(default_factory=dict)
    errors: dict[tuple[str, str], str] = field(default_factory=dict)


async def show(console: Console) -> bool:
    """Print every finding as it is made; whether nothing is broken."""
    well = True
    async for finding in told():
        mark, colour = MARKS[finding.state]
        line = Text.assemble(("  " + mark, colour), f"  {finding.part:<{WIDTH}}  {finding.said}")
        console.print(line, soft_wrap=True)
        well = well and finding.state != "broken"
    return well


async def told() -> AsyncIterator[Finding]:
    """All findings, or why the settings cannot be read."""
    try:
        settings = environment.load()
    except SettingsError as error:
        yield Finding("broken", "settings", _line(error))
        return
    except ValidationError as error:
        for mistake in error.errors():
            name = ".".join(map(str, mistake["loc"])) or "settings"
            yield Finding("broken", name, mistake["msg"])
        return
    async for finding in examine(settings):
        yield finding


async def examine(settings: Settings) -> AsyncIterator[Finding]:
    """Everything, from the settings outwards."""
    yield Finding("well", "settings", f"readable, for {settings.environment}")
    yield seed_key(settings)
    found, books = await database(settings)
    for finding in found:
        yield finding
    yield await store(settings)
    async for finding in nodes(settings, books):
        yield finding
    planned, found = plan(settings)
    for finding in found:
        yield finding
    for one in planned:
        yield await program(settings, one, books)
    for one in kept(planned):
        yield await keeper(settings, one)
        yield await window(settings, one)
    for name, url in {one.network.name: one.ws_url for one in planned}.items():
        yield await wake(settings, name, url)


def seed_key(settings: Settings) -> Finding:
    if settings.seed_key != DEVELOPMENT_SEED_KEY:
        return Finding("well", "seed key", "set")
    said = "the one for development, which everybody knows (FAIRHOUSE_SEED_KEY)"
    return Finding("open", "seed key", said)


async def database(settings: Settings) -> tuple[list[Finding], Books]:
    """PostgreSQL and its migrations, and what it knows."""
    try:
        async with await psycopg.AsyncConnection.connect(
            plain(settings.database_url), autocommit=True, connect_timeout=int(ANSWER_S)
        ) as connection:
            version = connection.info.server_version // 10_000
            migrated, books = await _migrated(connection)
    except (psycopg.Error, ValueError, IndexError) as error:
        said = f"does not answer: {_line(error)}"
        return [Finding("broken", "PostgreSQL", said)], Books()
    if version < OLDEST_POSTGRES:
        said = f"version {version} is older than {OLDEST_POSTGRES}"
        return [Finding("broken", "PostgreSQL", said), migrated], books
    return [Finding("well", "PostgreSQL", f"answers, version {version}"), migrated], books


async def _migrated(connection: psycopg.AsyncConnection) -> tuple[Finding, Books]:
    newest = migrate.newest()
    try:
        row = await (await connection.execute(REVISION)).fetchone()
    except psycopg.errors.UndefinedTable:
        row = None
    if row is None:
        return Finding("broken", "migrations", "none has run: fairhouse migrate"), Books()
    if row[0] != newest:
        said = f"the database is at {row[0]}, the code at {newest}: fairhouse migrate"
        return Finding("broken", "migrations", said), Books()
    pins = await (await connection.execute(PINS)).fetchall()
    errors = await (await connection.execute(ERRORS)).fetchall()
    books = Books(dict(pins), {(program, address): said for program, address, said in errors})
    return Finding("well", "migrations", f"up to date, at {newest}"), books


async def store(settings: Settings) -> Finding:
    """Redis, or what speaks like it."""
    try:
        async with Redis.from_url(
            settings.redis_url, socket_timeout=ANSWER_S, socket_connect_timeout=2
        ) as redis:
            told = await redis.info("server")
    except (RedisError, OSError, ValueError) as error:
        return Finding("broken", "Redis", f"does not answer: {_line(error)}")
    version = str(told["redis_version"])
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_REDIS:
        oldest = ".".join(map(str, OLDEST_REDIS))
        return Finding("broken", "Redis", f"version {version} is older than {oldest}")
    return Finding("well", "Redis", f"answers, version {version}")


async def nodes(settings: Settings, books: Books) -> AsyncIterator[Finding]:
    """Every URL by itself: a second provider that serves another chain is found here."""
    for name, urls in settings.rpc.items():
        try:
            network = networks.load(name)
        except ChainError as error:
            yield Finding("broken", f"rpc {name}", str(error))
            continue
        expected = network.caip2 or books.pins.get(name)
        for url in urls:
            part = f"rpc {name} {redacted(url)}"
            yield await _node(part, source.ROOMS[network.chain]([url]), expected)


async def _node(part: str, rpc: AnyRpc, expected: str | None) -> Finding:
    try:
        async with asked(rpc):
            found, head = await rpc.network(), await rpc.head()
    except NO_ANSWER as error:
        return Finding("broken", part, f"does not answer: {_line(error)}")
    if expected is not None and found != expected:
        return Finding("broken", part, f"serves {found}, not {expected}")
    return Finding("well", part, f"serves {found}, head {head}")


def plan(settings: Settings) -> tuple[list[Planned], list[Finding]]:
    """The sources that hold together, and what is wrong with the others."""
    if not settings.sources:
        said = "none is set: nothing is followed (FAIRHOUSE_SOURCES)"
        return [], [Finding("open", "sources", said)]
    planned: list[Planned] = []
    found: list[Finding] = []
    for wanted in settings.sources:
        try:
            planned += source.plan(settings.model_copy(update={"sources": [wanted]}))
        except ChainError as error:
            found.append(Finding("broken", f"source {wanted.program}", str(error)))
    return planned, found


async def program(settings: Settings, one: Planned, books: Books) -> Finding:
    """Whether the program of a valid manifest is there, and what its indexer says."""
    part, address = f"source {one.means.name} on {one.network.name}", one.means.address
    rpc = source.rpcs(settings, [one])[one.network.name]
    try:
        async with asked(rpc):
            there = await rpc.deployed(address)
    except NO_ANSWER as error:
        said = f"the manifest is valid, but no node says whether {address} exists: {_line(error)}"
        return Finding("broken", part, said)
    if not there:
        return Finding("broken", part, f"the manifest is valid, but nothing is at {address}")
    trouble = books.errors.get((one.means.name, address))
    if trouble is not None:
        return Finding("broken", part, f"its indexer says: {trouble}")
    return Finding("well", part, f"the manifest is valid, the program is at {address}")


def kept(planned: Sequence[Planned]) -> list[Planned]:
    """One program for each network on which bets wait for a keeper."""
    found = {}
    for one in planned:
        interface = one.means.interface_json()
        parts = interface if isinstance(interface, list) else interface["instructions"]
        if SETTLES & {part.get("name") for part in parts}:
            found[one.network.name] = one
    return list(found.values())


async def keeper(settings: Settings, one: Planned) -> Finding:
    """The hot key of a network, and what it has left for fees."""
    chain, part = one.network.chain, f"keeper key for {one.network.name}"
    key = settings.keeper_evm_key if chain == "evm" else settings.keeper_solana_key
    if not key:
        said = f"none is set: its bets wait (FAIRHOUSE_KEEPER_{chain.upper()}_KEY)"
        return Finding("open", part, said)
    try:
        evm = chain == "evm"
        address = houses.account(key).address if evm else str(houses.keypair(key).pubkey())
    except houses.BadKey:
        return Finding("broken", part, f"this is no {chain} key")
    rpc = source.rpcs(settings, [one])[one.network.name]
    try:
        async with asked(rpc):
            balance = await rpc.balance(address)
    except NO_ANSWER as error:
        said = f"{address}, but no node says what it holds: {_line(error)}"
        return Finding("broken", part, said)
    held = f"{Decimal(balance).scaleb(-DECIMALS[chain]).normalize():f} {one.network.symbol}"
    return Finding("well" if balance else "broken", part, f"{address} holds {held}")


async def window(settings: Settings, one: Planned) -> Finding:
    """Whether a bet can be final, and then settled, before its deadline."""
    part, means = f"reveal window on {one.network.name}", one.means
    depth = settings.confirmations.get(one.network.name, one.network.confirmations)
    rpc = source.rpcs(settings, [one])[one.network.name]
    asking = houses.evm_window if isinstance(rpc, EvmRpc) else houses.solana_window
    try:
        async with asked(rpc):
            length = await asking(rpc, means.address, means.interface_json())  # type: ignore[arg-type]
            lag = await rpc.lag(depth)
    except NO_ANSWER as error:
        return Finding("broken", part, f"no node says how long it is: {_line(error)}")
    if lag is None:
        said = f"{length} s; the chain stands still, so nobody knows how far finality is behind"
        return Finding("open", part, said)
    said = f"{length} s, finality is {lag:.0f} s behind"
    match houses.outlook(lag, length):
        case "hopeless":
            return Finding("broken", part, f"{said}: every bet would have to be refunded")
        case "tight":
            return Finding("open", part, f"{said}: bets may be settled too late")
    return Finding("well", part, said)


async def wake(settings: Settings, name: str, url: str | None) -> Finding:
    """A websocket, which may be missing: polling goes on without it."""
    part, polled = f"websocket {name}", f"polled every {settings.poll_ms} ms"
    if url is None:
        return Finding("open", part, f"none is set: {polled} (FAIRHOUSE_WS)")
    try:
        async with connect(url, open_timeout=ANSWER_S):
            return Finding("well", part, f"answers at {redacted(url)}")
    except (OSError, WebSocketException, TimeoutError, ValueError) as error:
        said = f"{redacted(url)} does not answer: {polled} ({plainly(error)})"
        return Finding("open", part, said)


@contextlib.asynccontextmanager
async def asked(rpc: AnyRpc) -> AsyncIterator[None]:
    """A few seconds for some questions. Raises one of `NO_ANSWER`."""
    try:
        async with asyncio.timeout(ANSWER_S):
            yield
    finally:
        await rpc.close()


def _line(error: BaseException) -> str:
    """The first line of what went wrong."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
