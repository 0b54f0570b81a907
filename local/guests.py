"""Guests who are not people: they sit at the tables of rounds, and bet by the house's own API."""

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


@dataclass(slots=True)
class Party:
    """What the guests did so far."""

    placed: int = 0
    refused: int = 0
    codes: dict[str, int] = field(default_factory=dict)


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
            else:
                party.refused += 1
                code = answer.json().get("code", str(answer.status_code))
                party.codes[code] = party.codes.get(code, 0) + 1
