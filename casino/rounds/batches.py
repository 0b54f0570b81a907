"""Batches of seeds as their rows say them: the schedule that was committed with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from games.fairness.rounds import Schedule


def kind(beacon: str) -> bytes:
    """What a batch commits of its beacon: `block` of `block:base`."""
    return beacon.partition(":")[0].encode()


def schedule(row: Sequence[Any]) -> Schedule:
    """Of first, count, opens, period, lead, reveal_window, beacon, max_liability and signer."""
    first, count, opens, period, lead, window, beacon, most, signer = row
    return Schedule(
        first=first,
        count=count,
        opens=opens,
        period=period,
        lead=lead,
        reveal_window=window,
        kind=kind(beacon),
        max_liability=int(most),
        signer=bytes(signer),
    )
