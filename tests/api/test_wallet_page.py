"""The page of wallets in a real browser: money moves once, whatever happens to the answer."""

from __future__ import annotations

import re
from itertools import count
from typing import Any

import httpx
import pytest
from playwright.async_api import (
    Locator,
    Page,
    Request,
    Route,
    expect,
)

from tests.api.conftest import CHROMIUM, Api, key

HARMLESS = "Failed to load resource"  # what a page may complain of
SECRET = key("till")["authorization"].removeprefix("Bearer ")
KEY = re.compile(r"[0-9a-f]{32}")
_users = count(1)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on the PATH")


@pytest.fixture
async def user(api: Api, page: Page) -> str:
    """Somebody whom nobody knows yet, picked on the page."""
    name = f"visitor-{next(_users)}"
    await page.goto(f"{api.url}/wallet#key={SECRET}")
    await expect(page.locator("#live")).to_have_text("open")
    await page.locator("#name").fill(name)
    await page.get_by_role("button", name="Pick").click()
    await expect(page.locator("#unknown")).to_be_visible()
    return name


async def send(page: Page, way: str, amount: str, **more: str) -> None:
    await page.locator("#way").select_option(way)
    await page.locator("#amount").fill(amount)
    asset = more.pop("asset", "GOLD_COINS")
    await page.locator("#asset").select_option(label=asset)
    for name, value in more.items():
        await page.locator(f"#{name}").fill(value)
    await page.get_by_role("button", name="Send", exact=True).click()


def available(page: Page, asset: str = "GOLD_COINS") -> Locator:
    return page.locator(f"[data-asset={asset}] dt:has-text('available') + dd")


async def test_a_user_is_topped_up_given_spends_and_passes_on(
    api: Api, page: Page, user: str
) -> None:
    outcome = page.locator("#outcome")
    keys = set()
    await send(page, "top-up", "100", note="welcome pack")
    await expect(outcome).to_contain_text("Done: top up of 100 GOLD_COINS")
    keys.add(await page.locator("#key").inner_text())
    await expect(available(page)).to_have_text("100")
    await expect(page.locator("#unknown")).to_be_hidden()
    await send(page, "bonus", "20", note="")
    await expect(outcome).to_contain_text("Done: bonus of 20 GOLD_COINS")
    keys.add(await page.locator("#key").inner_text())
    await send(page, "spend", "30")
    await expect(outcome).to_contain_text("Done: spend of 30 GOLD_COINS")
    keys.add(await page.locator("#key").inner_text())
    other = known(api)
    await send(page, "transfer", "40", to=other)
    await expect(outcome).to_contain_text("Done: transfer of 40 GOLD_COINS")
    keys.add(await page.locator("#key").inner_text())
    await expect(available(page)).to_have_text("50")
    rows = page.locator("#entries tr")
    await expect(rows).to_have_count(4)
    await expect(rows.nth(0)).to_contain_text(other)
    await expect(rows.nth(0)).to_contain_text("−40 GOLD_COINS")
    await expect(rows.nth(3)).to_contain_text("welcome pack")
    assert len(keys) == 4
    assert all(KEY.fullmatch(one) for one in keys)
    await page.locator("#user").select_option("user_001")
    await expect(page.locator("#unknown")).to_be_visible()
    await expect(rows).to_have_count(0)


async def test_a_lost_answer_is_asked_for_again_with_the_same_key(
    api: Api, page: Page, user: str
) -> None:
    """The house moved the money, and the browser never heard of it."""
    keys: list[str | None] = []

    async def lose(route: Route, request: Request) -> None:
        keys.append(request.headers.get("x-idempotency-key"))
        if len(keys) == 1:
            await route.fetch()
            await route.abort()
        else:
            await route.continue_()

    await page.route("**/top-up", lose)
    await send(page, "top-up", "10")
    outcome = page.locator("#outcome")
    await expect(outcome).to_contain_text("nobody knows whether it moved")
    await expect(available(page)).to_have_text("10")
    await page.locator("#again").click()
    await expect(outcome).to_contain_text("It moved before, and only once")
    await expect(available(page)).to_have_text("10")
    await expect(page.locator("#entries tr")).to_have_count(1)
    assert keys == [await page.locator("#key").inner_text()] * 2


async def test_what_is_refused_is_said_in_words(api: Api, page: Page, user: str) -> None:
    outcome = page.locator("#outcome")
    await send(page, "top-up", "5")
    await expect(available(page)).to_have_text("5")
    await send(page, "spend", "7")
    await expect(outcome).to_contain_text("there is 5 GOLD_COINS, and 7 GOLD_COINS is wanted")
    await send(page, "transfer", "1", to="nobody-at-all")
    await expect(outcome).to_contain_text("no such user to give it to")
    await send(page, "transfer", "1", to=user)
    await expect(outcome).to_contain_text("needs two users")
    await send(page, "top-up", "1.5")
    await expect(outcome).to_contain_text("That is no amount of GOLD_COINS")
    await expect(page.locator("#again")).to_be_hidden()
    await send(page, "top-up", "0")
    await expect(outcome).to_contain_text("more than nothing")
    await expect(available(page)).to_have_text("5")


async def test_amounts_with_a_fraction_are_exact(api: Api, page: Page, user: str) -> None:
    await send(page, "top-up", "90071992547409.93", asset="USD")
    await expect(available(page, "USD")).to_have_text("90071992547409.93")
    await send(page, "spend", "0.03", asset="USD")
    await expect(available(page, "USD")).to_have_text("90071992547409.9")
    await send(page, "spend", "0.001", asset="USD")
    await expect(page.locator("#outcome")).to_contain_text("at most 2 digits")


async def test_a_history_is_read_page_by_page(api: Api, page: Page, user: str) -> None:
    for amount in range(1, 24):
        move(api, user, "top-up", amount)
    await page.reload()
    await page.locator("#name").fill(user)
    await page.get_by_role("button", name="Pick").click()
    rows = page.locator("#entries tr")
    await expect(rows).to_have_count(10)
    older = page.locator("#older")
    await older.click()
    await expect(rows).to_have_count(20)
    await older.click()
    await expect(rows).to_have_count(23)
    await expect(older).to_be_hidden()
    amounts = [int((await one.inner_text()).split()[0]) for one in await cells(rows)]
    assert amounts == list(range(23, 0, -1))


async def cells(rows: Locator) -> list[Locator]:
    return await rows.locator("td:nth-child(3)").all()


async def test_a_key_leaves_the_address_at_once_and_goes_in_a_header_only(
    api: Api, page: Page
) -> None:
    asked: list[Request] = []
    page.on("request", lambda one: asked.append(one))
    await page.goto(f"{api.url}/wallet#key={SECRET}")
    await expect(page.locator("#live")).to_have_text("open")
    assert page.url == f"{api.url}/wallet"
    assert len(asked) > 4
    for one in asked:
        assert SECRET not in one.url.partition("#")[0]
        assert SECRET not in (one.headers.get("referer") or "")
    await page.reload()
    await expect(page.locator("#live")).to_have_text("open")
    assert await page.evaluate("localStorage.length + document.cookie.length") == 0


async def test_a_wrong_key_is_asked_for_again(api: Api, page: Page) -> None:
    await page.goto(f"{api.url}/wallet")
    await expect(page.locator("#house")).to_be_hidden()
    await page.locator("#secret").fill("wrong")
    await page.get_by_role("button", name="Open").click()
    await expect(page.locator("#live")).to_have_text("This key opens nothing here.")
    await expect(page.locator("#house")).to_be_hidden()
    await page.locator("#secret").fill(SECRET)
    await page.get_by_role("button", name="Open").click()
    await expect(page.locator("#live")).to_have_text("open")
    await expect(page.locator("#door")).to_be_hidden()


async def test_what_users_wrote_is_shown_and_never_run(api: Api, page: Page, user: str) -> None:
    written = "<img src=x onerror=alert(1)>"
    await send(page, "top-up", "1", note=written)
    await expect(page.locator("#entries tr td").last).to_have_text(written)
    assert await page.locator("#entries img").count() == 0


async def test_a_phone_shows_wallets_without_an_edge_hanging_over(
    api: Api, page: Page, user: str
) -> None:
    await page.set_viewport_size({"width": 360, "height": 740})
    await send(page, "top-up", "9" * 20, note="a note of some length, as people write them")
    await expect(page.locator("#entries tr")).to_have_count(1)
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360


def known(api: Api) -> str:
    """A user with nothing but a coin."""
    name = f"friend-{next(_users)}"
    move(api, name, "top-up", 1)
    return name


def move(api: Api, user: str, way: str, amount: int, **more: Any) -> None:
    headers = {**key("till"), "x-idempotency-key": f"page-{next(_users)}"}
    body = {"asset": "GOLD_COINS", "amount": amount, **more}
    httpx.post(f"{api.url}/api/wallets/{user}/{way}", json=body, headers=headers).raise_for_status()
