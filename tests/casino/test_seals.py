"""Seals miss no row, do not fork, and prove what is under them; nobody changes what they say."""

from __future__ import annotations

import asyncio
import itertools
import random
import sys
import textwrap
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from dataclasses import replace

import psycopg
import pytest
from psycopg import errors

from casino import audit, inclusion, seals
from casino.seals import COLUMNS, Checkpoint, Seal
from casino.wallets import move_many
from db import session
from db.session import transaction
from tests.casino.written import (
    command,
    counted,
    execute,
    put,
    rows,
    sealed,
    value,
    verdict,
    written,
)

EACH = 18  # rows of one play: 5 requests, 4 transfers, 8 entries, a note


@pytest.fixture(autouse=True)
async def books(database_url: str) -> AsyncIterator[str]:
    session.configure(database_url)
    await counted()
    yield database_url
    await session.close()


async def test_every_row_is_sealed_once_and_found_as_it_was() -> None:
    await written(5)
    made = await sealed(most=20)
    assert len(made) == 5
    found = await verdict()
    assert (found.bad, found.unsealed) == (None, 0)
    assert found.rows == await rows() == sum(one.count for one in made)
    assert found.checkpoint == Checkpoint(made[-1].n, found.rows, made[-1].hash)
    assert await sealed() == []


async def test_a_batch_is_what_one_transaction_wrote_or_about_as_much_as_asked() -> None:
    await sealed()
    await written(40)
    made = await sealed(most=60)
    assert all(one.count <= 60 for one in made)
    assert len(made) < 40
    await written(3)
    assert [one.count for one in await sealed(most=1)] == [EACH] * 3


async def test_a_transaction_that_commits_late_is_never_missed() -> None:
    await sealed()
    before = await rows()
    async with transaction() as late:
        await move_many(late, [command(7, "top_up", 1, treasury="house:late")])
        await audit.note(late, actor="bob", action="comes.late")
        await written(3, players=[8])
        assert await sealed() == []
        found = await verdict()
        assert (found.rows, found.unsealed) == (before, await rows() - before)
    assert sum(one.count for one in await sealed()) == await rows() - before
    found = await verdict()
    assert (found.rows, found.unsealed, found.bad) == (await rows(), 0, None)


async def test_two_writers_at_once_do_not_fork_the_chain() -> None:
    stopped = asyncio.Event()

    async def write(player: int) -> None:
        for _ in range(25):
            await written(1, players=[player])

    async def chain() -> int:
        made = 0
        while not stopped.is_set():
            async with transaction() as opened:
                made += await seals.seal(opened) is not None
        return made

    chains = [asyncio.create_task(chain()) for _ in range(4)]
    await asyncio.gather(write(20), write(21))
    stopped.set()
    made = await asyncio.gather(*chains)
    await sealed()
    found = await verdict()
    assert (found.rows, found.bad) == (await rows(), None)
    assert sum(one > 0 for one in made) >= 2


async def test_a_seal_made_beside_the_chain_is_refused() -> None:
    await written(2)
    made = (await sealed())[-1]
    following = replace(made, lower=made.upper, upper=made.upper + 9)
    for other in (
        replace(following, n=made.n + 2),
        replace(following, n=made.n + 1, lower=made.upper + 1),
        replace(following, n=made.n),
    ):
        with pytest.raises((errors.CheckViolation, errors.UniqueViolation)):
            await forged(other)


async def forged(one: Seal) -> None:
    """Written by whoever may add seals, without asking what the last one is."""
    async with transaction() as opened:
        await execute(opened, "SET LOCAL ROLE fairhouse_ledger")
        await put(opened, one)


async def test_a_writer_killed_at_any_moment_loses_nothing(books: str) -> None:
    code = """
        import asyncio, itertools, sys
        from casino import seals
        from db import session

        async def main():
            session.configure(sys.argv[1])
            for n in itertools.count():
                async with session.transaction() as opened:
                    await seals.seal(opened, most=5)
                print(n, flush=True)

        asyncio.run(main())
    """
    command = [sys.executable, "-c", textwrap.dedent(code), books]
    chance = random.Random(4)
    for _ in range(3):
        await written(30)
        child = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
        assert child.stdout is not None
        await child.stdout.readline()
        await asyncio.sleep(chance.uniform(0, 0.05))
        child.kill()
        await child.communicate()
        assert (await verdict()).bad is None
    await sealed()
    found = await verdict()
    assert (found.rows, found.unsealed, found.bad) == (await rows(), 0, None)


async def test_a_tail_cut_off_is_seen_by_a_checkpoint_kept_elsewhere() -> None:
    await written(3)
    last = (await sealed(most=10))[-1]
    kept = seals.checkpoints(f"{(await verdict()).checkpoint}\n")
    async with transaction() as opened:
        await execute(opened, "SET LOCAL session_replication_role = replica")
        for table in COLUMNS:
            await execute(opened, f"DELETE FROM {table} WHERE xact >= %s", (last.lower,))
        await execute(opened, "DELETE FROM seals WHERE n = %s", (last.n,))
        assert (await seals.verify(opened)).bad is None
        found = (await seals.verify(opened, held=kept)).bad
        assert found is not None
        assert found.index == last.first
        await opened.rollback()


async def test_a_row_that_hides_from_sealing_is_found() -> None:
    await written(1)
    await sealed()
    async with transaction() as opened:
        hide = "INSERT INTO audit (actor, action, xact) VALUES ('eve', 'hides', 1000000000)"
        await execute(opened, hide)
        found = (await seals.verify(opened)).bad
        assert found is not None
        assert (found.index, found.said) == (await rows(), "1 rows of audit hide from sealing")
        await opened.rollback()


async def test_sealing_goes_on_where_a_restored_database_counts_anew() -> None:
    base = "CREATE OR REPLACE FUNCTION ledger_base() RETURNS bigint STABLE RETURN {}::bigint"
    async with transaction() as opened:
        await execute(opened, base.format(1_000_000))
    await written(2)
    await sealed()
    await written(1)
    async with transaction() as opened:
        await execute(opened, base.format(0))  # the numbers of a younger cluster
    with pytest.raises(seals.Rewound):
        await sealed()
    assert await value("SELECT ledger_rebase()") > 900_000
    assert await value("SELECT ledger_rebase()") == 0
    await written(2)
    await sealed()
    found = await verdict()
    assert (found.rows, found.unsealed, found.bad) == (await rows(), 0, None)


async def test_a_row_is_proved_to_be_in_the_log_and_another_is_not() -> None:
    await written(10)
    await sealed()
    async with transaction() as opened:
        whole = await rows()
        proofs = [await seals.proof(opened, index) for index in (0, whole // 2, whole - 1)]
        with pytest.raises(IndexError):
            await seals.proof(opened, whole)
    for one in proofs:
        assert one.holds()
        assert not replace(one, line=one.line.replace(b"1", b"2")).holds()
        assert not replace(one, index=one.index + 1).holds()
        assert not replace(one, seal=replace(one.seal, first=one.seal.first - 1)).holds()


ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INPUTS = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
]


def test_trees_are_those_of_certificate_transparency() -> None:
    leaves = [inclusion.leaf(bytes.fromhex(one)) for one in INPUTS]
    assert [inclusion.root(leaves[:n]).hex() for n in range(1, 9)] == ROOTS


def test_every_leaf_of_every_size_is_proved_at_its_place_alone() -> None:
    said = [str(n).encode() for n in range(21)]
    for count in range(1, 22):
        leaves = [inclusion.leaf(one) for one in said[:count]]
        under = inclusion.root(leaves)
        for position, place in itertools.product(range(count), repeat=2):
            siblings = inclusion.proof(leaves, position)
            proved = inclusion.proved(
                said[position], position=place, count=count, siblings=siblings, under=under
            )
            assert proved == (place == position), (count, position, place)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET reason = 'another'",
        "DELETE FROM audit",
        "TRUNCATE audit",
        "UPDATE seals SET count = count + 1",
        "DELETE FROM seals",
        "TRUNCATE seals",
    ],
)
async def test_what_the_log_says_is_never_changed_by_hand(books: str, statement: str) -> None:
    with psycopg.connect(books) as hand, pytest.raises(errors.InsufficientPrivilege):
        hand.execute(statement.encode())


@pytest.mark.parametrize("table", ["audit", "entries", "transfers"])
async def test_the_ledgers_role_cannot_write_into_the_past(books: str, table: str) -> None:
    with psycopg.connect(books) as hand:
        hand.execute("SET LOCAL ROLE fairhouse_ledger")
        with pytest.raises(errors.InsufficientPrivilege):
            hand.execute(f"INSERT INTO {table} (xact) VALUES (5)".encode())


def test_what_is_no_checkpoint_is_refused() -> None:
    for text in ("fairhouse checkpoint 1 2", "hello", "fairhouse checkpoint 1 2 " + "g" * 64):
        with pytest.raises(seals.BadCheckpoint):
            seals.checkpoints(text)
