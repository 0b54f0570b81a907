"""What is said aloud of URLs and of libraries' errors never holds a key."""

from __future__ import annotations

import traceback
from collections.abc import Iterator

import aiohttp
import pytest
from loguru import logger
from websockets.exceptions import InvalidURI

from chains.errors import RpcError, WrongChain
from chains.evm.rpc import Rpc
from chains.redaction import plainly, redacted
from tests.chains.moody import SECRET
from tests.indexer.nodes import EvmChain, serving

ADDRESS = "0x" + "ca" * 20


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """Every line that is logged, of any level."""
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(str(message)), level=0, diagnose=False)
    yield lines
    logger.remove(sink)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"https://eth.example.com/v2/{SECRET}", "https://eth.example.com"),
        (f"https://eth.example.com:8545/?key={SECRET}", "https://eth.example.com:8545"),
        (f"wss://me:{SECRET}@eth.example.com/#{SECRET}", "wss://eth.example.com"),
        (f"http://[::1]:8545/{SECRET}", "http://[::1]:8545"),
        (f"http://me:{SECRET}@[bad", "a URL that cannot be read"),
        (f"http://host:{SECRET}/", "a URL that cannot be read"),
        (f"http//nohost/{SECRET}", "a URL without a host"),
        (SECRET, "a URL without a host"),
        ("", "a URL without a host"),
    ],
)
def test_a_url_is_shown_by_scheme_and_host_alone(url: str, shown: str) -> None:
    assert redacted(url) == shown


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (aiohttp.InvalidURL(f"http//{SECRET}"), "InvalidURL"),
        (InvalidURI(f"ws//{SECRET}", "no host"), "InvalidURI"),
        (ConnectionRefusedError(111, SECRET), "ConnectionRefusedError, Connection refused"),
        (TimeoutError(), "TimeoutError"),
        (ValueError(SECRET), "ValueError"),
    ],
)
def test_an_error_is_shown_by_its_kind(error: Exception, shown: str) -> None:
    assert plainly(error) == shown


@pytest.mark.parametrize(
    "url",
    [
        f"http://127.0.0.1:1/v2/{SECRET}",
        f"http//nohost/{SECRET}",
        f"http://me:{SECRET}@[bad",
        f"ftp://host/{SECRET}",
    ],
)
async def test_a_node_that_cannot_be_asked_keeps_its_key(url: str, logged: list[str]) -> None:
    rpc = Rpc([url], rate=1000)
    with pytest.raises(RpcError, match=r"eth_blockNumber: .* does not answer") as raised:
        await rpc.node.ask("eth_blockNumber", [], str, tries=1)
    await rpc.close()
    logger.opt(exception=raised.value).error("as a worker would log it")
    told = "".join([*traceback.format_exception(raised.value), repr(rpc.node.providers)])
    assert SECRET not in told
    assert [line for line in logged if "RpcError" in line]
    assert not [line for line in logged if SECRET in line]


async def test_a_provider_of_another_chain_is_named_without_its_key(logged: list[str]) -> None:
    async with serving(EvmChain(ADDRESS).node()) as node:
        rpc = Rpc([f"{node.url}?key={SECRET}"], rate=1000)
        rpc.node.expected = "eip155:1"
        with pytest.raises(WrongChain):
            await rpc.head()
        await rpc.close()
    (line,) = logged
    assert f"{node.url.rstrip('/')} is not asked any more" in line
    assert SECRET not in line
