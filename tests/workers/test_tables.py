"""The keeper of a table whose clock is wrong, whose batches land late, or that missed a reveal."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

import psycopg
import pytest

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


@dataclass
class Chain(Bond):
    """A bond on a chain whose finality and clock the test sets."""

    network: str = NETWORK
    chain: bytes = NETWORK.encode()
    address: str = "0x" + "ab" * 20
    most_anchored: int = 32
    final: bool = False
    ahead_s: float = 0.0
    seen: dict[int, tuple[bytes, Schedule]] = field(default_factory=dict)

    async def standing(self) -> Standing:
        return Standing(sign.address, 10**18, False, 60)

    async def following(self, table: str) -> int:
        return max((one.first + one.count for _, one in self.seen.values()), default=0)

    async def committed(self, table: str, first: int, *, finalized: bool) -> Committed | None:
        found = self.seen.get(first)
        return Committed(found[0], 0, 1) if found and (self.final or not finalized) else None

    async def landed(self, table: str, first: int) -> Landed | None:
        return Landed("0xcc", 7, int(time.time()))

    async def anchored(self, table: str, first: int, numbers: Sequence[int]) -> list[bool]:
        return [False for _ in numbers]

    async def commit(self, table: str, root: bytes, schedule: Schedule) -> str:
        return "0xcc"  # sent, and nobody has seen it yet

    async def anchor(
        self, table: str, first: int, start: int, statements: Sequence[Statement]
    ) -> str:
        return "0xaa"

    async def reveal(
        self, table: str, first: int, number: int, seed: bytes, proof: Sequence[bytes]
    ) -> str:
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
    states = await rows(
        "SELECT state FROM rounds WHERE table_id = %s ORDER BY number", (dealt.table.id,)
    )
    assert [row[0] for row in states] == ["skipped", "skipped", "waiting", "waiting"]
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
