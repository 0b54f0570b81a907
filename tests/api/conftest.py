"""A running API process over a house with a history of its own."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import httpx
import psycopg
import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright

from casino import pages, stats
from casino.sources import followed
from chains.chain import Fact
from db import session as db_session
from db.session import transaction
from local import redis
from local.forks import fork
from local.process import Child, free_port, until_ready
from settings import Role
from tests.casino.conftest import Says

CHROMIUM = shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
SIGNER = "07" * 32  # what signs roots of bets and accepted bets
EVM, SOLANA = "eip155:31337", "solana:7m1riGyKrXZv7tpfhFdykUtEg4gF99Ku"
ADA, BOB = "0x" + "ad" * 20, "0x" + "b0" * 20
EVE = "EveH8KZa2wNv8uMYUHs2iNvTSeHLXHf9mGq2nH5s1bAa"
SETUP = """
INSERT INTO networks (network, name, chain) VALUES
    ('{evm}', 'evm-local', 'evm'), ('{solana}', 'solana-local', 'solana');
INSERT INTO casinos (slug, name) VALUES ('fairhouse', 'Fairhouse'), ('other', 'The other one');
INSERT INTO sources (program, network, address, casino_id, start, head, frontier, polled_at)
SELECT 'casino_evm', '{evm}', '0x{at}', 1, 0, 60, 58, now() UNION ALL
SELECT 'casino_solana', '{solana}', 'Casino1111', 1, 0, 900, 900, now();
INSERT INTO assets (id, symbol, scale) VALUES
    ('casino:fairhouse/GOLD_COINS', 'GOLD_COINS', 0), ('casino:fairhouse/DIAMONDS', 'DIAMONDS', 0),
    ('casino:other/SILVER', 'SILVER', 0), ('iso4217:USD', 'USD', 2),
    ('eip155:1/slip44:60', 'ETH', 18), ('eip155:8453/slip44:60', 'ETH', 18);
"""


# What a service may, by the key that it shows.
READS, WRITES = "wallets:read", "wallets:write"
KEYS: dict[str, tuple[str, list[str], str | None]] = {
    "till": ("till", [READS, WRITES, "reports:read"], None),
    "till, its next key": ("till", [READS, WRITES], None),
    "window": ("window", [READS], None),
    "slot": ("slot", [WRITES], None),
    "promoter": ("promoter", [READS, "bonuses:write"], None),
    "branch": ("branch", [READS, WRITES], "other"),
    "stranger": ("stranger", ["reports:read"], None),
    "approver": ("approver", [READS, "withdrawals:approve"], None),
    "owner": ("owner", list(get_args(Role)), None),
}


SECRETS = ("a-secret-of-the-signer", "the-next-secret-of-it")


def key(of: str) -> dict[str, str]:
    """The header with which a service shows a key of its."""
    return {"authorization": f"Bearer secret of {of}"}


def keys() -> str:
    """The setting that lets them in."""
    shown = [
        {
            "name": name,
            "digest": hashlib.sha256(f"secret of {of}".encode()).hexdigest(),
            "roles": roles,
            "casino": casino,
        }
        for of, (name, roles, casino) in KEYS.items()
    ]
    signing = {"name": "signer", "secrets": list(SECRETS), "roles": ["bonuses:write"]}
    return json.dumps([*shown, signing])


@dataclass(frozen=True, slots=True)
class Api:
    """Where it listens, the process itself, and the servers behind it."""

    url: str
    feed_port: int
    database_url: str
    environment: dict[str, str]
    logs: Path


async def fill(database_url: str) -> None:
    """Forty bets on the EVM, three on Solana; a third is open, one was taken back."""
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        text = SETUP.format(evm=EVM, solana=SOLANA, at="c0" * 20)
        await connection.execute(text.encode())
    facts: list[Fact] = []
    for bet in range(40):
        player = ADA if bet % 2 else BOB
        facts.append(Says.placed(bet, player, stake=100 + bet, position=bet))
        if bet % 3:
            payout = 198 if bet % 3 == 1 else 0
            facts.append(Says.settled(bet, payout=payout, position=bet + 1, player=player))
    async with transaction() as session:
        source = await followed(session, 1)
        await pages.apply(session, source, facts, fresh=True)
        source = await followed(session, 2)
        placed = [Says.placed(bet, EVE, stake=7, position=bet + 90) for bet in range(3)]
        await pages.apply(session, source, placed, fresh=True)
        await stats.fold(session, 1)


@pytest.fixture(scope="module")
async def redis_server() -> AsyncIterator[redis.Redis]:
    with tempfile.TemporaryDirectory() as folder:
        async with redis.start(Path(folder) / "redis") as server:
            yield server


@pytest.fixture(scope="module")
async def api(
    request: pytest.FixtureRequest,
    database_url: str,
    redis_server: redis.Redis,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Api]:
    """The process that production runs, on a free port; a module may set more as `SETTINGS`."""
    db_session.configure(database_url)
    try:
        await fill(database_url)
    finally:
        await db_session.close()
    port, feed_port = free_port(), free_port()
    environment = {
        **os.environ,
        "FAIRHOUSE_DATABASE_URL": database_url,
        "FAIRHOUSE_REDIS_URL": redis_server.url,
        "FAIRHOUSE_API_PORT": str(port),
        "FAIRHOUSE_FEED_PORT": str(feed_port),
        "FAIRHOUSE_API_KEYS": keys(),
        "FAIRHOUSE_SIGNER_KEY": SIGNER,
        "FAIRHOUSE_WITHDRAWALS": json.dumps(
            {"evm-local": {"least": 5, "most": 900, "automatic": 50, "automatic_daily": 80}}
        ),
        **getattr(request.module, "SETTINGS", {}),
    }
    logs = tmp_path_factory.mktemp("logs")
    url = f"http://127.0.0.1:{port}"

    async def answers() -> bool:
        async with httpx.AsyncClient() as client:
            try:
                return (await client.get(f"{url}/health")).status_code == 200
            except httpx.HTTPError:
                return False

    async with running("api", environment, logs) as child:
        await until_ready(child, answers)
        yield Api(url, feed_port, database_url, environment, logs)
    assert child.process.returncode == 0


@contextlib.asynccontextmanager
async def running(name: str, environment: dict[str, str], logs: Path) -> AsyncIterator[Child]:
    """A process of the house."""
    child = fork(name, ["run", name], log=logs / f"{name}.log", env=environment)
    try:
        yield child
    finally:
        await child.stop()


@pytest.fixture
def client(api: Api) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=api.url, timeout=10) as opened:
        yield opened


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as player:
        browser = await player.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        await browser.close()


@pytest.fixture
async def page(browser: Browser, request: pytest.FixtureRequest) -> AsyncIterator[Page]:
    """A page that fails the test when anything in it fails but what its module calls `HARMLESS`."""
    context = await browser.new_context(viewport={"width": 1200, "height": 900})
    page = await context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))

    def heard(said: ConsoleMessage) -> None:
        if said.type == "error" and request.module.HARMLESS not in said.text:
            complaints.append(said.text)

    page.on("console", heard)
    yield page
    await context.close()
    assert complaints == []
