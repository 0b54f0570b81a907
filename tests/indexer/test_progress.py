"""What a line of progress says."""

from __future__ import annotations

import pytest

from indexer.progress import RECENT_S, Pace, Walk, duration, line


def test_a_line_says_percent_pace_and_the_time_that_is_left() -> None:
    assert line(250, 1_000, 50.0, "blocks") == (
        "25.0 %, 750 of 1,000 blocks left, 50 blocks a second, done in 15 s"
    )
    assert line(0, 2_000_000, None, "slots") == "0.0 %, 2,000,000 of 2,000,000 slots left"
    assert line(0, 0, None, "slots") == "100.0 %, 0 of 0 slots left"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (61, "1 min 1 s"), (3_600 * 5 + 61, "5 h 1 min"), (90_000, "1 d 1 h")],
)
def test_a_duration_is_said_in_its_two_largest_units(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_the_pace_is_that_of_the_last_minute() -> None:
    pace = Pace()
    assert pace.rate() is None
    pace.note(0, 0.0)
    assert pace.rate() is None
    pace.note(1_000, 10.0)
    assert pace.rate() == 100
    for at in range(20, 200, 10):
        pace.note(1_000 + at, float(at))
    assert pace.rate() == 1.0
    assert RECENT_S == 60


def test_a_walk_that_grows_takes_back_nothing_of_what_was_done() -> None:
    walk = Walk(done=100)
    walk.note(300, 0.0)
    walk.note(200, 1.0)
    assert (walk.done, walk.line("blocks").split(",")[0]) == (200, "50.0 %")
    walk.note(800, 2.0)
    assert (walk.done, walk.line("blocks").split(",")[0]) == (200, "20.0 %")
