"""Batches of seeds as their rows say them: the schedule and the beacon committed with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chains import networks
from chains.beacons.quicknet import QUICKNET
from games.fairness.rounds import DRAND, Schedule, of_chain


def kind(beacon: str) -> bytes:
    """What a batch commits of its beacon: `block` of `block:base`."""
    return beacon.partition(":")[0].encode()


def chain_hash(beacon: str, network: str | None) -> bytes | None:
    """Which chain a batch's beacon is; None while nobody knows.

    `network` is what the beacon's network is pinned to. Raises `ChainError` for an unknown one.
    """
    if kind(beacon) == DRAND:
        return QUICKNET.hash
    known = network or networks.load(beacon.partition(":")[2]).caip2
    return of_chain(known.encode()) if known else None


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
