"""The keeper of a table: its clock, its alarms, and when it anchors and reveals."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import psycopg
import pytest

from api import health
from api.queries import health as queries
from casino.rounds import tables
from casino.sealed import Sealer
from db.session import driver, transaction
from games.fairness.rounds import Schedule
from tests.casino.conftest import NETWORK, rows
from tests.casino.rounds.dealt import Dealt, sign
from workers.bonds import Bond, Committed, Landed, Standing, Statement
from workers.rests import RESEND_S
from workers.tables import LEAST_AHEAD_S, Pace, TableKeeper, place

SEALER = Sealer(b"\x01" * 32)
WRONG_S = (600.0, -600.0)
SHOWN = ("table", "commits", "open", "late", "skipped")
AGES = """
SELECT number, extract(epoch FROM clock_timestamp() - closes_at) FROM rounds WHERE table_id = %s
"""
PASSED = b"""
UPDATE rounds SET opens_at = opens_at - make_interval(secs => %s),
    closes_at = closes_at - make_interval(secs => %s) WHERE table_id = %s
"""


@dataclass
class Chain(Bond):
    """A bond on a chain whose finality and clock the test sets."""

    network: str = NETWORK
    chain: bytes = NETWORK.encode()
    address: str = "0x" + "ab" * 20
    most_anchored: int = 32
    final: bool = False
    ahead_s: float = 0.0
    free: int = 10**18
    follows: int | None = None
    revealed: int = 0
    fixed: set[int] = field(default_factory=set)  # rounds whose anchor is final
    seen: dict[int, tuple[bytes, Schedule]] = field(default_factory=dict)
    anchors: list[list[int]] = field(default_factory=list)
    shown: list[int] = field(default_factory=list)

    async def standing(self) -> Standing:
        return Standing(sign.address, self.free, False, 60)

    async def following(self, table: str) -> int:
        if self.follows is not None:
            return self.follows
        return max((one.first + one.count for _, one in self.seen.values()), default=0)

    async def committed(self, table: str, first: int, *, finalized: bool) -> Committed | None:
        found = self.seen.get(first)
        there = found and (self.final or not finalized)
        return Committed(found[0], self.revealed, 1) if found and there else None

    async def landed(self, table: str, first: int) -> Landed | None:
        return Landed("0xcc", 7, int(time.time()))

    async def anchored(self, table: str, first: int, numbers: Sequence[int]) -> list[bool]:
        return [number in self.fixed for number in numbers]

    async def commit(self, table: str, root: bytes, schedule: Schedule) -> str:
        return "0xcc"  # sent, and nobody has seen it yet

    async def anchor(
        self, table: str, first: int, start: int, statements: Sequence[Statement]
    ) -> str:
        self.anchors.append(list(range(start, start + len(statements))))
        return "0xaa"

    async def reveal(
        self, table: str, first: int, number: int, seed: bytes, proof: Sequence[bytes]
    ) -> str:
        self.shown.append(number)
        return "0xbb"

    async def release(self, table: str, first: int) -> str:
        return "0xdd"

    async def renew(self) -> None: ...
    async def clock(self) -> float:
        [(now,)] = await rows("SELECT extract(epoch FROM clock_timestamp())::float", ())
        return float(now) + self.ahead_s

    async def lag(self) -> float | None:
        return 0.0

    async def close(self) -> None: ...


@contextlib.asynccontextmanager
async def keeping(dealt: Dealt, chain: Chain) -> AsyncIterator[TableKeeper]:
    async with transaction() as session:
        url = (await driver(session)).info.dsn
        password = (await driver(session)).info.password
    connecting = psycopg.AsyncConnection.connect(url, password=password, autocommit=True)
    async with await connecting as connection:
        pace = Pace(count=4, period=10, lead=1, reveal_window=60, max_liability=1_000)
        table = replace(dealt.table, beacon="block:evm-local")
        yield TableKeeper(table, pace, chain, connection, SEALER)


async def batches(dealt: Dealt) -> list[tuple[str, float]]:
    """Each batch's state, and in how many seconds it opens by the database's clock."""
    return [
        (state, float(opens_in))
        for state, opens_in in await rows(
            "SELECT state, opens - extract(epoch FROM clock_timestamp()) FROM round_batches"
            " WHERE table_id = %s ORDER BY first",
            (dealt.table.id,),
        )
    ]


@pytest.fixture
async def dealt(database: str) -> Dealt:
    return await Dealt.at()


@pytest.mark.parametrize("seconds", WRONG_S)
async def test_a_keeper_whose_clock_is_wrong_commits_rounds_of_the_right_time(
    dealt: Dealt, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By ten minutes either way; nor does it forget seeds that may still land."""
    right, chain = time.time, Chain()
    monkeypatch.setattr(time, "time", lambda: right() + seconds)
    async with keeping(dealt, chain) as keeper:
        for _ in range(2):
            await keeper.tick()
        [(state, opens_in)] = await batches(dealt)
        assert state == "sent"
        assert 0 < opens_in <= LEAST_AHEAD_S + 2
        chain.ahead_s = LEAST_AHEAD_S + RESEND_S + 5
        await keeper.tick()
        assert await batches(dealt) == []
        assert await trouble(dealt) == "the seeds from 0 were committed too late"


async def test_a_bond_that_is_too_small_stops_new_batches_until_it_is_funded(dealt: Dealt) -> None:
    chain = Chain(free=2 * 4 * 1_000 - 1)
    async with keeping(dealt, chain) as keeper:
        await keeper.tick()
        assert await batches(dealt) == []
        assert await trouble(dealt) == "the bond has 7999 free, and a batch needs 8000"
        assert await alarms(dealt) == [
            f"the table {dealt.table.name} gets no more rounds; /api/tables says why"
        ]
        chain.free += 1
        await keeper.tick()
        await land(keeper, chain)
        assert len(await batches(dealt)) == 1
        assert await trouble(dealt) is None
        assert await alarms(dealt) == []


async def test_seeds_that_are_nearly_overdue_at_the_bond_stop_new_batches(dealt: Dealt) -> None:
    await dealt.batch(opens_in=-5)
    await dealt.sealed(lambda number, seed: SEALER.seal(place(dealt.table, number), seed))
    await dealt.moved(0, 52)  # a fifth of its reveal window is left
    await dealt.close(0)
    await dealt.draw(0)
    chain = Chain(final=True, follows=4)
    async with keeping(dealt, chain) as keeper:
        await keeper.tick()
        assert len(await batches(dealt)) == 1
        assert await trouble(dealt) == "the seeds of rounds [0] are nearly overdue at the bond"
        chain.revealed = 1
        chain.seen[0] = (b"", cast(Schedule, None))
        await keeper.tick()
        assert len(await batches(dealt)) == 2


async def test_a_chain_and_a_database_that_disagree_about_rounds_stop_new_batches(
    dealt: Dealt,
) -> None:
    """As after an older database was put back."""
    async with keeping(dealt, Chain(follows=7)) as keeper:
        await keeper.tick()
    assert await batches(dealt) == []
    assert await trouble(dealt) == "the chain is at round 7, and our seeds at 0"


async def test_no_seed_is_revealed_before_its_round_is_drawn_and_its_anchor_is_final(
    dealt: Dealt,
) -> None:
    await dealt.batch(opens_in=-5)
    await dealt.sealed(lambda number, seed: SEALER.seal(place(dealt.table, number), seed))
    for number in (0, 1):
        await dealt.moved(number, 30)
        await dealt.close(number)
    await dealt.draw(0)
    chain = Chain(final=True)
    async with keeping(dealt, chain) as keeper:
        for _ in range(3):
            await keeper.tick()
        assert (chain.anchors, chain.shown) == ([[0, 1]], [])
        chain.fixed = {1}
        for _ in range(3):
            await keeper.tick()
        assert chain.shown == []
        chain.fixed = {0, 1}
        for _ in range(3):
            await keeper.tick()
        assert chain.shown == [0]
        await dealt.draw(1)
        await keeper.tick()
        assert chain.shown == [0, 1]


@pytest.mark.parametrize(("period", "together"), [(2, 6), (20, 2)])
async def test_roots_are_anchored_several_in_one_tx_and_each_within_a_minute_of_its_close(
    dealt: Dealt, period: int, together: int
) -> None:
    await dealt.batch(12, opens_in=-5, period=period, reveal_window=600)
    await dealt.sealed(lambda number, seed: SEALER.seal(place(dealt.table, number), seed))
    waited: dict[int, float] = {}
    chain, over = Chain(free=0), 0
    async with keeping(dealt, chain) as keeper:
        for _ in range(150):
            await passed(dealt, period / 4)
            while over < 12 and await dealt.close(over) is not None:
                over += 1
            before = len(chain.anchors)
            await keeper.tick()
            ages = dict(await rows(AGES, (dealt.table.id,)))
            for numbers in chain.anchors[before:]:
                waited |= {number: float(ages[number]) for number in numbers}
            if len(waited) == 12:
                break
    assert [number for numbers in chain.anchors for number in numbers] == list(range(12))
    assert {len(numbers) for numbers in chain.anchors} == {together}
    assert max(waited.values()) <= 60


async def test_rounds_that_should_have_opened_before_they_were_final_are_skipped(
    dealt: Dealt,
) -> None:
    chain = Chain()
    async with keeping(dealt, chain) as keeper:
        await keeper.tick()
        [batch] = await keeper.unconfirmed()
        # The chain takes it in time, and its finality comes when two rounds have begun.
        early = replace(batch.schedule, opens=batch.schedule.opens - int(LEAST_AHEAD_S) - 12)
        async with transaction() as session:
            connection = await driver(session)
            await connection.execute(b"ALTER TABLE round_batches DISABLE TRIGGER USER")
            await connection.execute(
                b"UPDATE round_batches SET opens = %s WHERE table_id = %s",
                (early.opens, dealt.table.id),
            )
            await connection.execute(b"ALTER TABLE round_batches ENABLE TRIGGER USER")
        chain.seen[0], chain.final = (batch.root, early), True
        await keeper.tick()
        said = [f"2 rounds of {dealt.table.name} never open: their seeds came late"]
        assert await alarms(dealt) == said
        await keeper.tick()
        assert await alarms(dealt) == said  # until a later batch is in time
        await land(keeper, chain)
        assert len(await batches(dealt)) == 2
        assert await alarms(dealt) == []
    states = await rows(
        "SELECT state FROM rounds WHERE table_id = %s ORDER BY number", (dealt.table.id,)
    )
    assert [row[0] for row in states] == ["skipped", "skipped", *["waiting"] * 6]
    answer = await dealt.run(dealt.bet(await dealt.player(), number=1))
    assert answer.code == "ROUND_CLOSED"


async def test_a_missed_reveal_stops_a_table_until_somebody_lets_it_go_on(dealt: Dealt) -> None:
    """And what was missed before that stops it no more."""
    await dealt.batch(opens_in=-5)
    await dealt.sealed(lambda number, seed: SEALER.seal(place(dealt.table, number), seed))
    chain = Chain(final=True)
    async with keeping(dealt, chain) as keeper:
        for number in (0, 1):
            await dealt.moved(number, 60)
            await dealt.close(number)
            await dealt.draw(number)
        await dealt.moved(0, 61)
        await keeper.tick()
        assert await paused(dealt)
        await keeper.tick()
        assert await resumed(dealt) is True
        assert await resumed(dealt) is False
        await keeper.tick()
        assert not await paused(dealt)
        await asyncio.sleep(0.2)
        [(early,)] = await rows(
            "SELECT extract(epoch FROM closes_at - clock_timestamp())::float + 60.1 FROM rounds"
            " WHERE table_id = %s AND number = 1",
            (dealt.table.id,),
        )
        await dealt.moved(1, early)
        await keeper.tick()
        assert await paused(dealt)
    [note] = await rows(
        "SELECT actor, reason, after->>'name' FROM audit WHERE casino_id = %s",
        (dealt.table.casino_id,),
    )
    assert note == ("ann", "the keeper was away", dealt.table.name)


async def land(keeper: TableKeeper, chain: Chain) -> None:
    """Let the batch that was sent become final."""
    [batch] = await keeper.unconfirmed()
    chain.seen[batch.schedule.first], chain.final = (batch.root, batch.schedule), True
    await keeper.tick()


async def passed(dealt: Dealt, seconds: float) -> None:
    """Let all rounds lie so many seconds earlier, as if that time had passed."""
    async with transaction() as session:
        connection = await driver(session)
        await connection.execute(b"ALTER TABLE rounds DISABLE TRIGGER rounds_forward")
        await connection.execute(PASSED, (seconds, seconds, dealt.table.id))
        await connection.execute(b"ALTER TABLE rounds ENABLE TRIGGER rounds_forward")


async def trouble(dealt: Dealt) -> str | None:
    [(said,)] = await rows("SELECT trouble FROM round_tables WHERE id = %s", (dealt.table.id,))
    return None if said is None else str(said)


async def alarms(dealt: Dealt) -> list[str]:
    """What `/health` says of the table."""
    well = {"ok": True}
    found = await rows(queries.TABLES, {"late_s": health.LATE_S})
    seen = [dict(zip(SHOWN, row, strict=True)) for row in found]
    mine = [one for one in seen if one["table"] == dealt.table.name]
    return health.troubles({"database": well, "redis": well, "tables": mine})


async def paused(dealt: Dealt) -> bool:
    [(stopped,)] = await rows(
        "SELECT paused_at IS NOT NULL FROM round_tables WHERE id = %s", (dealt.table.id,)
    )
    return bool(stopped)


async def resumed(dealt: Dealt) -> bool | None:
    async with transaction() as session:
        return await tables.resume(
            session, dealt.table.name, actor="ann", reason="the keeper was away"
        )
