"""Guests who are not people: they bet on rounds and play pairs, by the house's own API."""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
from loguru import logger

GUESTS = 8
PURSE = 100_000
EPOCH = 12  # bets that the guest of pairs places before he takes the next one


@dataclass(slots=True)
class Party:
    """What the guests did so far."""

    placed: int = 0
    bets: dict[str, list[str]] = field(default_factory=dict)  # by table, as they were answered
    refused: int = 0
    codes: dict[str, int] = field(default_factory=dict)
    pair: str | None = None  # in play
    pair_bets: int = 0
    retired: list[str] = field(default_factory=list)  # pairs


def choice(game: str) -> dict[str, Any]:
    """A choice of a game, from careful to daring."""
    match game:
        case "numbers":
            return {"spots": sorted(random.sample(range(1, 81), random.randint(1, 8)))}
        case "dice":
            return {"over": random.random() < 0.5, "face": random.randrange(2_000, 8_000)}
        case "limbo" | "crash":
            return {"target": random.choice((120, 150, 200, 500, 1_000))}
        case "coinflip":
            return {"side": random.randrange(2)}
    raise ValueError(f"guests do not know how {game} is played")


async def play(url: str, key: str, asset: str, party: Party, *, rate: float = 1.0) -> None:
    """Bet `rate` times a second at each table until cancelled."""
    headers = {"authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=10) as client:
        names = [f"guest_{number:03}" for number in range(1, GUESTS + 1)]
        while True:
            try:
                for name in names:
                    await give(client, name, asset)
                found = (await client.get("/api/tables")).raise_for_status().json()["items"]
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(pairs(client, names[0], party, rate))
                    for table in found:
                        tasks.create_task(sit(client, table, names, party, rate))
                await asyncio.sleep(1)  # there is no table yet
            except* (httpx.HTTPError, OSError) as group:
                logger.debug("the guests wait: {}", group.exceptions[0])
            await asyncio.sleep(1)


async def give(client: httpx.AsyncClient, name: str, asset: str) -> None:
    """Money to play with, once for each guest."""
    body = {"asset": asset, "amount": str(PURSE)}
    keyed = {"x-idempotency-key": f"purse-{name}"}
    answer = await client.post(f"/api/wallets/{name}/top-up", json=body, headers=keyed)
    answer.raise_for_status()


async def sit(
    client: httpx.AsyncClient, table: Mapping[str, Any], names: list[str], party: Party, rate: float
) -> None:
    """Bet at one table, a guest after the other."""
    turn = 0
    while True:
        await asyncio.sleep(random.uniform(0.5, 1.5) / rate)
        name, turn = names[turn % len(names)], turn + 1
        most = min(int(table["limits"]["most"]), 50)
        wish = {"user": name, "choice": choice(table["game"]), "stake": random.randint(1, most)}
        keyed = {"x-idempotency-key": secrets.token_hex(12)}
        with contextlib.suppress(httpx.TimeoutException):
            path = f"/api/tables/{table['table']}/bets"
            answer = await client.post(path, json=wish, headers=keyed)
            if answer.status_code == 200:
                party.placed += 1
                party.bets.setdefault(str(table["table"]), []).append(answer.json()["bet"])
            else:
                party.refused += 1
                code = answer.json().get("code", str(answer.status_code))
                party.codes[code] = party.codes.get(code, 0) + 1


async def pairs(client: httpx.AsyncClient, name: str, party: Party, rate: float) -> None:
    """Play one pair after the other, each for some bets, where they are played at all."""
    booth = await client.get("/api/pairs")
    while booth.status_code != 200:
        await asyncio.sleep(1)
        booth = await client.get("/api/pairs")
    games, most = [one["game"] for one in booth.json()["games"]], booth.json()["limits"]["most"]
    while True:
        party.pair = pair = party.pair or await opened(client, name)
        for _ in range(EPOCH):
            await asyncio.sleep(random.uniform(0.2, 0.6) / rate)
            game, stake = random.choice(games), random.randint(1, min(int(most), 50))
            wish = {"user": name, "game": game, "choice": choice(game), "stake": stake}
            code = await said(client, f"/api/pairs/{pair}/bets", wish)
            if code is None:
                party.pair_bets += 1
            else:
                party.refused += 1
                party.codes[code] = party.codes.get(code, 0) + 1
        await said(client, f"/api/pairs/{pair}/retire", {"user": name})
        party.pair = None
        party.retired.append(pair)


async def opened(client: httpx.AsyncClient, name: str) -> str:
    """A pair that may be played; one that waits since before is as good as a new one."""
    wish = {"user": name, "client_seed": secrets.token_hex(8)}
    keyed = {"x-idempotency-key": secrets.token_hex(12)}
    answer = await client.post("/api/pairs", json=wish, headers=keyed)
    if answer.status_code != 409:
        answer.raise_for_status()
    pair = str(answer.json()["pair"])
    while (await client.get(f"/api/pairs/{pair}")).json()["state"] == "waiting":
        await asyncio.sleep(0.5)
    return pair


async def said(client: httpx.AsyncClient, path: str, wish: Mapping[str, Any]) -> str | None:
    """Why it was refused, if it was; asked under one key until there is an answer."""
    keyed = {"x-idempotency-key": secrets.token_hex(12)}
    while True:
        with contextlib.suppress(httpx.TimeoutException):
            answer = await client.post(path, json=dict(wish), headers=keyed)
            if answer.status_code == 200:
                return None
            if answer.status_code < 500:
                return str(answer.json().get("code", answer.status_code))
        await asyncio.sleep(0.5)
