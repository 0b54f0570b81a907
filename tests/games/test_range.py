"""Range: exact odds by counting every face."""

from __future__ import annotations

from fractions import Fraction

import pytest

from games import range as range_game
from games.range import EDGE, FACES, Choice, payout


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 5_000), (9_999, 10_000), (100, 9_900)])
def test_the_house_keeps_one_percent(low: int, high: int) -> None:
    choice = Choice(low, high)
    stake = FACES * choice.width
    paid = sum(payout(stake, choice, face) for face in range(FACES))
    assert paid * FACES == stake * FACES * (FACES - EDGE)
    assert range_game.rtp(choice) == Fraction(FACES - EDGE, FACES)


@pytest.mark.parametrize(
    ("low", "high"), [(5, 5), (6, 5), (0, 10_001), (-1, 5), (0, 9_801), (0, 10_000)]
)
def test_a_range_outside_the_rules_cannot_exist(low: int, high: int) -> None:
    with pytest.raises(ValueError, match="range"):
        Choice(low, high)


def test_the_edges_of_a_range_are_in_and_out() -> None:
    choice = Choice(10, 20)
    assert [payout(1_000, choice, face) > 0 for face in (9, 10, 19, 20)] == [
        False,
        True,
        True,
        False,
    ]


def test_payouts_round_down_in_favour_of_no_fraction() -> None:
    assert payout(1, Choice(0, 9_800), 0) == 1
    assert payout(7, Choice(0, 3_000), 0) == 23
