"""A proof as it came: from the house's API or from a file, and whether it is the one asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson

from cli.proofs import Refused, read_file
from games.fairness.verify import Malformed, PairProof, RoundProof, read

ROUND = re.compile(r"([a-z0-9-]{1,32})\.(0|[1-9][0-9]{0,19})", re.ASCII)
BET = re.compile(r"[0-9a-f]{64}", re.ASCII)
LONGEST = 1 << 20  # bytes of a proof; a bet's has some ten thousand
TIMEOUT_S = 15.0


@dataclass(frozen=True, slots=True)
class Had:
    """A proof as its JSON says it, and as it was read."""

    body: object
    told: RoundProof

    @property
    def title(self) -> str:
        spot = self.told.round
        return f"{named(self.told)}, {spot.chain.decode()}, program {spot.program.hex()}"


async def round_proof(name: str, url: str, file: Path | None) -> Had:
    """The proof of a round by its name, such as `numbers.17`. Raises `Refused`."""
    said = ROUND.fullmatch(name)
    if said is None:
        raise Refused("a round is named by its table and number, such as numbers.17")
    had = await _had(f"{url.rstrip('/')}/api/rounds/{name}/proof", file)
    spot = had.told.round
    if (spot.table.decode(), spot.number, had.told.bet) != (said[1], int(said[2]), None):
        raise Refused(f"that is no proof of the round {name}, but of {named(had.told)}")
    return had


async def bet_proof(name: str, url: str, file: Path | None) -> Had:
    """The proof of a bet by its id, 32 bytes in hex. Raises `Refused`."""
    bet = name.lower().removeprefix("0x")
    if not BET.fullmatch(bet):
        raise Refused("a bet is named by its id, 64 digits in hex")
    had = await _had(f"{url.rstrip('/')}/api/bets/{bet}/proof", file)
    if had.told.bet is None or had.told.bet.bet_id.hex() != bet:
        raise Refused(f"that is no proof of the bet {bet}, but of {named(had.told)}")
    return had


async def file_proof(file: Path) -> Had:
    """The proof in a file, of whatever round or bet. Raises `Refused`."""
    return await _had("", file)


def named(proof: RoundProof) -> str:
    name = f"round {proof.round.table.decode()}.{proof.round.number}"
    return name if proof.bet is None else f"bet {proof.bet.bet_id.hex()} in {name}"


def parsed(body: bytes) -> Any:
    """Raises `Refused` for what is no JSON, or too much of it."""
    if len(body) > LONGEST:
        raise Refused(f"a proof has at most {LONGEST} bytes")
    try:
        return orjson.loads(body)  # json.loads may die of brackets without an end
    except ValueError as error:
        raise Refused("the proof is no JSON") from error


async def _had(url: str, file: Path | None) -> Had:
    body = read_file(file) if file is not None else await _asked(url)
    try:
        told = read(body)
    except Malformed as error:
        raise Refused(f"the proof is malformed: {error}") from error
    if isinstance(told, PairProof):
        raise Refused("no contract keeps the commitments of pairs yet: check the file offline")
    return Had(body, told)


async def _asked(url: str) -> Any:
    body, status = b"", 0
    try:
        async with (
            httpx.AsyncClient(timeout=TIMEOUT_S) as http,
            http.stream("GET", url, headers={"accept": "application/json"}) as answer,
        ):
            status = answer.status_code
            async for part in answer.aiter_bytes():
                body += part
                if len(body) > LONGEST:
                    break
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        said = str(error) or type(error).__name__
        raise Refused(f"the house does not answer at {url}: {said}") from error
    if status == 200:
        return parsed(body)
    raise Refused(f"the house has no such proof: {_problem(body) or f'HTTP {status}'}")


def _problem(body: bytes) -> str | None:
    """What an API says is wrong, in one line (RFC 9457)."""
    try:
        said = orjson.loads(body)["detail"]
    except (ValueError, LookupError, TypeError):
        return None
    return " ".join(said.split())[:200] if isinstance(said, str) else None
