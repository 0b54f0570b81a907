"""The studio over a wire that loses answers: money moves once, and what is unknown is undone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from api.app import build
from db import session as db_session
from settings import Settings
from studio import rounds
from studio.rounds import Playing, Sent
from studio.wire import Casino, Heard, understood
from tests.api.providers.conftest import House
from tests.api.providers.losses import BROKEN, DROPPED, GOOD, LATE, LOST, Wire, wired
from tests.api.providers.speakers import SECRET, JaqpotSpeaker, Seat, fresh

LOSSES = (LOST, DROPPED, LATE, BROKEN)


@pytest.fixture
async def wire(house: House) -> AsyncIterator[Wire]:
    async with wired(house.urls[0]) as made:
        yield made


@pytest.fixture
def casino(wire: Wire) -> Casino:
    return Casino(wire.url, SECRET, timeout_s=0.8, tries=3, pause_s=0.01)


@pytest.fixture
async def seat(house: House) -> Seat:
    return await house.seat(JaqpotSpeaker(house.client, house.urls))


@pytest.fixture
async def round(house: House, seat: Seat) -> Playing:
    """A round of the studio, named as its session."""
    session = await rounds.playing(seat.token)
    await house.rows(
        "INSERT INTO provider_rounds (id, session_id) VALUES (%s, %s)", (session.id, session.id)
    )
    return session


def bet_of(round: Playing, amount: int = 100) -> Sent:
    return Sent(round.token, round.id, "debit", fresh("bet"), amount)


async def states(house: House, round: Playing) -> dict[str, str]:
    rows = await house.rows(
        "SELECT kind, state FROM provider_calls WHERE round_id = %s", (round.id,)
    )
    return dict(rows)


def told(wire: Wire) -> list[tuple[str, Any]]:
    return [(path, orjson.loads(body)["transactionId"]) for path, body in wire.seen]


@pytest.mark.parametrize("loss", LOSSES)
async def test_a_bet_whose_answer_is_lost_is_asked_for_again_and_taken_once(
    house: House, wire: Wire, casino: Casino, seat: Seat, round: Playing, loss: str
) -> None:
    """5, 7"""
    wire.plan.extend([loss, loss])
    bet = bet_of(round)
    heard = await rounds.bet(casino, bet)
    assert heard.outcome == "done"
    assert set(told(wire)) == {("/casino/debit", bet.id)}
    assert len(wire.seen) > 2
    assert await house.cash(seat) == 900
    assert await states(house, round) == {"debit": "done"}


@pytest.mark.parametrize("loss", LOSSES)
async def test_a_bet_of_which_nobody_knows_ends_rolled_back(
    house: House, wire: Wire, casino: Casino, seat: Seat, round: Playing, loss: str
) -> None:
    """5, 41"""
    wire.plan.extend([loss] * 4)
    heard = await rounds.bet(casino, bet_of(round))
    assert heard.outcome == "unknown"
    paths = [path for path, _ in told(wire)]
    tries = paths.index("/casino/rollback")  # one that takes too long to connect is not seen
    assert paths[:tries] == ["/casino/debit"] * tries
    assert 1 <= tries <= casino.tries
    assert set(paths[4:]) == {"/casino/rollback"}
    assert await house.cash(seat) == 1000
    assert await states(house, round) == {"debit": "undone", "rollback": "done"}


async def test_a_bet_that_never_arrived_is_barred_by_its_rollback(
    house: House, wire: Wire, casino: Casino, seat: Seat, round: Playing
) -> None:
    """20, 33"""
    wire.plan.extend([LOST] * 3)
    bet = bet_of(round)
    await rounds.bet(casino, bet)
    late = await casino.call("debit", bet.body())
    assert (late.outcome, late.code) == ("refused", "ROLLED_BACK")
    assert await house.cash(seat) == 1000


async def test_a_rollback_is_sent_until_the_casino_says_what_became_of_it(
    house: House, wire: Wire, casino: Casino, seat: Seat, round: Playing
) -> None:
    """41"""
    wire.plan.extend([DROPPED] * 12)
    await rounds.bet(casino, bet_of(round))
    assert await states(house, round) == {"debit": "sent", "rollback": "sent"}
    assert await house.cash(seat) == 1000
    for _ in range(2):
        await rounds.resume(casino, after_s=0)
    assert await states(house, round) == {"debit": "undone", "rollback": "done"}
    assert await rounds.resume(casino, after_s=0) == 0
    assert len({id for path, id in told(wire) if path == "/casino/rollback"}) == 1


async def test_a_studio_that_died_after_sending_undoes_its_bet(
    house: House, wire: Wire, casino: Casino, seat: Seat, round: Playing
) -> None:
    """41: once, though two processes find out"""
    await died(house, casino, seat, round)
    await asyncio.gather(*(rounds.resume(casino, after_s=0) for _ in range(2)))
    assert await states(house, round) == {"debit": "undone", "rollback": "done"}
    assert await house.cash(seat) == 1000


async def died(house: House, casino: Casino, seat: Seat, round: Playing) -> None:
    """The studio did, after it sent a bet two minutes ago."""
    bet = bet_of(round)
    await casino.call("debit", bet.body())
    await house.rows(
        "INSERT INTO provider_calls (id, round_id, kind, amount, state, at)"
        " VALUES (%s, %s, 'debit', 100, 'sent', now() - interval '2 min')",
        (bet.id, round.id),
    )
    assert await house.cash(seat) == 900


async def test_whoever_serves_the_studio_undoes_what_it_left_behind_when_it_died(
    house: House, casino: Casino, seat: Seat, round: Playing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """41: by itself"""
    await died(house, casino, seat, round)
    monkeypatch.setenv("CASINO_SECRET", SECRET)
    port = int(house.urls[0].rpartition(":")[2])
    app = build(Settings(_env_file=None, database_url=house.database_url, api_port=port))
    try:
        async with app.router.lifespan_context(app), asyncio.timeout(20):
            while "sent" in (await states(house, round)).values():
                await asyncio.sleep(0.02)
    finally:
        db_session.configure(house.database_url)
    assert await states(house, round) == {"debit": "undone", "rollback": "done"}
    assert await house.cash(seat) == 1000


async def test_what_fails_while_the_studio_goes_on_is_tried_again(
    house: House, wire: Wire, casino: Casino, seat: Seat, round: Playing
) -> None:
    """41"""
    await died(house, casino, seat, round)
    await house.rows("ALTER TABLE provider_calls RENAME TO provider_calls_away")
    going_on = asyncio.create_task(rounds.resuming(casino, every_s=0.05))
    await asyncio.sleep(0.2)
    assert not going_on.done()
    await house.rows("ALTER TABLE provider_calls_away RENAME TO provider_calls")
    async with asyncio.timeout(20):
        while "sent" in (await states(house, round)).values():
            await asyncio.sleep(0.02)
    assert await house.cash(seat) == 1000
    going_on.cancel()
    await asyncio.wait([going_on])
    assert going_on.cancelled()


async def test_a_payout_to_a_closed_account_is_sent_until_it_is_open_again(
    house: House, casino: Casino, seat: Seat, round: Playing
) -> None:
    """30"""
    bet, gone = bet_of(round), bet_of(round)
    for one in (bet, gone):
        await rounds.bet(casino, one)
    alter, mine = "UPDATE accounts SET closed_at = {} WHERE name = %s", f"player:{seat.player_id}"
    await house.rows(alter.format("now()"), (f"{mine}:cash",))
    paid = Sent(round.token, round.id, "credit", fresh("win"), 250, bet.id)
    assert (await rounds.undo(casino, gone)).outcome == "unknown"
    assert (await rounds.pay(casino, paid)).outcome == "unknown"
    assert await rounds.resume(casino, after_s=0) == 0
    await house.rows(alter.format("NULL"), (f"{mine}:cash",))
    assert (await rounds.undo(casino, gone)).outcome == "done"
    assert await rounds.resume(casino, after_s=0) == 1
    assert await house.cash(seat) == 1150


async def test_a_declined_bet_is_not_rolled_back(
    house: House, wire: Wire, casino: Casino, seat: Seat, round: Playing
) -> None:
    """42"""
    heard = await rounds.bet(casino, bet_of(round, 5000))
    assert (heard.outcome, heard.status, heard.code) == ("refused", 402, "INSUFFICIENT_FUNDS")
    assert len(wire.seen) == 1
    assert await states(house, round) == {"debit": "declined"}


async def test_a_payout_is_sent_until_it_is_made_and_made_once(
    house: House, wire: Wire, casino: Casino, seat: Seat, round: Playing
) -> None:
    """30"""
    bet = bet_of(round)
    await rounds.bet(casino, bet)
    wire.plan.extend([DROPPED, BROKEN, LATE, LOST])
    paid = Sent(round.token, round.id, "credit", fresh("win"), 250, bet.id)
    assert (await rounds.pay(casino, paid)).outcome == "unknown"
    assert await states(house, round) == {"debit": "done", "credit": "sent"}
    assert await rounds.resume(casino, after_s=0) == 1
    assert await house.cash(seat) == 1150
    assert await states(house, round) == {"debit": "done", "credit": "done"}


async def test_a_round_by_script_ends_alike_whatever_the_wire_does(
    house: House, wire: Wire, casino: Casino, seat: Seat, round: Playing
) -> None:
    """5, 7, 30, 41: one loss at each of its calls"""
    for place, loss in enumerate([DROPPED, LATE, LOST, DROPPED, BROKEN, DROPPED]):
        before = await house.cash(seat)
        wire.plan.clear()
        wire.plan.extend([GOOD] * place + [loss])
        steps = await rounds.simulate(casino, round)
        assert [one["outcome"] for one in steps] == ["done"] * 6
        assert await house.cash(seat) == before + 100


UNREADABLE: list[tuple[int, bytes]] = [
    (200, b""),
    (200, b"<html>"),
    (200, b"[]"),
    (200, b'{"status": "FINE", "balance": 1}'),
    (200, b'{"status": "OK"}'),
    (200, b'{"status": "OK", "balance": "1"}'),
    (204, b'{"status": "OK", "balance": 1}'),
    (302, b'{"code": "MOVED"}'),
    (400, b"{}"),
    (429, b'{"code": "TOO_MANY"}'),
    (500, b'{"code": "internal"}'),
    (503, b'{"code": "overloaded"}'),
]


@pytest.mark.parametrize(("status", "content"), UNREADABLE)
def test_an_answer_that_is_neither_yes_nor_no_is_unknown(status: int, content: bytes) -> None:
    """3, 4"""
    assert understood(status, content).outcome == "unknown"


def test_an_answer_that_is_yes_or_no_is_believed() -> None:
    """3"""
    assert understood(200, b'{"status": "OK", "balance": 1}').outcome == "done"
    refused = understood(402, b'{"code": "INSUFFICIENT_FUNDS"}')
    assert refused == Heard("refused", 402, {"code": "INSUFFICIENT_FUNDS"})
