"""The doors around a provider's calls: launching, bad input, the studio, and reports."""

from __future__ import annotations

import asyncio
import hashlib
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from api.app import build
from casino.providers.codes import Code
from casino.providers.signatures import hmac_sha256
from settings import ApiKey, Settings
from studio.wire import sign
from tests.api.providers.conftest import REPORTS_KEY, House
from tests.api.providers.speakers import SECRET, JaqpotSpeaker, Seat, Speaker, fresh

READER = {"x-api-key": REPORTS_KEY}
STUDIO_SECRET = "provider-secret-key"


async def test_an_empty_launch_takes_the_first_of_each(house: House) -> None:
    for body in (b"", b"{}"):
        answer = await house.client.post(f"{house.urls[0]}/casino/launchGame", content=body)
        said = answer.json()
        assert answer.status_code == 200, said
        assert (said["userId"], said["gameId"], said["currency"]) == (1, 1, "USD")
        assert len(said["sessionToken"]) >= 32


async def test_a_token_is_kept_as_its_digest_only(house: House, jaqpot: Seat) -> None:
    seat = jaqpot
    digest = hashlib.sha256(seat.token.encode()).digest()
    found = await house.rows("SELECT game FROM casino_launches WHERE digest = %s", (digest,))
    assert found == [("1",)]
    everything = await house.rows("SELECT casino_launches::text FROM casino_launches")
    assert seat.token not in str(everything)


LAUNCHES: list[tuple[dict[str, Any], str]] = [
    ({"userId": 99}, "USER_NOT_FOUND"),
    ({"userId": "1' OR 1=1"}, "USER_NOT_FOUND"),
    ({"gameId": 99}, "GAME_NOT_FOUND"),
    ({"gameId": "over"}, "GAME_NOT_FOUND"),
    ({"currency": "ZZZ"}, "WALLET_NOT_FOUND"),
    ({"provider": "nobody"}, "unknown_provider"),
]


@pytest.mark.parametrize(("body", "code"), LAUNCHES, ids=str)
async def test_what_cannot_be_launched_says_why(
    house: House, body: dict[str, Any], code: str
) -> None:
    answer = await house.client.post(f"{house.urls[0]}/casino/launchGame", json=body)
    assert (answer.status_code, answer.json()["code"]) == (404, code)


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"userId": {}}', b'{"gameId": "\\u0000"}'])
async def test_a_launch_that_makes_no_sense_is_a_bad_request(house: House, body: bytes) -> None:
    answer = await house.client.post(f"{house.urls[0]}/casino/launchGame", content=body)
    assert answer.status_code == 400


async def test_a_round_is_simulated_step_by_step(house: House) -> None:
    """The seed's script: launch, balance, two bets, one rolled back, a payout, balance."""
    body = {"userId": 2, "gameId": 2, "currency": "USD"}
    # Its signature is made with the first secret of the casino, as everybody's.
    answer = await house.client.post(f"{house.urls[0]}/casino/simulateRound", json=body)
    said = answer.json()
    assert answer.status_code == 200, said
    names = ["launchGame", "getBalance", "debit", "debit", "rollback", "credit", "getBalance"]
    assert [one["step"] for one in said["steps"]] == names
    assert said["success"] is True
    before, after = (said["steps"][n]["response"]["balance"] for n in (1, 6))
    assert after == before - 100 - 50 + 50 + 200 == said["finalBalance"]


@pytest.fixture
async def jaqpot(house: House) -> Seat:
    return await house.seat(JaqpotSpeaker(house.client, house.urls))


async def test_the_fields_of_the_seed_are_understood_by_either_name(
    house: House, jaqpot: Seat
) -> None:
    seat = jaqpot
    old = {"sessionToken": seat.token, "externalTransactionId": fresh("bet"), "amount": 10}
    answer = await _signed(house, "/casino/debit", old)
    assert answer.status_code == 200
    assert answer.json()["transactionId"] == old["externalTransactionId"]
    win = {"sessionToken": seat.token, "transactionId": fresh("win"), "amount": 25}
    assert (await _signed(house, "/casino/credit", win)).json()["balance"] == 1015
    back = {
        "sessionToken": seat.token,
        "transactionId": fresh("back"),
        "originalTransactionId": old["externalTransactionId"],
    }
    refused = await _signed(house, "/casino/rollback", back)
    assert (refused.status_code, refused.json()["code"]) == (400, "ALREADY_SETTLED")


async def test_a_bet_without_a_round_belongs_to_its_session(house: House, jaqpot: Seat) -> None:
    seat = jaqpot
    one, two = ({"sessionToken": seat.token, "transactionId": fresh("bet")} for _ in range(2))
    assert (await _signed(house, "/casino/debit", {**one, "amount": 10})).status_code == 200
    lost = {"sessionToken": seat.token, "transactionId": fresh("win"), "amount": 0}
    assert (await _signed(house, "/casino/credit", lost)).status_code == 200
    assert (await _signed(house, "/casino/debit", {**two, "amount": 10})).status_code == 200
    back = {"sessionToken": seat.token, "transactionId": fresh("back")}
    back["originalTransactionId"] = two["transactionId"]
    assert (await _signed(house, "/casino/rollback", back)).json()["balance"] == 990


BAD: list[tuple[bytes, Code]] = [
    (b"", Code.MALFORMED),
    (b"{", Code.MALFORMED),
    (b"\xff\xfe", Code.MALFORMED),
    (b"[" * 50_000, Code.MALFORMED),
    (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, Code.MALFORMED),
    (b"{}", Code.MALFORMED),
    (b"[]", Code.WRONG_TYPE),
    (b"null", Code.WRONG_TYPE),
]


@pytest.mark.parametrize("verb", ["debit", "credit", "rollback", "balance"])
async def test_a_body_that_makes_no_sense_is_refused_in_the_dialect(
    speaker: Speaker, verb: Any
) -> None:
    for body, code in BAD:
        answer = await speaker.deliver(verb, body, speaker.signature(body))
        assert answer.refused(code), (body[:20], answer)


async def test_an_id_that_is_none_is_refused(speaker: Speaker, seat: Seat) -> None:
    body = orjson.dumps(speaker.body("debit", seat, id="here", amount=1, round="r"))
    for id in ("", "x" * 129, "tab\t", "nul\x00", "é", "\ud800", 5.5, None, [1]):
        raw = body.replace(b'"here"', _json(id))
        answer = await speaker.deliver("debit", raw, speaker.signature(raw))
        assert any(answer.refused(code) for code in (Code.WRONG_TYPE, Code.MALFORMED)), id
    assert await speaker.balance(seat) == 1000


async def test_a_body_of_ten_megabytes_is_too_large(speaker: Speaker) -> None:
    path = speaker.paths["debit"]
    answer = await speaker.client.post(speaker.urls[0] + path, content=b"x" * 10_000_000)
    assert answer.status_code == 413


async def test_a_locked_account_is_told_to_try_again_and_nothing_is_lost(
    house: House, speaker: Speaker, seat: Seat
) -> None:
    """30, 51: whoever waits longer than a provider does is told so, and its repetition works."""
    body = speaker.body("debit", seat, id=fresh("bet"), amount=10, round=fresh("round"))
    raw = orjson.dumps(body)
    async with house.connection.transaction():
        await house.rows(
            "SELECT FROM accounts WHERE name = %s FOR UPDATE", (f"player:{seat.player_id}:cash",)
        )
        url = speaker.urls[0] + speaker.paths["debit"]
        answer = await speaker.client.post(url, content=raw, headers=speaker.signature(raw))
        assert answer.status_code == 503
    assert (await speaker.send("debit", body)).ok
    assert await speaker.balance(seat) == 990


async def test_connections_that_are_kept_idle_keep_nobody_out(house: House) -> None:
    port = int(house.urls[0].rpartition(":")[2])
    kept = [await asyncio.open_connection("127.0.0.1", port) for _ in range(300)]
    try:
        async with httpx.AsyncClient(timeout=10) as stranger:
            assert (await stranger.get(f"{house.urls[0]}/health")).status_code == 200
    finally:
        for _, writer in kept:
            writer.close()


@pytest.mark.skipif(
    None in map(shutil.which, ("curl", "openssl", "python3")), reason="a tool is not on the PATH"
)
async def test_what_the_page_tells_people_to_type_works(house: House) -> None:
    page = (Path(__file__).parents[3] / "docs/providers.md").read_text()
    simulated, signed = (
        block.partition("curl" if "make demo" in block else "token=")
        for block in re.findall(r"```\n(.*?)```", page, re.DOTALL)[:2]
    )
    for _, first, rest in (simulated, signed):
        lines = (first + rest).replace("http://127.0.0.1:3000", house.urls[0])
        lines = lines.replace("casino-secret-key", SECRET)
        done = await asyncio.to_thread(
            subprocess.run, ["sh", "-e", "-c", lines], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        said = orjson.loads(done.stdout)
        assert said.get("success") or said["transactionId"] == "bet-1"


@pytest.mark.parametrize("path", ["/provider/launch", "/provider/simulate"])
async def test_the_studio_believes_its_own_secret_only(house: House, path: str) -> None:
    told = {"sessionToken": f"for {path}", "userId": "1", "gameId": "1", "currency": "USD"}
    raw = orjson.dumps(told)
    url = house.urls[0] + path
    for said in (None, "", sign(raw, SECRET), sign(raw + b" ", STUDIO_SECRET)):
        headers = {} if said is None else {"x-provider-signature": said}
        assert (await house.client.post(url, content=raw, headers=headers)).status_code == 401
    headers = {"x-provider-signature": sign(raw, STUDIO_SECRET)}
    answer = await house.client.post(url, content=raw, headers=headers)
    assert answer.status_code == (200 if path == "/provider/launch" else 404)


async def test_a_days_sums_are_those_of_its_calls(
    house: House, speaker: Speaker, seat: Seat
) -> None:
    """52"""
    before = await _totals(house, speaker)
    kept, lost, round = fresh("bet"), fresh("bet"), fresh("round")
    await speaker.debit(seat, 100, id=kept, round=round)
    await speaker.debit(seat, 30, id=lost, round=round)
    await speaker.debit(seat, 30, id=lost, round=round)
    await speaker.debit(seat, 99999, round=round)
    await speaker.rollback(seat, lost)
    await speaker.rollback(seat, fresh("never"))
    await speaker.credit(seat, 250, round=round, target=kept)
    after = await _totals(house, speaker)
    change = {name: int(after[name]) - int(before.get(name, 0)) for name in after}
    assert (change["bets"], change["staked"]) == (2, 130)
    assert (change["payouts"], change["paid"]) == (1, 250)
    assert (change["rollbacks"], change["returned"]) == (2, 30)
    taken = change["staked"] - change["paid"] - change["returned"]
    assert await house.cash(seat) == 1000 - taken


async def test_a_round_shows_all_its_calls(house: House, speaker: Speaker, seat: Seat) -> None:
    """53"""
    bet, never, round = fresh("bet"), fresh("bet"), fresh("round")
    await speaker.debit(seat, 100, id=bet, round=round)
    await speaker.debit(seat, 9999, id=never, round=round)
    await speaker.credit(seat, 50, round=round, target=bet)
    url = f"{house.urls[0]}/api/providers/{speaker.name}/rounds/{round}"
    shown = (await house.client.get(url, headers=READER)).json()
    calls = [(one["kind"], one["state"], one["amount"], one["code"]) for one in shown["calls"]]
    assert calls == [
        ("debit", "done", "100", None),
        ("debit", "declined", "0", "INSUFFICIENT_FUNDS"),
        ("credit", "done", "50", None),
    ]
    assert {one["player"] for one in shown["calls"]} == {seat.player}


async def test_what_has_no_end_is_shown_to_people(
    house: House, speaker: Speaker, seat: Seat
) -> None:
    """52"""
    paid, back, open_, win = fresh("bet"), fresh("bet"), fresh("round"), fresh("win")
    await speaker.debit(seat, 10, id=paid, round=fresh("round"))
    await speaker.rollback(seat, paid)
    await speaker.debit(seat, 10, id=back, round=open_)
    await speaker.credit(seat, 10, id=win, round=fresh("round"), target=fresh("bet"))
    url = f"{house.urls[0]}/api/providers/{speaker.name}/unresolved?minutes=0"
    await asyncio.sleep(0.01)
    shown = (await house.client.get(url, headers=READER)).json()
    mine = [one["round"] for one in shown["rounds"] if one["player"] == seat.player]
    assert mine == [open_]
    declined = [one["id"] for one in shown["declined"] if one["player"] == seat.player]
    assert declined == [win]


async def test_reports_are_for_those_who_may_read_them(house: House) -> None:
    for path in ("rounds/r", "totals", "unresolved"):
        url = f"{house.urls[0]}/api/providers/jaqpot/{path}"
        assert (await house.client.get(url)).status_code == 401
        other = {"x-api-key": "another"}
        assert (await house.client.get(url, headers=other)).status_code == 401
    url = f"{house.urls[0]}/api/providers/nobody/totals"
    assert (await house.client.get(url, headers=READER)).status_code == 404
    for day in (date.min, date.max):
        url = f"{house.urls[0]}/api/providers/jaqpot/totals?day={day}"
        assert (await house.client.get(url, headers=READER)).json()["items"] == []


@pytest.fixture
async def production(house: House) -> AsyncIterator[httpx.AsyncClient]:
    """The same house as it would be without a secret for any provider, in production."""
    launcher = ApiKey(
        name="lobby", digest=hashlib.sha256(b"lobby-key").hexdigest(), roles=["games:launch"]
    )
    bound = launcher.model_copy(
        update={
            "name": "bound",
            "digest": hashlib.sha256(b"bound-key").hexdigest(),
            "casino": "elsewhere",
        }
    )
    settings = Settings(
        _env_file=None,
        environment="production",
        seed_key="11" * 32,
        database_url=house.database_url,
        api_keys=[launcher, bound],
    )
    app = build(settings)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://house") as client,
    ):
        yield client


async def test_nothing_is_open_in_production_without_secrets(
    production: httpx.AsyncClient, jaqpot: Seat
) -> None:
    raw = orjson.dumps({"sessionToken": jaqpot.token, "transactionId": "t", "amount": 1})
    for path in ("getBalance", "debit", "credit", "rollback"):
        for secret in ("", "casino-secret-key", SECRET):
            headers = {"x-casino-signature": hmac_sha256(raw, secret)}
            answer = await production.post(f"/casino/{path}", content=raw, headers=headers)
            assert answer.status_code == 401
    assert (await production.post("/casino/launchGame")).status_code == 401
    key = {"x-api-key": "lobby-key"}
    assert (await production.post("/casino/launchGame", headers=key)).status_code == 400
    # A script that wins would be money for whoever may launch.
    for headers in ({}, key):
        answer = await production.post("/casino/simulateRound", headers=headers)
        assert answer.status_code == 404


async def test_a_key_of_one_casino_launches_nothing_in_another(
    production: httpx.AsyncClient,
) -> None:
    wanted = {"userId": "1", "gameId": "1", "currency": "USD"}
    bound = {"x-api-key": "bound-key"}
    answer = await production.post(
        "/casino/launchGame?casino=fairhouse", headers=bound, json=wanted
    )
    assert answer.status_code == 403
    # Alone it acts in its own, where nobody of that name plays.
    answer = await production.post("/casino/launchGame", headers=bound, json=wanted)
    assert answer.status_code == 404
    assert answer.json()["code"] == "unknown_casino"


async def _totals(house: House, speaker: Speaker) -> dict[str, Any]:
    day = datetime.now(UTC).date()
    url = f"{house.urls[0]}/api/providers/{speaker.name}/totals?day={day}"
    found = (await house.client.get(url, headers=READER)).json()["items"]
    return next((one for one in found if one.pop("game") == "1" and one.pop("asset")), {})


async def _signed(house: House, path: str, body: dict[str, Any]) -> httpx.Response:
    raw = orjson.dumps(body)
    headers = JaqpotSpeaker(house.client, house.urls).signature(raw)
    return await house.client.post(house.urls[0] + path, content=raw, headers=headers)


def _json(value: Any) -> bytes:
    return b'"\\ud800"' if value == "\ud800" else orjson.dumps(value)
