"""A proof as it came: from the house's API or from a file, and whether it is the one asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx
import orjson

from cli.proofs import Refused, read_file
from games.fairness.verify import Malformed, PairProof, RoundProof, read

ROUND = re.compile(r"([a-z0-9-]{1,32})\.(0|[1-9][0-9]{0,19})", re.ASCII)
BET = re.compile(r"[0-9a-f]{64}", re.ASCII)
PAIR = re.compile(r"([1-9][0-9]{0,17})\.(0|[1-9][0-9]{0,17})", re.ASCII)
LONGEST = (
    1 << 24
)  # bytes of a proof; a bet's has some ten thousand, a pair of 4,096 bets five million
TIMEOUT_S = 15.0


@dataclass(frozen=True, slots=True)
class Had:
    """A proof as its JSON says it, and as it was read."""

    body: object
    told: RoundProof | PairProof

    @property
    def title(self) -> str:
        if isinstance(self.told, PairProof):
            chain, program = self.told.pair.chain, self.told.program
        else:
            chain, program = self.told.round.chain, self.told.round.program
        return f"{named(self.told)}, {chain.decode()}, program {program.hex()}"


async def round_proof(name: str, url: str, file: Path | None) -> Had:
    """The proof of a round by its name, such as `numbers.17`. Raises `Refused`."""
    said = ROUND.fullmatch(name)
    if said is None:
        raise Refused("a round is named by its table and number, such as numbers.17")
    had = await _had(f"{url.rstrip('/')}/api/rounds/{name}/proof", file)
    told, asked = _round(had), (said[1], int(said[2]), None)
    if told and (told.round.table.decode(), told.round.number, told.bet) == asked:
        return had
    raise Refused(f"that is no proof of the round {name}, but of {named(had.told)}")


async def bet_proof(name: str, url: str, file: Path | None) -> Had:
    """The proof of a bet by its id, 32 bytes in hex. Raises `Refused`."""
    bet = name.lower().removeprefix("0x")
    if not BET.fullmatch(bet):
        raise Refused("a bet is named by its id, 64 digits in hex")
    had = await _had(f"{url.rstrip('/')}/api/bets/{bet}/proof", file)
    if (told := _round(had)) and told.bet is not None and told.bet.bet_id.hex() == bet:
        return had
    raise Refused(f"that is no proof of the bet {bet}, but of {named(had.told)}")


async def pair_proof(name: str, url: str, file: Path | None) -> Had:
    """The proof of a pair by its name, a player and an epoch such as `17.5`. Raises `Refused`.

    From a house with all its bets, however many files they fill.
    """
    said = PAIR.fullmatch(name)
    if said is None:
        raise Refused("a pair is named by its player and epoch, such as 17.5")
    where = f"{url.rstrip('/')}/api/pairs/{name}/proof"
    had = await _had(where, file)
    told, asked = had.told, (f"player:{said[1]}".encode(), int(said[2]))
    if isinstance(told, PairProof) and (told.pair.account, told.pair.epoch) == asked:
        return had if file is not None else await _whole(had, told, where)
    raise Refused(f"that is no proof of the pair {name}, but of {named(told)}")


async def _whole(had: Had, told: PairProof, where: str) -> Had:
    """The pair with the bets of the files that follow the first one."""
    body, have = cast("dict[str, Any]", had.body), len(told.bets)
    if not have or told.bets[0].receipt.nonce != 0:
        return had
    bets = list(body["bets"])
    while have and len(bets) < told.count:
        more = await _asked(f"{where}?first={len(bets)}")
        if not isinstance(more, dict) or more | {"bets": 0} != body | {"bets": 0}:
            raise Refused("the house tells of another pair in its next file")
        page = more["bets"]
        have = len(page) if isinstance(page, list) else 0
        bets += page if have else []
    return _read(body | {"bets": bets}) if len(bets) > len(told.bets) else had


async def file_proof(file: Path) -> Had:
    """The proof in a file, of whatever round, bet or pair. Raises `Refused`."""
    return await _had("", file)


def _round(had: Had) -> RoundProof | None:
    return None if isinstance(had.told, PairProof) else had.told


def named(proof: RoundProof | PairProof) -> str:
    if isinstance(proof, PairProof):
        return f"pair {proof.pair.epoch} of {proof.pair.account.decode()}"
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
    return _read(read_file(file) if file is not None else await _asked(url))


def _read(body: object) -> Had:
    try:
        return Had(body, read(body))
    except Malformed as error:
        raise Refused(f"the proof is malformed: {error}") from error


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
