"""Pairs over HTTP: opened, seeded, played, retired, and proved to anybody."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from casino.pairs import booths
from casino.pairs.records import PairKey
from db import session
from db.session import driver, transaction
from games.fairness.pairs import MAX_BETS
from games.fairness.verify import OK, verify
from tests.api.conftest import Api, key
from tests.api.test_reads import problem
from tests.casino.conftest import rows
from tests.casino.pairs.paired import ASSET, Paired
from tests.casino.pairs.test_plays import recovered
from tests.typed import fairhouse

BOND = "0x" + "b0" * 20
SETTINGS = {
    "FAIRHOUSE_PAIRS": json.dumps(
        {
            "program": "bond_evm",
            "address": BOND,
            "beacon": "block:evm-local",
            "games": {"dice": ""},
            "most": 1_000,
            "most_win": 100_000,
            "most_player": 50_000,
        }
    ),
    "FAIRHOUSE_SIGNER_KEY": "07" * 32,
    "FAIRHOUSE_SEED_KEY": "5e" * 32,
}
_keys = itertools.count(1)


@pytest.fixture(scope="module")
async def paired(api: Api) -> AsyncIterator[Paired]:
    """The booth of this API's own bond."""
    session.configure(api.database_url)
    made = await Paired.at(program=BOND)
    await asyncio.sleep(1.1)  # until the API reads its booths again
    yield made
    await session.close()


@pytest.fixture
async def owner(api: Api, paired: Paired) -> AsyncIterator[httpx.AsyncClient]:
    headers = {**key("owner"), "x-casino-slug": paired.booth.casino}
    async with httpx.AsyncClient(base_url=api.url, timeout=20, headers=headers) as opened:
        yield opened


async def post(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], **more: Any
) -> httpx.Response:
    keyed = {"x-idempotency-key": more.pop("idempotency", f"pairs-{next(_keys)}")}
    return await client.post(path, json=body, headers=keyed, **more)


async def funded(client: httpx.AsyncClient, cash: int = 10_000) -> str:
    user = f"lone-{next(_keys)}"
    body = {"asset": ASSET, "amount": str(cash)}
    given = await post(client, f"/api/wallets/{user}/top-up", body)
    assert given.is_success, given.text
    return user


async def opened(client: httpx.AsyncClient, user: str, **more: Any) -> PairKey:
    answer = await post(client, "/api/pairs", {"user": user, **more})
    assert answer.status_code == 200, answer.text
    return PairKey(*map(int, answer.json()["pair"].split(".")))


async def active(
    client: httpx.AsyncClient, paired: Paired, user: str, seed: str = "lucky"
) -> PairKey:
    """What the keeper does in between, done."""
    found = await opened(client, user, client_seed=seed)
    number = await paired.drawn(found)
    await paired.final(number)
    assert await paired.activated(number) == [found]
    return found


def wish(user: str, **more: Any) -> dict[str, Any]:
    return {
        "user": user,
        "game": "dice",
        "choice": {"over": True, "face": 4_999},
        "stake": "100",
        **more,
    }


async def test_a_pair_is_opened_seeded_played_retired_and_proved(
    owner: httpx.AsyncClient, paired: Paired
) -> None:
    user = await funded(owner)
    found = await active(owner, paired, user)
    at = f"/api/pairs/{found}"
    shown = (await owner.get(at)).json()
    assert (shown["state"], shown["bets"], shown["seed"]) == ("active", 0, None)
    assert shown["commitment"]["places"] == 1
    chosen = await post(owner, f"{at}/seed", {"user": user, "client_seed": "meine Wahl: 骰子"})
    assert chosen.json()["client_seed"] == "meine Wahl: 骰子".encode().hex()
    played = [(await post(owner, f"{at}/bets", wish(user, nonce=nonce))) for nonce in range(3)]
    assert [one.status_code for one in played] == [200] * 3
    last = played[-1].json()
    assert (last["nonce"], last["state"]) == (2, "active")
    assert last["receipt"]["previous"] == played[1].json()["receipt"]["digest"]
    public = httpx.AsyncClient(
        base_url=owner.base_url, headers={"x-casino-slug": paired.booth.casino}
    )
    async with public:
        told = (await public.get(f"{at}/bets?limit=2")).json()
        assert [one["nonce"] for one in told["items"]] == [2, 1]
        rest = (await public.get(f"{at}/bets?limit=2&after={told['next']}")).json()
        assert ([one["nonce"] for one in rest["items"]], rest["next"]) == ([0], None)
        assert told["items"][0]["receipt"] == last["receipt"]
        problem(await public.get(f"{at}/proof"), 409, "pair_not_revealed")
        ended = await post(owner, f"{at}/retire", {"user": user})
        assert (ended.json()["state"], ended.json()["bets"]) == ("retired", 3)
        unshown = await public.get(f"{at}/proof")
        problem(unshown, 409, "pair_not_revealed")
        assert "final chain" in unshown.json()["detail"]
        await paired.shown(found)
        proof = (await public.get(f"{at}/proof")).json()
    steps = verify(proof, facts=await paired.facts(found), recover=recovered)
    assert {step.status for step in steps} == {OK}
    assert (await owner.get(at)).json()["seed"] == paired.seeds[found].hex()


async def test_bets_at_once_over_http_have_each_a_nonce_and_a_payout_of_their_own(
    owner: httpx.AsyncClient, paired: Paired
) -> None:
    user = await funded(owner)
    found = await active(owner, paired, user)
    answers = await asyncio.gather(
        *(post(owner, f"/api/pairs/{found}/bets", wish(user)) for _ in range(40))
    )
    assert {one.status_code for one in answers} == {200}
    assert sorted(one.json()["nonce"] for one in answers) == list(range(40))
    paid = sum(int(one.json()["payout"]) for one in answers)
    assert await paired.cash(found.player_id) == 10_000 - 40 * 100 + paid
    last = max(answers, key=lambda one: int(one.json()["nonce"])).json()
    assert int(last["balance"]) == 10_000 - 40 * 100 + paid


async def test_the_same_key_is_the_same_bet_and_another_wish_under_it_is_refused(
    owner: httpx.AsyncClient, paired: Paired
) -> None:
    user = await funded(owner)
    found = await active(owner, paired, user)
    path = f"/api/pairs/{found}/bets"
    first = await post(owner, path, wish(user), idempotency="once")
    again = await post(owner, path, wish(user), idempotency="once")
    assert (again.headers["idempotency-replayed"], again.json()) == ("true", first.json())
    problem(
        await post(owner, path, wish(user, stake="50"), idempotency="once"),
        422,
        "idempotency_key_reused",
    )
    assert (await owner.get(f"/api/pairs/{found}")).json()["bets"] == 1


async def test_a_repeat_is_answered_as_before_whatever_is_offered_by_now(
    api: Api, owner: httpx.AsyncClient, paired: Paired
) -> None:
    user = await funded(owner)
    found = await active(owner, paired, user)
    path = f"/api/pairs/{found}/bets"
    first = await post(owner, path, wish(user), idempotency="before")
    table = "UPDATE pair_booths SET games = games - 'dice' WHERE id = %s RETURNING games"
    await rows(table, (paired.booth.id,))
    try:
        await asyncio.sleep(1.1)  # until the API reads its booths again
        again = await post(owner, path, wish(user), idempotency="before")
        assert (again.headers["idempotency-replayed"], again.json()) == ("true", first.json())
        problem(await post(owner, path, wish(user)), 422, "GAME_NOT_OFFERED")
    finally:
        offered = "UPDATE pair_booths SET games = %s::jsonb WHERE id = %s RETURNING 1"
        await rows(offered, (json.dumps(dict(paired.booth.games)), paired.booth.id))
        await asyncio.sleep(1.1)


async def test_a_pair_is_told_what_binds_it_before_that_is_final(
    owner: httpx.AsyncClient, paired: Paired
) -> None:
    found = await opened(owner, await funded(owner))
    assert (await owner.get(f"/api/pairs/{found}")).json()["commitment"] is None
    number = await paired.drawn(found)
    said = (await owner.get(f"/api/pairs/{found}")).json()["commitment"]
    assert (said["number"], said["place"], said["final"], said["tx"]) == (number, 0, False, None)
    await paired.final(number)
    landed = (await owner.get(f"/api/pairs/{found}")).json()["commitment"]
    bound = ("number", "place", "places", "root", "commit")
    assert {one: said[one] for one in bound} == {one: landed[one] for one in bound}
    assert (landed["final"], landed["tx"]) == (True, "0x" + "cc" * 32)


BAD: list[tuple[dict[str, Any], int, str]] = [
    ({"stake": "0"}, 422, "amount_not_positive"),
    ({"stake": 1.5}, 422, "amount_not_whole"),
    ({"stake": "1001"}, 422, "STAKE_TOO_LARGE"),
    ({"stake": "601"}, 402, "INSUFFICIENT_FUNDS"),
    ({"game": "roulette"}, 422, "GAME_NOT_OFFERED"),
    ({"choice": {"over": True, "face": 10_000}}, 422, "bad_choice"),
    ({"choice": {"side": 1}}, 422, "bad_choice"),
    ({"choice": {"over": True, "face": 5_000, "\0": "\0"}}, 422, "bad_choice"),
    ({"choice": {"over": True, "face": 5_000, "junk": "x" * 99}}, 422, "bad_choice"),
    ({"game": "crash", "choice": {"target": 150}}, 422, "GAME_NOT_OFFERED"),
    ({"nonce": 1}, 409, "NONCE_SKIPPED"),
    ({"nonce": MAX_BETS}, 422, "invalid"),
    ({"nonce": -1}, 422, "invalid"),
    ({"user": "nobody-there"}, 404, "unknown_user"),
    ({"seed": "00"}, 422, "invalid"),
]


async def test_what_is_refused_is_said_by_name_and_moves_nothing(
    owner: httpx.AsyncClient, paired: Paired
) -> None:
    user = await funded(owner, 600)
    found = await active(owner, paired, user)
    for changed, status, code in BAD:
        answer = await post(owner, f"/api/pairs/{found}/bets", wish(user) | changed)
        problem(answer, status, code)
    other = await funded(owner)
    path = f"/api/pairs/{found}"
    problem(await post(owner, f"{path}/bets", wish(other)), 404, "unknown_pair")
    problem(await post(owner, f"{path}/retire", {"user": other}), 404, "unknown_pair")
    waiting = await opened(owner, user)
    problem(await post(owner, "/api/pairs", {"user": user}), 409, "PAIR_WAITING")
    problem(await post(owner, f"/api/pairs/{waiting}/bets", wish(user)), 409, "PAIR_WAITING")
    for nothing in ("7", "0.0", "7.0.0", "x.y", f"{found.player_id}.99"):
        problem(await owner.get(f"/api/pairs/{nothing}"), 404, "unknown_pair")
    assert await paired.pair(found, "bets", "stake", "state") == (0, 0, "active")
    assert await paired.cash(found.player_id) == 600


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'"client_seed": ""', 422, "BAD_CLIENT_SEED"),
        (b'"client_seed": "%s"' % (b"x" * 65), 422, "BAD_CLIENT_SEED"),
        (b'"client_seed": "%s"' % ("ß" * 33).encode(), 422, "BAD_CLIENT_SEED"),
        (b'"client_seed": "\xff\xfe"', 400, "bad_json"),
        (b'"client_seed": "\\ud800"', 400, "bad_json"),
        (b'"client_seed": 7', 422, "invalid"),
    ],
)
async def test_a_client_seed_that_is_none_is_refused(
    owner: httpx.AsyncClient, paired: Paired, body: bytes, status: int, code: str
) -> None:
    user = await funded(owner)
    found = await active(owner, paired, user)
    raw = b'{"user": "%s", %s}' % (user.encode(), body)
    headers = {"content-type": "application/json", "x-idempotency-key": f"raw-{next(_keys)}"}
    answer = await owner.post(f"/api/pairs/{found}/seed", content=raw, headers=headers)
    problem(answer, status, code)
    assert await paired.pair(found, "client_seed") == (b"lucky",)


async def test_who_may_not_play_pairs_is_told_so(
    api: Api, owner: httpx.AsyncClient, paired: Paired
) -> None:
    user = await funded(owner)
    found = await active(owner, paired, user)
    slug = {"x-casino-slug": paired.booth.casino}
    async with httpx.AsyncClient(base_url=api.url, headers={**key("till"), **slug}) as till:
        for path, body in (
            ("/api/pairs", {"user": user}),
            (f"/api/pairs/{found}/bets", wish(user)),
            (f"/api/pairs/{found}/retire", {"user": user}),
        ):
            problem(await post(till, path, body), 403, "forbidden")
    async with httpx.AsyncClient(base_url=api.url) as stranger:
        answer = await post(stranger, f"/api/pairs/{found}/retire", {"user": user})
        problem(answer, 401, "unauthorized")
    assert await paired.pair(found, "state") == ("active",)


async def test_a_casino_without_a_booth_plays_no_pairs(api: Api) -> None:
    async with httpx.AsyncClient(base_url=api.url, headers=key("owner")) as opened_elsewhere:
        problem(await opened_elsewhere.get("/api/pairs"), 404, "no_pairs")


async def test_the_booth_says_what_is_played_and_what_comes_back(
    owner: httpx.AsyncClient, paired: Paired
) -> None:
    said = (await owner.get("/api/pairs")).json()
    assert {one["game"] for one in said["games"]} == set(paired.booth.games)
    assert all(0.88 <= low <= high <= 0.89 for low, high in (g["returns"] for g in said["games"]))
    assert said["bond"]["program"] == BOND
    assert said["trouble"] is None


def test_an_api_that_should_play_pairs_and_has_no_key_to_sign_does_not_start() -> None:
    environment = {**os.environ, **SETTINGS, "FAIRHOUSE_SIGNER_KEY": ""}
    ran = fairhouse("run", "api", env=environment, timeout=60)
    assert ran.returncode == 2
    assert "FAIRHOUSE_SIGNER_KEY" in ran.stderr


async def test_a_bond_of_one_address_on_another_chain_is_another_bond(
    api: Api, paired: Paired
) -> None:
    async with transaction() as session:
        connection = await driver(session)
        await connection.execute(
            b"INSERT INTO casinos (slug, name) VALUES ('elsewhere', 'Elsewhere')"
        )
        [(casino_id,)] = await (
            await connection.execute(b"SELECT id FROM casinos WHERE slug = 'elsewhere'")
        ).fetchall()
        other = replace(paired.booth, casino_id=casino_id, network="eip155:8453")
        await booths.settle(connection, other)
    await asyncio.sleep(1.1)  # until the API reads its booths again
    headers = {**key("owner"), "x-casino-slug": "elsewhere"}
    async with httpx.AsyncClient(base_url=api.url, headers=headers) as there:
        problem(await there.get("/api/pairs"), 404, "no_pairs")
