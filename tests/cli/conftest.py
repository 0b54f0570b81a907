"""One line for a module of tests, and the commands that a person types."""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from settings import Settings
from tests import typed
from tests.flow.conftest import Line, laid

Fairhouse = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
async def line(tmp_path_factory: pytest.TempPathFactory, database_url: str) -> AsyncIterator[Line]:
    async with laid(tmp_path_factory.mktemp("line"), database_url) as made:
        yield made


@pytest.fixture
def fairhouse(line: Line) -> Fairhouse:
    """`fairhouse <words>` with the line's environment, or with some of it changed."""

    def run(*words: str, **changed: str) -> subprocess.CompletedProcess[str]:
        return typed.fairhouse(*words, env={**line.environment, **changed})

    return run


def settings(line: Line, **changed: Any) -> Settings:
    """What the line's processes read, with some of it changed."""
    told = line.environment
    return Settings(
        **{
            "database_url": line.database_url,
            "redis_url": line.redis_url,
            "rpc": json.loads(told["FAIRHOUSE_RPC"]),
            "ws": json.loads(told["FAIRHOUSE_WS"]),
            "sources": json.loads(told["FAIRHOUSE_SOURCES"]),
            **changed,
        }
    )
