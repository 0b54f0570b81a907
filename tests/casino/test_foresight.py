"""What is decided ahead counts only if the database finds all as it was foreseen."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from psycopg import OperationalError
from psycopg.errors import CheckViolation
from sqlalchemy import text

from api.gatherer import Gatherer
from casino import commands
from casino.commands import Answer, KeyReused, commit_ahead, commit_many
from casino.wallets import REVENUE, TREASURY, Move
from db import session
from db.pipeline import Told
from db.session import close, configure, direct, driver, stream, transaction
from ledger import foresight, known, posting, transfers
from ledger.accounts import Account
from ledger.books import Books
from ledger.foresight import Foresight, foresee
from ledger.known import Known

COINS = "casino:house/GOLD_COINS"
_players = itertools.count(1)
_keys = itertools.count(1)


@pytest.fixture(scope="module", autouse=True)
async def books(database_url: str) -> AsyncIterator[None]:
    configure(database_url)
    async with transaction() as opened:
        await opened.execute(text(f"INSERT INTO assets VALUES ('{COINS}', 'GOLD_COINS', 0)"))
    yield
    await close()


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each batch that was decided ahead, whether it stands, however long that took."""
    verdicts: list[bool] = []
    stands, failed = Foresight.stands, Foresight.failed

    def stood(one: Foresight, told: Told) -> None:
        verdicts.append(True)
        stands(one, told)

    def fell(one: Foresight, error: Exception) -> bool:
        verdicts.append(False)
        return failed(one, error)

    monkeypatch.setattr(Foresight, "stands", stood)
    monkeypatch.setattr(Foresight, "failed", fell)
    monkeypatch.setattr(foresight, "BLIND_S", 0.0)
    monkeypatch.setattr(foresight, "NEAR", timedelta(seconds=30))
    return verdicts


@pytest.fixture
def ahead(monkeypatch: pytest.MonkeyPatch) -> list[Foresight]:
    """What was foreseen."""
    all: list[Foresight] = []

    def watched(known: Known, accounts: Iterable[Account]) -> Foresight | None:
        one = foresee(known, accounts)
        all.extend([one] if one else [])
        return one

    monkeypatch.setattr(commands, "foresee", watched)
    return all


@pytest.fixture
async def patient(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """A stream that waits for locks."""
    await (await stream()).close()
    monkeypatch.setattr(session, "HURRY_MS", 30_000)
    await stream()
    yield
    await (await stream()).close()


async def decided(ahead: list[Foresight], count: int) -> None:
    while len(ahead) < count:
        await asyncio.sleep(0.005)


@pytest.fixture
async def player(seen: list[bool]) -> int:
    """A player with 10 coins whom this process knows."""
    number = next(_players)
    await commit(move(number, "top_up", 11), move(number, "spend", 1))
    seen.clear()
    return number


def move(player: int, type: str, amount: int, **more: Any) -> Move:
    mine = f"player:{player}:cash"
    source, target = (mine, REVENUE) if type == "spend" else (TREASURY, mine)
    asked: dict[str, Any] = {"key": f"foresight-{next(_keys)}", **more}
    return Move(
        casino_id=1,
        casino="house",
        scope="test",
        actor="tests",
        type=type,
        player_id=player,
        asset=COINS,
        amount=amount,
        source=source,
        target=target,
        **asked,
    )


async def commit(*commands: Move) -> list[Answer | KeyReused]:
    answers = await commit_ahead(commands)
    if answers is not None:
        return answers
    async with direct() as connection:
        return await commit_many(connection, commands)


async def balance(answers: Awaitable[list[Answer | KeyReused]]) -> str | None:
    """What the last answer says, or the code of its refusal."""
    last = (await answers)[-1]
    assert isinstance(last, Answer)
    return last.code or last.body["balance"]


async def elsewhere(query: str, player: int) -> None:
    """A statement of another process."""
    async with transaction() as opened:
        connection = await driver(opened)
        await connection.execute(query.encode(), (f"player:{player}:cash",))


@contextlib.asynccontextmanager
async def kept_by_somebody(player: int) -> AsyncIterator[None]:
    async with transaction() as opened:
        connection, name = await driver(opened), f"player:{player}:cash"
        await connection.execute("SELECT FROM accounts WHERE name = %s FOR UPDATE", (name,))
        yield


async def test_what_nobody_else_moved_is_decided_ahead(player: int, seen: list[bool]) -> None:
    assert await balance(commit(move(player, "spend", 3))) == "7"
    assert await balance(commit(move(player, "spend", 8))) == "INSUFFICIENT_FUNDS"
    assert await balance(commit(move(player, "top_up", 1), move(player, "spend", 8))) == "0"
    assert seen == [True, True, True]


CHANGES: dict[str, tuple[str, str]] = {
    "a limit": ("UPDATE accounts SET most = 10 WHERE name = %s", "LIMIT_EXCEEDED"),
    "an end": ("UPDATE accounts SET closed_at = now() WHERE name = %s", "ACCOUNT_CLOSED"),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_what_an_operator_changed_is_seen(player: int, seen: list[bool], change: str) -> None:
    statement, code = CHANGES[change]
    await elsewhere(statement, player)
    assert await balance(commit(move(player, "top_up", 1))) == code
    assert seen == [False]


async def test_money_that_another_process_moved_or_set_aside_is_seen(
    player: int, seen: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, treasury = (Account(1, name, COINS) for name in (f"player:{player}:cash", TREASURY))

    async def apart(work: Callable[[Books], object]) -> None:
        """As a process does that knows nothing of ours."""
        with monkeypatch.context() as other:
            other.setattr(known, "_known", {})
            async with transaction() as opened:
                books, _ = await posting.opened(opened, [mine, treasury])
                work(books)
                await posting.written(opened, books)

    gift = transfers.move("gift", source=treasury, target=mine, amount=5)
    await apart(lambda books: books.post(gift))
    assert await balance(commit(move(player, "spend", 15))) == "0"
    await commit(move(player, "top_up", 9))
    await apart(lambda books: books.hold(mine, 8))
    assert await balance(commit(move(player, "spend", 2))) == "INSUFFICIENT_FUNDS"
    assert seen == [False, False, False]  # the player's, then the treasury's, then what is held


async def test_a_request_that_stands_is_answered_as_it_stands(
    player: int, seen: list[bool]
) -> None:
    spend = move(player, "spend", 4)
    assert await balance(commit(spend)) == "6"
    [again, other] = await commit(spend, move(player, "spend", 5, key=spend.key))
    assert isinstance(again, Answer)
    assert (again.replayed, again.body["balance"]) == (True, "6")
    assert isinstance(other, KeyReused)
    assert seen == [True, False]


async def test_a_reference_that_stands_is_found(player: int, seen: list[bool]) -> None:
    await commit(move(player, "top_up", 1, reference=f"order-{player}"))
    again = move(player, "top_up", 1, reference=f"order-{player}")
    assert await balance(commit(again)) == "DUPLICATE_REFERENCE"
    assert seen == [True, False]


async def test_what_stands_is_said_of_a_reference_though_money_would_be_short_too(
    player: int, seen: list[bool]
) -> None:
    order = f"order-{player}"
    assert await balance(commit(move(player, "spend", 8, reference=order))) == "2"
    again = commit(move(player, "spend", 8, reference=order))
    assert await balance(again) == "DUPLICATE_REFERENCE"
    assert seen == [True, False]


async def test_without_a_stream_it_is_decided_the_careful_way(
    player: int, seen: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def none() -> None:
        raise OperationalError("no more connections")

    monkeypatch.setattr(commands, "stream", none)
    assert await balance(commit(move(player, "spend", 3))) == "7"
    assert seen == []


DOOM = """
CREATE FUNCTION doom() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    WHILE NOT pg_try_advisory_xact_lock(6) LOOP PERFORM pg_sleep(0.01); END LOOP;
    RAISE 'doomed' USING ERRCODE = 'check_violation'; END $$;
CREATE TRIGGER doom BEFORE INSERT ON requests
    FOR EACH ROW WHEN (NEW.key = 'doomed') EXECUTE FUNCTION doom()
"""


async def test_what_was_foreseen_of_a_batch_that_failed_is_not_so(
    player: int, seen: list[bool], ahead: list[Foresight]
) -> None:
    async with transaction() as opened:
        await (await driver(opened)).execute(DOOM.encode())
    async with transaction() as opened:
        await (await driver(opened)).execute("SELECT pg_advisory_xact_lock(6)")
        doomed = asyncio.create_task(commit(move(player, "top_up", 90, key="doomed")))
        await decided(ahead, 1)
        behind = asyncio.create_task(balance(commit(move(player, "spend", 60))))
        await decided(ahead, 2)
    with pytest.raises(CheckViolation):
        await doomed
    assert await behind == "INSUFFICIENT_FUNDS"
    assert seen == [False, False]
    # The failed one may forget the account only after the one behind it has remembered it.
    assert await balance(commit(move(player, "spend", 4))) == "6"
    assert await balance(commit(move(player, "spend", 6))) == "0"
    assert seen[-1]


async def test_a_version_with_another_balance_is_not_what_was_foreseen(
    player: int,
    seen: list[bool],
    ahead: list[Foresight],
    patient: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One batch fails that was foreseen, and another process makes the version that it made."""
    accounts = [Account(1, name, COINS) for name in (f"player:{player}:cash", REVENUE)]
    loss = transfers.move("loss", source=accounts[0], target=accounts[1], amount=3)
    async with transaction() as opened:
        with monkeypatch.context() as other:
            other.setattr(known, "_known", {})
            books, _ = await posting.opened(opened, accounts)
            books.post(loss)
            await posting.written(opened, books)
        ten = asyncio.create_task(balance(commit(move(player, "spend", 10))))
        await decided(ahead, 1)  # nothing is left
        five = asyncio.create_task(balance(commit(move(player, "spend", 5))))
        await decided(ahead, 2)  # on that: it is refused
    assert [await ten, await five] == ["INSUFFICIENT_FUNDS", "2"]
    assert seen == [False, False]


async def test_what_comes_much_later_than_foreseen_is_decided_anew(
    player: int,
    seen: list[bool],
    ahead: list[Foresight],
    patient: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(foresight, "NEAR", timedelta(milliseconds=50))
    async with kept_by_somebody(player):
        behind = asyncio.create_task(commit(move(player, "spend", 1)))
        await decided(ahead, 1)
        await asyncio.sleep(0.2)
        assert not behind.done()
    assert await balance(behind) == "9"
    assert seen == [False]


async def test_a_kept_account_holds_up_the_stream_for_a_moment_only(
    player: int, seen: list[bool], ahead: list[Foresight]
) -> None:
    def give(giver: int, number: int) -> Move:
        one = move(giver, "transfer", number)
        mine, friend = (f"player:{n}:cash" for n in (giver, giver + 1_000))
        return replace(one, source=mine, target=friend)

    other = next(_players)
    await commit(move(other, "top_up", 10))
    await commit(give(player, 1), give(other, 1))
    ahead.clear()
    seen.clear()
    async with kept_by_somebody(player):
        kept = asyncio.create_task(commit(give(player, 2)))
        await decided(ahead, 1)
        assert await balance(commit(give(other, 2))) == "7"
        assert not kept.done()
    assert await balance(kept) == "7"
    assert sorted(seen) == [False, True]


async def test_a_command_that_breaks_is_decided_again_and_then_raised(
    player: int, seen: list[bool]
) -> None:
    class Broken(Move):
        def decide(self, desk: Any) -> Answer:
            super().decide(desk)
            raise ZeroDivisionError

    good = move(player, "spend", 3)
    with pytest.raises(ZeroDivisionError):
        await commit(good, Broken(**vars(move(player, "spend", 2))))
    assert await balance(commit(good)) == "7"
    assert seen == [False]


async def test_the_stream_is_made_again_when_it_is_lost(player: int, seen: list[bool]) -> None:
    pid = (await stream()).connection.info.backend_pid
    async with transaction() as opened:
        connection = await driver(opened)
        await connection.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
    for left in ("9", "8"):
        spend = move(player, "spend", 1)
        try:
            assert await balance(commit(spend)) == left
        except OperationalError:  # nobody knew yet that it was lost
            assert await balance(commit(spend)) == left


async def test_batches_abreast_over_the_same_accounts_count_each_once(
    player: int, seen: list[bool]
) -> None:
    gatherer: Gatherer[Move, Answer | KeyReused] = Gatherer(
        commit_many, ahead=commit_ahead, most=8, abreast=4
    )
    for _ in range(10):
        moves = [move(player, "top_up", 1) for _ in range(60)]
        answers = await asyncio.gather(*map(gatherer.ask, moves))
        codes = {one.code for one in answers if isinstance(one, Answer)}
        assert codes == {None}
    assert await balance(commit(move(player, "spend", 1))) == "609"
    assert seen.count(True) > 0
