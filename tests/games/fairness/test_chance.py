"""Chance: the draws of many rounds are uniform and forget one another, as far as tests can see."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from math import sqrt

from games import crash, numbers
from games.fairness import rounds
from games.fairness.rounds import Round
from games.fairness.stream import Stream
from tests.reliability import LONG

DRAWS = 1_000_000 if LONG else 20_000
ROUND = Round(b"eip155:31337", bytes(20), b"roulette", 0)
SEED, BEACON = bytes(range(32)), bytes(32)
ONE_IN_A_THOUSAND = 3.29  # standard deviations; the draws are always the same


def outcome(number: int) -> bytes:
    """As rounds have them: the same formula, another number."""
    return replace(ROUND, number=number).outcome(seed=SEED, bets_root=rounds.NO_BETS, beacon=BEACON)


def chi_square(seen: Counter[int], values: int, draws: int) -> float:
    return sum((seen[value] - draws / values) ** 2 for value in range(values)) / (draws / values)


def limit(freedom: int) -> float:
    """Chi-square's own, by Wilson and Hilferty, one in a thousand."""
    part = 2 / (9 * freedom)
    return float(freedom * (1 - part + 3.09 * sqrt(part)) ** 3)


def correlation(drawn: list[int], lag: int) -> float:
    one, two = drawn[:-lag], drawn[lag:]
    mean = sum(drawn) / len(drawn)
    shared = sum((x - mean) * (y - mean) for x, y in zip(one, two, strict=True))
    return shared / sum((x - mean) ** 2 for x in drawn)


def test_draws_of_one_round_after_another_are_uniform_and_uncorrelated() -> None:
    drawn = [Stream(outcome(number)).below(37) for number in range(DRAWS)]
    assert chi_square(Counter(drawn), 37, DRAWS) < limit(36)
    pairs = Counter(one * 37 + two for one, two in zip(drawn[::2], drawn[1::2], strict=True))
    assert chi_square(pairs, 37 * 37, DRAWS // 2) < limit(37 * 37 - 1)
    for lag in (1, 2, 3, 4, 8):
        assert abs(correlation(drawn, lag)) < ONE_IN_A_THOUSAND / sqrt(DRAWS), lag


def test_draws_within_one_stream_are_uniform_and_uncorrelated() -> None:
    stream = Stream(outcome(1))
    drawn = [stream.below(10_000) for _ in range(DRAWS)]
    assert chi_square(Counter(value // 100 for value in drawn), 100, DRAWS) < limit(99)
    assert chi_square(Counter(value % 100 for value in drawn), 100, DRAWS) < limit(99)
    for lag in (1, 2, 3, 4, 8):
        assert abs(correlation(drawn, lag)) < ONE_IN_A_THOUSAND / sqrt(DRAWS), lag


def test_every_number_is_drawn_as_often_as_any_other() -> None:
    count = DRAWS // 20
    seen = Counter(
        ball - 1 for number in range(count) for ball in numbers.draw(Stream(outcome(number)))
    )
    # Twenty of eighty without putting back vary less than single draws, by 60 of 79.
    assert chi_square(seen, 80, 20 * count) / (60 / 79) < limit(79)


def test_curves_break_as_often_as_their_odds_say() -> None:
    draws = DRAWS // 2
    points = [crash.point(crash.draw(Stream(outcome(number)))) for number in range(draws)]
    for target in (101, 200, 1_000):
        chance = float(crash.rtp(crash.Choice(target)) * 100 / target)
        off = sum(point >= target for point in points) - draws * chance
        assert abs(off) < ONE_IN_A_THOUSAND * sqrt(draws * chance * (1 - chance)), target
