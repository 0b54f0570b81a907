"""Watching a running house from outside: the chains' own notices, the feed, and the clock."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from cli.grounds import Place

ENDS = ("bet.settled", "bet.refunded")
CHANNELS = {"bet": "bets", "round": "rounds"}  # by how the types of their messages begin
SAMPLE_S = 1.0


@dataclass
class Seen:
    """When each tx was confirmed on its network, by the watcher's clock."""

    at: dict[str, float] = field(default_factory=dict)


@dataclass
class Feed:
    """Every message of the feed, with the time it came."""

    messages: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    connections: int = 0
    joined: asyncio.Event = field(default_factory=asyncio.Event)

    def told(self, network: str, *types: str) -> Counter[str]:
        """How often each bet of a network was told of, in messages of these types."""
        return Counter(
            str(message["data"]["bet"])
            for _, message in self.messages
            if message["type"] in types and message["data"]["network"] == network
        )

    def said(self, table: str) -> Counter[str]:
        """How often each bet of a table was told of, and the end of each round with bets."""
        mine = [one for _, one in self.messages if one["data"].get("table") == table]
        told = {
            kind: [one["data"] for one in mine if one["type"] == f"round.{kind}"]
            for kind in ("bet", "closed", "settled")
        }
        played = {data["round"] for data in told["closed"] if data["bets"]}
        return Counter(
            [
                *(str(data["bet"]) for data in told["bet"]),
                *(str(data["round"]) for data in told["settled"] if data["round"] in played),
            ]
        )

    def latencies_ms(self, network: str, seen: Seen) -> list[float]:
        """From confirmed on the chain to received, for every message whose tx was noticed."""
        return [
            (at - seen.at[message["data"]["tx"]]) * 1000
            for at, message in self.messages
            if message["data"].get("network") == network and message["data"].get("tx") in seen.at
        ]


async def follow_feed(url: str, feed: Feed) -> None:
    """Listen to all bets and rounds until cancelled; after a lost connection, from the last message
    of each on."""
    last: dict[str, dict[str, Any]] = {}
    while True:
        with contextlib.suppress(OSError, WebSocketException, TimeoutError):
            async with connect(url, max_size=2**24) as socket:
                wish: dict[str, Any] = {"type": "subscribe", "channels": [*CHANNELS.values()]}
                if last:
                    wish["since"] = last
                await socket.send(orjson.dumps(wish).decode())
                async for text in socket:
                    now = time.time()
                    message = orjson.loads(text)
                    if message["type"] == "subscribed":
                        feed.connections += 1
                        feed.joined.set()
                    channel = CHANNELS.get(message["type"].partition(".")[0])
                    if channel is None:
                        continue
                    feed.messages.append((now, message))
                    if "epoch" in message:
                        last[channel] = {"epoch": message["epoch"], "seq": message["seq"]}
        await asyncio.sleep(0.2)


async def follow_chain(place: Place, seen: Seen) -> None:
    """Note when each tx of the program is confirmed, until cancelled."""
    evm = place.network.startswith("eip155:")
    asked = (
        ("eth_subscribe", ["newHeads"])
        if evm
        else ("logsSubscribe", [{"mentions": [place.program]}, {"commitment": "confirmed"}])
    )
    call = {"jsonrpc": "2.0", "id": 1, "method": asked[0], "params": asked[1]}
    async with httpx.AsyncClient() as http:
        while True:
            with contextlib.suppress(OSError, WebSocketException, TimeoutError):
                async with connect(place.ws_url, max_size=2**24) as socket:
                    await socket.send(orjson.dumps(call).decode())
                    async for text in socket:
                        now = time.time()
                        result = orjson.loads(text).get("params", {}).get("result")
                        if not isinstance(result, dict):
                            continue
                        txs = (
                            await _txs(http, place, result["hash"])
                            if evm
                            else [result["value"]["signature"]]
                        )
                        for tx in txs:
                            seen.at.setdefault(tx, now)
            await asyncio.sleep(0.2)


async def _txs(http: httpx.AsyncClient, place: Place, block: str) -> set[str]:
    wish = {"address": place.program, "blockHash": block}
    call = {"jsonrpc": "2.0", "id": 1, "method": "eth_getLogs", "params": [wish]}
    with contextlib.suppress(httpx.HTTPError):
        answer = (await http.post(place.rpc_url, json=call)).json()
        return {log["transactionHash"] for log in answer.get("result") or ()}
    return set()


@dataclass
class Memory:
    """Resident megabytes of each process over time."""

    samples: dict[str, list[float]] = field(default_factory=dict)

    async def follow(self, pids: Mapping[str, int]) -> None:
        while True:
            for name, pid in pids.items():
                with contextlib.suppress(OSError, StopIteration):
                    self.samples.setdefault(name, []).append(resident_mb(pid))
            await asyncio.sleep(SAMPLE_S)

    def summary(self) -> dict[str, dict[str, float]]:
        """The peak, and the means of the middle and of the last tenth: flat if those are equal."""
        return {
            name: {
                "peak_mb": max(values),
                "middle_mb": _mean(values[len(values) * 45 // 100 : len(values) * 55 // 100 + 1]),
                "end_mb": _mean(values[len(values) * 9 // 10 :]),
            }
            for name, values in self.samples.items()
            if values
        }


def resident_mb(pid: int) -> float:
    """The resident memory of a process and of the children it started."""
    total = 0.0
    for one in (pid, *_children(pid)):
        lines = Path(f"/proc/{one}/status").read_text().splitlines()
        total += next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024
    return round(total, 1)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 1)


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that `share` of all do not exceed."""
    if not values:
        return None
    ordered = sorted(values)
    return round(ordered[max(0, math.ceil(len(ordered) * share) - 1)], 1)


def latency(values: Sequence[float]) -> dict[str, float | int | None]:
    return {
        "count": len(values),
        "p50": percentile(values, 0.50),
        "p99": percentile(values, 0.99),
        "max": percentile(values, 1.0),
    }
