"""Nodes that answer JSON-RPC as told, and misbehave as told."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web
from Crypto.Hash import keccak

from chains.solana.address import to_base58 as base58


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
        self.final = self.oldest = 0
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
        return self.blocks[at] if (not at or self.oldest <= at) and at <= self.head else None

    def _logs(self, asked: dict[str, str]) -> list[dict[str, Any]]:
        lower, upper = int(asked["fromBlock"], 16), int(asked["toBlock"], 16)
        assert lower <= upper
        assert asked["address"] == self.address
        if upper - lower + 1 > self.most:
            raise Oops(-32005, self.too_large)
        return [log for block in self.logs[max(lower, self.oldest) : upper + 1] for log in block]


def bloom_of(address: str) -> int:
    hashed = keccak.new(digest_bits=256, data=bytes.fromhex(address[2:])).digest()
    bits = [int.from_bytes(hashed[at : at + 2], "big") & 2047 for at in (0, 2, 4)]
    return sum({1 << bit for bit in bits})


class SolanaChain:
    """Transactions of one program, newest last; a slot each unless said otherwise."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.genesis = "G" * 44
        self.slot = 100
        self.final: int | None = None  # the newest slot, unless said otherwise
        self.dropped: set[int] = set()  # slots that were skipped after all
        self.txs: list[dict[str, Any]] = []
        self.most = 1_000
        self.oldest = 0  # what is below is no longer there
        self.forgotten: set[str] = set()
        self.absent: set[str] = set()
        self.status: dict[str, dict[str, Any] | None] = {}

    def add(self, *, slot: int | None = None, err: Any = None, body: bytes | None = None) -> str:
        """One transaction in which the program logs `body` once."""
        self.slot = self.slot + 1 if slot is None else slot
        signature = base58(bytes.fromhex(digest(self.address, len(self.txs))) * 2)
        line = base64.b64encode(body or hashlib.sha256(signature.encode()).digest()).decode()
        self.txs.append(
            {
                "slot": self.slot,
                "blockTime": 1_790_000_000 + self.slot,
                "version": "legacy",
                "meta": {
                    "err": err,
                    "innerInstructions": [],
                    "logMessages": [
                        f"Program {self.address} invoke [1]",
                        f"Program data: {line}",
                        f"Program {self.address} success",
                    ],
                    "loadedAddresses": {"readonly": [], "writable": []},
                },
                "transaction": {
                    "signatures": [signature],
                    "message": {
                        "accountKeys": [base58(b"\x01" * 32), self.address],
                        "header": {
                            "numReadonlySignedAccounts": 0,
                            "numReadonlyUnsignedAccounts": 1,
                            "numRequiredSignatures": 1,
                        },
                        "instructions": [
                            {"accounts": [0], "data": base58(b"\x01" * 8), "programIdIndex": 1}
                        ],
                        "recentBlockhash": base58(b"\x02" * 32),
                    },
                },
            }
        )
        return signature

    def signature(self, at: int) -> str:
        found: str = self.txs[at]["transaction"]["signatures"][0]
        return found

    def node(self, **kwargs: Any) -> FakeNode:
        return FakeNode(methods=self.methods(), **kwargs)

    def methods(self) -> dict[str, Callable[..., Any]]:
        return {
            "getGenesisHash": lambda: self.genesis,
            "getSlot": lambda options: self._reached(options["commitment"]),
            "getFirstAvailableBlock": lambda: self.oldest,
            "getSignaturesForAddress": self._signatures,
            "getTransaction": self._transaction,
            "getSignatureStatuses": self._statuses,
            "getBlock": self._block,
            "getBlocksWithLimit": self._blocks,
        }

    def _reached(self, commitment: str) -> int:
        if commitment == "confirmed" or self.final is None:
            return self.slot
        assert commitment == "finalized"
        return self.final

    def _kept(self, commitment: str) -> list[dict[str, Any]]:
        """The transactions that a node knows at this commitment."""
        newest = self._reached(commitment)
        return [
            tx
            for tx in self.txs
            if self.oldest <= tx["slot"] <= newest and tx["slot"] not in self.dropped
        ]

    def _signatures(self, address: str, options: dict[str, Any]) -> list[dict[str, Any]]:
        assert address == self.address
        if options.get("minContextSlot", 0) > self._reached(options["commitment"]):
            raise Oops(-32016, "Minimum context slot has not been reached")
        rows = [
            {
                "signature": tx["transaction"]["signatures"][0],
                "slot": tx["slot"],
                "err": tx["meta"]["err"],
                "blockTime": tx["blockTime"],
                "memo": None,
            }
            for tx in reversed(self._kept(options["commitment"]))
        ]
        names = [row["signature"] for row in rows]
        if "before" in options:
            if options["before"] not in names:
                return []
            start = names.index(options["before"]) + 1
            rows, names = rows[start:], names[start:]
        until = options.get("until")
        if until in names and until not in self.forgotten:
            rows = rows[: names.index(until)]
        return rows[: min(options["limit"], self.most)]

    def _transaction(self, signature: str, options: dict[str, Any]) -> dict[str, Any] | None:
        if signature in self.absent:
            return None
        kept = self._kept(options["commitment"])
        return next((tx for tx in kept if tx["transaction"]["signatures"][0] == signature), None)

    def _statuses(self, signatures: list[str], options: dict[str, Any]) -> dict[str, Any]:
        confirmed, final = self._names("confirmed"), self._names("finalized")
        known = {
            one: {
                "slot": self.slot,
                "err": None,
                "confirmationStatus": "finalized" if one in final else "confirmed",
            }
            for one in signatures
            if one in confirmed
        }
        return {"value": [self.status.get(one, known.get(one)) for one in signatures]}

    def _names(self, commitment: str) -> set[str]:
        return {tx["transaction"]["signatures"][0] for tx in self._kept(commitment)}

    def _block(self, slot: int, options: dict[str, Any]) -> dict[str, Any]:
        assert options["commitment"] == "finalized"
        if slot < self.oldest:
            raise Oops(-32001, f"Block {slot} cleaned up. First available block: {self.oldest}")
        if slot > self._reached("finalized"):
            raise Oops(-32004, f"Block not available for slot {slot}")
        if slot in self.dropped:
            raise Oops(-32007, f"Slot {slot} was skipped, or missing due to ledger jump")
        parent = next(n for n in range(slot - 1, -2, -1) if n not in self.dropped)
        block: dict[str, Any] = {"parentSlot": parent, "blockhash": digest(slot)}
        if options["transactionDetails"] == "signatures":
            kept = self._kept("finalized")
            block["signatures"] = [
                tx["transaction"]["signatures"][0] for tx in kept if tx["slot"] == slot
            ]
        return block

    def _blocks(self, start: int, limit: int, options: dict[str, Any]) -> list[int]:
        every = range(max(start, self.oldest), self._reached(options["commitment"]) + 1)
        return [n for n in every if n not in self.dropped][:limit]
