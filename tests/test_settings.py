"""One room reads the environment, and its example names every setting."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from cli import processes
from settings import Settings

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
