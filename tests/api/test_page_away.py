"""The page while its feed is away, and after messages were lost: it catches up by itself."""

from __future__ import annotations

import contextlib

import psycopg
import pytest
from playwright.async_api import Locator, Page, expect
from redis.asyncio import Redis

from tests.api.conftest import CHROMIUM, Api, running
from tests.api.shown import feeding, house, play, take_back

__all__ = ["house"]

HARMLESS = "WebSocket connection"  # what a page may complain of

# Processes start behind a page that is already open, and a busy machine takes its time.
expect.set_options(timeout=60_000)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on the PATH")


@pytest.mark.parametrize("listening", [True, False])
async def test_what_the_feed_cannot_tell_any_more_is_read_again(
    api: Api, page: Page, house: None, listening: bool
) -> None:
    """Nothing of what was shown is kept when messages are lost, nor when a page comes back."""
    waits, gone = (1200, 1201) if listening else (1202, 1203)
    async with contextlib.AsyncExitStack() as feed:
        await feed.enter_async_context(feeding(api))
        async with running("relay", api.environment, api.logs):
            await page.goto(api.url)
            await expect(page.locator("#live")).to_have_text("live")
            for bet in (waits, gone):
                for settle in (False, True):
                    await play(bet, settle=settle)
            for bet in (waits, gone):
                await expect(row(page, f"s{bet}")).to_contain_text("won 0.495 ETH")
        if not listening:
            await feed.aclose()
            await expect(page.locator("#live")).to_have_text("reconnecting")
        await take_back(f"s{waits}")
        await take_back(f"p{gone}", f"s{gone}")
        await lose_the_streams(api)
        async with running("relay", api.environment, api.logs):
            if not listening:
                await feed.enter_async_context(feeding(api))
            await expect(row(page, f"p{waits}")).to_contain_text("waits")
            await expect(row(page, f"s{waits}")).to_have_count(0)
            await expect(row(page, f"s{gone}")).to_have_count(0)
            await play(waits, settle=True)
            await expect(row(page, f"s{waits}")).to_contain_text("won 0.495 ETH")


def row(page: Page, tx: str) -> Locator:
    return page.locator(f"#bets tr[title={tx}]")


async def lose_the_streams(api: Api) -> None:
    """Redis is emptied, and the outbox has nothing to fill it with again."""
    async with (
        await psycopg.AsyncConnection.connect(api.database_url, autocommit=True) as connection,
        Redis.from_url(api.environment["FAIRHOUSE_REDIS_URL"]) as store,
    ):
        await connection.execute("DELETE FROM outbox")
        await store.flushall()


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
            await expect(page.locator("#live")).to_have_text("live")
            await expect(newest).to_contain_text("won 0.495 ETH")
