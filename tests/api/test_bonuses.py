"""Bonuses over HTTP: campaigns in versions, a bonus once for its key, and only for who may."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import psycopg
import pytest

from casino.providers.signatures import WINDOW_S, hmac_sha256, stamped
from tests.api.conftest import ADA, SECRETS, Api, key
from tests.api.test_reads import problem

_numbers = itertools.count(1)
GOLD = "casino:fairhouse/GOLD_COINS"


@pytest.fixture
def promoter(api: Api) -> Iterator[httpx.Client]:
    """The service that gives bonuses."""
    with httpx.Client(base_url=api.url, timeout=20, headers=key("promoter")) as opened:
        yield opened


@pytest.fixture
def user(api: Api) -> str:
    """Somebody new, whom another service gave a coin."""
    name = f"lucky-{next(_numbers)}"
    headers = {**key("till"), "x-idempotency-key": fresh()}
    body = {"asset": "GOLD_COINS", "amount": 1}
    url = f"{api.url}/api/wallets/{name}/top-up"
    httpx.post(url, json=body, headers=headers).raise_for_status()
    return name


def fresh() -> str:
    return f"promotion-{next(_numbers)}"


def post(client: httpx.Client, path: str, idempotency: str = "", **body: Any) -> httpx.Response:
    headers = {"x-idempotency-key": idempotency or fresh()}
    return client.post(path, json=body, headers=headers)


def offered(client: httpx.Client, **said: Any) -> dict[str, Any]:
    body = {"code": fresh(), "asset": "GOLD_COINS", "multiplier": "35", **said}
    return done(post(client, "/api/campaigns", **body))


def done(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()
    return said


def listed(client: httpx.Client, user: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = done(client.get(f"/api/players/{user}/bonuses"))["items"]
    return found


def test_a_bonus_is_given_shown_and_taken_back(promoter: httpx.Client, user: str) -> None:
    code = offered(promoter)["code"]
    given = done(post(promoter, "/api/grants", user=user, campaign=code, amount="20"))
    expected = {"state": "active", "amount": "20", "required": "700", "done": "0", "percent": 0.0}
    assert given | expected == given
    assert given["remaining"] == "700"
    assert given["deduped"] is False
    [shown] = listed(promoter, user)
    assert shown | expected == shown
    assert (shown["grant"], shown["asset"]) == (given["grant"], GOLD)
    path = f"/api/grants/{given['grant']}/forfeit"
    ended = done(post(promoter, path, reason="asked by the player"))
    assert (ended["state"], ended["before"], ended["removed"]) == ("forfeited", "20", "20")
    [shown] = listed(promoter, user)
    assert (shown["state"], shown["reason"]) == ("forfeited", "asked by the player")
    problem(post(promoter, path, reason="again"), 409, "GRANT_ENDED")


def test_a_bonus_asked_again_is_said_to_be_the_same(promoter: httpx.Client, user: str) -> None:
    code, asked = offered(promoter)["code"], fresh()
    gift = {"user": user, "campaign": code, "amount": "20"}
    first, again = (done(post(promoter, "/api/grants", asked, **gift)) for _ in range(2))
    assert (first.pop("deduped"), again.pop("deduped")) == (False, True)
    assert first == again
    assert len(listed(promoter, user)) == 1
    other = post(promoter, "/api/grants", asked, **gift | {"amount": "21"})
    problem(other, 422, "idempotency_key_reused")
    problem(post(promoter, "/api/grants", **gift), 409, "TOO_MANY_GRANTS")
    bare = promoter.post("/api/grants", json=gift)
    problem(bare, 400, "idempotency_key_missing")


class Signer:
    """A service that has no key to show: it signs what it asks, as `x-client-id`."""

    path = "/api/grants"

    def __init__(self, api: Api, **gift: Any) -> None:
        self.url, self.gift = api.url, gift

    def signed(
        self,
        *,
        secret: str = SECRETS[0],
        client: str = "signer",
        away_s: int = 0,
        path: str | None = None,
        key: str | None = None,
        body: bytes | None = None,
    ) -> dict[str, str]:
        """The headers of a request; of what is named here it is signed, and it is sent for that."""
        now, key = str(int(time.time()) + away_s), key or fresh()
        body = self.body if body is None else body
        said = [client, now, f"POST {path or self.path}", key]
        return {
            "content-type": "application/json",
            "x-idempotency-key": key,
            "x-client-id": client,
            "x-timestamp": now,
            "x-signature": hmac_sha256(stamped(body, *said), secret),
        }

    @property
    def body(self) -> bytes:
        return orjson.dumps(self.gift)

    def send(self, headers: dict[str, str], body: bytes | None = None) -> httpx.Response:
        content = self.body if body is None else body
        return httpx.post(self.url + self.path, content=content, headers=headers, timeout=20)


@pytest.fixture
def signer(api: Api, promoter: httpx.Client, user: str) -> Signer:
    code = offered(promoter, most_grants=None, stacking="queue")["code"]
    return Signer(api, user=user, campaign=code, amount="20")


def test_a_service_may_sign_its_requests_with_either_of_two_secrets(signer: Signer) -> None:
    """20"""
    for secret in SECRETS:
        done(signer.send(signer.signed(secret=secret)))


def test_a_signed_request_played_back_gives_no_second_bonus(
    signer: Signer, promoter: httpx.Client, user: str
) -> None:
    """20"""
    headers = signer.signed()
    first, again = done(signer.send(headers)), done(signer.send(headers))
    assert (first["deduped"], again["deduped"]) == (False, True)
    other = {**headers, "x-idempotency-key": fresh()}
    problem(signer.send(other), 401, "unauthorized")
    problem(signer.send({**headers, "idempotency-key": fresh()}), 401, "unauthorized")
    assert len(listed(promoter, user)) == 1


def test_what_was_not_signed_by_the_service_just_now_is_refused(
    signer: Signer, promoter: httpx.Client, user: str
) -> None:
    """20"""
    good = signer.signed()
    for headers in (
        signer.signed(secret="a-secret-of-another"),
        signer.signed(client="promoter"),
        signer.signed(client="nobody"),
        signer.signed(path="/api/grants?casino=elsewhere"),
        signer.signed(path="/api/campaigns"),
        signer.signed(body=signer.body + b" "),
        {**good, "x-timestamp": str(int(good["x-timestamp"]) + 1)},
        {**good, "x-signature": good["x-signature"].upper()},
        {name: said for name, said in good.items() if name != "x-signature"},
        {name: said for name, said in good.items() if name != "x-timestamp"},
    ):
        problem(signer.send(headers), 401, "unauthorized")
    for away_s in (-WINDOW_S - 5, WINDOW_S + 5):
        problem(signer.send(signer.signed(away_s=away_s)), 401, "signature_stale")
    problem(signer.send(good, signer.body.replace(b"20", b"21")), 401, "unauthorized")
    assert listed(promoter, user) == []
    done(signer.send(signer.signed(away_s=-WINDOW_S + 30)))


def test_a_service_that_signs_may_do_what_its_roles_say(signer: Signer, user: str) -> None:
    """20"""
    signer.path = f"/api/wallets/{user}/top-up"
    signer.gift = {"asset": "GOLD_COINS", "amount": 1}
    problem(signer.send(signer.signed()), 403, "forbidden")
    signer.path = "/api/wallets/a%2Bb%40c/top-up?casino=fair%68ouse"  # signed as it is sent
    problem(signer.send(signer.signed()), 403, "forbidden")
    problem(signer.send(signer.signed(), b"x" * 70_000), 413, "too_large")


def test_a_player_of_a_chain_gets_a_bonus_by_address(promoter: httpx.Client) -> None:
    code = offered(promoter, most_grants=None)["code"]
    given = done(post(promoter, "/api/grants", user=ADA, campaign=code, amount=5))
    assert given["grant"] in {one["grant"] for one in listed(promoter, ADA)}
    done(post(promoter, f"/api/grants/{given['grant']}/cancel", reason="a test"))


def test_campaigns_are_listed_by_version(promoter: httpx.Client) -> None:
    first = offered(promoter, max_bet="7", weights={"slots": 10_000, "live": 500})
    second = offered(promoter, code=first["code"], max_bet="8", multiplier="2.5")
    assert (first["version"], second["version"]) == (1, 2)
    items = done(promoter.get("/api/campaigns", params={"limit": 2}))
    assert [one["campaign"] for one in items["items"]] == [second["campaign"], first["campaign"]]
    newest = items["items"][0]
    assert newest["terms"] == second["terms"]
    assert (newest["terms"]["multiplier_bp"], newest["terms"]["max_bet"]) == (25_000, "8")
    assert newest["actor"] == "promoter"
    older = done(promoter.get("/api/campaigns", params={"limit": 2, "after": items["next"]}))
    assert second["campaign"] not in {one["campaign"] for one in older["items"]}


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"jurisdiction": "GB", "products": ["slots"]}, "bad_terms"),
        ({"jurisdiction": "GB", "multiplier": "10", "products": ["slots", "bingo"]}, "bad_terms"),
        ({"jurisdiction": "UK", "multiplier": "10"}, "bad_terms"),
        ({"multiplier": "0"}, "bad_terms"),
        ({"multiplier": 35}, "invalid"),
        ({"multiplier": "1e9"}, "invalid"),
        ({"multiplier": "-1"}, "invalid"),
        ({"weights": {"slots": -1}}, "invalid"),
        ({"weights": {"two words": 1}}, "invalid"),
        ({"expires_h": 0}, "invalid"),
        ({"sticky": "yes"}, "invalid"),
        ({"max_bet": "1.5"}, "amount_not_whole"),
        ({"max_bet": "0"}, "amount_not_positive"),
        ({"max_win": "9" * 80}, "amount_too_large"),
        ({"asset": "ROCKS"}, "UNKNOWN_ASSET"),
        ({"code": "Two Words"}, "invalid"),
        ({"nonsense": 1}, "invalid"),
    ],
)
def test_a_campaign_that_may_not_be_is_refused_and_not_kept(
    api: Api, promoter: httpx.Client, said: dict[str, Any], code: str
) -> None:
    body = {"code": fresh(), "asset": "GOLD_COINS", "multiplier": "35", **said}
    with psycopg.connect(api.database_url, autocommit=True) as connection:
        before = connection.execute("SELECT count(*) FROM campaigns").fetchone()
        problem(post(promoter, "/api/campaigns", **body), 422, code)
        assert connection.execute("SELECT count(*) FROM campaigns").fetchone() == before


@pytest.mark.parametrize(
    ("said", "status", "code"),
    [
        ({"user": "nobody-at-all"}, 404, "unknown_user"),
        ({"campaign": "no-such"}, 404, "UNKNOWN_CAMPAIGN"),
        ({"amount": "0"}, 422, "amount_not_positive"),
        ({"amount": "-5"}, 422, "amount_not_positive"),
        ({"amount": 1.5}, 422, "amount_not_whole"),
        ({"amount": "1" + "0" * 60}, 422, "amount_too_large"),
        ({"deposit": "x"}, 422, "amount_not_a_number"),
        ({"more": 1}, 422, "invalid"),
    ],
)
def test_a_bonus_that_may_not_be_moves_nothing(
    promoter: httpx.Client, user: str, said: dict[str, Any], status: int, code: str
) -> None:
    gift = {"user": user, "campaign": offered(promoter)["code"], "amount": "20", **said}
    problem(post(promoter, "/api/grants", **gift), status, code)
    assert listed(promoter, user) == []


@pytest.mark.parametrize("grant", ["1", "x", "9" * 40, "%31%00"])
def test_no_other_bonus_is_ended(promoter: httpx.Client, grant: str) -> None:
    answer = post(promoter, f"/api/grants/{grant}/forfeit", reason="guess")
    assert (answer.status_code, answer.json()["status"]) == (404, 404)


def test_only_who_may_gives_and_sees_bonuses(api: Api, promoter: httpx.Client, user: str) -> None:
    code = offered(promoter)["code"]
    gift = {"user": user, "campaign": code, "amount": "20"}
    with httpx.Client(base_url=api.url, timeout=20) as anybody:
        problem(post(anybody, "/api/grants", **gift), 401, "unauthorized")
        problem(anybody.get(f"/api/players/{user}/bonuses"), 401, "unauthorized")
        problem(anybody.get("/api/campaigns"), 401, "unauthorized")
    with httpx.Client(base_url=api.url, timeout=20, headers=key("till")) as till:
        problem(post(till, "/api/grants", **gift), 403, "forbidden")
        problem(
            post(till, "/api/campaigns", code="x", asset="USD", multiplier="1"), 403, "forbidden"
        )
        problem(till.get("/api/campaigns"), 403, "forbidden")
        assert listed(till, user) == []


def test_a_bonus_of_one_casino_is_unknown_at_another(promoter: httpx.Client, user: str) -> None:
    code = offered(promoter)["code"]
    given = done(post(promoter, "/api/grants", user=user, campaign=code, amount="20"))
    elsewhere = {"x-casino-slug": "other", "x-idempotency-key": fresh()}
    path = f"/api/grants/{given['grant']}/forfeit"
    answer = promoter.post(path, json={"reason": "elsewhere"}, headers=elsewhere)
    problem(answer, 404, "UNKNOWN_GRANT")
    [shown] = listed(promoter, user)
    assert shown["state"] == "active"
