"""Wake-up calls that do not come, and what is said about them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from loguru import logger

from indexer.wake import wake
from local.process import free_port
from tests.chains.moody import SECRET


@pytest.fixture
def logged() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(str(message)), level=0, diagnose=False)
    yield lines
    logger.remove(sink)


@pytest.mark.parametrize(
    "url",
    [
        f"http://host/{SECRET}",
        f"ws//nohost/{SECRET}",
        f"ws://me:{SECRET}@[bad",
        f"ws://host:{SECRET}/",
    ],
)
async def test_a_url_that_is_no_websocket_is_given_up_without_its_key(
    url: str, logged: list[str]
) -> None:
    await wake(url, "evm", "0x", asyncio.Event())
    (line,) = logged
    assert "no wake-up calls, only polling" in line
    assert SECRET not in line


async def test_a_websocket_that_is_away_is_tried_again_without_its_key(logged: list[str]) -> None:
    port = free_port()
    url = f"ws://127.0.0.1:{port}/v2/{SECRET}"
    task = asyncio.create_task(wake(url, "evm", "0x", asyncio.Event()))
    while len(logged) < 2:
        assert not task.done()
        await asyncio.sleep(0.01)
    task.cancel()
    assert f"no wake-up calls from ws://127.0.0.1:{port}: ConnectionRefusedError" in logged[0]
    assert not [line for line in logged if SECRET in line]
