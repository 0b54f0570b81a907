"""A bank in a process of its own: commands that follow from their number alone, each answered.

`python -m tests.reliability.bank URL FIRST STEP COUNT CALLERS TIMES` decides COUNT commands from
number FIRST on, each STEP apart, each TIMES times over, and prints a line for each answer: the
number, its code or `-`, and the moments between which it was decided.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
import time
from collections.abc import Iterable, Iterator

from psycopg.errors import LockNotAvailable

from api.desk import gathered
from api.gatherer import Gatherer
from casino.commands import Answer, Command, KeyReused
from casino.wallets import REVENUE, TREASURY, Move
from db import session

ASSET = "iso4217:USD"
PLAYERS = 40
PATIENCE = 20  # times that a caller asks again, as it is told to


def command(number: int, players: int = PLAYERS) -> Move:
    """The same for the same number, in whichever process."""
    chance = random.Random(number)
    player, other = chance.sample(range(1, players + 1), 2)
    mine, theirs = f"player:{player}:cash", f"player:{other}:cash"
    type, source, target = chance.choice(
        [
            ("top_up", TREASURY, mine),
            ("bonus", TREASURY, mine),
            ("spend", mine, REVENUE),
            ("transfer", mine, theirs),
        ]
    )
    return Move(
        casino_id=1,
        casino="house",
        scope="bank",
        key=str(number),
        actor="bank",
        type=type,
        player_id=player,
        asset=ASSET,
        amount=chance.randint(1, 100),
        source=source,
        target=target,
    )


def say(line: str) -> None:
    """A whole line at once, as who says it may be killed at any moment."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def serve(url: str, numbers: Iterable[int], callers: int) -> None:
    """Answer all numbers, `callers` of them at a time; what fails is said and goes on."""
    session.configure(url, lock_timeout_ms=2000)
    gatherer, left = gathered(), iter(numbers)

    async def caller() -> None:
        for number in left:
            began = time.time_ns()
            try:
                answer = await asked(gatherer, command(number))
            except Exception as error:
                say(f"! {number} {error!r}")
                continue
            assert isinstance(answer, Answer)
            say(f"{number} {answer.code or '-'} {began} {time.time_ns()}")

    await asyncio.gather(*(caller() for _ in range(callers)))
    await session.close()


async def asked(
    gatherer: Gatherer[Command, Answer | KeyReused], one: Command
) -> Answer | KeyReused:
    """The answer; on a machine that stands still an account may be busy, and nothing is decided."""
    for _ in range(PATIENCE):
        with contextlib.suppress(LockNotAvailable):
            return await gatherer.ask(one)
    return await gatherer.ask(one)


def repeated(first: int, step: int, count: int, times: int) -> Iterator[int]:
    """Every number up to `times` times, near and far from its first time."""
    chance = random.Random(first)
    numbers = [first + n * step for n in range(count)]
    numbers += [one for one in numbers for _ in range(chance.randint(0, times - 1))]
    if times > 1:
        chance.shuffle(numbers)
    yield from numbers


if __name__ == "__main__":
    first, step, count, callers, times = map(int, sys.argv[2:7])
    asyncio.run(serve(sys.argv[1], repeated(first, step, count, times), callers))
