"""Pay tables: a version is its digest, and rounds keep within their band."""

from __future__ import annotations

from fractions import Fraction

import pytest

from games import GAMES, coinflip, crash, dice, limbo, numbers, paytables
from games import range as range_game
from games.paytables import Edge, OutsideBand, check_band
from games.rules import Game, NotOffered

SCHEDULED = (numbers, dice, limbo, coinflip, crash)


def with_row(spots: int, row: tuple[int, ...]) -> numbers.PayTable:
    rows = list(numbers.PAYS.rows)
    rows[spots - 1] = row
    return numbers.PayTable(tuple(rows))


@pytest.mark.parametrize("game", SCHEDULED, ids=lambda game: game.NAME.decode())
def test_what_the_house_ships_for_rounds_is_inside_the_band(game: Game) -> None:
    check_band(game, game.PAYS)


@pytest.mark.parametrize("spots", numbers.SPOTS)
def test_the_shipped_numbers_return_88_to_89_percent_for_every_count(spots: int) -> None:
    choice = numbers.Choice(tuple(range(1, spots + 1)))
    assert Fraction(88, 100) <= numbers.rtp(choice) <= Fraction(89, 100)


@pytest.mark.parametrize("game", SCHEDULED[1:], ids=lambda game: game.NAME.decode())
@pytest.mark.parametrize("edge_bp", [0, 100, 1_099, 1_201])
def test_an_edge_outside_the_band_is_refused(game: Game, edge_bp: int) -> None:
    with pytest.raises(OutsideBand, match=r"rounds return 0\.88 to 0\.89") as refused:
        check_band(game, Edge(edge_bp))
    assert refused.value.game == game.NAME


def test_the_ends_of_the_band_belong_to_it() -> None:
    check_band(dice, Edge(1_100))
    check_band(dice, Edge(1_200))
    check_band(coinflip, Edge(1_100))


def test_one_spot_count_outside_the_band_spoils_its_table() -> None:
    for entry in (35_199, 35_601):
        with pytest.raises(OutsideBand):
            check_band(numbers, with_row(1, (0, entry)))
    check_band(numbers, with_row(1, (0, 35_600)))


def test_a_spot_count_that_is_not_offered_counts_for_nothing() -> None:
    pays = with_row(10, (0,) * 11)
    check_band(numbers, pays)
    with pytest.raises(NotOffered, match="10 spots"):
        numbers.payout(1, numbers.Choice(tuple(range(1, 11))), (), pays)


def test_the_range_of_on_chain_bets_is_no_table_for_rounds() -> None:
    with pytest.raises(OutsideBand):
        check_band(range_game, range_game.PAYS)


def test_every_table_of_every_game_has_a_version_of_its_own() -> None:
    told = {paytables.digest(game, game.PAYS) for game in GAMES.values()}
    told |= {paytables.digest(dice, Edge(edge_bp)) for edge_bp in (1_100, 1_200)}
    told |= {paytables.digest(numbers, with_row(1, (0, 35_401)))}
    assert len(told) == len(GAMES) + 3


def test_a_bet_is_bound_to_its_tables_version_and_its_choice() -> None:
    choice = dice.Choice(False, 5_000)
    bound = paytables.params(dice, choice, dice.PAYS)
    assert bound == paytables.digest(dice, dice.PAYS) + choice.encoded()
    assert bound != paytables.params(dice, choice, Edge(1_100))


@pytest.mark.parametrize("edge_bp", [-1, 10_000])
def test_an_edge_outside_the_rules_cannot_exist(edge_bp: int) -> None:
    with pytest.raises(ValueError, match="an edge"):
        Edge(edge_bp)


@pytest.mark.parametrize(
    "rows",
    [
        (),
        numbers.PAYS.rows[:9],
        (*numbers.PAYS.rows[:9], (0,) * 10),
        tuple((0,) * (spots + 1) for spots in numbers.SPOTS),
        ((0, -1), *numbers.PAYS.rows[1:]),
        ((0, 2**64), *numbers.PAYS.rows[1:]),
    ],
)
def test_a_numbers_table_outside_the_rules_cannot_exist(rows: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(ValueError, match=r"pay table|multiplier"):
        numbers.PayTable(rows)
