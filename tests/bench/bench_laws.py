"""The laws of the books over many entries: everything, and what is new; sealing and verifying.

Run it alone: `python -m tests.bench.bench_laws --entries 1000000`. Transfers from the house to
10,000 players; what is new are the last three in a hundred. Sealing and verifying are compared
with a plain `SELECT` of the same rows.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from casino import seals
from casino.invariants import LAWS
from casino.invariants.laws import ALL, Window, examined
from db import migrate, session
from db.session import driver, transaction
from local import postgres

PLAYERS = 10_000
NEW = 0.03
EACH = 50  # transfers of one transaction
# As the triggers would leave them; through them it would take hours.
FILL = """
SET session_replication_role = replica;
INSERT INTO assets VALUES ('iso4217:USD', 'USD', 2);
INSERT INTO accounts (casino_id, name, asset, colour, least, balance, version)
SELECT 1, 'player:' || p || ':cash', 'iso4217:USD', 'cash', 0, n, n
FROM (SELECT p, ({transfers} - p) / {players} + 1 AS n FROM generate_series(1, {players}) p) AS s;
INSERT INTO accounts (casino_id, name, asset, colour, balance, version)
VALUES (1, 'house:stakes', 'iso4217:USD', 'cash', -{transfers}, {transfers});
INSERT INTO transfers (id, casino_id, type, at, xact)
SELECT k, 1, 'payout', now(), k / {each} FROM generate_series(1, {transfers}) k;
INSERT INTO entries (account_id, version, transfer_id, amount, before, after, at, xact)
SELECT (k - 1) % {players} + 1, (k - 1) / {players} + 1, k, 1, (k - 1) / {players},
    (k - 1) / {players} + 1, now(), k / {each}
FROM generate_series(1, {transfers}) k
UNION ALL
SELECT {players} + 1, k, k, -1, 1 - k, -k, now(), k / {each} FROM generate_series(1, {transfers}) k
ORDER BY 3;
INSERT INTO requests (scope, key, casino_id, verb, actor, fingerprint, answer, transfer_id, xact)
SELECT 'bench', k::text, 1, 'wallet.payout', 'bench', sha256(k::text::bytea),
    jsonb_build_object('transfer', k::text, 'amount', '1'), k, k / {each}
FROM generate_series(1, {transfers}) k;
CREATE OR REPLACE FUNCTION ledger_base() RETURNS bigint STABLE RETURN {transfers}::bigint;
"""


async def prepare(url: str, entries: int) -> None:
    await asyncio.to_thread(migrate.upgrade, url)
    fill = FILL.format(transfers=entries // 2, players=PLAYERS, each=EACH)
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(fill.encode())
        await connection.execute("VACUUM ANALYZE")


async def laws(since: int) -> None:
    at = datetime.now(UTC)
    for law in LAWS:
        took = {}
        for name, window in (("all", ALL), ("new", Window(since, at))):
            async with transaction() as opened:
                found = await examined(opened, law, window)
            if not found.holds and law.name != "seals":
                raise RuntimeError(f"{law.name}: {found.faults}")
            took[name] = found.took_ms
        print(f"{law.name:<10} everything {took['all']:>8,} ms, what is new {took['new']:>6,} ms")


async def chain() -> None:
    began, rows = time.perf_counter(), 0
    while True:
        async with transaction() as opened:
            made = await seals.seal(opened)
        if made is None:
            break
        rows += made.count
    sealing = time.perf_counter() - began
    began = time.perf_counter()
    async with transaction() as opened:
        verdict = await seals.verify(opened)
    verifying = time.perf_counter() - began
    if verdict.bad is not None or verdict.rows != rows:
        raise RuntimeError(f"{verdict}")
    began = time.perf_counter()
    async with transaction() as opened:
        for table in seals.COLUMNS:
            cursor = await (await driver(opened)).execute(f"SELECT * FROM {table}".encode())
            await cursor.fetchall()
    reading = time.perf_counter() - began
    print(
        f"sealing {rows / sealing:,.0f} rows/s, verifying {rows / verifying:,.0f} rows/s;"
        f" reading alone {rows / reading:,.0f} rows/s,"
        f" which takes {reading / verifying:.2f} of the time of verifying"
    )


async def main(entries: int) -> None:
    with tempfile.TemporaryDirectory(prefix="fairhouse-bench-") as name:
        os.chmod(name, 0o755)  # as root the database runs under another uid
        async with postgres.start(Path(name) / "postgres", fsync=False) as books:
            await prepare(books.url, entries)
            session.configure(books.url)
            await laws(round(entries // 2 * (1 - NEW)) // EACH)
            await chain()
            await session.close()


if __name__ == "__main__":
    given = argparse.ArgumentParser(description="the laws of the books")
    given.add_argument("--entries", type=int, default=1_000_000)
    asyncio.run(main(given.parse_args().entries))
