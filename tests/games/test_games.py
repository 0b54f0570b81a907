"""Every game: what it pays is what its odds say, counted result by result."""

from __future__ import annotations

from fractions import Fraction
from hashlib import sha256
from math import comb
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from games import GAMES, coinflip, crash, dice, limbo, numbers
from games import range as range_game
from games.fairness.stream import Stream
from games.paytables import Edge
from games.rules import Game, NotOffered

UNIT = 10**24  # a stake that no division below leaves a rest of
targets = st.integers(101, crash.MOST)
CHOICES: dict[bytes, st.SearchStrategy[Any]] = {
    b"numbers": st.lists(st.sampled_from(numbers.BALLS), min_size=1, max_size=10, unique=True).map(
        lambda spots: numbers.Choice(tuple(sorted(spots)))
    ),
    b"dice": st.builds(dice.Choice, st.just(False), st.integers(1, 8_850))
    | st.builds(dice.Choice, st.just(True), st.integers(1_149, 9_998)),
    b"limbo": st.builds(limbo.Choice, targets),
    b"coinflip": st.builds(coinflip.Choice, st.sampled_from((0, 1))),
    b"crash": st.builds(crash.Choice, targets),
    b"range": st.integers(0, 9_000).map(lambda low: range_game.Choice(low, low + 1_000)),
}
BOUNDS = {name: game.bounds() for name, game in GAMES.items()}
every_game = pytest.mark.parametrize("game", GAMES.values(), ids=lambda game: game.NAME.decode())


def stream(number: int) -> Stream:
    return Stream(sha256(number.to_bytes(4, "big")).digest())


def test_every_room_of_games_stands_in_the_table_of_contents() -> None:
    assert set(GAMES) == set(CHOICES)


@every_game
@given(data=st.data())
def test_a_choice_has_one_encoding_and_comes_back_from_it(game: Game, data: st.DataObject) -> None:
    choice = data.draw(CHOICES[game.NAME])
    assert type(choice).decoded(choice.encoded()) == choice
    for encoded in (choice.encoded() + b"\0", b""):
        with pytest.raises(ValueError, match=r"."):
            type(choice).decoded(encoded)


@every_game
@given(encoded=st.binary(max_size=6))
def test_bytes_are_a_choice_in_one_way_or_refused(game: Game, encoded: bytes) -> None:
    try:
        choice = game.Choice.decoded(encoded)
    except ValueError:
        return
    assert choice.encoded() == encoded


@every_game
def test_a_pay_table_has_one_encoding_and_comes_back_from_it(game: Game) -> None:
    pays = game.PAYS
    assert type(pays).decoded(pays.encoded()) == pays
    with pytest.raises(ValueError, match="bytes"):
        type(pays).decoded(pays.encoded() + b"\0")


@every_game
@given(data=st.data())
def test_no_result_pays_more_than_the_most(game: Game, data: st.DataObject) -> None:
    choice = data.draw(CHOICES[game.NAME])
    stake, number = data.draw(st.integers(0, 2**128)), data.draw(st.integers(0, 2**32 - 1))
    assert 0 <= game.payout(stake, choice, game.draw(stream(number))) <= game.most(stake, choice)


@every_game
@given(data=st.data())
def test_every_choice_returns_a_share_within_its_tables_bounds(
    game: Game, data: st.DataObject
) -> None:
    low, high = BOUNDS[game.NAME]
    assert low <= game.rtp(data.draw(CHOICES[game.NAME])) <= high


@every_game
def test_the_same_outcome_draws_the_same_result(game: Game) -> None:
    assert [game.draw(stream(5)) for _ in range(3)] == [game.draw(stream(5))] * 3
    assert len({game.draw(stream(number)) for number in range(60)}) > 1


def counted(game: Game, choice: Any, results: Any) -> tuple[Fraction, Fraction]:
    """Mean and variance of the payouts of equally likely results, one by one."""
    paid = [Fraction(game.payout(UNIT, choice, result), UNIT) for result in results]
    mean = sum(paid, Fraction(0)) / len(paid)
    return mean, sum(((one - mean) ** 2 for one in paid), Fraction(0)) / len(paid)


@pytest.mark.parametrize("choice", [dice.Choice(False, 1), dice.Choice(False, 5_000)])
@pytest.mark.parametrize("edge", [dice.PAYS, Edge(0), Edge(100)])
def test_dice_counted_face_by_face_return_what_they_say(choice: dice.Choice, edge: Edge) -> None:
    paid = [Fraction(dice.payout(UNIT, choice, face, edge), UNIT) for face in range(10_000)]
    assert sum(paid) / 10_000 == dice.rtp(choice, edge) == edge.share


def test_dice_and_coins_counted_one_by_one_vary_as_they_say() -> None:
    over = dice.Choice(True, 7_499)
    assert counted(dice, over, range(10_000)) == (dice.rtp(over), dice.variance(over))
    tails = coinflip.Choice(coinflip.TAILS)
    assert counted(coinflip, tails, (0, 1)) == (Fraction(885, 1_000), coinflip.variance(tails))
    wide = range_game.Choice(0, 5_000)
    assert counted(range_game, wide, range(10_000)) == (
        range_game.rtp(wide),
        range_game.variance(wide),
    )


def test_dice_win_under_the_face_or_over_it_and_never_on_it() -> None:
    under, over = dice.Choice(False, 4_000), dice.Choice(True, 4_000)
    told = [
        (dice.payout(9, under, face) > 0, dice.payout(9, over, face) > 0)
        for face in (3_999, 4_000, 4_001)
    ]
    assert told == [(True, False), (False, False), (False, True)]


def test_a_win_that_pays_less_than_its_stake_is_not_offered() -> None:
    assert dice.payout(100, dice.Choice(False, 8_850), 0) == 100
    with pytest.raises(NotOffered, match="8851 of 10000"):
        dice.payout(100, dice.Choice(False, 8_851), 9_999)
    with pytest.raises(NotOffered, match="9000 of 10000"):
        range_game.most(100, range_game.Choice(0, 9_000), dice.PAYS)


@pytest.mark.parametrize("spots", numbers.SPOTS)
def test_hits_are_as_likely_as_counting_all_draws_says(spots: int) -> None:
    ways = [comb(spots, hit) * comb(80 - spots, 20 - hit) for hit in range(spots + 1)]
    assert numbers.chances(spots) == [Fraction(way, comb(80, 20)) for way in ways]
    choice = numbers.Choice(tuple(range(3, 3 + spots)))
    outside = [ball for ball in numbers.BALLS if ball not in choice.spots]
    drawn = [choice.spots[:hit] + tuple(outside[: 20 - hit]) for hit in range(spots + 1)]
    paid = [Fraction(numbers.payout(UNIT, choice, result), UNIT) for result in drawn]
    mean = sum(way * one for way, one in zip(ways, paid, strict=True)) / comb(80, 20)
    squares = sum(way * one**2 for way, one in zip(ways, paid, strict=True)) / comb(80, 20)
    assert numbers.rtp(choice) == mean
    assert numbers.variance(choice) == squares - mean**2
    assert Fraction(numbers.most(UNIT, choice), UNIT) == max(paid)


def test_twenty_different_numbers_of_eighty_are_drawn() -> None:
    for number in range(50):
        drawn = numbers.draw(stream(number))
        assert len(set(drawn)) == 20
        assert set(drawn) <= set(numbers.BALLS)


@pytest.mark.parametrize("spots", [(), tuple(range(1, 12)), (0,), (81,), (2, 1), (3, 3)])
def test_marks_outside_the_rules_cannot_exist(spots: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"marked|numbers"):
        numbers.Choice(spots)


@pytest.mark.parametrize(("over", "face"), [(False, 0), (True, 9_999), (False, 10_000), (True, -1)])
def test_a_dice_bet_that_cannot_win_cannot_exist(over: bool, face: int) -> None:
    with pytest.raises(ValueError, match="can win"):
        dice.Choice(over, face)


@pytest.mark.parametrize("game", [limbo, crash], ids=["limbo", "crash"])
@given(data=st.data())
def test_as_many_draws_reach_a_target_as_the_closed_formula_says(
    game: Any, data: st.DataObject
) -> None:
    target = data.draw(st.integers(101, game.MOST))
    edge = data.draw(st.integers(0, 9_999).map(Edge))
    assert game.reaching(target, edge) == edge.kept * game.SPAN // (100 * target)


@given(st.integers(101, limbo.MOST))
def test_limbo_pays_on_the_last_draw_that_reaches_and_not_on_the_next(target: int) -> None:
    choice, last = limbo.Choice(target), limbo.reaching(target)
    assert limbo.payout(100, choice, last) == target
    assert limbo.payout(100, choice, last + 1) == 0


@given(st.integers(101, crash.MOST))
def test_crash_pays_on_the_first_draw_that_reaches_and_not_before(target: int) -> None:
    choice, first = crash.Choice(target), crash.SPAN - crash.reaching(target)
    assert crash.payout(100, choice, first) == target
    assert crash.payout(100, choice, first - 1) == 0


def test_points_stay_between_one_and_the_highest_target() -> None:
    assert (limbo.point(1), limbo.point(limbo.SPAN)) == (limbo.MOST, 100)
    assert (crash.point(crash.SPAN - 1), crash.point(0)) == (crash.MOST, 100)


def test_crash_with_one_percent_breaks_where_bustabit_breaks() -> None:
    edge = Edge(100)
    for drawn in (0, 1 << 51, 3 << 50, 4_000_000_000_000_000):
        assert crash.point(drawn, edge) == max(100, 99 * crash.SPAN // (crash.SPAN - drawn))


@pytest.mark.parametrize("target", [0, 100, -1])
def test_a_target_of_one_or_less_cannot_exist(target: int) -> None:
    for choice in (limbo.Choice, crash.Choice):
        with pytest.raises(ValueError, match="a target"):
            choice(target)
    with pytest.raises(ValueError, match="a target"):
        crash.Choice(crash.MOST + 1)
    with pytest.raises(ValueError, match="a target"):
        limbo.Choice(limbo.MOST + 1)


def test_payouts_round_down_in_every_game() -> None:
    assert coinflip.payout(3, coinflip.Choice(0), 0) == 5  # 5.31
    assert dice.payout(3, dice.Choice(False, 4_999), 0) == 5
    assert limbo.payout(3, limbo.Choice(177), 1) == 5
    assert crash.payout(3, crash.Choice(177), crash.SPAN - 1) == 5
    assert numbers.payout(3, numbers.Choice((1,)), tuple(range(1, 21))) == 10  # 10.62
