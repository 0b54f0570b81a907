"""What really happened on a chain, read past our own decoders, and what differs from it."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Confirmed
from solders.pubkey import Pubkey
from solders.signature import Signature
from web3 import AsyncHTTPProvider, AsyncWeb3

from cli.grounds import Place

PAGE = 1_000
AT_ONCE = 8
BLOCKS = 1_000
PLACED = sha256(b"event:BetPlaced").digest()[:8]
SETTLED = sha256(b"event:BetSettled").digest()[:8]
REFUNDED = sha256(b"event:BetRefunded").digest()[:8]
# player, client seed, low, high, stake come after the index; roll and payout after the player
PLACED_BODY = struct.Struct("<Q32s32sHHQ")
SETTLED_BODY = struct.Struct("<Q32sHQ")
REFUNDED_BODY = struct.Struct("<Q32sQQ")
DATA = "Program data: "


@dataclass(frozen=True, slots=True)
class Half:
    """One half of a bet: its tx and its amount (the stake, or what was paid)."""

    tx: str
    amount: int


@dataclass
class Truth:
    """All bets of a network by id, placed and ended."""

    placed: dict[str, Half] = field(default_factory=dict)
    ended: dict[str, Half] = field(default_factory=dict)


async def read(place: Place) -> Truth:
    return await (_evm if place.network.startswith("eip155:") else _solana)(place)


async def _evm(place: Place) -> Truth:
    truth = Truth()
    node = AsyncWeb3(AsyncHTTPProvider(place.rpc_url))
    try:
        contract = node.eth.contract(
            AsyncWeb3.to_checksum_address(place.program),
            abi=json.loads(place.interface.read_text()),
        )
        head = await node.eth.block_number
        for lower in range(0, head + 1, BLOCKS):
            upper = min(lower + BLOCKS - 1, head)
            for name in ("BetPlaced", "BetSettled", "BetRefunded"):
                event = contract.events[name]()
                for log in await event.get_logs(from_block=lower, to_block=upper):
                    args, tx = log["args"], "0x" + log["transactionHash"].hex().removeprefix("0x")
                    if name == "BetPlaced":
                        truth.placed[str(args["index"])] = Half(tx, args["stake"])
                    else:
                        paid = args["payout"] if name == "BetSettled" else _returned(args)
                        truth.ended[str(args["index"])] = Half(tx, paid)
    finally:
        await node.provider.disconnect()
    return truth


def _returned(args: Mapping[str, Any]) -> int:
    return int(args["stake"]) + int(args["penalty"])


async def _solana(place: Place) -> Truth:
    truth = Truth()
    async with AsyncClient(place.rpc_url, commitment=Confirmed) as node:
        txs = await _signatures(node, Pubkey.from_string(place.program))
        for at in range(0, len(txs), AT_ONCE):
            part = txs[at : at + AT_ONCE]
            logs = await asyncio.gather(*(_logs(node, tx) for tx in part))
            for tx, lines in zip(part, logs, strict=True):
                note(truth, str(tx), lines, place.program)
    return truth


async def _signatures(node: AsyncClient, program: Pubkey) -> list[Signature]:
    found: list[Signature] = []
    while True:
        before = found[-1] if found else None
        page = await node.get_signatures_for_address(program, before=before, limit=PAGE)
        found += [one.signature for one in page.value]
        if not page.value:
            return found


async def _logs(node: AsyncClient, tx: Signature) -> list[str]:
    answer = json.loads(
        (await node.get_transaction(tx, "json", max_supported_transaction_version=0)).to_json()
    )
    meta = answer["result"]["meta"]
    return [] if meta["err"] is not None else list(meta["logMessages"])


def note(truth: Truth, tx: str, lines: Iterable[str], program: str) -> None:
    """Take bets from log lines, our program's only."""
    running: list[str] = []
    for line in lines:
        words = line.split()
        if len(words) == 4 and words[0] == "Program" and words[2] == "invoke":
            running.append(words[1])
        elif len(words) >= 3 and words[0] == "Program" and words[2] in ("success", "failed:"):
            running.pop()
        elif line.startswith(DATA) and running and running[-1] == program:
            _note(truth, tx, base64.b64decode(line.removeprefix(DATA)))


def _note(truth: Truth, tx: str, data: bytes) -> None:
    kind, body = data[:8], data[8:]
    if kind == PLACED:
        index, *_, stake = PLACED_BODY.unpack_from(body)
        truth.placed[str(index)] = Half(tx, stake)
    elif kind == SETTLED:
        index, _, _, payout = SETTLED_BODY.unpack_from(body)
        truth.ended[str(index)] = Half(tx, payout)
    elif kind == REFUNDED:
        index, _, stake, penalty = REFUNDED_BODY.unpack_from(body)
        truth.ended[str(index)] = Half(tx, stake + penalty)


def differences(
    truth: Truth,
    stored: Iterable[tuple[str, Half | None, Half | None]],
    placed_told: Counter[str],
    ended_told: Counter[str],
) -> dict[str, list[str]]:
    """What the database and the feed have otherwise than the chain, by bet; empty is good."""
    found: dict[str, list[str]] = {}

    def say(what: str, bets: Iterable[str]) -> None:
        if listed := sorted(bets, key=lambda bet: (len(bet), bet)):
            found[what] = listed

    rows = list(stored)
    for half, chain, side, told in (
        ("placed", truth.placed, 1, placed_told),
        ("ended", truth.ended, 2, ended_told),
    ):
        held = {row[0]: row[side] for row in rows if row[side] is not None}
        say(f"{half}: missing in the database", chain.keys() - held.keys())
        say(f"{half}: in the database alone", held.keys() - chain.keys())
        say(
            f"{half}: other in the database",
            (bet for bet in held.keys() & chain.keys() if held[bet] != chain[bet]),
        )
        say(f"{half}: missing in the feed", chain.keys() - told.keys())
        say(f"{half}: in the feed alone", told.keys() - chain.keys())
        say(f"{half}: twice in the feed", (bet for bet, times in told.items() if times > 1))
    say(
        "twice in the database",
        (bet for bet, times in Counter(row[0] for row in rows).items() if times > 1),
    )
    say("never ended on chain", truth.placed.keys() - truth.ended.keys())
    return found
