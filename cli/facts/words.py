"""What bonds say, in the words of games.fairness: the same on each chain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chains.errors import RpcError
from games.fairness.rounds import BLOCK, DRAND, NONE, Round, Schedule, SignedRoot
from games.fairness.verify import Committed

KINDS = {1: DRAND, 2: BLOCK}


def schedule(*, kind: int, **said: Any) -> Schedule:
    """A batch's schedule. Raises `RpcError` for one that no bond takes."""
    try:
        return Schedule(kind=KINDS.get(kind, NONE), **said)
    except (TypeError, ValueError) as error:
        raise RpcError(f"the node gives a schedule that is none: {error}") from error


def batch(committed: Committed) -> Schedule:
    """The schedule of a round's commitment, which has one, unlike a pair's."""
    if committed.schedule is None:
        raise ValueError("a pair's commitment has no schedule")
    return committed.schedule


def kind(number: int) -> bytes:
    """The kind of a beacon by its number in a contract."""
    return KINDS.get(number, NONE)


def anchored(spot: Round, said: Mapping[str, Any]) -> bytes | None:
    """The root of a round's bets in an event `RootsAnchored`; None if it is of others."""
    place = spot.number - said["start"]
    return bytes(said["roots"][place]) if 0 <= place < len(said["roots"]) else None


def digest(spot: Round, said: Mapping[str, Any]) -> bytes:
    """What the bond keeps of the statement that was anchored for a round.

    Raises `RpcError` for a statement that no bond takes.
    """
    place = spot.number - said["start"]
    try:
        told = (said["roots"][place], said["counts"][place], said["liabilities"][place])
        return SignedRoot(spot, *told).digest
    except (IndexError, ValueError) as error:
        raise RpcError(f"the node gives a statement that is none: {error}") from error


def contradiction(said: str) -> RpcError:
    return RpcError(f"the node contradicts itself: it keeps {said}", retryable=False)
