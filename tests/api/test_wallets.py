"""Wallets over HTTP: money moves once for its key, never below nothing, and only for who may."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest

from tests.api.conftest import ADA, EVM, Api, key
from tests.api.test_reads import problem

_users = itertools.count(1)
_keys = itertools.count(1)
GOLD = "casino:fairhouse/GOLD_COINS"


@pytest.fixture
def user() -> str:
    return f"player-{next(_users)}"


@pytest.fixture
def till(api: Api) -> Iterator[httpx.Client]:
    """The service that may do everything here."""
    with httpx.Client(base_url=api.url, timeout=20, headers=key("till")) as opened:
        yield opened


def fresh() -> str:
    return f"key-{next(_keys)}"


def ask(
    client: httpx.Client, user: str, way: str, amount: object = "1", **more: Any
) -> httpx.Response:
    """A movement of gold coins under a key of its own, unless it is given another."""
    headers = {"x-idempotency-key": more.pop("idempotency", None) or fresh()}
    headers |= more.pop("headers", {})
    body = {"asset": "GOLD_COINS", "amount": amount, **more}
    return client.post(f"/api/wallets/{user}/{way}", json=body, headers=headers)


def done(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()
    return said


def gold(client: httpx.Client, user: str, **query: Any) -> dict[str, Any]:
    """What a user has of gold coins."""
    said = done(client.get(f"/api/wallets/{user}", params=query))
    [found] = [one for one in said["balances"] if one["asset"]["id"] == GOLD]
    return dict(found)


def has(client: httpx.Client, user: str) -> int:
    return int(gold(client, user)["balance"])


def history(client: httpx.Client, user: str, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = done(client.get(f"/api/wallets/{user}/history", params=query))[
        "items"
    ]
    return found


def test_a_wallet_shows_every_asset_of_the_casino_and_what_was_done(
    till: httpx.Client, user: str
) -> None:
    moved = done(ask(till, user, "top-up", "100", description="pack of 100", metadata={"a": [1]}))
    assert (moved["user"], moved["balance"], moved["version"]) == (user, "100", 1)
    done(ask(till, user, "bonus", 20))
    done(ask(till, user, "spend", "30", reference=f"sword-{user}"))
    till.post(
        f"/api/wallets/{user}/top-up",
        json={"asset": "USD", "amount": "150"},
        headers={"idempotency-key": fresh()},
    ).raise_for_status()
    said = done(till.get(f"/api/wallets/{user}"))
    assert said["at"] is None
    shown = {one["asset"]["symbol"]: one for one in said["balances"]}
    assert {symbol: one["available"] for symbol, one in shown.items()} == {
        "GOLD_COINS": "90",
        "DIAMONDS": "0",
        "USD": "150",
    }
    assert shown["USD"]["asset"] == {"id": "iso4217:USD", "symbol": "USD", "scale": 2}
    assert (shown["GOLD_COINS"]["held"], shown["GOLD_COINS"]["version"]) == ("0", 3)
    spent, given, bought = history(till, user, asset="GOLD_COINS")
    assert [(one["type"], one["amount"]) for one in (spent, given, bought)] == [
        ("spend", "-30"),
        ("bonus", "20"),
        ("top_up", "100"),
    ]
    assert (spent["before"], spent["after"], spent["reference"]) == ("120", "90", f"sword-{user}")
    assert spent["counter_accounts"] == [{"name": "system:revenue", "user": None}]
    assert given["counter_accounts"] == [{"name": "system:treasury", "user": None}]
    assert (bought["transfer"], bought["description"]) == (moved["transfer"], "pack of 100")
    assert (bought["metadata"], bought["at"]) == ({"a": [1]}, moved["at"])


def test_a_wallet_is_shown_as_it_stood_at_a_moment(till: httpx.Client, user: str) -> None:
    first = done(ask(till, user, "top-up", "5"))
    done(ask(till, user, "top-up", "6"))
    then = gold(till, user, at=first["at"])
    assert (then["balance"], then["version"], then["held"], then["available"]) == (
        "5",
        1,
        None,
        None,
    )
    earlier = datetime.fromisoformat(first["at"]) - timedelta(microseconds=1)
    assert gold(till, user, at=earlier.isoformat())["balance"] == "0"
    assert gold(till, user, at="9999-12-31T23:59:59-14:00")["balance"] == "11"
    assert gold(till, user, at="0001-01-01T00:00:00+14:00")["balance"] == "0"


def test_pages_of_a_history_joined_are_the_whole_history_once(
    till: httpx.Client, user: str
) -> None:
    for amount in range(1, 8):
        for asset in ("GOLD_COINS", "DIAMONDS"):
            done(ask(till, user, "top-up", amount, asset=asset))
    seen: list[dict[str, Any]] = []
    query: dict[str, str] = {"limit": "4"}
    while True:
        page = done(till.get(f"/api/wallets/{user}/history", params=query))
        seen += page["items"]
        if page["next"] is None:
            break
        query["after"] = page["next"]
    assert [int(one["amount"]) for one in seen] == [n for n in range(7, 0, -1) for _ in "ab"]
    assert len({one["transfer"] for one in seen}) == 14
    assert seen == history(till, user, limit=100)
    since, until = seen[9]["at"], seen[3]["at"]
    assert history(till, user, since=since, until=until) == seen[4:10]
    assert history(till, user, type="spend") == []
    assert len(history(till, user, asset="DIAMONDS", type="top_up")) == 7


# Statements 7, 8, 9, 12 and 14 of what wallets owe those who call them.


def test_a_key_asked_again_gives_the_first_answer_and_says_so(
    till: httpx.Client, api: Api, user: str
) -> None:
    once = ask(till, user, "top-up", "10", idempotency=f"once-{user}")
    done(ask(till, user, "top-up", "5"))
    again = ask(till, user, "top-up", 10, idempotency=f"once-{user}")
    renewed = {"idempotency-key": f"once-{user}", **key("till, its next key")}
    body = {"amount": "10", "asset": GOLD}
    other = httpx.post(f"{api.url}/api/wallets/{user}/top-up", json=body, headers=renewed)
    assert "idempotency-replayed" not in once.headers
    for one in (again, other):
        assert done(one) == done(once)
        assert one.headers["idempotency-replayed"] == "true"
    assert has(till, user) == 15


@pytest.mark.parametrize(
    "changed",
    [
        {"amount": "11"},
        {"asset": "DIAMONDS"},
        {"way": "bonus"},
        {"reference": "r"},
        {"description": "d"},
        {"metadata": {"a": 1}},
        {"expect": 1},
        {"user": "somebody-else"},
    ],
)
def test_a_key_used_for_something_else_moves_nothing(
    till: httpx.Client, user: str, changed: dict[str, Any]
) -> None:
    done(ask(till, user, "top-up", "10", idempotency=f"mine-{user}"))
    asked = {"user": user, "way": "top-up", "amount": "10", **changed}
    refused = ask(till, idempotency=f"mine-{user}", **asked)
    problem(refused, 422, "idempotency_key_reused")
    assert "idempotency-replayed" not in refused.headers
    assert has(till, user) == 10


def test_a_declined_spend_stays_declined_when_money_comes(till: httpx.Client, user: str) -> None:
    done(ask(till, user, "top-up", "5"))
    first = problem(
        ask(till, user, "spend", "7", idempotency=f"s-{user}"), 402, "INSUFFICIENT_FUNDS"
    )
    assert (first["available"], first["wanted"], first["asset"]) == ("5", "7", GOLD)
    done(ask(till, user, "top-up", "100"))
    again = ask(till, user, "spend", "7", idempotency=f"s-{user}")
    assert problem(again, 402, "INSUFFICIENT_FUNDS") == first
    assert again.headers["idempotency-replayed"] == "true"
    assert has(till, user) == 105


def test_a_key_is_wanted_and_only_one(till: httpx.Client, user: str) -> None:
    path, body = f"/api/wallets/{user}/top-up", {"asset": "GOLD_COINS", "amount": "1"}
    problem(till.post(path, json=body), 400, "idempotency_key_missing")
    for bad in ("", "x" * 256, "caf\xe9", "a\tb"):
        headers = httpx.Headers({"x-idempotency-key": bad}, encoding="latin-1")
        problem(till.post(path, json=body, headers=headers), 400, "idempotency_key_bad")
    both = {"x-idempotency-key": "one", "idempotency-key": "other"}
    problem(till.post(path, json=body, headers=both), 400, "idempotency_key_bad")
    problem(till.get(f"/api/wallets/{user}"), 404, "unknown_user")
    same = dict.fromkeys(both, fresh())
    done(till.post(path, json=body, headers=same))


def test_services_and_casinos_choose_their_keys_by_themselves(
    till: httpx.Client, api: Api, user: str
) -> None:
    chosen = f"same-{user}"
    done(ask(till, user, "top-up", "1", idempotency=chosen))
    done(ask(till, user, "top-up", "1", idempotency=chosen, headers=key("slot")))
    assert has(till, user) == 2
    headers = {"x-casino-slug": "other", "x-idempotency-key": chosen}
    body = {"asset": "SILVER", "amount": "1"}
    done(till.post(f"/api/wallets/{user}/top-up", json=body, headers=headers))


async def test_many_at_once_with_one_key_move_money_once(
    api: Api, till: httpx.Client, user: str
) -> None:
    """All answers agree, or say that the first is under way."""
    body = {"asset": "GOLD_COINS", "amount": "3"}
    headers = {**key("till"), "x-idempotency-key": f"storm-{user}"}
    async with httpx.AsyncClient(base_url=api.url, timeout=20, headers=headers) as client:
        path = f"/api/wallets/{user}/top-up"
        answers = await asyncio.gather(*(client.post(path, json=body) for _ in range(40)))
    moved = [one for one in answers if one.status_code == 200]
    assert len({one.json()["transfer"] for one in moved}) == 1
    assert sum("idempotency-replayed" not in one.headers for one in moved) == 1
    for one in answers:
        if one not in moved:
            problem(one, 409, "in_progress")
    assert has(till, user) == 3


async def test_fifty_at_once_spend_no_more_than_there_is(
    api: Api, till: httpx.Client, user: str
) -> None:
    done(ask(till, user, "top-up", "10"))
    body = {"asset": "GOLD_COINS", "amount": "1"}
    async with httpx.AsyncClient(base_url=api.url, timeout=20, headers=key("till")) as client:
        path = f"/api/wallets/{user}/spend"
        answers = await asyncio.gather(
            *(client.post(path, json=body, headers={"idempotency-key": fresh()}) for _ in range(50))
        )
    assert sorted(one.status_code for one in answers) == [200] * 10 + [402] * 40
    assert sorted(int(one.json()["balance"]) for one in answers if one.status_code == 200) == [
        *range(10)
    ]
    assert has(till, user) == 0
    assert len(history(till, user, type="spend", limit=100)) == 10


def test_a_user_passes_on_no_more_than_there_is(till: httpx.Client, user: str) -> None:
    other = f"{user}-friend"
    for one in (user, other):
        done(ask(till, one, "top-up", "10"))
    said = done(ask(till, user, "transfer", "4", to=other, description="a gift"))
    assert (said["user"], said["balance"]) == (user, "6")
    problem(ask(till, user, "transfer", "7", to=other), 402, "INSUFFICIENT_FUNDS")
    assert (has(till, user), has(till, other)) == (6, 14)
    [sent] = history(till, user, type="transfer")
    [got] = history(till, other, type="transfer")
    assert (sent["amount"], got["amount"], sent["transfer"]) == ("-4", "4", got["transfer"])
    assert [one["user"] for one in sent["counter_accounts"]] == [other]
    assert [one["user"] for one in got["counter_accounts"]] == [user]
    problem(ask(till, user, "transfer", "1", to=user), 422, "same_user")
    problem(ask(till, user, "transfer", "1", to="nobody-here"), 404, "unknown_recipient")
    problem(ask(till, "nobody-here", "transfer", "1", to=user), 404, "unknown_user")
    assert has(till, user) == 6


def test_both_users_of_a_transfer_are_told(till: httpx.Client, api: Api, user: str) -> None:
    other = f"{user}-friend"
    for one in (user, other):
        done(ask(till, one, "top-up", "10"))
    moved = done(ask(till, user, "transfer", "4", to=other))
    told = rows(
        api,
        "SELECT i.external_id, o.data ->> 'amount', o.data ->> 'balance' FROM outbox o"
        " JOIN player_identities i ON i.player_id::text = o.player"
        " WHERE o.type = 'wallet.moved' AND o.data ->> 'transfer' = %s ORDER BY o.id",
        moved["transfer"],
    )
    assert told == [(user, "-4", "6"), (other, "4", "14")]


async def test_users_who_pay_each_other_at_once_lose_nothing(
    api: Api, till: httpx.Client, user: str
) -> None:
    circle = [f"{user}-{n}" for n in range(4)]
    for one in circle:
        done(ask(till, one, "top-up", "100"))
    async with httpx.AsyncClient(base_url=api.url, timeout=20, headers=key("till")) as client:

        async def pay(turn: int) -> int:
            source, target = circle[turn % 4], circle[(turn * 3 + 1) % 4]
            if source == target:
                target = circle[(turn + 1) % 4]
            body = {"asset": "GOLD_COINS", "amount": str(turn % 7 + 1), "to": target}
            headers = {"idempotency-key": fresh()}
            path = f"/api/wallets/{source}/transfer"
            return (await client.post(path, json=body, headers=headers)).status_code

        assert set(await asyncio.gather(*(pay(turn) for turn in range(80)))) <= {200, 402}
    assert sum(has(till, one) for one in circle) == 400


def test_a_reference_stands_once_for_each_kind_under_whatever_key(
    till: httpx.Client, user: str
) -> None:
    order = f"order-{user}"
    done(ask(till, user, "top-up", "1", reference=order))
    refused = ask(till, user, "top-up", "1", reference=order)
    assert problem(refused, 409, "DUPLICATE_REFERENCE")["reference"] == order
    done(ask(till, user, "bonus", "1", reference=order))
    assert has(till, user) == 2


def test_a_version_that_moved_on_is_told_and_the_right_one_passes(
    till: httpx.Client, user: str
) -> None:
    done(ask(till, user, "top-up", "10", expect=0))
    stale = problem(ask(till, user, "spend", "1", expect=0), 409, "VERSION_MISMATCH")
    assert stale["version"] == 1
    assert done(ask(till, user, "spend", "1", expect=stale["version"]))["version"] == 2
    assert has(till, user) == 9


def test_a_closed_account_neither_gives_nor_gets(till: httpx.Client, api: Api, user: str) -> None:
    done(ask(till, user, "top-up", "10"))
    by_hand(api, "UPDATE accounts SET closed_at = now() WHERE id = %s", account(api, user))
    problem(ask(till, user, "spend", "1"), 403, "ACCOUNT_CLOSED")
    problem(ask(till, user, "top-up", "1"), 403, "ACCOUNT_CLOSED")
    assert has(till, user) == 10


def test_what_is_held_is_shown_and_cannot_be_spent(till: httpx.Client, api: Api, user: str) -> None:
    done(ask(till, user, "top-up", "10"))
    by_hand(
        api,
        "INSERT INTO holds (id, casino_id, account_id, amount, remaining, state, at)"
        " SELECT -id, 1, id, 8, 8, 'open', now() FROM accounts WHERE id = %s",
        account(api, user),
    )
    shown = gold(till, user)
    assert (shown["balance"], shown["held"], shown["available"]) == ("10", "8", "2")
    problem(ask(till, user, "spend", "3"), 402, "INSUFFICIENT_FUNDS")


# Users.


def test_a_user_is_made_by_what_is_given_and_by_nothing_else(till: httpx.Client, user: str) -> None:
    for answer in (
        till.get(f"/api/wallets/{user}"),
        till.get(f"/api/wallets/{user}/history"),
        ask(till, user, "spend", "1"),
        ask(till, user, "transfer", "1", to="x"),
    ):
        problem(answer, 404, "unknown_user")
    done(ask(till, user, "bonus", "1"))
    assert has(till, user) == 1
    problem(till.get(f"/api/wallets/{user}", params={"casino": "other"}), 404, "unknown_user")


async def test_a_user_named_by_many_at_once_is_one(api: Api, till: httpx.Client, user: str) -> None:
    body = {"asset": "GOLD_COINS", "amount": "1"}
    async with httpx.AsyncClient(base_url=api.url, timeout=20, headers=key("till")) as client:
        path = f"/api/wallets/{user}/top-up"
        answers = await asyncio.gather(
            *(client.post(path, json=body, headers={"idempotency-key": fresh()}) for _ in range(30))
        )
    assert {one.status_code for one in answers} == {200}
    assert has(till, user) == 30
    assert rows(api, "SELECT count(*) FROM player_identities WHERE external_id = %s", user) == [
        (1,)
    ]


def test_players_of_a_chain_have_a_wallet_under_their_address_and_are_never_made(
    till: httpx.Client,
) -> None:
    done(ask(till, ADA, "top-up", "3"))
    assert has(till, f"{EVM}:{ADA}") == 3
    problem(ask(till, "0x" + "12" * 20, "top-up", "3"), 404, "unknown_user")


@pytest.mark.parametrize("name", ["x" * 129, "with%20space", "caf%C3%A9", "%00", "-dash", "..."])
def test_what_can_be_no_users_name_is_nobody(till: httpx.Client, name: str) -> None:
    problem(ask(till, name, "top-up", "1"), 404, "unknown_user")
    problem(till.get(f"/api/wallets/{name}"), 404, "unknown_user")


# Who may.


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 401, "unauthorized"),
        ({"authorization": "Bearer"}, 401, "unauthorized"),
        ({"authorization": "Bearer nothing of till"}, 401, "unauthorized"),
        ({"authorization": "Basic secret of till"}, 401, "unauthorized"),
        ({"x-api-key": "secret of nobody"}, 401, "unauthorized"),
        (key("stranger"), 403, "forbidden"),
        (key("window"), 403, "forbidden"),
        (key("branch") | {"x-casino-slug": "fairhouse"}, 403, "forbidden"),
    ],
)
def test_who_may_not_moves_nothing_and_learns_nothing(
    api: Api, user: str, headers: dict[str, str], status: int, code: str
) -> None:
    with httpx.Client(base_url=api.url, timeout=20) as client:
        said = problem(ask(client, user, "top-up", "1", headers=headers), status, code)
        assert "secret" not in json.dumps(said)
        if status == 401:
            problem(client.get(f"/api/wallets/{user}", headers=headers), 401, "unauthorized")
            assert client.get(f"/api/wallets/{user}").headers["www-authenticate"] == "Bearer"
    assert rows(api, "SELECT count(*) FROM player_identities WHERE external_id = %s", user) == [
        (0,)
    ]


def test_a_key_for_reading_reads_and_one_for_writing_writes(
    till: httpx.Client, api: Api, user: str
) -> None:
    done(ask(till, user, "top-up", "1"))
    with httpx.Client(base_url=api.url, timeout=20) as client:
        done(client.get(f"/api/wallets/{user}", headers=key("window")))
        done(client.get(f"/api/wallets/{user}", headers={"x-api-key": "secret of window"}))
        done(ask(client, user, "top-up", "1", headers=key("slot")))
        problem(client.get(f"/api/wallets/{user}", headers=key("slot")), 403, "forbidden")


def test_a_key_of_one_casino_acts_there_without_naming_it(api: Api, user: str) -> None:
    headers = {**key("branch"), "idempotency-key": fresh()}
    body = {"asset": "SILVER", "amount": "2"}
    path = f"/api/wallets/{user}"
    with httpx.Client(base_url=api.url, timeout=20, headers=headers) as client:
        done(client.post(f"{path}/top-up", json=body))
        [silver] = done(client.get(path))["balances"]
        assert (silver["asset"]["id"], silver["balance"]) == ("casino:other/SILVER", "2")
        problem(client.get(path, params={"casino": "fairhouse"}), 403, "forbidden")
        problem(client.get(path, params={"casino": "nowhere"}), 404, "unknown_casino")


# What is not understood.

NOT_AMOUNTS = [
    ("0", "amount_not_positive"),
    (0, "amount_not_positive"),
    ("-5", "amount_not_positive"),
    (-5, "amount_not_positive"),
    ("1.5", "amount_not_whole"),
    (1.5, "amount_not_whole"),
    (1.0, "amount_not_whole"),
    ("1e3", "amount_not_whole"),
    ("0.00000001", "amount_not_whole"),
    (10**36, "amount_not_whole"),  # JSON's numbers of that size are floats
    ("1" + "0" * 36, "amount_too_large"),
    ("9" * 5000, "amount_too_large"),
    (True, "amount_not_a_number"),
    (None, "amount_not_a_number"),
    ([], "amount_not_a_number"),
    ({"$gt": 0}, "amount_not_a_number"),
    ("", "amount_not_a_number"),
    ("ten", "amount_not_a_number"),
    (" 5", "amount_not_a_number"),
    ("5\n", "amount_not_a_number"),
    ("+5", "amount_not_a_number"),
    ("007", "amount_not_a_number"),
    ("0x10", "amount_not_a_number"),
    ("\u0665", "amount_not_a_number"),
    ("1_000", "amount_not_a_number"),
    ("NaN", "amount_not_a_number"),
]


@pytest.mark.parametrize(("amount", "code"), NOT_AMOUNTS)
def test_what_is_no_amount_moves_nothing_and_says_why(
    till: httpx.Client, user: str, amount: object, code: str
) -> None:
    problem(ask(till, user, "top-up", amount), 422, code)
    problem(till.get(f"/api/wallets/{user}"), 404, "unknown_user")


def deep(levels: int) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for _ in range(levels - 1):
        made = {"a": made}
    return made


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"asset": "SILVER"}, 422, "UNKNOWN_ASSET"),
        ({"asset": "casino:other/SILVER"}, 422, "UNKNOWN_ASSET"),
        ({"asset": "gold_coins"}, 422, "UNKNOWN_ASSET"),
        ({"asset": "ETH"}, 422, "UNKNOWN_ASSET"),
        ({"asset": ""}, 422, "invalid"),
        ({"asset": 7}, 422, "invalid"),
        ({"asset": "x" * 129}, 422, "invalid"),
        ({"asset": "GOLD\x00COINS"}, 422, "invalid"),
        ({"reference": ""}, 422, "invalid"),
        ({"reference": "x" * 201}, 422, "invalid"),
        ({"reference": "a\x00b"}, 422, "invalid"),
        ({"reference": 12}, 422, "invalid"),
        ({"description": "x" * 501}, 422, "invalid"),
        ({"metadata": []}, 422, "invalid"),
        ({"metadata": {"a": "x" * 4096}}, 422, "metadata_too_large"),
        ({"metadata": deep(6)}, 422, "metadata_too_deep"),
        ({"metadata": deep(900)}, 422, "metadata_too_deep"),
        ({"metadata": {"a": "\x00"}}, 422, "metadata_not_text"),
        ({"metadata": {"a\x00": 1}}, 422, "metadata_not_text"),
        ({"expect": -1}, 422, "invalid"),
        ({"expect": "1"}, 422, "invalid"),
        ({"expect": 2**54}, 422, "invalid"),
        ({"expect": True}, 422, "invalid"),
        ({"unheard": "of"}, 422, "invalid"),
        ({"to": "somebody"}, 422, "invalid"),
    ],
)
def test_what_is_not_understood_moves_nothing_and_says_why(
    till: httpx.Client, user: str, changed: dict[str, Any], status: int, code: str
) -> None:
    problem(ask(till, user, "top-up", "1", **changed), status, code)
    problem(till.get(f"/api/wallets/{user}"), 404, "unknown_user")


def test_metadata_as_large_and_as_deep_as_allowed_is_kept(till: httpx.Client, user: str) -> None:
    noted = {"a": {"b": {"c": {"d": ["\\u0000", 1.5, None, "é"]}}}, "x": "y" * 4000}
    done(ask(till, user, "top-up", "1", metadata=noted))
    assert history(till, user)[0]["metadata"] == noted


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b"x" * 10_000_000, "application/json", 413, "too_large"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, "application/json", 400, "too_deep"),
        (b'{"asset": "GOLD_COINS", "amount": 1', "application/json", 400, "bad_json"),
        (b'{"asset": "\\ud800", "amount": 1}', "application/json", 400, "bad_json"),
        (b'{"asset": "GOLD_COINS", "amount": 1e400}', "application/json", 400, "bad_json"),
        (b"\xff\xfe", "application/json", 400, "bad_json"),
        (b"", "application/json", 400, "bad_json"),
        (b"[]", "application/json", 422, "invalid"),
        (b"null", "application/json", 422, "invalid"),
        (b"amount=1", "application/x-www-form-urlencoded", 415, "not_json"),
        (b'{"asset": "GOLD_COINS", "amount": 1}', "text/plain", 415, "not_json"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_body_that_is_none_moves_nothing_and_says_why(
    till: httpx.Client, user: str, body: bytes, kind: str, status: int, code: str
) -> None:
    headers = {"content-type": kind, "idempotency-key": fresh()}
    path = f"/api/wallets/{user}/top-up"
    problem(till.post(path, content=body, headers=headers), status, code)
    problem(till.get(f"/api/wallets/{user}"), 404, "unknown_user")


@pytest.mark.parametrize(
    "query",
    ["limit=0", "after=x", "after=1", "type=A", "since=yesterday", "since=2026-01-01T00:00:00"],
)
def test_a_history_asked_for_wrongly_says_which_field(
    till: httpx.Client, user: str, query: str
) -> None:
    done(ask(till, user, "top-up", "1"))
    said = problem(till.get(f"/api/wallets/{user}/history?{query}"), 422, "invalid")
    assert said["errors"][0]["field"] == query.partition("=")[0]
    problem(till.get(f"/api/wallets/{user}/history?asset=SILVER"), 422, "UNKNOWN_ASSET")
    assert history(till, user, after=f"{2**59}-5") == []


def test_the_assets_of_a_casino_are_listed_its_own_first(client: httpx.Client) -> None:
    assert [one["id"] for one in done(client.get("/api/assets"))["items"]] == [
        "casino:fairhouse/DIAMONDS",
        GOLD,
        "eip155:1/slip44:60",
        "eip155:8453/slip44:60",
        "iso4217:USD",
    ]
    other = done(client.get("/api/assets", params={"casino": "other"}))["items"]
    assert other[0] == {"id": "casino:other/SILVER", "symbol": "SILVER", "scale": 0}


# An account that somebody holds.


async def test_who_asks_again_while_it_is_decided_is_told_so(
    till: httpx.Client, api: Api, user: str
) -> None:
    done(ask(till, user, "top-up", "10"))
    body = {"asset": "GOLD_COINS", "amount": "1"}
    headers = {**key("till"), "idempotency-key": fresh()}
    with psycopg.connect(api.database_url) as connection:
        held = b"SELECT FROM accounts WHERE id = %s FOR UPDATE"
        connection.execute(held, (account(api, user),))
        async with httpx.AsyncClient(base_url=api.url, timeout=20, headers=headers) as client:
            path = f"/api/wallets/{user}/spend"
            answers = await asyncio.gather(*(client.post(path, json=body) for _ in range(2)))
    under_way, busy = sorted(answers, key=lambda one: one.status_code)
    problem(under_way, 409, "in_progress")
    problem(busy, 503, "account_busy")
    assert has(till, user) == 10


def test_an_account_that_stays_locked_is_busy_and_moves_later(
    till: httpx.Client, api: Api, user: str
) -> None:
    done(ask(till, user, "top-up", "10"))
    chosen = fresh()
    with psycopg.connect(api.database_url) as connection:
        held = b"SELECT FROM accounts WHERE id = %s FOR UPDATE"
        connection.execute(held, (account(api, user),))
        busy = ask(till, user, "spend", "1", idempotency=chosen)
        problem(busy, 503, "account_busy")
        assert int(busy.headers["retry-after"]) > 0
    later = ask(till, user, "spend", "1", idempotency=chosen)
    assert "idempotency-replayed" not in later.headers
    assert done(later)["balance"] == "9"


def rows(api: Api, query: str, *values: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(api.database_url) as connection:
        return connection.execute(query.encode(), values).fetchall()


def account(api: Api, user: str) -> int:
    """The number of a user's account of gold coins."""
    [(found,)] = rows(
        api,
        "SELECT a.id FROM accounts a JOIN player_identities i"
        " ON a.name = 'player:' || i.player_id || ':cash'"
        " WHERE i.external_id = %s AND a.asset = %s",
        user,
        GOLD,
    )
    return int(found)


def by_hand(api: Api, statement: str, *values: Any) -> None:
    """What the ledger's role may do, without the ledger."""
    with psycopg.connect(api.database_url) as connection:
        connection.execute("SET ROLE fairhouse_ledger")
        connection.execute(statement.encode(), values)
