"""Tables over HTTP: what is open, bets on it, what came of it, and a proof of all of it."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
import psycopg
import pytest
from coincurve import PublicKey
from playwright.async_api import Locator, Page, expect

from casino.commands import run_many
from casino.rounds import courses, settlements, tables
from casino.rounds.tables import Limits, Table
from chains.evm.address import keccak256
from games.fairness import merkle
from games.fairness.rounds import BLOCK, Beacon, BetReceipt, SignedRoot, bets_root, of_chain
from games.fairness.verify import FAILED, verify
from settings import Settings
from tests.api.conftest import ADA, CHROMIUM, EVM, Api, key
from tests.api.test_reads import problem
from tests.casino.rounds.dealt import sign
from tests.typed import fairhouse
from workers import relay

HARMLESS = "WebSocket connection"  # the page has no feed here
GOLD = "casino:fairhouse/GOLD_COINS"
BEACON = Beacon(BLOCK, of_chain(EVM.encode()), 17, b"\xab" * 32)
LIMITS = Limits(least=1, most=100, most_win=10_000, most_player=150)
_keys = itertools.count(1)


@dataclass
class Played:
    """A table of this house whose first round is open for a minute, and its seeds."""

    url: str
    table: Table
    seeds: list[bytes]

    async def over(self, number: int = 0) -> None:
        """Close, draw and settle a round as the dealer would when it is time."""
        connecting = psycopg.AsyncConnection.connect(self.url)
        async with await connecting as connection:
            await connection.execute("ALTER TABLE rounds DISABLE TRIGGER rounds_forward")
            await connection.execute(
                "UPDATE rounds SET opens_at = now() - interval '9 s',"
                " closes_at = clock_timestamp() WHERE table_id = %s AND number = %s",
                (self.table.id, number),
            )
            await connection.execute("ALTER TABLE rounds ENABLE TRIGGER rounds_forward")
        async with await psycopg.AsyncConnection.connect(self.url) as connection:
            assert await courses.close(connection, self.table, number, sign)
            seed = self.seeds[number]
            await courses.draw(
                connection, self.table, number, seed=seed, beacon=BEACON, evidence={"evidence": ""}
            )
            pays = await tables.all_pays(connection)
            while part := await settlements.part(connection, self.table, number, pays):
                await run_many(connection, [part])
            assert await courses.end(connection, self.table, number) == "settled"


@pytest.fixture
async def played(api: Api) -> Played:
    async with await psycopg.AsyncConnection.connect(api.database_url) as connection:
        pays = tables.GAMES["dice"].PAYS
        pay_id = await tables.keep(connection, "dice", pays)
        name = f"dice-{next(_keys)}"
        table = Table(
            *(0, 1, "fairhouse", name, "dice", pay_id, GOLD, EVM, "0x" + "bb" * 20, "block"),
            LIMITS,
        )
        id = await tables.settle(connection, table)
        [table] = [one for one in await tables.all_tables(connection) if one.id == id]
        seeds = [secrets.token_bytes(32) for _ in range(3)]
        commits = [table.place(number).commit(seed) for number, seed in enumerate(seeds)]
        await connection.execute(
            "INSERT INTO round_batches (table_id, first, count, root, opens, period, lead,"
            " reveal_window, beacon, max_liability, signer, pay_id, state, tx, position,"
            " committed_at, confirmed_at) VALUES (%s, 0, 3, %s,"
            " extract(epoch FROM now())::bigint - 1, 60, 1, 60, 'block:evm-local', 1000000, %s, %s,"
            " 'confirmed', %s, 7, extract(epoch FROM now())::bigint - 60, now() - interval '1 h')",
            (table.id, merkle.Tree.over(commits).root, sign.address, pay_id, "0x" + "cc" * 32),
        )
        for number, commit in enumerate(commits):
            await connection.execute(
                "INSERT INTO round_seeds VALUES (%s, %s, 0, '', %s)", (table.id, number, commit)
            )
        await courses.schedule(connection, table, 0)
    await asyncio.sleep(1.1)  # until the API reads its tables again
    return Played(api.database_url, table, seeds)


@pytest.fixture
async def owner(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=api.url, timeout=20, headers=key("owner")) as opened:
        yield opened


async def funded(client: httpx.AsyncClient, cash: int = 1_000) -> str:
    user = f"better-{next(_keys)}"
    keyed = {"x-idempotency-key": f"purse-{user}"}
    body = {"asset": "GOLD_COINS", "amount": str(cash)}
    given = await client.post(f"/api/wallets/{user}/top-up", json=body, headers=keyed)
    assert given.is_success
    return user


async def bet(client: httpx.AsyncClient, played: Played, user: str, **more: Any) -> httpx.Response:
    keyed = {"x-idempotency-key": more.pop("idempotency", f"bet-{next(_keys)}")}
    wish = {"user": user, "choice": {"over": True, "face": 4_999}, "stake": "10", **more}
    return await client.post(f"/api/tables/{played.table.name}/bets", json=wish, headers=keyed)


async def test_a_table_shows_its_limits_its_bond_and_the_round_that_takes_bets(
    played: Played, owner: httpx.AsyncClient
) -> None:
    said = (await owner.get(f"/api/tables/{played.table.name}")).json()
    assert said["limits"] == {
        "least": "1",
        "most": "100",
        "most_win": "10000",
        "most_player": "150",
        "most_operator": None,
    }
    assert said["round"]["number"] == 0
    assert said["round"]["opens_at"] < said["round"]["server_time"] < said["round"]["closes_at"]
    assert said["round"]["tx"] == "0x" + "cc" * 32
    assert said["returns"][0] >= 0.88
    names = [one["table"] for one in (await owner.get("/api/tables")).json()["items"]]
    assert played.table.name in names
    assert problem(await owner.get("/api/tables/nowhere"), 404, "unknown_table")


async def test_a_bet_is_taken_once_for_its_key_and_needs_the_role(
    played: Played, owner: httpx.AsyncClient, api: Api
) -> None:
    user = await funded(owner)
    first = await bet(owner, played, user, idempotency="once")
    assert first.status_code == 200, first.text
    again = await bet(owner, played, user, idempotency="once")
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert first.json()["balance"] == "990"
    assert problem(
        await bet(owner, played, user, idempotency="once", stake="11"),
        422,
        "idempotency_key_reused",
    )
    async with httpx.AsyncClient(base_url=api.url, headers=key("till")) as till:
        assert problem(await bet(till, played, user), 403, "forbidden")
    async with httpx.AsyncClient(base_url=api.url) as nobody:
        assert problem(await bet(nobody, played, user), 401, "unauthorized")


async def test_the_house_signs_what_it_took_so_that_a_player_can_show_what_was_left_out(
    played: Played, owner: httpx.AsyncClient
) -> None:
    user = await funded(owner)
    answers = [
        await bet(owner, played, user, idempotency=f"signed-{played.table.name}-{n}")
        for n in (0, 1, 1)
    ]
    first, second, again = (one.json() for one in answers)
    assert again == second
    assert answers[2].headers["idempotency-replayed"] == "true"
    place = played.table.place(0)
    leaves = [bytes.fromhex(one["leaf"]) for one in (first, second)]
    receipts = [BetReceipt(place, n, leaf) for n, leaf in enumerate(leaves)]
    for said, receipt in zip((first, second), receipts, strict=True):
        assert said["signer"] == sign.address.hex()
        assert recover(receipt.digest, bytes.fromhex(said["signature"])) == sign.address
    whole = SignedRoot(place, bets_root(leaves), 2, 0)
    without = SignedRoot(place, bets_root(leaves[:1]), 1, 0)
    assert [one.left_out(whole) for one in receipts] == [False, False]
    assert [one.left_out(without) for one in receipts] == [False, True]


async def test_no_bet_is_taken_that_the_house_could_not_sign(
    played: Played, owner: httpx.AsyncClient
) -> None:
    """Nor could the dealer close its round: the batch is bound to another key."""
    user = await funded(owner, 50)
    async with await psycopg.AsyncConnection.connect(played.url) as connection:
        await connection.execute("ALTER TABLE round_batches DISABLE TRIGGER round_batches_forward")
        await connection.execute(
            "UPDATE round_batches SET signer = %s WHERE table_id = %s",
            (b"\x0e" * 20, played.table.id),
        )
        await connection.execute("ALTER TABLE round_batches ENABLE TRIGGER round_batches_forward")
    assert problem(await bet(owner, played, user), 409, "ROUND_UNSIGNED")
    found = (await owner.get(f"/api/wallets/{user}")).json()["balances"]
    assert [one["balance"] for one in found if one["asset"]["id"] == GOLD] == ["50"]


async def test_an_api_whose_key_is_none_does_not_start(api: Api) -> None:
    broken = {**api.environment, "FAIRHOUSE_SIGNER_KEY": "07" * 31}
    done = await asyncio.to_thread(fairhouse, "run", "api", env=broken, timeout=60)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "FAIRHOUSE_SIGNER_KEY is no key of 32 bytes in hex"


def recover(digest: bytes, signature: bytes) -> bytes:
    compact = signature[:64] + bytes([signature[64] - 27])
    point = PublicKey.from_signature_and_message(compact, digest, hasher=None)
    return keccak256(point.format(compressed=False)[1:])[12:]


BAD: dict[str, tuple[dict[str, Any], int, str]] = {
    "no stake": ({"stake": "0"}, 422, "amount_not_positive"),
    "half a coin": ({"stake": 0.5}, 422, "amount_not_whole"),
    "too large": ({"stake": "101"}, 422, "STAKE_TOO_LARGE"),
    "more than there is": ({"user": None, "stake": "100"}, 402, "INSUFFICIENT_FUNDS"),
    "no such face": ({"choice": {"over": True, "face": 10_000}}, 422, "bad_choice"),
    "another game": ({"choice": {"spots": [1]}}, 422, "bad_choice"),
    "more than a choice": (
        {"choice": {"over": True, "face": 4_999, "\0": "\0"}},
        422,
        "bad_choice",
    ),
    "a choice of floats": ({"choice": {"over": True, "face": 4999.5}}, 422, "bad_choice"),
    "a win too large": ({"choice": {"over": True, "face": 9_998}}, 422, "WIN_TOO_LARGE"),
    "a later round": ({"round": 2}, 409, "ROUND_NOT_OPEN"),
    "no such round": ({"round": 99}, 404, "UNKNOWN_ROUND"),
    "nobody": ({"user": "nobody-at-all"}, 404, "unknown_user"),
    "something more": ({"bonus": True}, 422, "invalid"),
}


@pytest.mark.parametrize("case", BAD)
async def test_what_is_wrong_with_a_bet_has_a_code_and_moves_nothing(
    played: Played, owner: httpx.AsyncClient, case: str
) -> None:
    changed, status, code = BAD[case]
    user = await funded(owner, 50)
    wish = {**changed}
    if wish.get("user", "") is None:
        del wish["user"]
    assert problem(await bet(owner, played, wish.pop("user", user), **wish), status, code)
    found = (await owner.get(f"/api/wallets/{user}")).json()["balances"]
    assert [one["balance"] for one in found if one["asset"]["id"] == GOLD] == ["50"]


async def test_a_round_and_a_bet_can_be_proved_once_they_are_drawn(
    played: Played, owner: httpx.AsyncClient
) -> None:
    user = await funded(owner)
    id = (await bet(owner, played, user)).json()["bet"]
    name = f"{played.table.name}.0"
    assert problem(await owner.get(f"/api/rounds/{name}/proof"), 409, "round_not_drawn")
    assert problem(await owner.get(f"/api/bets/{id}/proof"), 409, "round_not_drawn")
    assert (await owner.get(f"/api/rounds/{name}")).json()["seed"] is None
    await played.over()
    shown = (await owner.get(f"/api/rounds/{name}")).json()
    assert (shown["state"], shown["bets"]) == ("settled", 1)
    assert shown["seed"] == played.seeds[0].hex()
    for path in (f"/api/rounds/{name}/proof", f"/api/bets/{id}/proof"):
        steps = verify((await owner.get(path)).json())
        assert FAILED not in {step.status for step in steps}, path
    [mine] = (await owner.get(f"/api/users/{user}/bets")).json()["items"]
    assert mine["bet"] == id
    assert mine["state"] in ("won", "lost")
    recent = (await owner.get("/api/rounds/recent", params={"table": played.table.name})).json()
    assert [one["round"] for one in recent["items"]] == [0]
    assert problem(await owner.get(f"/api/rounds/{played.table.name}.77"), 404, "unknown_round")
    assert problem(await owner.get("/api/bets/" + "00" * 32 + "/proof"), 404, "unknown_bet")


async def test_a_player_whose_address_is_known_is_paid_there_by_the_bond(
    played: Played, owner: httpx.AsyncClient
) -> None:
    keyed = {"x-idempotency-key": f"purse-{next(_keys)}"}
    body = {"asset": "GOLD_COINS", "amount": "100"}
    given = await owner.post(f"/api/wallets/{ADA}/top-up", json=body, headers=keyed)
    assert given.is_success, given.text
    ids = [(await bet(owner, played, user)).json()["bet"] for user in (ADA, await funded(owner))]
    await played.over()
    proofs = [(await owner.get(f"/api/bets/{id}/proof")).json() for id in ids]
    assert [one["bet"]["payee"] for one in proofs] == [ADA.removeprefix("0x"), "00" * 20]


async def test_a_table_without_rounds_takes_no_bet(
    played: Played, owner: httpx.AsyncClient
) -> None:
    user = await funded(owner)
    async with await psycopg.AsyncConnection.connect(played.url) as connection:
        await connection.execute(
            "UPDATE rounds SET state = 'skipped', reason = 'late', ended_at = now()"
            " WHERE table_id = %s",
            (played.table.id,),
        )
    assert problem(await bet(owner, played, user), 409, "no_round")
    assert problem(await bet(owner, played, user, round=0), 409, "ROUND_CLOSED")
    assert problem(await bet(owner, played, "nobody-at-all"), 404, "unknown_user")


async def test_events_tell_what_happens_at_a_table_and_what_time_it_is(
    played: Played, owner: httpx.AsyncClient, api: Api
) -> None:
    heard: list[tuple[str, Any]] = []

    async def listening(client: httpx.AsyncClient) -> None:
        path = f"/api/tables/{played.table.name}/events"
        async with client.stream("GET", path, timeout=30) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            name = ""
            async for line in answer.aiter_lines():
                name = line.removeprefix("event: ") if line.startswith("event: ") else name
                if line.startswith("data: "):
                    heard.append((name, json.loads(line.removeprefix("data: "))))
                    if name == "round.settled":
                        return

    user = await funded(owner)
    async with httpx.AsyncClient(base_url=api.url) as client, relaying(api):
        task = asyncio.create_task(listening(client))
        while "time" not in dict(heard):  # comes when nothing else has for a while
            assert not task.done()
            await asyncio.sleep(0.05)
        assert (await bet(owner, played, user)).status_code == 200
        await played.over()
        await asyncio.wait_for(task, 20)
    expected = ["table", "time", "round.bet", "round.closed", "round.result", "round.settled"]
    assert list(dict.fromkeys(name for name, _ in heard if name in expected)) == expected
    assert {data["table"] for name, data in heard if name != "time"} == {played.table.name}
    clocks = [clock for name, data in heard if (clock := said_at(name, data))]
    assert len(clocks) == len([name for name, _ in heard if name != "round.bet"])
    assert clocks == sorted(clocks)
    assert clocks[0] < clocks[-1] < await now(played)


def said_at(name: str, data: dict[str, Any]) -> datetime | None:
    """What time it was by the house's clock when an event was told; a bet has its own."""
    if name == "round.bet":
        return None
    return datetime.fromisoformat((data["round"] if name == "table" else data)["server_time"])


async def now(played: Played) -> datetime:
    async with await psycopg.AsyncConnection.connect(played.url) as connection:
        [(found,)] = await (await connection.execute("SELECT clock_timestamp()")).fetchall()
    assert isinstance(found, datetime)
    return found


@asynccontextmanager
async def relaying(api: Api) -> AsyncIterator[None]:
    """A relay, as it runs beside the API."""
    settings = Settings(
        _env_file=None,
        database_url=api.database_url,
        redis_url=api.environment["FAIRHOUSE_REDIS_URL"],
    )
    task = asyncio.create_task(relay.run(settings))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on the PATH")
async def test_the_page_counts_down_and_leads_to_a_proof_of_the_last_round(
    played: Played, owner: httpx.AsyncClient, api: Api, page: Page
) -> None:
    await bet(owner, played, await funded(owner))
    await page.goto(api.url)
    card = page.locator(f"[data-table={played.table.name}]")
    await expect(card.locator(".clock")).to_contain_text("closes in", timeout=60_000)
    await shows_the_whole_tx(page, card.locator("code"), "0x" + "cc" * 32)
    await played.over()
    verify_it = card.get_by_role("link", name="verify round 0")
    await expect(verify_it).to_be_visible(timeout=60_000)
    shown = (await owner.get(f"/api/rounds/{played.table.name}.0")).json()
    await expect(card).to_contain_text(str(shown["result"]))
    await verify_it.focus()
    for _ in range(2):  # the page looks again, and leaves alone what a reader has in hand
        await page.wait_for_event(
            "response", lambda answer: answer.url.endswith("/api/tables"), timeout=60_000
        )
    await expect(verify_it).to_be_focused()
    await verify_it.click()
    await expect(page).to_have_url(re.compile(r"/verify\?proof="))
    await expect(page.locator("body")).to_contain_text("outcome", timeout=60_000)


async def shows_the_whole_tx(page: Page, code: Locator, tx: str) -> None:
    """Shortened to look at; whole on hover, whole with a click to be copied, whole in focus."""
    await expect(code).to_have_attribute("title", tx)
    cut = "element => element.scrollWidth > element.clientWidth"
    assert await code.evaluate(cut)
    await code.click()
    assert await page.evaluate("getSelection().toString()") == tx
    await expect(code).to_be_focused()
    assert not await code.evaluate(cut)
