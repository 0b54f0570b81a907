"""A process whose clock is wrong bets on a table, closes and draws it; prints what came of it.

`python -m tests.casino.rounds.astray <url> <table> <player> <seed> <seed>`: the first round is
over and not closed, the second one is open, by the clock of the books.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from casino.rounds import tables
from db import session
from db.session import driver, transaction
from tests.casino.conftest import rows
from tests.casino.rounds.dealt import Dealt


async def astray(name: str, player: int, *seeds: str) -> dict[str, object]:
    async with transaction() as opened:
        connection = await driver(opened)
        [table] = [one for one in await tables.all_tables(connection) if one.name == name]
        pays = await tables.all_pays(connection)
    dealt = Dealt(table, pays, {n: bytes.fromhex(seed) for n, seed in enumerate(seeds)})
    wishes = [dealt.bet(player, number, key=f"{name}-{number}") for number in (0, 1)]
    [(now,)] = await rows("SELECT extract(epoch FROM clock_timestamp())::float", ())
    return {
        "ahead_s": round((time.time() - now) / 10) * 10,
        "bets": [(await dealt.run(wish)).code for wish in wishes],
        "drawn unclosed": [await dealt.draw(number) is not None for number in (0, 1)],
        "lapsed": [await dealt.lapse(number) for number in (0, 1)],
        "closed": [await dealt.close(number) is not None for number in (0, 1)],
        "drawn": [await dealt.draw(number) is not None for number in (0, 1)],
    }


async def main(url: str, name: str, player: str, *seeds: str) -> None:
    session.configure(url)
    sys.stdout.write(json.dumps(await astray(name, int(player), *seeds)))
    await session.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
