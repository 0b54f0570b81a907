"""How long a block waits for a poll, and how often is polled for that."""

from __future__ import annotations

import math
import random
from statistics import mean

import pytest

from indexer.rhythm import Rhythm

BLOCKS = 2_000


def followed(block_s: float, *, poll_s: float = 1.0, took_s: float = 0.03) -> tuple[float, float]:
    """What a block waits for on the average, and the polls for each interval of the time."""
    random.seed(7)
    rhythm, now, polls, known = Rhythm(poll_s), random.random(), 0, 0
    waits: list[float] = []
    while known < BLOCKS:
        head, polls = math.floor(now / block_s), polls + 1
        moved = head > known
        waits += [now - number * block_s for number in range(known + 1, head + 1)]
        known = head
        now += took_s + rhythm.pause(moved=moved, took_s=took_s)
    return mean(waits), polls / (now / poll_s)


def test_blocks_that_come_once_an_interval_are_found_soon_after_they_came() -> None:
    wait, polls = followed(1.0)
    assert wait < 0.12
    assert polls < 1.35


@pytest.mark.parametrize("block_s", [0.2, 0.4, 2.0, 3.1, 12.0])
def test_other_blocks_wait_half_an_interval_at_most(block_s: float) -> None:
    wait, polls = followed(block_s)
    assert wait < 0.53
    assert polls < 1.05


def test_a_slow_node_gets_room_to_breathe() -> None:
    rhythm = Rhythm(1.0)
    assert rhythm.pause(moved=True, took_s=5.0) == pytest.approx(0.1)
    assert rhythm.pause(moved=False, took_s=5.0) == pytest.approx(0.1)
