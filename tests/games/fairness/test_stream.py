"""Shuffles: what is picked is drawn once, and every order comes as often as any other."""

from __future__ import annotations

from collections import Counter
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from games.fairness.stream import Stream


def stream(number: int) -> Stream:
    return Stream(sha256(number.to_bytes(4, "big")).digest())


@given(st.binary(min_size=32, max_size=32), st.integers(0, 20))
def test_what_is_picked_comes_from_the_items_and_once(outcome: bytes, count: int) -> None:
    picked = Stream(outcome).pick(range(20), count)
    assert len(set(picked)) == count
    assert set(picked) <= set(range(20))


def test_a_pick_is_the_beginning_of_the_whole_shuffle() -> None:
    assert stream(1).pick("abcdefgh", 3) == stream(1).shuffle("abcdefgh")[:3]


def test_a_pick_follows_the_formula_word_by_word() -> None:
    row, drawn = list(range(80)), stream(2)
    for at in range(20):
        other = at + drawn.below(80 - at)
        row[at], row[other] = row[other], row[at]
    assert stream(2).pick(range(80), 20) == row[:20]


def test_all_orders_of_four_are_as_likely_as_chi_square_can_see() -> None:
    draws = 12_000
    seen = Counter(tuple(stream(number).shuffle("abcd")) for number in range(draws))
    chi = sum((count - draws / 24) ** 2 for count in seen.values()) / (draws / 24)
    assert len(seen) == 24
    assert chi < 49.73  # 23 degrees of freedom, one in a thousand; the draws are always the same


@pytest.mark.parametrize("count", [-1, 6])
def test_more_than_there_is_cannot_be_picked(count: int) -> None:
    with pytest.raises(ValueError, match="of 5 cannot be picked"):
        stream(0).pick(range(5), count)
