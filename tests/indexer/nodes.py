"""Nodes that answer JSON-RPC as told, and misbehave as told."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web
from Crypto.Hash import keccak


class Oops(Exception):
    """A JSON-RPC error that a fake method answers."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class FakeNode:
    """`troubles` are the next HTTP answers, until they are used up; `methods` answer after them."""

    methods: dict[str, Callable[..., Any]] = field(default_factory=dict)
    troubles: list[web.Response] = field(default_factory=list)
    calls: list[tuple[str, list[Any]]] = field(default_factory=list)
    batches: bool = True
    requests: int = 0
    url: str = ""

    def asked(self, method: str) -> list[list[Any]]:
        return [params for name, params in self.calls if name == method]

    async def answer(self, request: web.Request) -> web.Response:
        self.requests += 1
        body = orjson.loads(await request.read())
        if self.troubles:
            return self.troubles.pop(0)
        if isinstance(body, list):
            if not self.batches:
                return said({"error": {"code": -32600, "message": "Only method calls"}})
            return said([self._one(one) for one in reversed(body)])
        return said(self._one(body))

    def _one(self, body: dict[str, Any]) -> dict[str, Any]:
        method, params = body["method"], body["params"]
        self.calls.append((method, params))
        outside = {"jsonrpc": "2.0", "id": body["id"]}
        try:
            return outside | {"result": self.methods[method](*params)}
        except Oops as error:
            return outside | {"error": {"code": error.code, "message": str(error)}}
        except KeyError:
            return outside | {"error": {"code": -32601, "message": f"no method {method}"}}


def said(content: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(content), status=status, content_type="application/json")


HTML = "<html><body>502 Bad Gateway</body></html>"


def html(status: int = 200) -> web.Response:
    return web.Response(text=HTML, status=status, content_type="text/html")


@contextlib.asynccontextmanager
async def serving(node: FakeNode) -> AsyncIterator[FakeNode]:
    """The node behind a URL of its own."""
    app = web.Application(client_max_size=2**24)
    app.router.add_post("/", node.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    node.url = f"http://{host}:{port}/"
    try:
        yield node
    finally:
        await runner.cleanup()
        await asyncio.sleep(0)


def digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


class EvmChain:
    """Blocks with logs of one contract; forks by `reorg`. `node` serves it."""

    def __init__(self, address: str, *, chain_id: int = 31337) -> None:
        self.address, self.chain_id = address, chain_id
        self.blocks: list[dict[str, Any]] = []
        self.logs: list[list[dict[str, Any]]] = []
        self.final = 0
        self.most = 10_000
        self.too_large = "query returned more than 10000 results"
        self.add(0)

    @property
    def head(self) -> int:
        return len(self.blocks) - 1

    def add(self, events: int | list[tuple[list[str], str]] = 0, *, fork: str = "") -> int:
        """Mine a block with that many logs, or with these topics and data; its number."""
        number = len(self.blocks)
        parent = self.blocks[-1]["hash"] if self.blocks else "0x" + "00" * 32
        name = "0x" + digest(parent, number, fork, self.address)
        if isinstance(events, int):
            events = [(["0x" + digest(name, n)], "0x") for n in range(events)]
        bloom = bloom_of(self.address) if events else 0
        stamp = hex(1_790_000_000 + number)
        self.blocks.append(
            {
                "number": hex(number),
                "hash": name,
                "parentHash": parent,
                "timestamp": stamp,
                "logsBloom": f"0x{bloom:0512x}",
            }
        )
        self.logs.append(
            [
                {
                    "address": self.address,
                    "topics": topics,
                    "data": data,
                    "blockNumber": hex(number),
                    "blockHash": name,
                    "transactionHash": "0x" + digest(name, n, "tx"),
                    "transactionIndex": hex(n),
                    "logIndex": hex(n),
                    "removed": False,
                }
                for n, (topics, data) in enumerate(events)
            ]
        )
        return number

    def reorg(self, depth: int) -> None:
        """Drop the newest blocks."""
        del self.blocks[len(self.blocks) - depth :], self.logs[len(self.logs) - depth :]

    def node(self, **kwargs: Any) -> FakeNode:
        return FakeNode(methods=self.methods(), **kwargs)

    def methods(self) -> dict[str, Callable[..., Any]]:
        return {
            "eth_chainId": lambda: hex(self.chain_id),
            "eth_blockNumber": lambda: hex(self.head),
            "eth_getBlockByNumber": self._block,
            "eth_getLogs": self._logs,
        }

    def _block(self, number: str, full: bool) -> dict[str, Any] | None:
        at = self.final if number == "finalized" else int(number, 16)
        return self.blocks[at] if at <= self.head else None

    def _logs(self, asked: dict[str, str]) -> list[dict[str, Any]]:
        lower, upper = int(asked["fromBlock"], 16), int(asked["toBlock"], 16)
        assert lower <= upper
        assert asked["address"] == self.address
        if upper - lower + 1 > self.most:
            raise Oops(-32005, self.too_large)
        return [log for block in self.logs[lower : upper + 1] for log in block]


def bloom_of(address: str) -> int:
    hashed = keccak.new(digest_bits=256, data=bytes.fromhex(address[2:])).digest()
    bits = [int.from_bytes(hashed[at : at + 2], "big") & 2047 for at in (0, 2, 4)]
    return sum({1 << bit for bit in bits})
