"""A local EVM chain full of bets, as logs of our contract's events at one address."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson

from chains.evm.send import Program
from contracts import build_evm

HERE = Path(__file__).parent
TXS = 10  # of a block
EVENTS = 10  # of a tx: three bets end, three seeds are committed at once, three bets begin
BETS = 3
GAS = 1_000_000
JSON = {"content-type": "application/json"}
# No block by itself, and room for whatever is sent.
ANVIL = ("--no-mining", "--gas-limit", "1000000000", "--prune-history")


@dataclass(frozen=True, slots=True)
class Played:
    """What the chain holds of the house at `address`."""

    address: str
    blocks: int
    events: int
    bets: int
    settled: int


async def play(rpc_url: str, events: int) -> Played:
    """About so many events, a hundred in a block. Raises `RuntimeError` if the chain refuses."""
    abi, code = await asyncio.to_thread(build_evm.compile_contract, HERE, "Crowd")
    same_events(abi)
    async with httpx.AsyncClient(base_url=rpc_url, timeout=600) as http:
        chain = Chain(http, (await ask(http, ("eth_accounts", [])))[0][0])
        receipt = await chain.mine({"data": f"0x{code}"})
        crowd = Program(abi, receipt["contractAddress"])
        blocks, first = max(1, events // (TXS * EVENTS)), BETS
        verb = str(crowd.call("play", [0])["data"])[:10]
        for _ in range(blocks):
            turns = range(first, first + TXS * BETS, BETS)
            calls = [{"to": crowd.address, "data": verb + f"{turn:064x}"} for turn in turns]
            receipt = await chain.mine(*calls)
            first = turns.stop
    if len(receipt["logs"]) != EVENTS:
        raise RuntimeError(f"the last tx logged {len(receipt['logs'])} events, not {EVENTS}")
    bets = blocks * TXS * BETS
    made = blocks * TXS * EVENTS - 2 * BETS  # the first tx has nothing to end
    return Played(crowd.address.lower(), blocks, made, bets, bets - BETS)


def same_events(abi: list[Any]) -> None:
    """Raises `RuntimeError` when an event of the crowd is not our contract's own."""
    ours = json.loads(build_evm.ABI.read_text())
    for event in (part for part in abi if part["type"] == "event"):
        if event not in ours:
            raise RuntimeError(f"Crowd.sol has another {event['name']} than our contract")


@dataclass
class Chain:
    """Anvil, which signs for its own account and makes a block when it is told to."""

    http: httpx.AsyncClient
    sender: str
    tx_nonce: int = 0

    async def mine(self, *calls: Mapping[str, Any]) -> dict[str, Any]:
        """A block of these calls; the receipt of the last."""
        hashes = await ask(self.http, *[self._tx(call) for call in calls])
        await ask(self.http, ("evm_mine", []))
        [receipt] = await ask(self.http, ("eth_getTransactionReceipt", hashes[-1:]))
        if receipt is None or receipt["status"] != "0x1":
            raise RuntimeError(f"a transaction of the crowd failed: {receipt}")
        return dict(receipt)

    def _tx(self, call: Mapping[str, Any]) -> tuple[str, list[Any]]:
        numbered = {"from": self.sender, "nonce": hex(self.tx_nonce), "gas": hex(GAS)}
        self.tx_nonce += 1
        wanted = {name: call[name] for name in ("to", "data") if name in call}
        return "eth_sendTransaction", [wanted | numbered]


async def ask(http: httpx.AsyncClient, *calls: tuple[str, list[Any]]) -> list[Any]:
    """The results of several calls in one post."""
    body = [
        {"jsonrpc": "2.0", "id": n, "method": method, "params": params}
        for n, (method, params) in enumerate(calls)
    ]
    answer = await http.post("/", content=orjson.dumps(body), headers=JSON)
    found = {one["id"]: one for one in orjson.loads(answer.content)}
    refused = [one["error"] for one in found.values() if "error" in one]
    if refused:
        raise RuntimeError(f"the chain refused a call: {refused[0]}")
    return [found[n]["result"] for n in range(len(calls))]
