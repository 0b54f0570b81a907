"""The page in a real browser: bets arrive while one looks at it, on a desk and on a phone."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

from casino import pages, stats
from casino.sources import followed
from db import session as db_session
from db.session import transaction
from local.process import accepts, until_ready
from tests.api.conftest import ADA, Api, running
from tests.casino.conftest import Says

CHROMIUM = shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on the PATH")


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as player:
        browser = await player.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        await browser.close()


@pytest.fixture
async def live(api: Api) -> AsyncIterator[Api]:
    """The relay beside the API, and a feed that a test may stop."""
    async with running("relay", api.environment, api.logs), feeding(api):
        yield api


@contextlib.asynccontextmanager
async def feeding(api: Api) -> AsyncIterator[None]:
    async with running("feed", api.environment, api.logs) as feed:
        await until_ready(feed, lambda: accepts(api.feed_port))
        yield


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page that fails the test when anything in it fails."""
    context = await browser.new_context(viewport={"width": 1200, "height": 900})
    page = await context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))

    def heard(said: ConsoleMessage) -> None:
        if said.type == "error" and "WebSocket connection" not in said.text:
            complaints.append(said.text)

    page.on("console", heard)
    yield page
    await context.close()
    assert complaints == []


@pytest.fixture
async def house(api: Api) -> AsyncIterator[None]:
    db_session.configure(api.database_url)
    yield
    await db_session.close()


async def play(bet: int, *, settle: bool) -> None:
    """What the interpreter does with a bet of the EVM program."""
    placed = Says.placed(bet, ADA, stake=25 * 10**16, position=200 + bet)
    ended = Says.settled(bet, payout=495 * 10**15, position=201 + bet, player=ADA)
    async with transaction() as session:
        await pages.apply(
            session, await followed(session, 1), [ended if settle else placed], fresh=True
        )
        await stats.fold(session, 1, interval_ms=0)


async def test_what_was_played_is_there_at_once(live: Api, page: Page) -> None:
    await page.goto(live.url)
    await expect(page.locator("#live")).to_have_text("live")
    await expect(page.locator("#bets tr")).to_have_count(43)
    await expect(page.locator("#bets tr").first).to_contain_text("Solana")
    await expect(page.locator("#totals")).to_contain_text("Players")
    await expect(page.locator("#line")).to_contain_text("evm-local")
    lag = page.locator("#line .card").first.locator("dt:has-text('lag') + dd")
    await expect(lag).to_have_text("2")


async def test_a_bet_arrives_and_is_settled_without_a_reload(
    live: Api, page: Page, house: None
) -> None:
    await page.goto(live.url)
    await expect(page.locator("#live")).to_have_text("live")
    before = page.locator("#totals .card").first.locator("dt:has-text('bets') + dd")
    await expect(before).to_have_text(re.compile(r"^\d+$"))
    count = int(await before.inner_text())
    await play(1000, settle=False)
    newest = page.locator("#bets tr").first
    await expect(newest).to_contain_text("0.25 ETH")
    await expect(newest).to_contain_text("waits")
    await play(1000, settle=True)
    await expect(newest).to_contain_text("1234 · won 0.495 ETH")
    await expect(before).to_have_text(str(count + 1))


async def test_on_a_phone_nothing_hangs_over_the_edge(live: Api, page: Page) -> None:
    await page.set_viewport_size({"width": 360, "height": 740})
    await page.goto(live.url)
    await expect(page.locator("#bets tr").first).to_be_visible()
    wide = await page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 360


async def test_the_documentation_draws_itself_and_can_be_tried(live: Api, page: Page) -> None:
    await page.goto(f"{live.url}/docs")
    await expect(page.locator("#feed")).to_contain_text("/ws")
    section = page.locator(".operation", has_text="GET /api/bets/recent")
    await expect(section).to_contain_text("limit")
    await section.get_by_role("button").click()
    await expect(section.locator("pre")).to_contain_text('"items"')


async def test_what_happened_while_the_feed_was_away_is_caught_up(
    api: Api, page: Page, house: None
) -> None:
    async with running("relay", api.environment, api.logs):
        async with feeding(api):
            await page.goto(api.url)
            await expect(page.locator("#live")).to_have_text("live")
            await play(2000, settle=False)
            newest = page.locator("#bets tr").first
            await expect(newest).to_contain_text("waits")
        await expect(page.locator("#live")).not_to_have_text("live")
        await play(2000, settle=True)
        async with feeding(api):
            await expect(page.locator("#live")).to_have_text("live", timeout=15_000)
            await expect(newest).to_contain_text("won 0.495 ETH")
