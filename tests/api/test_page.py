"""The page in a real browser: bets arrive while one looks at it, on a desk and on a phone."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page, expect

from tests.api.conftest import CHROMIUM, Api, running
from tests.api.shown import feeding, house, play, take_back

__all__ = ["house"]

HARMLESS = "WebSocket connection"  # what a page may complain of

# Processes start behind a page that is already open, and a busy machine takes its time.
expect.set_options(timeout=60_000)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on the PATH")


@pytest.fixture(scope="module")
async def live(api: Api) -> AsyncIterator[Api]:
    """The relay and the feed beside the API."""
    async with running("relay", api.environment, api.logs), feeding(api):
        yield api


async def test_what_was_played_is_there_at_once(live: Api, page: Page) -> None:
    await page.goto(live.url)
    await expect(page.locator("#live")).to_have_text("live")
    await expect(page.locator("#bets tr")).to_have_count(43)
    await expect(page.locator("#bets tr").first).to_contain_text("Solana")
    await expect(page.locator("#players")).to_have_text("by 3 players")
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


async def test_an_ending_that_the_chain_takes_back_leaves_the_bet_waiting(
    live: Api, page: Page, house: None
) -> None:
    await page.goto(live.url)
    await expect(page.locator("#live")).to_have_text("live")
    newest = page.locator("#bets tr").first
    for settle in (False, True):
        await play(1100, settle=settle)
    await expect(newest).to_contain_text("1234 · won 0.495 ETH")
    await take_back("s1100")
    await expect(newest).to_contain_text("waits")
    await play(1100, settle=True)
    await expect(newest).to_contain_text("1234 · won 0.495 ETH")
    await take_back("p1100", "s1100")
    await expect(newest).to_contain_text("retracted")
    await play(1100, settle=False)
    await expect(newest).to_contain_text("waits")


async def test_a_house_that_answers_again_is_live_again(live: Api, browser: Browser) -> None:
    page = await browser.new_page()
    await page.route("**/health", lambda route: route.abort())
    await page.route("**/api/line", lambda route: route.abort())
    await page.goto(live.url)
    await expect(page.locator("#live")).to_have_text("no answer")
    await page.unroute_all()
    await expect(page.locator("#live")).to_have_text("live")
    await page.route("**/health", lambda route: route.abort())
    await expect(page.locator("#live")).to_have_text("no answer")
    await page.unroute_all()
    await expect(page.locator("#live")).to_have_text("live")
    await page.close()


async def test_a_wide_window_shows_the_bets_beside_their_sums(live: Api, page: Page) -> None:
    await page.set_viewport_size({"width": 1920, "height": 1080})
    await page.goto(live.url)
    await expect(page.locator("#bets tr").first).to_be_in_viewport()
    bets, sums = page.locator(".bets"), page.locator("#totals")
    beside = await sums.bounding_box()
    table = await bets.bounding_box()
    assert beside is not None
    assert table is not None
    assert beside["x"] > table["x"] + table["width"]


async def test_on_a_phone_a_bet_is_one_line(live: Api, page: Page) -> None:
    await page.set_viewport_size({"width": 390, "height": 844})
    await page.goto(live.url)
    waits = page.locator("#bets tr[data-status=placed]").first
    await expect(waits).to_be_visible()
    for cell in await waits.locator("td:not(.wide)").all():
        lines = "e => { const r = document.createRange(); r.selectNodeContents(e);"
        lines += " return new Set([...r.getClientRects()].map((one) => one.top)).size }"
        assert await cell.evaluate(lines) == 1


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
