"""From stored pages to books: once, and without losing what cannot be read."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

import queues
from casino import dead_letters, finality
from casino.sources import followed
from chains.chain import Raw
from db.session import driver, transaction
from tests.bench.stored_pages import bet, house, raw, store
from workers import interpret as room
from workers.interpret import interpret
from workers.stats import fold


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    seen: list[tuple[str, int]] = []

    def send(queue: str, id: int, delay_ms: int = 0) -> None:
        seen.append((queue, id))

    monkeypatch.setattr(queues, "send", send)
    return seen


async def rows(statement: str, *values: object) -> list[tuple[Any, ...]]:
    async with transaction() as session:
        cursor = await (await driver(session)).execute(statement.encode(), values)
        return await cursor.fetchall()


async def test_a_stored_page_becomes_bets(database: str, sent: list[Any]) -> None:
    source = await house("pages", "0x" + "01" * 20)
    page = await store(source, [one for n in range(10) for one in bet(n, players=3)], fresh=True)
    await interpret(page)
    assert (await rows("SELECT state FROM pages WHERE id = %s", page)) == [("interpreted",)]
    assert [queue for queue, _ in sent] == ["stats"]
    bets = await rows(
        "SELECT bet, stake, payout, status, choice, asset FROM bets WHERE source_id = %s"
        " ORDER BY seed_index",
        source,
    )
    assert len(bets) == 10
    assert bets[1][:4] == ("1", 10**16 + 1, 198 * 10**14, "settled")
    assert bets[1][4] == {"low": 0, "high": 5000}
    assert bets[1][5] == "eip155:31337/slip44:60"
    assert await rows("SELECT count(*) FROM seed_reveals WHERE source_id = %s", source) == [(10,)]
    await fold(sent[0][1])
    total = "SELECT bets, wins FROM casino_stats WHERE bucket = 'total' AND casino_id = %s"
    assert await rows(total, sent[0][1]) == [(10, 5)]

    await interpret(page)
    assert len(sent) == 1


async def test_a_page_not_yet_stored_is_left_alone(database: str, sent: list[Any]) -> None:
    source = await house("early", "0x" + "02" * 20)
    page = await store(source, [], fresh=True, state="found")
    await interpret(page)
    await interpret(10**9)
    assert await rows("SELECT state FROM pages WHERE id = %s", page) == [("found",)]
    assert sent == []


async def test_what_cannot_be_read_is_kept_and_the_rest_goes_on(
    database: str, sent: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = await house("letters", "0x" + "03" * 20)
    good = bet(501, players=3)
    bad = [
        raw(6, "0x" + "f1" * 32, 5, b"\x01" + b"\x99" * 32),
        raw(6, "0x" + "f2" * 32, 6, good[0].body[:-40]),
        raw(6, "0x" + "f3" * 32, 7, b""),
    ]
    page = await store(source, [*bad, *good], fresh=True)
    await interpret(page)
    letters = await rows(
        "SELECT tx, body, reason, attempts FROM dead_letters WHERE source_id = %s ORDER BY tx",
        source,
    )
    assert [(row[0], bytes(row[1])) for row in letters] == [(one.tx, one.body) for one in bad]
    assert all(row[2] for row in letters)
    assert await rows("SELECT status FROM bets WHERE source_id = %s", source) == [("settled",)]

    # Given a decoder that can read one of them now
    async with transaction() as session:
        its = await followed(session, source)
        program = room.load(its.program, its.address, None)

        class Learned:
            def at(self, position: int) -> Learned:
                return self

            def decode(self, kind: str, body: bytes) -> tuple[str, dict[str, object]]:
                if body == bad[0].body:
                    return "PauseSet", {"paused": True}
                return program.decoders.at(0).decode(kind, body)

        replayed = await dead_letters.replay(session, its, Learned(), program.means)
    assert replayed == dead_letters.Replayed(1, 2)
    left = await rows("SELECT attempts FROM dead_letters WHERE source_id = %s", source)
    assert left == [(2,), (2,)]
    named = await rows("SELECT name, args FROM system_events WHERE source_id = %s", source)
    assert named == [("PauseSet", {"paused": True})]


async def test_pages_in_any_order_from_many_workers_give_the_same_books(
    database: str, sent: list[Any]
) -> None:
    source = await house("shuffled", "0x" + "04" * 20)
    events: list[Raw] = [one for n in range(1000, 1300) for one in bet(n, players=7)]
    dice = random.Random(4)
    dice.shuffle(events)
    pages = [await store(source, events[n : n + 90], fresh=True) for n in range(0, 900, 90)]
    deliveries = pages * 2
    dice.shuffle(deliveries)
    await asyncio.gather(*(interpret(page) for page in deliveries))
    casino = {id for _, id in sent}
    assert len(casino) == 1
    await fold(casino.pop())
    total = await rows(
        "SELECT s.bets, s.settled, s.wins, s.staked = (SELECT sum(stake) FROM bets WHERE"
        " source_id = %s) FROM casino_stats s JOIN sources o ON o.casino_id = s.casino_id"
        " WHERE o.id = %s AND s.bucket = 'total'",
        source,
        source,
    )
    assert total == [(300, 300, 150, True)]
    told = await rows(
        "SELECT type, count(*) FROM outbox WHERE casino = 'shuffled' AND namespace = 'bets'"
        " GROUP BY 1 ORDER BY 1"
    )
    assert told == [("bet.placed", 300), ("bet.settled", 300)]


async def test_a_page_fallen_before_its_interpretation_brings_nothing(
    database: str, sent: list[Any]
) -> None:
    source = await house("fallen", "0x" + "05" * 20)
    page = await store(source, bet(2000, players=1), fresh=True)
    async with transaction() as session:
        await finality.retract(session, await followed(session, source), above=0)
    await interpret(page)
    assert await rows("SELECT count(*) FROM bets WHERE source_id = %s", source) == [(0,)]
    assert sent == []


async def test_a_final_page_is_interpreted_as_final(database: str, sent: list[Any]) -> None:
    source = await house("final", "0x" + "06" * 20)
    page = await store(source, bet(3000, players=1), fresh=False, final=True)
    await interpret(page)
    query = "SELECT finality, settled_finality FROM bets WHERE source_id = %s"
    assert await rows(query, source) == [("finalized", "finalized")]
    query = "SELECT finality FROM seed_reveals WHERE source_id = %s"
    assert await rows(query, source) == [("finalized",)]
