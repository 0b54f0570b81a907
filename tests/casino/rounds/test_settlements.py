"""Settling rounds: every bet ends once, with what its round's result gives it."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest

from casino.rounds import settlements
from casino.rounds.settlements import Settle, owed
from casino.stakes import HOUSE
from db.session import driver, transaction
from tests.casino.conftest import rows
from tests.casino.rounds.dealt import Dealt


@pytest.fixture
async def dealt(database: str) -> Dealt:
    made = await Dealt.at()
    await made.batch(opens_in=-5)
    return made


async def drawn(dealt: Dealt, number: int = 0) -> Any:
    await dealt.moved(number, 60)
    await dealt.close(number)
    found = await dealt.draw(number)
    assert found is not None
    return found.result


async def test_winners_are_paid_and_losers_are_not(dealt: Dealt) -> None:
    ada, bob = await dealt.player(100), await dealt.player(100)
    under = {"over": False, "face": 5_000}
    over = {"over": True, "face": 4_999}
    await dealt.run_all([dealt.bet(ada, choice=under), dealt.bet(bob, choice=over)])
    result = await drawn(dealt)
    assert await dealt.settle() == "settled"
    winner, loser = (ada, bob) if result < 5_000 else (bob, ada)
    assert (await dealt.cash(winner), await dealt.cash(loser)) == (177, 0)
    assert sorted(row[0] for row in await dealt.bets(0, "state")) == ["lost", "won"]
    assert await dealt.round(0, "state", "payout") == ("settled", 177)
    [(_, told)] = await dealt.told("round.settled")
    assert (told["payout"], told["paid"]) == ("177", 1)
    house = await rows(
        "SELECT balance FROM accounts WHERE casino_id = %s AND name = %s",
        (dealt.table.casino_id, HOUSE),
    )
    assert house == [(23,)]


async def test_a_void_round_gives_every_stake_back(dealt: Dealt) -> None:
    players = [await dealt.player(500) for _ in range(3)]
    await dealt.run_all([dealt.bet(player, stake=120) for player in players])
    await dealt.moved(0, 60)
    await dealt.close()
    assert await dealt.give_up()
    assert await dealt.settle() == "void"
    assert [await dealt.cash(player) for player in players] == [500] * 3
    assert {row[0] for row in await dealt.bets(0, "state")} == {"returned"}
    [(_, told)] = await dealt.told("round.void")
    assert told["reason"] == "the beacon is gone"


async def test_a_part_that_is_settled_again_pays_nobody_twice(dealt: Dealt) -> None:
    ada = await dealt.player(1_000)
    await dealt.run_all([dealt.bet(ada), dealt.bet(ada, choice={"over": True, "face": 4_999})])
    await drawn(dealt)
    part = await dealt.part()
    assert part is not None
    first = await dealt.run(part)
    after = await dealt.cash(ada)
    again = await dealt.run(part)
    assert again.replayed
    assert again.body == first.body
    assert await dealt.cash(ada) == after == 1_000 - 200 + 177


async def test_two_dealers_at_once_settle_a_round_once(dealt: Dealt) -> None:
    players = [await dealt.player(100) for _ in range(20)]
    await dealt.run_all([dealt.bet(player, stake=50) for player in players])
    await drawn(dealt)

    async def settling() -> None:
        for _ in range(3):
            try:
                await dealt.settle()
            except psycopg.errors.UniqueViolation:
                continue
            return

    await asyncio.gather(*(settling() for _ in range(4)))
    paid = await rows(
        "SELECT count(*) FROM transfers WHERE casino_id = %s AND type = 'round_payout'",
        (dealt.table.casino_id,),
    )
    winners = [row for row in await dealt.bets(0, "state") if row[0] == "won"]
    assert paid == [(len(winners),)]
    assert (await dealt.round(0, "state"))[0] == "settled"


async def test_parts_begin_where_they_would_whoever_died_before(
    dealt: Dealt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settlements, "PART", 4)
    players = [await dealt.player(100) for _ in range(10)]
    await dealt.run_all([dealt.bet(player, stake=50) for player in players])
    await drawn(dealt)
    firsts = []
    while part := await dealt.part():
        firsts.append((part.bets[0].position, len(part.bets)))
        assert await dealt.end() is None
        await dealt.run(part)
    assert firsts == [(0, 4), (4, 4), (8, 2)]
    assert await dealt.end() == "settled"


async def test_what_a_closed_account_does_not_take_is_owed_until_it_does(dealt: Dealt) -> None:
    ada, bob = await dealt.player(100), await dealt.player(100)
    both = [{"over": False, "face": 5_000}, {"over": True, "face": 4_999}]
    await dealt.run_all([dealt.bet(p, choice=c, stake=50) for p in (ada, bob) for c in both])
    await drawn(dealt)
    close = "UPDATE accounts SET closed_at = now() WHERE casino_id = %s AND name = %s RETURNING id"
    assert await rows(close, (dealt.table.casino_id, f"player:{ada}:cash"))
    assert await dealt.settle() == "settled"
    assert sorted(row[0] for row in await dealt.bets(0, "state")) == ["lost", "lost", "owed", "won"]
    assert (await dealt.cash(ada), await dealt.cash(bob)) == (0, 88)

    async def paying() -> str | None:
        async with transaction() as session:
            [pay] = await owed(await driver(session), dealt.table)
        return (await dealt.run(pay)).code

    assert await paying() == "ACCOUNT_CLOSED"
    reopen = close.replace("now()", "NULL")
    assert await rows(reopen, (dealt.table.casino_id, f"player:{ada}:cash"))
    assert await paying() is None
    assert await dealt.cash(ada) == 88
    async with transaction() as session:
        assert await owed(await driver(session), dealt.table) == []


async def test_numbers_pay_by_how_many_of_the_marked_were_drawn(database: str) -> None:
    dealt = await Dealt.at("numbers", most_win=10**12)
    await dealt.batch(opens_in=-5, max_liability=10**15)
    ada = await dealt.player()
    choices: list[dict[str, Any]] = [{"spots": list(range(at, at + 4))} for at in range(1, 77, 4)]
    bets = [dealt.bet(ada, stake=10, choice=choice) for choice in choices]
    await dealt.run_all(bets)
    result = await drawn(dealt)
    part = await dealt.part()
    assert isinstance(part, Settle)
    pays = dealt.pays[dealt.table.pay_id]
    expected = [10 * pays.rows[3][len(set(c["spots"]) & set(result))] // 10_000 for c in choices]
    assert [bet.payout for bet in part.bets] == expected
    assert await dealt.settle() == "settled"
    assert await dealt.cash(ada) == 10_000 - 190 + sum(expected)
