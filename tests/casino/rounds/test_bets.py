"""Bets on rounds: taken in time and within limits, exactly once, and bound into a leaf."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from casino.stakes import HOUSE
from games.fairness import rounds
from games.paytables import DIGEST, digest
from tests.casino.conftest import rows
from tests.casino.rounds.dealt import ASSET, LIMITS, Dealt


@pytest.fixture
async def dealt(database: str) -> Dealt:
    made = await Dealt.at()
    await made.batch(opens_in=-5)
    return made


async def test_an_accepted_bet_takes_the_stake_and_has_its_place_in_the_round(
    dealt: Dealt,
) -> None:
    ada, bob = await dealt.player(500), await dealt.player(500)
    one, other = dealt.bet(ada, stake=100), dealt.bet(bob, stake=200)
    answers = await dealt.run_all([one, other])
    assert [answer.code for answer in answers] == [None, None]
    assert [answer.body["position"] for answer in answers] == [0, 1]
    assert (await dealt.cash(ada), await dealt.cash(bob)) == (400, 300)
    assert await dealt.round(0, "bets", "stake", "state") == (2, 300, "waiting")
    house = await rows(
        "SELECT balance FROM accounts WHERE casino_id = %s AND name = %s",
        (dealt.table.casino_id, HOUSE),
    )
    assert house == [(300,)]
    told = await dealt.told("round.bet")
    assert [data["leaf"] for _, data in told] == [answer.body["leaf"] for answer in answers]


async def test_the_leaf_binds_who_bet_on_what_and_by_which_pay_table(dealt: Dealt) -> None:
    ada = await dealt.player()
    await dealt.run(dealt.bet(ada, stake=50))
    answer = await dealt.run(dealt.bet(ada, stake=70, payee=b"\x0a" * 20))
    rules, pays = dealt.table.rules, dealt.pays[dealt.table.pay_id]
    params = digest(rules, pays) + rules.Choice(False, 5_000).encoded()
    leaf = rounds.RoundBet(
        round=dealt.table.place(0),
        position=1,
        bet_id=bytes.fromhex(answer.body["bet"]),
        payee=b"\x0a" * 20,
        stake=70,
        liability=int(answer.body["liability"]),
        details=rounds.details(
            account=f"player:{ada}".encode(), asset=ASSET.encode(), game=b"dice", params=params
        ),
    ).leaf
    assert answer.body["leaf"] == leaf.hex()
    assert answer.body["params"] == params.hex()
    win = rules.most(70, rules.Choice(False, 5_000), pays) - 70
    assert int(answer.body["liability"]) == -(-win * LIMITS.coins // LIMITS.units)


async def test_a_bet_asked_again_is_the_same_bet(dealt: Dealt) -> None:
    ada = await dealt.player(500)
    bet = dealt.bet(ada)
    first, again = await dealt.run(bet), await dealt.run(bet)
    assert again.replayed
    assert again.body == first.body
    assert await dealt.cash(ada) == 400
    assert len(await dealt.bets(0, "id")) == 1


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no such round": ({"number": 99}, "UNKNOWN_ROUND"),
    "not open yet": ({"number": 2}, "ROUND_NOT_OPEN"),
    "too small": ({"stake": 9}, "STAKE_TOO_SMALL"),
    "too large": ({"stake": 1_001}, "STAKE_TOO_LARGE"),
    "more than there is": ({"stake": 501}, "INSUFFICIENT_FUNDS"),
    "a win beyond the most": (
        {"choice": {"over": False, "face": 5}, "stake": 100},
        "WIN_TOO_LARGE",
    ),
    "nothing to win": ({"choice": {"over": False, "face": 9_999}}, "CHOICE_NOT_OFFERED"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_is_refused_moves_nothing_and_says_why(dealt: Dealt, case: str) -> None:
    changed, code = REFUSED[case]
    ada = await dealt.player(500)
    answer = await dealt.run(dealt.bet(ada, **changed))
    assert answer.code == code
    assert await dealt.cash(ada) == 500
    assert await dealt.round(0, "bets", "stake", "liability") == (0, 0, 0)
    assert await dealt.told("round.bet") == []


async def test_a_bet_after_the_close_is_late_by_the_databases_clock(dealt: Dealt) -> None:
    ada = await dealt.player()
    await dealt.moved(0, 60)
    answer = await dealt.run(dealt.bet(ada))
    assert answer.code == "ROUND_CLOSED"
    assert (await dealt.run(dealt.bet(ada, number=0))).code == "ROUND_CLOSED"


async def test_a_player_stakes_in_a_round_as_much_as_the_table_allows(dealt: Dealt) -> None:
    ada = await dealt.player()
    one, two = dealt.bet(ada, stake=1_000), dealt.bet(ada, stake=500)
    answers = await dealt.run_all([one, two, dealt.bet(ada, stake=10)])
    assert [answer.code for answer in answers] == [None, None, "STAKE_TOO_LARGE"]
    assert (await dealt.run(dealt.bet(ada, stake=10))).code == "STAKE_TOO_LARGE"
    assert (await dealt.run(dealt.bet(await dealt.player(), stake=10))).code is None


async def test_a_round_takes_no_more_than_its_bond_backs(database: str) -> None:
    dealt = await Dealt.at()
    # Two wins of 77, each backed by 116: three coins for two units, rounded up.
    await dealt.batch(opens_in=-5, max_liability=2 * 116)
    ada = await dealt.player()
    answers = await dealt.run_all([dealt.bet(ada) for _ in range(3)])
    assert [answer.code for answer in answers] == [None, None, "ROUND_FULL"]
    assert await dealt.round(0, "liability", "bets") == (232, 2)


WIN = 77  # of a stake of 100 under 5000, beyond the stake


async def at_two_tables(most_operator: int) -> tuple[Dealt, Dealt]:
    """Tables of one casino with a limit of its own, an open round at each."""
    one = await Dealt.at(most_operator=most_operator)
    other = await one.beside()
    for dealt in (one, other):
        await dealt.batch(opens_in=-5)
    return one, other


async def risk(*tables: Dealt) -> int:
    found = [await dealt.round(0, "risk") for dealt in tables]
    return int(sum(row[0] for row in found))


async def test_a_casino_risks_as_much_as_its_operator_allows_over_all_its_tables(
    database: str,
) -> None:
    one, other = await at_two_tables(3 * WIN - 1)
    ada = await one.player()
    bets = [one.bet(ada), other.bet(ada), one.bet(ada)]
    answers = await one.run_all(bets)
    assert [answer.code for answer in answers] == [None, None, "OPERATOR_FULL"]
    assert (answers[2].body["room"], answers[2].body["wanted"]) == (str(WIN - 1), str(WIN))
    assert (await other.run(other.bet(ada))).code == "OPERATOR_FULL"
    assert (await other.run(other.bet(ada, stake=50))).code is None
    assert await one.cash(ada) == 10_000 - 250
    assert await risk(one, other) == 2 * WIN + 38


async def test_what_a_casino_risked_is_free_again_when_its_round_is_over(database: str) -> None:
    one, other = await at_two_tables(WIN)
    ada = await one.player()
    assert (await one.run(one.bet(ada))).code is None
    for step in (one.close, one.draw):
        assert (await other.run(other.bet(ada))).code == "OPERATOR_FULL"
        await one.moved(0, 10)
        assert await step() is not None
    assert (await other.run(other.bet(ada))).code == "OPERATOR_FULL"
    assert await one.settle() == "settled"
    assert (await other.run(other.bet(ada))).code is None


async def test_many_bets_at_once_never_pass_what_the_operator_allows(database: str) -> None:
    one, other = await at_two_tables(5 * WIN)
    seats = [(dealt, await one.player()) for dealt in (one, other) for _ in range(6)]

    async def placed(dealt: Dealt, player: int) -> str | None:
        return (await dealt.run(dealt.bet(player))).code

    codes = await asyncio.gather(*(placed(*seat) for seat in seats))
    assert sorted(code or "" for code in codes) == [""] * 5 + ["OPERATOR_FULL"] * 7
    assert await risk(one, other) == 5 * WIN


async def test_a_bet_that_is_refused_takes_nothing_of_what_the_operator_allows(
    database: str,
) -> None:
    one, other = await at_two_tables(WIN)
    poor, ada = await one.player(50), await one.player()
    answers = await one.run_all([one.bet(poor), other.bet(ada)])
    assert [answer.code for answer in answers] == ["INSUFFICIENT_FUNDS", None]


async def test_other_assets_and_other_casinos_count_for_themselves(database: str) -> None:
    one, _ = await at_two_tables(WIN)
    dollars = await one.beside("iso4217:USD")
    stranger, _ = await at_two_tables(WIN)
    await dollars.batch(opens_in=-5)
    for dealt in (one, dollars, stranger):
        ada = await dealt.player()
        assert (await dealt.run(dealt.bet(ada))).code is None
        assert (await dealt.run(dealt.bet(ada))).code == "OPERATOR_FULL"


async def test_bets_of_many_transactions_at_once_have_each_a_place_of_their_own(
    dealt: Dealt,
) -> None:
    players = [await dealt.player(1_000) for _ in range(8)]

    async def betting(player: int) -> None:
        for _ in range(5):
            assert (await dealt.run(dealt.bet(player, stake=20))).code is None

    await asyncio.gather(*map(betting, players))
    assert [row[0] for row in await dealt.bets(0, "position")] == list(range(40))
    assert await dealt.round(0, "bets", "stake") == (40, 800)


async def test_a_seed_that_became_final_too_late_never_takes_a_bet(database: str) -> None:
    """A6: what was committed after betting opened proves nothing."""
    dealt = await Dealt.at()
    await dealt.batch(3, opens_in=-5, late_s=0)
    states = [(await dealt.round(number, "state"))[0] for number in range(3)]
    assert states == ["skipped", "waiting", "waiting"]
    answer = await dealt.run(dealt.bet(await dealt.player()))
    assert answer.code == "ROUND_CLOSED"


async def test_a_bet_stands_as_it_was_placed_whoever_writes(dealt: Dealt) -> None:
    await dealt.run(dealt.bet(await dealt.player()))
    for change in ("stake = 1, cash = 1", "leaf = 'x'", "params = 'x'", "position = 7"):
        with pytest.raises(Exception, match="it ends once"):
            await rows(f"UPDATE round_bets SET {change} WHERE table_id = %s", (dealt.table.id,))
    with pytest.raises(Exception, match="stay"):
        await rows("DELETE FROM round_bets WHERE table_id = %s", (dealt.table.id,))


async def test_params_begin_with_the_version_of_the_pay_table(dealt: Dealt) -> None:
    answer = await dealt.run(dealt.bet(await dealt.player()))
    pays = dealt.pays[dealt.table.pay_id]
    assert bytes.fromhex(answer.body["params"])[:DIGEST] == digest(dealt.table.rules, pays)
