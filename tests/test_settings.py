"""One room reads the environment, and its example names every setting."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError
from pydantic_settings import SettingsError

from cli import processes
from settings import Settings, mistakes

EXAMPLE = Path(__file__).parent.parent / ".env.example"


def test_the_example_lists_every_setting_and_nothing_else() -> None:
    named = {
        line.lstrip("#").split("=", 1)[0].strip()
        for line in EXAMPLE.read_text().splitlines()
        if line.lstrip("#").startswith("FAIRHOUSE_")
    }
    assert named == {f"FAIRHOUSE_{name.upper()}" for name in Settings.model_fields}


def test_every_process_of_the_house_should_run() -> None:
    every = [name.replace(" ", "-") for name in processes.everything()]
    assert sorted(Settings(_env_file=None).processes) == sorted(every)


def test_production_refuses_the_default_seed_key() -> None:
    with pytest.raises(ValidationError, match="SEED_KEY"):
        Settings(environment="production")
    assert Settings(environment="production", seed_key="11" * 32).environment == "production"
    assert Settings(environment="development").environment == "development"


def test_lists_and_maps_come_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://db/one")
    monkeypatch.setenv("FAIRHOUSE_RPC", '{"base": ["https://a", "https://b"]}')
    monkeypatch.setenv("FAIRHOUSE_SOURCES", '[{"program": "casino_evm", "network": "base"}]')
    read = Settings()
    assert read.database_url == "postgresql://db/one"
    assert read.rpc == {"base": ["https://a", "https://b"]}
    assert read.sources[0].program == "casino_evm"


SECRET = "s3cr3t"
MISTAKES = [
    ({"FAIRHOUSE_SEED_KEY": SECRET}, "seed_key: must be 32 bytes in hex"),
    ({"FAIRHOUSE_SEED_KEY": "11" * 31}, "seed_key: must be 32 bytes in hex"),
    (
        {"FAIRHOUSE_API_KEYS": f'[{{"name": "a", "roles": [], "secrets": ["{SECRET}"]}}]'},
        "api_keys.0.secrets.0: String should have at least 16 characters",
    ),
    ({"FAIRHOUSE_API_KEYS": '[{"name": "a", "roles": []}]'}, "api_keys.0: a service has"),
    ({"FAIRHOUSE_API_PORT": SECRET}, "api_port: Input should be a valid integer"),
    ({"FAIRHOUSE_LOG_LEVEL": SECRET}, "log_level: Input should be 'TRACE'"),
    ({"FAIRHOUSE_RPC": f"https://x/{SECRET}"}, 'error parsing value for field "rpc"'),
    ({"FAIRHOUSE_RPC": f'{{"base": "https://x/{SECRET}"}}'}, "rpc.base: Input should be a valid"),
    ({"FAIRHOUSE_SOURCES": f'[{{"program": 1, "address": "{SECRET}"}}]'}, "sources.0.program"),
    ({"FAIRHOUSE_ENVIRONMENT": "production", "FAIRHOUSE_KEEPER_EVM_KEY": SECRET}, "SEED_KEY must"),
    ({"DATABASE_URL": f"me:{SECRET}@db/one"}, "must be postgresql://"),
    ({"DATABASE_URL": f"postgresql://me:{SECRET}@[db/one"}, "must be postgresql://"),
    ({"DATABASE_URL": f"postgresql://me:a@{SECRET}@db/one"}, "must be postgresql://"),
    ({"DATABASE_URL": f"postgresql://db:{SECRET}/one"}, "must be postgresql://"),
    ({"REDIS_URL": f"//:{SECRET}@store"}, "must be redis://"),
    ({"FAIRHOUSE_DRAND_URLS": f'["api.drand.sh/{SECRET}"]'}, "drand_urls.0: must be https://"),
    ({"FAIRHOUSE_DRAND_URLS": "[]"}, "drand_urls: List should have at least 1 item"),
    ({"REDIS_URL": f"redis://:{SECRET}@store:{SECRET}"}, "must be redis://"),
]


@pytest.mark.parametrize(("environment", "said"), MISTAKES)
def test_a_mistake_is_told_by_name_and_never_by_value(
    environment: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises((ValidationError, SettingsError)) as refused:
        Settings(_env_file=None)
    assert any(said in line for line in mistakes(refused.value))
    assert SECRET not in f"{refused.value!r} {refused.value} {mistakes(refused.value)}"


@pytest.mark.parametrize(
    "url",
    [
        "postgres://me:p%40ss@db:5432/one",
        "postgresql://db/one?sslmode=require",
        "postgresql:///one?host=/run/postgresql",
        "postgresql://me@a:5432,b:5433/one",
    ],
)
def test_a_database_is_named_in_the_ways_its_driver_knows(url: str) -> None:
    assert Settings(_env_file=None, database_url=url).database_url == url


@pytest.mark.parametrize("url", ["rediss://:p%40ss@store:6380/1", "unix:///run/redis.sock?db=1"])
def test_a_store_is_named_in_the_ways_its_driver_knows(url: str) -> None:
    assert Settings(_env_file=None, redis_url=url).redis_url == url


def test_settings_that_are_printed_show_no_secret() -> None:
    shown = Settings(
        _env_file=None,
        database_url=f"postgresql://me:{SECRET}@db/one",
        redis_url=f"redis://:{SECRET}@store",
        rpc={"base": [f"https://rpc.example/{SECRET}"]},
        ws={"base": f"wss://rpc.example/{SECRET}"},
        drand_urls=[f"https://drand.example/{SECRET}"],
        keeper_solana_key=SECRET,
        keeper_evm_key=SECRET,
        seed_key="ab" * 32,
    )
    assert SECRET not in f"{shown} {shown!r}"
    assert "ab" * 32 not in f"{shown} {shown!r}"


def test_a_process_with_bad_settings_says_so_in_a_line_and_ends() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "fairhouse", "run", "worker", "stats"],
        env=os.environ | {"FAIRHOUSE_SEED_KEY": SECRET},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.strip() == "seed_key: must be 32 bytes in hex"
