"""The doctor on real servers and chains: it calls well what is, and names what is not."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from eth_account import Account

import settings as environment
from chains.evm import rpc as evm_rpc
from chains.redaction import redacted
from chains.solana import rpc as solana_rpc
from cli import doctor
from db import migrate
from local.postgres import Postgres
from local.process import free_port
from tests.chains.moody import SECRET
from tests.cli.conftest import Fairhouse, settings
from tests.flow.conftest import EVM_KEY, Line

NOBODY = "0x" + "11" * 20


async def examined(line: Line, **changed: Any) -> dict[str, tuple[str, str]]:
    """What the doctor says, by part."""
    found = doctor.examine(settings(line, **changed))
    return {finding.part: (finding.state, finding.said) async for finding in found}


@pytest.fixture
def empty_database(postgres_server: Postgres) -> Iterator[str]:
    name = f"doctor_{secrets.token_hex(4)}"
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
        yield postgres_server.database(name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


async def test_a_whole_house_is_well_and_says_so_line_by_line(
    line: Line, fairhouse: Fairhouse
) -> None:
    done = fairhouse(
        "doctor",
        FAIRHOUSE_KEEPER_EVM_KEY=EVM_KEY,
        FAIRHOUSE_KEEPER_SOLANA_KEY=str(line.solana.sender.key),
        FAIRHOUSE_SEED_KEY=secrets.token_hex(32),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 15
    assert all(said.startswith("  +  ") for said in lines), done.stdout


async def test_what_may_be_missing_is_named_and_no_illness(line: Line) -> None:
    found = await examined(line, ws={"evm-local": f"ws://127.0.0.1:{free_port()}/secret"})
    assert {part for part, (state, _) in found.items() if state == "open"} == {
        "seed key",
        "keeper key for evm-local",
        "keeper key for solana-local",
        "websocket evm-local",
        "websocket solana-local",
    }
    assert not [part for part, (state, _) in found.items() if state == "broken"]
    assert not [said for _, said in found.values() if "secret" in said]
    nothing = await examined(line, sources=[])
    assert nothing["sources"][0] == "open"


async def test_a_node_of_another_chain_and_one_that_is_away_are_found(line: Line) -> None:
    url = line.evm_url
    away = f"http://127.0.0.1:{free_port()}/key"
    found = await examined(line, rpc={"base": [url], "evm-local": [away], "nowhere": [url]})
    here, there = redacted(url), redacted(away)
    assert found[f"rpc base {here}"] == ("broken", "serves eip155:31337, not eip155:8453")
    assert found[f"rpc evm-local {there}"][1].startswith("does not answer: eth_chainId")
    assert found["rpc nowhere"][1].startswith("unknown network 'nowhere'")


async def test_a_pinned_network_is_held_to_its_chain(line: Line) -> None:
    await line.rows(
        "INSERT INTO networks (network, name, chain) VALUES ('eip155:5', 'evm-local', 'evm')"
        " RETURNING name"
    )
    try:
        found = await examined(line)
        part = f"rpc evm-local {redacted(line.evm_url)}"
        assert found[part] == ("broken", "serves eip155:31337, not eip155:5")
    finally:
        await line.rows("DELETE FROM networks RETURNING name")


async def test_sources_that_cannot_be_followed_say_why(line: Line) -> None:
    wrong = [
        {"program": "casino_evm"},
        {"program": "casino_evm", "address": NOBODY},
        {"program": "casino_solana", "address": str(line.solana.sender.key.pubkey())},
        {"program": "fare_vault"},
    ]
    state = [(await examined(line, sources=[one])) for one in wrong]
    assert "address is missing" in state[0]["source casino_evm"][1]
    assert f"nothing is at {NOBODY}" in state[1]["source casino_evm on evm-local"][1]
    assert "nothing is at" in state[2]["source casino_solana on solana-local"][1]
    assert "no RPC URL is set for network solana-mainnet" in state[3]["source fare_vault"][1]
    assert all(one[next(n for n in one if n.startswith("source"))][0] == "broken" for one in state)


async def test_what_the_indexer_noted_at_its_source_is_told(line: Line) -> None:
    address = line.evm.address
    await line.rows(
        "WITH n AS (INSERT INTO networks (network, name, chain) VALUES ('eip155:31337',"
        " 'evm-local', 'evm')), c AS (INSERT INTO casinos (slug, name) VALUES ('d', 'd')"
        " RETURNING id) INSERT INTO sources (program, network, address, casino_id, start, error)"
        f" SELECT 'casino_evm', 'eip155:31337', '{address}', id, 0, 'polling: lost' FROM c"
        " RETURNING id"
    )
    try:
        found = await examined(line)
        state, said = found["source casino_evm on evm-local"]
        assert (state, said) == ("broken", "its indexer says: polling: lost")
    finally:
        await line.rows(
            "WITH s AS (DELETE FROM sources), n AS (DELETE FROM networks) DELETE FROM casinos"
            " RETURNING id"
        )


async def test_servers_that_are_away_do_not_stop_the_examination(line: Line) -> None:
    away = f"127.0.0.1:{free_port()}"
    found = await examined(
        line, database_url=f"postgresql://me:secret@{away}/x", redis_url=f"redis://:secret@{away}"
    )
    assert found["PostgreSQL"][0] == found["Redis"][0] == "broken"
    assert found["source casino_evm on evm-local"][0] == "well"
    assert not [said for _, said in found.values() if "secret" in said]


async def test_a_database_that_is_behind_the_code_is_broken(
    line: Line, empty_database: str
) -> None:
    found = await examined(line, database_url=empty_database)
    assert found["migrations"] == ("broken", "none has run: fairhouse migrate")
    migrate.upgrade(empty_database, "0001")
    said = f"the database is at 0001, the code at {migrate.newest()}: fairhouse migrate"
    assert (await examined(line, database_url=empty_database))["migrations"] == ("broken", said)


async def test_a_keeper_without_a_key_that_works_or_money_is_broken(line: Line) -> None:
    poor = Account.create()
    found = await examined(
        line, keeper_evm_key="0x" + bytes(poor.key).hex(), keeper_solana_key="what"
    )
    evm = found["keeper key for evm-local"]
    assert evm == ("broken", f"{poor.address} holds 0 ETH")
    assert found["keeper key for solana-local"] == ("broken", "this is no solana key")


@pytest.mark.parametrize(
    ("behind", "state", "said"),
    [
        (2.0, "well", "60 s, finality is 2 s behind"),
        (40.0, "open", "60 s, finality is 40 s behind: bets may be settled too late"),
        (900.0, "broken", "60 s, finality is 900 s behind: every bet would have to be refunded"),
        (None, "open", "60 s; the chain stands still, so nobody knows how far finality is behind"),
    ],
)
async def test_a_reveal_window_is_held_against_finality(
    line: Line, monkeypatch: pytest.MonkeyPatch, behind: float | None, state: str, said: str
) -> None:
    async def lag(rpc: object, depth: int) -> float | None:
        return behind

    monkeypatch.setattr(evm_rpc.Rpc, "lag", lag)
    monkeypatch.setattr(solana_rpc.Rpc, "lag", lag)
    found = await examined(line)
    for network in ("evm-local", "solana-local"):
        assert found[f"reveal window on {network}"] == (state, said)


async def test_websockets_that_are_none_are_named_without_their_keys(line: Line) -> None:
    urls = {"evm-local": f"ws://me:{SECRET}@[bad", "solana-local": f"http://host/{SECRET}"}
    found = await examined(line, ws=urls)
    assert found["websocket evm-local"][0] == found["websocket solana-local"][0] == "open"
    assert not [said for part, (_, said) in found.items() if SECRET in part + said]


async def test_settings_that_cannot_be_read_are_listed(fairhouse: Fairhouse) -> None:
    done = fairhouse("doctor", FAIRHOUSE_POLL_MS="1", FAIRHOUSE_EVM_RANGE="none")
    assert done.returncode == 1
    assert [said.split()[:2] for said in done.stdout.splitlines()] == [
        ["x", "poll_ms"],
        ["x", "evm_range"],
    ]


async def test_a_setting_that_is_no_json_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAIRHOUSE_RPC", "{")
    environment.load.cache_clear()
    (finding,) = [finding async for finding in doctor.told()]
    environment.load.cache_clear()
    assert finding.state == "broken"
    assert 'error parsing value for field "rpc"' in finding.said
