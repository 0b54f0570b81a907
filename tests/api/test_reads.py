"""What players, frontends and operators read, from the process that production runs."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import psycopg
import pytest

from api.health import fault
from tests.api.conftest import ADA, BOB, EVE, EVM, Api

ETH = f"{EVM}/slip44:60"
BET_TIME = {"placed_at", "settled_at"}
SILENT = """
INSERT INTO heartbeats (process, host, pid, at) VALUES
    ('relay', 'a', 1, now() - interval '1 min'), ('once', 'a', 1, now() - interval '1 min'),
    ('indexer', 'a', 1, now() - interval '1 min'), ('indexer', 'b', 1, now() + interval '1 h'),
    ('indexer', 'b', 2, now() + interval '1 h')
"""


def items(client: httpx.Client, path: str, **query: Any) -> list[dict[str, Any]]:
    answer = client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    said: dict[str, Any] = answer.json()
    assert (said["status"], said["code"]) == (status, code)
    return said


def test_the_newest_bets_come_first_and_by_the_time_of_their_block(client: httpx.Client) -> None:
    found = items(client, "/api/bets/recent", limit=5)
    times = [bet["placed_at"] for bet in found]
    assert times == sorted(times, reverse=True)
    assert [bet["bet"] for bet in found] == ["2", "1", "0", "39", "38"]
    assert found[0]["network"].startswith("solana:")
    assert found[0]["stake"] == "7"
    assert found[0]["player"] == EVE


def test_pages_joined_are_the_whole_list_once(client: httpx.Client) -> None:
    seen: list[int] = []
    after: str | None = None
    while True:
        query = {"limit": "9"} | ({"after": after} if after else {})
        page = client.get("/api/bets/recent", params=query).json()
        seen += [bet["id"] for bet in page["items"]]
        after = page["next"]
        if after is None:
            break
    assert len(seen) == 43
    assert len(set(seen)) == 43


def test_a_bet_is_found_by_either_of_its_txs(client: httpx.Client) -> None:
    placed = items(client, "/api/bets/p4")
    settled = items(client, "/api/bets/s4")
    assert placed == settled
    assert placed[0]["status"] == "settled"
    assert placed[0]["payout"] == "198"
    assert placed[0]["outcome"]["roll"] == 1234
    problem(client.get("/api/bets/p4", params={"casino": "other"}), 404, "unknown_tx")
    problem(client.get("/api/bets/nothing"), 404, "unknown_tx")


def test_the_sums_are_those_of_the_bets(client: httpx.Client) -> None:
    said = client.get("/api/casino/stats").json()
    assert said["players"] == 3
    eth = next(sum_ for sum_ in said["assets"] if sum_["asset"] == ETH)
    assert eth["bets"] == 40
    assert eth["settled"] == 26
    assert eth["wins"] == 13
    assert eth["paid"] == str(13 * 198)
    assert int(eth["revenue"]) == int(eth["staked"]) - int(eth["paid"])
    hours = [hour for hour in items(client, "/api/casino/activity") if hour["asset"] == ETH]
    assert sum(hour["bets"] for hour in hours) == 40
    days = items(client, "/api/casino/activity", bucket="day", limit=1)
    assert days[0]["at"].endswith("T00:00:00+00:00")


def test_the_leaderboard_ranks_by_what_was_asked(client: httpx.Client) -> None:
    by_stake = items(client, "/api/casino/leaderboard", asset=ETH)
    assert [(one["place"], one["account"]) for one in by_stake] == [(1, ADA), (2, BOB)]
    by_net = items(client, "/api/casino/leaderboard", by="net", asset=ETH)
    assert [int(one["net"]) for one in by_net] == sorted(
        (int(one["net"]) for one in by_net), reverse=True
    )


def test_a_player_is_found_by_address_and_by_caip_10(client: httpx.Client) -> None:
    plain = client.get(f"/api/players/{ADA}").json()
    shouted = client.get(f"/api/players/{ADA.upper().replace('0X', '0x')}").json()
    scoped = client.get(f"/api/players/{EVM}:{ADA}").json()
    assert plain == shouted == scoped
    assert plain["identities"] == [{"kind": "wallet", "scope": EVM, "external_id": ADA}]
    problem(client.get(f"/api/players/eip155:1:{ADA}"), 404, "unknown_player")
    mistyped = problem(client.get(f"/api/players/{ADA[:-2]}aD"), 404, "unknown_player")
    assert "wrong checksum" in mistyped["detail"]
    stats = client.get(f"/api/players/{ADA}/stats").json()
    assert stats["assets"][0]["bets"] == 20
    mine = items(client, f"/api/players/{ADA}/bets", limit=100)
    assert {bet["player"] for bet in mine} == {ADA}
    assert len(mine) == 20


def test_a_casino_is_named_in_the_query_or_the_header(client: httpx.Client) -> None:
    assert client.get("/api/casino/info").json()["slug"] == "fairhouse"
    assert client.get("/api/casino/info?casino=other").json()["slug"] == "other"
    header = {"x-casino-slug": "other"}
    assert client.get("/api/casino/info", headers=header).json()["slug"] == "other"
    both = client.get("/api/casino/info?casino=fairhouse", headers=header)
    assert both.json()["slug"] == "fairhouse"
    problem(client.get("/api/casino/info?casino=nowhere"), 404, "unknown_casino")
    assert [program["name"] for program in client.get("/api/casino/info").json()["programs"]] == [
        "evm-local",
        "solana-local",
    ]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=ten",
        "after=yesterday",
        "after=-1-5",
        "casino=%00",
        "casino=A%20B",
        "unheard=of",
        "limit=1&limit=2",
    ],
)
def test_what_is_not_understood_is_a_problem_that_names_the_field(
    client: httpx.Client, query: str
) -> None:
    said = problem(client.get(f"/api/bets/recent?{query}"), 422, "invalid")
    name = query.partition("=")[0]
    fields = [one["field"] for one in said.get("errors", [])]
    assert name in fields or name in said["detail"] or "twice" in said["detail"]


def test_an_unknown_path_or_verb_is_a_problem_too(client: httpx.Client) -> None:
    problem(client.get("/api/nothing"), 404, "not_found")
    refused = client.post("/api/bets/recent")
    problem(refused, 405, "method_not_allowed")
    assert "GET" in refused.headers["allow"]


def test_a_read_that_has_not_changed_is_not_sent_again(client: httpx.Client) -> None:
    first = client.get("/api/casino/stats")
    tag = first.headers["etag"]
    again = client.get("/api/casino/stats", headers={"if-none-match": f'W/"x", {tag}'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == tag
    assert "max-age" in first.headers["cache-control"]
    other = client.get("/api/casino/stats?casino=other", headers={"if-none-match": tag})
    assert other.status_code == 200


def test_every_answer_has_an_id_and_the_security_headers(client: httpx.Client) -> None:
    for path in ("/", "/health", "/api/nothing", "/static/page.js"):
        answer = client.get(path, headers={"x-request-id": "Given1"})
        assert answer.headers["x-request-id"] == "Given1"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'self'" in answer.headers["content-security-policy"]
    forged = client.get("/health", headers={"x-request-id": "a b; c"})
    assert forged.headers["x-request-id"] != "a b; c"


def test_a_page_of_another_origin_may_read(client: httpx.Client) -> None:
    answer = client.get("/api/casino/info", headers={"origin": "https://play.example"})
    assert answer.headers["access-control-allow-origin"] == "*"


def test_health_names_what_is_not_well(api: Api, client: httpx.Client) -> None:
    said = client.get("/health").json()
    assert {source["network"]: source["lag"] for source in said["sources"]} == {
        "evm-local": 2,
        "solana-local": 0,
    }
    with psycopg.connect(api.database_url, autocommit=True) as connection:
        connection.execute(SILENT.encode())
        connection.execute("UPDATE sources SET error = 'polling: HTTP 401' WHERE id = 1")
    said = client.get("/health").json()
    assert said["status"] == "degraded"
    assert "casino_evm on evm-local: its provider refuses us" in said["troubles"]
    kinds = {kind.pop("process"): kind for kind in said["processes"]}
    assert (kinds["relay"]["live"], kinds["relay"]["silent"]) == (0, 1)
    assert (kinds["indexer"]["live"], kinds["indexer"]["silent"]) == (2, 1)
    assert kinds["keeper"] == {"expected": True, "live": 0, "silent": 0, "seen_s_ago": None}
    # One dead machine of several is no trouble, nor is what nobody expects to run.
    assert "no relay is running" in said["troubles"]
    assert "no keeper is running" in said["troubles"]
    assert not [one for one in said["troubles"] if "indexer" in one or "once" in one]
    assert kinds["once"]["expected"] is False


LAWS = """
INSERT INTO laws (name, holds, since, checked_at, took_ms, faults, error) VALUES
    ('sums', false, now() - interval '90 s', now(), 5, 2, NULL),
    ('holds', true, now(), now(), 5, 0, 'canceling statement: s3cr3t'),
    ('custody', true, now(), now() - interval '1 day', 5, 0, NULL),
    ('floors', true, now(), now(), 5, 0, NULL)
"""


def test_a_law_that_is_broken_unknown_or_unseen_is_a_trouble_and_a_metric(
    api: Api, client: httpx.Client
) -> None:
    with psycopg.connect(api.database_url, autocommit=True) as connection:
        connection.execute(LAWS)
        said = client.get("/health").json()
        metrics = client.get("/metrics").text
        connection.execute("UPDATE laws SET holds = true, error = NULL, checked_at = now()")
        healed = client.get("/health").json()
    assert said["status"] == "degraded"
    troubles = [one for one in said["troubles"] if "the law of" in one]
    assert troubles == [
        "the law of custody was checked 86400 s ago",
        "the law of holds cannot be checked; the auditor's log says why",
        "the law of sums is broken for 90 s",
    ]
    assert "s3cr3t" not in f"{said}{metrics}"
    assert 'fairhouse_law_holds{law="sums"} 0.0' in metrics
    assert 'fairhouse_law_holds{law="floors"} 1.0' in metrics
    assert 'fairhouse_law_known{law="holds"} 0.0' in metrics
    assert 'fairhouse_law_faults{law="sums"} 2.0' in metrics
    assert not [one for one in healed["troubles"] if "the law of" in one]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (None, None),
        ("polling: getSlot: HTTP 429", "its provider limits how often it is asked"),
        ("history: HTTP 403 for https://key@rpc.example", "its provider refuses us"),
        ("polling: getSlot: TimeoutError", "its provider does not answer in time"),
        ("Cannot connect to host rpc.example:443", "its provider does not answer"),
        (
            "network base is eip155:8453, but its RPC serves eip155:1",
            "its RPC serves another chain",
        ),
        ("polling: it answers eth_chainId with 's3cr3t'", "its RPC serves another chain"),
        (
            "polling: the chain dropped block 7 and more, deeper than the 256 blocks we keep",
            "its chain dropped more blocks than can be taken back",
        ),
        (
            "no node knows 2 transactions of slots 1 to 9 any more: they stay confirmed until one",
            "some bets stay confirmed: no node knows of them any more",
        ),
        ("finality: s3cr3t", "it cannot be read; the log says why"),
    ],
)
def test_only_the_class_of_a_fault_is_told(error: str | None, words: str | None) -> None:
    assert fault(error) == words


def test_what_a_provider_said_is_not_told(api: Api, client: httpx.Client) -> None:
    said = "polling: ClientResponseError https://rpc.example/v2/s3cr3t"
    with psycopg.connect(api.database_url, autocommit=True) as connection:
        connection.execute("UPDATE sources SET error = %s", (said,))
    for path in ("/health", "/metrics"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert "s3cr3t" not in answer.text
        assert "rpc.example" not in answer.text


@pytest.mark.parametrize(
    ("headers", "place"),
    [
        ({}, "ws://127.0.0.1"),
        ({"x-forwarded-proto": "http"}, "ws://127.0.0.1"),
        ({"x-forwarded-proto": "https"}, "wss://127.0.0.1"),
        ({"x-forwarded-proto": "HTTPS, http", "host": "a.example:8443"}, "wss://a.example"),
        ({"host": "[::1]:3000"}, "ws://[::1]"),
    ],
)
def test_the_feed_is_beside_the_api_and_behind_tls_where_the_api_is(
    api: Api, client: httpx.Client, headers: dict[str, str], place: str
) -> None:
    said = client.get("/api/line", headers=headers)
    assert said.json()["feed_url"] == f"{place}:{api.feed_port}/ws"
    assert said.headers["cache-control"] == "no-store"


def test_prometheus_reads_the_line(client: httpx.Client) -> None:
    said = client.get("/metrics").text
    assert 'fairhouse_source_lag{network="evm-local",program="casino_evm"} 2.0' in said
    assert "fairhouse_database_up 1.0" in said
    assert 'fairhouse_http_requests_total{method="GET",status="200"}' in said


def test_the_description_names_every_route(client: httpx.Client) -> None:
    said = client.get("/openapi.json").json()
    for path in ("/health", "/api/bets/{tx}", "/api/players/{account}/stats"):
        assert "get" in said["paths"][path]
    assert client.get("/docs").status_code == 200


async def test_without_its_database_it_says_so_and_comes_back(api: Api) -> None:
    """The database refuses connections for a while; nothing has to be started again."""
    name = api.database_url.rpartition("/")[2]
    server = api.database_url.rpartition("/")[0] + "/postgres"
    deny = f"ALTER DATABASE {name} ALLOW_CONNECTIONS"
    cut = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    async with (
        await psycopg.AsyncConnection.connect(server, autocommit=True) as connection,
        httpx.AsyncClient(base_url=api.url, timeout=20) as client,
    ):
        await connection.execute(f"{deny} false".encode())
        await connection.execute(cut.encode())
        try:
            refused = await client.get("/api/casino/stats")
            problem(refused, 503, "database_unavailable")
            assert refused.headers["retry-after"]
            health = await client.get("/health")
            assert (health.status_code, health.json()["status"]) == (503, "unavailable")
            assert (await client.get("/")).status_code == 200
        finally:
            await connection.execute(f"{deny} true".encode())
        for _ in range(100):
            if (await client.get("/api/casino/stats")).status_code == 200:
                return
            await asyncio.sleep(0.1)
    raise AssertionError("the API did not come back")
