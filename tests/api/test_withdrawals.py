"""Withdrawals over HTTP: asked for by services, decided by those who may, told as they stand."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest

from tests.api.conftest import ADA, EVM, Api, key
from tests.api.test_reads import problem

ETHER = f"{EVM}/slip44:60"
CONTRACT = "0x" + "c0" * 20
TO = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
_keys = itertools.count(1)
CUSTODY = f"""
INSERT INTO assets (id, symbol, scale) VALUES ('{ETHER}', 'ETH', 18) ON CONFLICT DO NOTHING;
INSERT INTO custodies (source_id, casino_id, network, address, asset)
VALUES (1, 1, '{EVM}', '{CONTRACT}', '{ETHER}') ON CONFLICT DO NOTHING;
"""


@pytest.fixture
def till(api: Api) -> Iterator[httpx.Client]:
    """A service that may ask; the players have enough."""
    with psycopg.connect(api.database_url) as connection:
        connection.execute(CUSTODY.encode())
    with httpx.Client(base_url=api.url, timeout=20, headers=key("till")) as opened:
        top_up = {"asset": ETHER, "amount": "1000"}
        answer = opened.post(f"/api/wallets/{ADA}/top-up", json=top_up, headers=fresh())
        assert answer.status_code == 200, answer.text
        yield opened


@pytest.fixture
def approver(api: Api) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=api.url, timeout=20, headers=key("approver")) as opened:
        yield opened


def fresh() -> dict[str, str]:
    return {"x-idempotency-key": f"withdrawal-{next(_keys)}"}


def ask(client: httpx.Client, amount: object, **changed: Any) -> httpx.Response:
    headers, user = changed.pop("headers", None) or fresh(), changed.pop("user", ADA)
    body = {"asset": ETHER, "amount": amount, "address": TO, **changed}
    return client.post(f"/api/wallets/{user}/withdrawals", json=body, headers=headers)


def decide(
    client: httpx.Client, id: str, way: str, reason: object = "it is fine"
) -> httpx.Response:
    path = f"/api/withdrawals/{id}/{way}"
    return client.post(path, json={"reason": reason}, headers=fresh())


@pytest.fixture
def lucky(api: Api, till: httpx.Client) -> str:
    """Somebody new, with 100 of cash."""
    name = f"lucky-{next(_keys)}"
    body = {"asset": ETHER, "amount": "100"}
    till.post(f"/api/wallets/{name}/top-up", json=body, headers=fresh()).raise_for_status()
    return name


@pytest.fixture
def promoter(api: Api) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=api.url, timeout=20, headers=key("promoter")) as opened:
        yield opened


def given_bonus(promoter: httpx.Client, user: str, amount: str, **terms: Any) -> str:
    """A bonus; the grant's number."""
    code = f"campaign-{next(_keys)}"
    body = {"code": code, "asset": ETHER, "multiplier": "1", **terms}
    promoter.post("/api/campaigns", json=body, headers=fresh()).raise_for_status()
    body = {"user": user, "campaign": code, "amount": amount}
    answer = promoter.post("/api/grants", json=body, headers=fresh())
    assert answer.status_code == 200, answer.text
    grant: str = answer.json()["grant"]
    return grant


def shown(promoter: httpx.Client, user: str) -> tuple[str, str | None]:
    """The state of a player's bonus, and why it ended."""
    [one] = promoter.get(f"/api/players/{user}/bonuses").json()["items"]
    return one["state"], one.get("reason")


def owned(client: httpx.Client, user: str) -> tuple[int, int]:
    """What a user has of cash, and how much of it is held."""
    [ether] = [
        one
        for one in client.get(f"/api/wallets/{user}").json()["balances"]
        if one["asset"]["id"] == ETHER
    ]
    return int(ether["balance"]), int(ether["held"])


def held(client: httpx.Client) -> int:
    found = client.get(f"/api/wallets/{ADA}").json()["balances"]
    [ether] = [one for one in found if one["asset"]["id"] == ETHER]
    return int(ether["held"])


def test_a_withdrawal_is_asked_for_held_and_approved_by_a_person(
    till: httpx.Client, approver: httpx.Client
) -> None:
    before = held(till)
    asked = ask(till, "60").json()
    assert (asked["state"], asked["amount"], asked["actor"]) == ("requested", "60", "till")
    assert asked["address"] == TO.lower()
    assert held(till) == before + 60
    approved = decide(approver, asked["id"], "approve", "known to us").json()
    said = ("approved", "approver", "known to us")
    assert (approved["state"], approved["decided_by"], approved["reason"]) == said
    shown = approver.get(f"/api/withdrawals/{asked['id']}").json()
    assert shown == approved
    assert decide(approver, asked["id"], "approve").json()["code"] == "WRONG_STATE"
    assert decide(approver, asked["id"], "reject").json()["state"] == "rejected"
    assert held(till) == before
    assert decide(approver, asked["id"], "reject").status_code == 409


def test_a_rule_approves_small_ones_and_asking_again_gives_the_first_answer(
    till: httpx.Client,
) -> None:
    headers, before = fresh(), held(till)
    first = ask(till, "7", headers=headers)
    assert first.json()["state"] == "approved"
    assert first.json()["decided_by"] == "rule"
    again = ask(till, "7", headers=headers)
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    problem(ask(till, "8", headers=headers), 422, "idempotency_key_reused")
    assert held(till) == before + 7


REFUSED: list[tuple[dict[str, Any], int, str]] = [
    ({"amount": "4"}, 422, "AMOUNT_TOO_SMALL"),
    ({"amount": "901"}, 422, "AMOUNT_TOO_LARGE"),
    ({"amount": "0"}, 422, "amount_not_positive"),
    ({"amount": -7}, 422, "amount_not_positive"),
    ({"amount": 7.5}, 422, "amount_not_whole"),
    ({"address": TO.replace("aA", "Aa")}, 422, "BAD_ADDRESS"),
    ({"address": "me"}, 422, "BAD_ADDRESS"),
    ({"address": f"eip155:1:{TO}"}, 422, "WRONG_NETWORK"),
    ({"address": CONTRACT}, 422, "OWN_ADDRESS"),
    ({"address": "a\nb"}, 422, "invalid"),
    ({"asset": "GOLD_COINS"}, 422, "not_withdrawable"),
    ({"asset": "NOTHING"}, 422, "UNKNOWN_ASSET"),
    ({"custody": "0x" + "01" * 20}, 422, "not_withdrawable"),
    ({"more": 1}, 422, "invalid"),
]


@pytest.mark.parametrize(("changed", "status", "code"), REFUSED)
def test_what_cannot_be_paid_is_refused_with_its_code_and_holds_nothing(
    till: httpx.Client, changed: dict[str, Any], status: int, code: str
) -> None:
    before = held(till)
    problem(ask(till, **{"amount": "10", **changed}), status, code)
    assert held(till) == before


def test_no_more_is_held_than_there_is(till: httpx.Client) -> None:
    while (answer := ask(till, "900")).status_code == 200:
        pass
    problem(answer, 402, "INSUFFICIENT_FUNDS")


@pytest.mark.parametrize("sticky", [True, False])
def test_a_withdrawal_forfeits_a_bonus_that_is_not_wagered_and_leaves_cash(
    till: httpx.Client, promoter: httpx.Client, lucky: str, sticky: bool
) -> None:
    given_bonus(promoter, lucky, "500", sticky=sticky)
    assert ask(till, "60", user=lucky).json()["state"] == "requested"
    assert shown(promoter, lucky) == ("forfeited", "withdrawal")
    assert owned(till, lucky) == (100, 60)


def test_a_withdrawal_that_is_refused_forfeits_nothing(
    till: httpx.Client, promoter: httpx.Client, lucky: str
) -> None:
    given_bonus(promoter, lucky, "500")
    problem(ask(till, "4", user=lucky), 422, "AMOUNT_TOO_SMALL")
    problem(ask(till, "10", user=lucky, address="me"), 422, "BAD_ADDRESS")
    problem(ask(till, "101", user=lucky), 402, "INSUFFICIENT_FUNDS")
    assert shown(promoter, lucky) == ("active", None)
    assert owned(till, lucky) == (100, 0)


@pytest.mark.parametrize(("sticky", "cash"), [(False, 600), (True, 100)])
def test_a_wagered_bonus_is_converted_first_and_may_leave_with_the_same_withdrawal(
    api: Api, till: httpx.Client, promoter: httpx.Client, lucky: str, sticky: bool, cash: int
) -> None:
    grant = given_bonus(promoter, lucky, "500", sticky=sticky)
    with psycopg.connect(api.database_url) as connection:
        # As the worker counts, which does not run here.
        connection.execute(
            "INSERT INTO wagers (casino_id, source, bet, grant_id, cash, bonus, settled_at,"
            " counted_bp) SELECT casino_id, 'test', id::text, id, 0, 0, now(), required_bp"
            " FROM grants WHERE id = %s",
            (grant,),
        )
    problem(ask(till, str(cash + 1), user=lucky), 402, "INSUFFICIENT_FUNDS")
    assert shown(promoter, lucky)[0] == "active"
    assert ask(till, str(cash), user=lucky).json()["state"] == "requested"
    assert shown(promoter, lucky) == ("completed", "withdrawal")
    assert owned(till, lucky) == (cash, cash)


def test_only_keys_with_the_role_ask_approve_and_see(
    api: Api, till: httpx.Client, approver: httpx.Client
) -> None:
    id = ask(till, "60").json()["id"]
    problem(decide(till, id, "approve"), 403, "forbidden")
    problem(ask(approver, "60"), 403, "forbidden")
    with httpx.Client(base_url=api.url, timeout=20) as nobody:
        problem(ask(nobody, "60"), 401, "unauthorized")
        problem(decide(nobody, id, "approve"), 401, "unauthorized")
        problem(nobody.get("/api/withdrawals"), 401, "unauthorized")
    with httpx.Client(base_url=api.url, timeout=20, headers=key("branch")) as other:
        problem(other.get(f"/api/withdrawals/{id}"), 404, "unknown_withdrawal")
        assert other.get("/api/withdrawals").json()["items"] == []


@pytest.mark.parametrize("id", ["0", "x", "99999999999999999999", "-1", "١"])
def test_a_withdrawal_that_is_none_is_not_found(approver: httpx.Client, id: str) -> None:
    problem(approver.get(f"/api/withdrawals/{id}"), 404, "unknown_withdrawal")
    problem(decide(approver, id, "approve"), 404, "unknown_withdrawal")


@pytest.mark.parametrize("reason", ["", None, "a\0b", "x" * 501])
def test_a_decision_without_a_reason_is_none(
    till: httpx.Client, approver: httpx.Client, reason: object
) -> None:
    id = ask(till, "60").json()["id"]
    problem(decide(approver, id, "approve", reason), 422, "invalid")
    assert approver.get(f"/api/withdrawals/{id}").json()["state"] == "requested"
    decide(approver, id, "reject")


def test_withdrawals_are_listed_newest_first_page_by_page(
    till: httpx.Client, approver: httpx.Client
) -> None:
    made = [ask(till, "51").json()["id"] for _ in range(5)]
    found: list[str] = []
    after: dict[str, Any] = {}
    while len(found) < 5:
        page = till.get("/api/withdrawals", params={"limit": 2, "state": "requested", **after})
        found += [one["id"] for one in page.json()["items"]]
        after = {"after": page.json()["next"]}
    assert found[:5] == made[::-1]
    mine = till.get(f"/api/wallets/{ADA}/withdrawals", params={"limit": 1}).json()
    assert [one["id"] for one in mine["items"]] == made[-1:]
    for id in made:
        decide(approver, id, "reject")


def test_health_says_what_waits_and_why(api: Api, till: httpx.Client) -> None:
    id = ask(till, "6").json()["id"]
    assert "vault" not in str(till.get("/health").json()["troubles"])
    with psycopg.connect(api.database_url) as connection:
        told = "UPDATE withdrawals SET trouble = 'vault_too_poor', state = 'approved' WHERE id = %s"
        connection.execute(told.encode(), (id,))
    health = till.get("/health").json()
    assert "1 withdrawals on evm-local wait: vault too poor" in health["troubles"]
    waits = 'state="approved",trouble="vault_too_poor"} 1.0'
    assert waits in till.get("/metrics").text
