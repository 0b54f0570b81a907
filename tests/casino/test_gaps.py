"""Stretches of a chain: put together, cut apart, and found missing."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casino.gaps import Stretch, merged, within, without

stretches = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 15)).map(lambda at: Stretch(at[0], sum(at))),
    max_size=8,
)


def positions(stretches: list[Stretch] | tuple[Stretch, ...]) -> list[int]:
    return [at for one in stretches for at in range(one.first, one.last + 1)]


@given(stretches)
def test_merged_stretches_hold_the_same_positions_once_and_never_touch(made: list[Stretch]) -> None:
    put = merged(made)
    assert positions(put) == sorted(set(positions(made)))
    assert all(one.last + 1 < two.first for one, two in pairwise(put))


@given(stretches, st.integers(0, 70), st.integers(0, 20))
def test_what_is_asked_for_is_known_or_missing_and_never_both(
    known: list[Stretch], first: int, more: int
) -> None:
    asked = Stretch(first, first + more)
    missing, there = without(asked, known), within(asked, merged(known))
    assert sorted(positions(missing) + positions(there)) == positions([asked])
    assert not set(positions(missing)) & set(positions(known))


def test_a_stretch_that_goes_down_is_refused() -> None:
    assert Stretch(4, 4).size == 1
    with pytest.raises(ValueError, match="goes up"):
        Stretch(5, 4)
