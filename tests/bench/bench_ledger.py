"""Transfers through the gatherer, against one PL/pgSQL function called by pgbench.

Run it alone: `python -m tests.bench.bench_ledger --seconds 2`. Both on the same PostgreSQL, which
writes to disk. The peer locks two rows in order, updates them, writes a transfer and two entries,
one call for each transfer; once more with an idempotency row and an outbox row, which ours always
writes. Ours counts a caller's whole way: command, key, decision, entries, message, durable answer.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import uvloop
from sqlalchemy import text

from api.desk import gathered
from api.server import collect_less
from casino.commands import Answer
from casino.wallets import TREASURY, Move
from db import migrate, session
from local import postgres

ACCOUNTS = 10_000
ASSET = "iso4217:USD"
AIMS = {("hot", 32): 5.0, ("hot", 256): 8.0, ("spread", 32): 1.0, ("spread", 256): 1.5}
PEER = """
CREATE SCHEMA peer;
CREATE TABLE peer.accounts (
    id int PRIMARY KEY, balance numeric(78, 0) NOT NULL CHECK (balance >= 0)
) WITH (fillfactor = 50);
CREATE TABLE peer.transfers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, source int NOT NULL, target int NOT NULL,
    amount numeric(78, 0) NOT NULL, at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE peer.entries (
    transfer_id bigint, account_id int, amount numeric(78, 0) NOT NULL,
    before numeric(78, 0) NOT NULL, after numeric(78, 0) NOT NULL,
    PRIMARY KEY (transfer_id, account_id)
);
CREATE TABLE peer.requests (key uuid PRIMARY KEY, answer jsonb NOT NULL);
CREATE TABLE peer.outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, data jsonb NOT NULL);
INSERT INTO peer.accounts SELECT n, 1000000000 FROM generate_series(0, {accounts}) n;
CREATE FUNCTION peer.transfer(source int, target int, amount numeric) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE given numeric; got numeric; made bigint;
BEGIN
    PERFORM FROM peer.accounts a WHERE a.id IN (source, target) ORDER BY a.id FOR UPDATE;
    UPDATE peer.accounts a SET balance = a.balance - amount WHERE a.id = source
        RETURNING a.balance INTO given;
    UPDATE peer.accounts a SET balance = a.balance + amount WHERE a.id = target
        RETURNING a.balance INTO got;
    INSERT INTO peer.transfers (source, target, amount) VALUES (source, target, amount)
        RETURNING id INTO made;
    INSERT INTO peer.entries VALUES (made, source, -amount, given + amount, given),
        (made, target, amount, got - amount, got);
    RETURN made;
END $$;
CREATE FUNCTION peer.transfer_once(source int, target int, amount numeric) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE made bigint;
BEGIN
    made := peer.transfer(source, target, amount);
    INSERT INTO peer.requests VALUES (gen_random_uuid(), jsonb_build_object('transfer', made));
    INSERT INTO peer.outbox (data) VALUES (jsonb_build_object('transfer', made, 'amount', amount));
    RETURN made;
END $$;
ANALYZE peer.accounts;
"""
SCRIPT = "\\set s random(1, {accounts})\n\\set t {target}\nSELECT peer.{function}(:s, :t, 1);\n"
TARGETS = {"hot": "0", "spread": f"1 + (:s + random(0, {ACCOUNTS} - 2)) % {ACCOUNTS}"}


def called(folder: Path, url: str, way: str, callers: int, seconds: float, function: str) -> float:
    """The peer's transfers per second. Raises `RuntimeError` when pgbench fails."""
    script = folder / f"{way}-{function}.sql"
    script.write_text(SCRIPT.format(accounts=ACCOUNTS, target=TARGETS[way], function=function))
    words = ["pgbench", "-n", "-M", "prepared", "-f", script, "-c", callers, "-j", 2]
    done = subprocess.run(
        [*map(str, words), "-T", str(max(1, round(seconds))), url],
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"tps = ([\d.]+)", done.stdout)
    if done.returncode or found is None:
        raise RuntimeError(done.stderr)
    return float(found.group(1))


def commands(way: str) -> Callable[[], Move]:
    """An endless row of transfers from a player to the house, or to another player."""
    numbers = itertools.count(time.time_ns())

    def following() -> Move:
        number = next(numbers)
        source = 1 + number * 7919 % ACCOUNTS
        target = "house:stakes" if way == "hot" else f"player:{1 + source % ACCOUNTS}:cash"
        return move(number, source, f"player:{source}:cash", target, 1)

    return following


def move(number: int, player: int, source: str, target: str, amount: int) -> Move:
    return Move(
        casino_id=1,
        casino="bench",
        scope="bench",
        key=str(number),
        actor="bench",
        type="stake",
        player_id=player,
        asset=ASSET,
        amount=amount,
        source=source,
        target=target,
    )


async def asked(way: str, callers: int, seconds: float) -> tuple[float, float, float]:
    """Our transfers per second, and the median and 99th percentile of an answer in ms."""
    gatherer = gathered()
    following, took = commands(way), list[float]()
    began = time.perf_counter()

    async def caller() -> None:
        while (now := time.perf_counter()) - began < seconds:
            answer = await gatherer.ask(following())
            if not isinstance(answer, Answer) or answer.code is not None:
                raise RuntimeError(f"a transfer was refused: {answer}")
            took.append(time.perf_counter() - now)

    await asyncio.gather(*(caller() for _ in range(callers)))
    lasted = time.perf_counter() - began
    took.sort()
    return len(took) / lasted, statistics.median(took) * 1000, took[len(took) * 99 // 100] * 1000


async def prepare(url: str) -> None:
    await asyncio.to_thread(migrate.upgrade, url)
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(PEER.format(accounts=ACCOUNTS).encode())
    session.configure(url)
    async with session.transaction() as opened:
        await opened.execute(text(f"INSERT INTO assets VALUES ('{ASSET}', 'USD', 2)"))
    # Through the gatherer: this process knows its players, as one does that has run for a while.
    gatherer = gathered()
    for first in range(1, ACCOUNTS + 1, 2_000):
        funds = [
            move(n, n, TREASURY, f"player:{n}:cash", 10**9) for n in range(first, first + 2_000)
        ]
        await asyncio.gather(*map(gatherer.ask, funds))
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("ANALYZE")


async def main(seconds: float) -> None:
    collect_less()
    if shutil.which("pgbench") is None:
        raise SystemExit("this bench needs pgbench: apt-get install postgresql-contrib")
    with tempfile.TemporaryDirectory(prefix="fairhouse-bench-") as name:
        os.chmod(name, 0o755)  # as root the database runs under another uid
        async with postgres.start(Path(name) / "postgres") as books:
            await prepare(books.url)
            for way, callers in itertools.product(TARGETS, (1, 32, 90, 256)):
                await compare(Path(name), books.url, way, callers, seconds)
            await session.close()


async def compare(folder: Path, url: str, way: str, callers: int, seconds: float) -> None:
    """Both interleaved, twice; pgbench connects each caller, so it stays below 90 of them."""
    peers = min(callers, 90)
    plain, once, ours = list[float](), list[float](), list[tuple[float, float, float]]()
    for _ in range(2):
        for function, rates in (("transfer", plain), ("transfer_once", once)):
            rate = await asyncio.to_thread(called, folder, url, way, peers, seconds, function)
            rates.append(rate)
        ours.append(await asked(way, callers, seconds))
    rate, median, late = max(ours)
    aim = AIMS.get((way, callers))
    print(
        f"{way:<7}{callers:>4} callers: {rate:>7,.0f}/s, p50 {median:.1f} ms, p99 {late:.1f} ms;"
        f" function {max(plain):,.0f}/s, with key and message {max(once):,.0f}/s ({peers} callers);"
        f" ratio {rate / max(plain):.1f} and {rate / max(once):.1f}"
        + (f" (aim {aim:g})" if aim else "")
        + (f"; p50 {median * max(plain) / 1000:.1f} times the function's" if callers == 1 else "")
    )


if __name__ == "__main__":
    given = argparse.ArgumentParser(description="the ledger's group commit")
    given.add_argument("--seconds", type=float, default=4)
    uvloop.run(main(given.parse_args().seconds))  # as the processes of the house do
