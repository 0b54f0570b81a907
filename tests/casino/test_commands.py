"""A command is decided once for its key; refusals stay, and another request is told so."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import pytest
from psycopg.errors import CheckViolation, UniqueViolation
from sqlalchemy import text

from api.desk import gathered
from api.gatherer import Gatherer
from casino.commands import Answer, KeyReused, Shelf, commit_many
from casino.wallets import REVENUE, TREASURY, Move, move_many
from db import session
from db.pipeline import Statement

COINS = "casino:house/GOLD_COINS"
DOOM = (
    """
    CREATE FUNCTION doom() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'doomed' USING ERRCODE = 'check_violation'; END $$
    """,
    """
    CREATE CONSTRAINT TRIGGER doom AFTER INSERT ON requests DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.key = 'doomed') EXECUTE FUNCTION doom()
    """,
)
_players = itertools.count(500)
_keys = itertools.count(1)


@pytest.fixture(scope="module", autouse=True)
async def books(database_url: str) -> AsyncIterator[None]:
    session.configure(database_url)
    async with session.transaction() as opened:
        await opened.execute(text(f"INSERT INTO assets VALUES ('{COINS}', 'GOLD_COINS', 0)"))
    yield
    await session.close()


@pytest.fixture
def player() -> int:
    return next(_players)


def command(player: int, type: str, amount: int, key: str | None = None, **more: Any) -> Move:
    mine = f"player:{player}:cash"
    source, target = (mine, REVENUE) if type == "spend" else (TREASURY, mine)
    more = {"source": source, "target": target, **more}
    return Move(
        casino_id=1,
        casino="house",
        scope="test",
        key=key or f"key-{next(_keys)}",
        actor="tests",
        type=type,
        player_id=player,
        asset=COINS,
        amount=amount,
        **more,
    )


async def run(*commands: Move) -> list[Answer | KeyReused]:
    async with session.transaction() as opened:
        return await move_many(opened, commands)


async def value(query: str, **values: Any) -> Any:
    async with session.transaction() as opened:
        return (await opened.execute(text(query), values)).scalar()


async def balance(player: int) -> int:
    query = "SELECT balance::bigint FROM accounts WHERE name = :name"
    return int(await value(query, name=f"player:{player}:cash"))


async def test_a_command_asked_again_gives_its_first_answer(player: int) -> None:
    top_up = command(player, "top_up", 10)
    [first, same] = await run(top_up, top_up)
    assert isinstance(first, Answer)
    assert (first.code, first.body["balance"], first.replayed) == (None, "10", False)
    await run(command(player, "top_up", 5))
    [later] = await run(top_up)
    for again in (same, later):
        assert isinstance(again, Answer)
        assert (again.body, again.replayed) == (first.body, True)
    assert await balance(player) == 15


async def test_a_refusal_stays_refused_when_funds_come_later(player: int) -> None:
    spend = command(player, "spend", 7)
    [refused] = await run(spend)
    assert isinstance(refused, Answer)
    assert refused.code == "INSUFFICIENT_FUNDS"
    assert refused.body["available"] == "0"
    await run(command(player, "top_up", 100))
    [again] = await run(spend)
    assert isinstance(again, Answer)
    assert (again.code, again.body) == (refused.code, refused.body)
    assert await balance(player) == 100


@pytest.mark.parametrize("changed", [{"amount": 2}, {"type": "bonus"}, {"description": "x"}])
async def test_a_key_used_for_something_else_moves_nothing(
    player: int, changed: dict[str, Any]
) -> None:
    asked = {"type": "top_up", "amount": 1, **changed}
    first = command(player, "top_up", 1)
    other = command(player, key=first.key, **asked)
    [_, here] = await run(first, other)
    [there] = await run(other)
    assert isinstance(here, KeyReused)
    assert isinstance(there, KeyReused)
    assert await balance(player) == 1


async def test_a_reference_stands_once_for_each_type_under_whatever_key(player: int) -> None:
    first = command(player, "top_up", 1, reference=f"order-{player}")
    again = command(player, "top_up", 1, reference=f"order-{player}")
    other = command(player, "bonus", 1, reference=f"order-{player}")
    answers = [*await run(first), *await run(again, other)]
    codes = [answer.code for answer in answers if isinstance(answer, Answer)]
    assert codes == [None, "DUPLICATE_REFERENCE", None]
    assert await balance(player) == 2


async def test_a_transfer_a_request_and_a_message_leave_together(player: int) -> None:
    spend = command(player, "spend", 1)
    [_, answer] = await run(command(player, "top_up", 3), spend)
    assert isinstance(answer, Answer)
    kept = await value("SELECT transfer_id FROM requests WHERE key = :key", key=spend.key)
    assert kept == answer.transfer_id
    told = "SELECT count(*) FROM outbox WHERE type = 'wallet.moved' AND player = :player"
    assert await value(told, player=str(player)) == 2


async def test_concurrent_askers_share_transactions_and_count_once(player: int) -> None:
    batches: list[int] = []

    async def counted(opened: Any, commands: Any) -> list[Answer | KeyReused]:
        batches.append(len(commands))
        return await commit_many(opened, commands)

    gatherer: Gatherer[Move, Answer | KeyReused] = Gatherer(counted)
    commands = [command(player, "top_up", 1, key=f"{player}-{n % 50}") for n in range(200)]
    answers = await asyncio.gather(*(gatherer.ask(one) for one in commands))
    assert await balance(player) == 50
    assert sum(not one.replayed for one in answers if isinstance(one, Answer)) == 50
    assert max(batches) > 50


async def test_two_processes_asked_with_one_key_move_money_once(player: int) -> None:
    one, other = (gathered() for _ in range(2))
    for _ in range(20):
        asked = command(player, "top_up", 1)
        stranger = command(player + 100_000, "top_up", 1, key=asked.key)
        answers = await asyncio.gather(one.ask(asked), other.ask(asked), one.ask(stranger))
        assert sum(isinstance(answer, KeyReused) for answer in answers) in (1, 2)
    assert (
        await balance(player)
        + (
            await value(
                "SELECT coalesce(sum(balance), 0)::bigint FROM accounts WHERE name = :name",
                name=f"player:{player + 100_000}:cash",
            )
        )
        == 20
    )


async def test_a_key_is_one_even_where_nothing_else_is_shared(player: int) -> None:
    """Two processes at once, the same key, no account in common: the second must do it over."""
    purses = [f"player:{player + n * 100_000}:cash" for n in range(4)]
    await run(*(command(player + n * 100_000, "top_up", 5) for n in (0, 2)))
    asked = command(player, "transfer", 5, source=purses[0], target=purses[1])
    other = command(player + 200_000, "transfer", 5, asked.key, source=purses[2], target=purses[3])
    async with session.transaction() as opened:
        [first] = await move_many(opened, [asked])
        second = asyncio.create_task(run(other))
        await asyncio.sleep(0.2)
        assert not second.done()
    assert isinstance(first, Answer)
    with pytest.raises(UniqueViolation):
        await second
    [again] = await run(other)
    assert isinstance(again, KeyReused)


async def test_a_command_that_breaks_is_the_only_one_that_fails(player: int) -> None:
    class Broken(Move):
        def decide(self, desk: Any) -> Answer:
            raise ZeroDivisionError

    good, more = command(player, "top_up", 1), command(player, "top_up", 2)
    broken = Broken(**{**vars(good), "key": "broken"})
    gatherer = gathered()
    answers = await asyncio.gather(
        *(gatherer.ask(one) for one in (good, broken, more)), return_exceptions=True
    )
    assert [type(one) for one in answers] == [Answer, ZeroDivisionError, Answer]
    assert await balance(player) == 3


async def test_what_fails_at_the_very_commit_is_never_answered_as_done(player: int) -> None:
    """The COMMIT goes with the last writes; an answer waits for what became of it."""
    doomed, good = command(player, "top_up", 1, "doomed"), command(player, "top_up", 2)
    async with session.transaction() as opened:
        for statement in DOOM:
            await opened.execute(text(statement))
    gatherer = gathered()
    answers = await asyncio.gather(
        *(gatherer.ask(one) for one in (doomed, good)), return_exceptions=True
    )
    assert [type(one) for one in answers] == [CheckViolation, Answer]
    assert await balance(player) == 2
    assert await value("SELECT count(*) FROM requests WHERE key = 'doomed'") == 0
    async with session.transaction() as opened:
        await opened.execute(text("DROP TRIGGER doom ON requests"))
    assert isinstance(await gatherer.ask(doomed), Answer)
    assert await balance(player) == 3


async def test_whoever_stops_waiting_does_not_stop_the_command(player: int) -> None:
    gatherer = gathered()
    waiting = asyncio.create_task(gatherer.ask(command(player, "top_up", 9)))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await gatherer.close()
    assert await balance(player) == 9


async def test_what_was_decided_is_never_changed(player: int) -> None:
    await run(command(player, "top_up", 1))
    for statement in ("UPDATE requests SET code = NULL", "DELETE FROM requests"):
        with pytest.raises(Exception, match="never allowed"):
            await value(statement)


class Counts(Shelf[str, int]):
    """A row beside the books that stands in no table."""

    @classmethod
    def find(cls, keys: Sequence[str]) -> Statement:
        return b"SELECT n, 1 FROM unnest(%s::text[]) n WHERE n = 'known'", (list(keys),)

    @classmethod
    def read(cls, row: Sequence[Any]) -> tuple[str, int]:
        return row[0], row[1]

    def writes(self) -> Iterable[Statement]:
        yield b"INSERT INTO casinos (slug, name) VALUES (%s, 'counted')", (str(self.changed),)


async def test_a_refusal_takes_back_what_changed_beside_the_books(player: int) -> None:
    class Counted(Move):
        def rows(self) -> Iterable[tuple[type[Shelf[Any, Any]], Any]]:
            return (*super().rows(), (Counts, "known"), (Counts, "new"))

        def decide(self, desk: Any) -> Answer:
            counts = desk.shelf(Counts)
            for key in ("known", "new"):
                counts.put(key, (counts.get(key) or 0) + self.amount)
            return super().decide(desk)

    spend, top_up = command(player, "spend", 50), command(player, "top_up", 7)
    first, second = (Counted(**vars(one)) for one in (spend, top_up))
    [refused, accepted] = await run(first, second)
    assert isinstance(refused, Answer)
    assert refused.code == "INSUFFICIENT_FUNDS"
    assert isinstance(accepted, Answer)
    assert accepted.code is None
    assert await value("SELECT slug FROM casinos WHERE name = 'counted'") == str(
        {"known": 8, "new": 7}
    )


async def test_what_was_asked_can_be_read_whether_it_was_done_or_refused(player: int) -> None:
    asked = [command(player, "top_up", 7), command(player, "spend", 50)]
    answers = await run(*asked)
    assert [isinstance(one, Answer) and one.code for one in answers] == [None, "INSUFFICIENT_FUNDS"]
    for one in asked:
        stands = f"SELECT facts->>'amount' FROM requests WHERE key = '{one.key}'"
        assert await value(stands) == str(one.amount)
