"""Settled bets counted for bonuses, against plain COPY of the same rows.

Run it alone: `python -m tests.bench.bench_bonus --bets 100000`. The peer copies the rows into a
table without an index. Ours takes them as they wait, weighs each, sums them up for their grants,
keeps them as counted and tells the players, a durable transaction for each batch. Once more with
their arrival: the same COPY into the table where they wait.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Awaitable
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from casino import wagers
from db import migrate, session
from local import postgres

GRANTS = 1_000
ROUNDS = 3
HOUSE = f"""
INSERT INTO casinos (slug, name) VALUES ('bench', 'Bench');
INSERT INTO campaigns (id, casino_id, code, version, asset, terms, actor) VALUES (1, 1, 'bench', 1,
    'iso4217:USD', '{{"weights": {{"slots": 10000, "live": 500, "table/blackjack": 1000}},
    "default_weight_bp": 0, "excluded": ["slots/bad"], "products": []}}', 'bench');
INSERT INTO grants (id, casino_id, player_id, asset, campaign_id, state, amount, deposit,
    required_bp, activated_at, expires_at)
SELECT n, 1, n, 'iso4217:USD', 1, 'active', 100, 0, 1e15, now(), now() + interval '1 day'
FROM generate_series(1, {GRANTS}) AS n;
CREATE TABLE plain (casino_id int, source text, bet text, grant_id bigint, game text, cash numeric,
    bonus numeric, settled_at timestamptz);
"""
GAMES = ("slots/book", "slots/bad", "live/roulette", "table/blackjack", "other")
COPY = "COPY {table} (casino_id, source, bet, grant_id, game, cash, bonus, settled_at) FROM STDIN"


def lines(bets: int, turn: int) -> bytes:
    """Bets of all players in turn, as COPY takes them."""
    now = datetime.now(UTC).isoformat()
    return "".join(
        f"1\tbench\t{turn}-{n}\t{1 + n * 7919 % GRANTS}\t{GAMES[n % 5]}"
        f"\t{n % 97}\t{n % 89}\t{now}\n"
        for n in range(bets)
    ).encode()


async def copied(connection: psycopg.AsyncConnection, table: str, rows: bytes) -> None:
    async with connection.cursor().copy(COPY.format(table=table).encode()) as copy:
        await copy.write(rows)


async def counted() -> None:
    more = True
    while more:
        async with session.transaction() as opened:
            more = (await wagers.count(opened, 1)).more


async def timed(work: Awaitable[None]) -> float:
    began = time.perf_counter()
    await work
    return time.perf_counter() - began


async def main(bets: int) -> None:
    plain, arrived, taken = list[float](), list[float](), list[float]()
    with tempfile.TemporaryDirectory(prefix="fairhouse-bench-") as name:
        Path(name).chmod(0o755)  # as root the database runs under another uid
        async with postgres.start(Path(name) / "postgres") as books:
            await asyncio.to_thread(migrate.upgrade, books.url)
            async with await psycopg.AsyncConnection.connect(
                books.url, autocommit=True
            ) as connection:
                await connection.execute(HOUSE.encode())
                session.configure(books.url)
                for turn in range(ROUNDS):
                    rows = lines(bets, turn)
                    plain.append(await timed(copied(connection, "plain", rows)))
                    arrived.append(await timed(copied(connection, "waiting_wagers", rows)))
                    taken.append(await timed(counted()))
                left = await (
                    await connection.execute("SELECT count(*) FROM waiting_wagers")
                ).fetchone()
            await session.close()
    if left != (0,):
        raise RuntimeError(f"{left} wagers were not counted")
    whole = min(one + two for one, two in zip(arrived, taken, strict=True))
    print(
        f"{bets:,} bets of {GRANTS:,} players: counted {bets / min(taken):,.0f}/s,"
        f" with arrival {bets / whole:,.0f}/s; plain COPY {bets / min(plain):,.0f}/s;"
        f" ratio {min(plain) / min(taken):.2f} and {min(plain) / whole:.2f}"
    )


if __name__ == "__main__":
    given = argparse.ArgumentParser(description="bonus progress")
    given.add_argument("--bets", type=int, default=100_000)
    asyncio.run(main(given.parse_args().bets))
