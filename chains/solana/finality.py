"""What is final on Solana: what the cluster says of each transaction, and what it says no more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from chains.solana.rpc import Status

PATIENCE = 20  # how often a transaction must be missing, a look each second or so
# Every node knows the statuses of the slots below the final one, some hundred of them; of older
# slots it answers from its history, and a node without history from nothing.
REMEMBERED = 150

Asked = tuple[str, int]  # a signature, and the slot in which we saw it


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What one look at statuses decides; what is `doubtful` needs a proof to fall."""

    final: list[str]
    fallen: list[str]
    doubtful: list[Asked]


@dataclass
class Missing:
    """How often each transaction was not known where others were.

    One node that forgot is no proof, so a transaction falls only after `patience` looks; an answer
    in which nothing is known may come from a node that lags or was cut off, and counts a tenth.
    Only looks at slots that every node remembers count at all.
    """

    patience: int = PATIENCE
    _looks: dict[str, float] = field(default_factory=dict)

    def verdicts(
        self, asked: Sequence[Asked], statuses: Sequence[Status | None], *, finalized: int
    ) -> Verdicts:
        """Final, fallen (failed on the final chain, or gone), doubtful, or left for the next."""
        found = Verdicts([], [], [])
        trusted = any(status is not None for status in statuses)
        for (tx, slot), status in zip(asked, statuses, strict=True):
            if status is not None:
                _judge(tx, status, found)
            elif finalized - slot > REMEMBERED:
                self._looks.pop(tx, None)
                found.doubtful.append((tx, slot))
            else:
                self._looks[tx] = self._looks.get(tx, 0.0) + (1 if trusted else 0.1)
                if self._looks[tx] > self.patience:
                    found.fallen.append(tx)
        for tx in (*found.final, *found.fallen):
            self._looks.pop(tx, None)
        return found


def known(asked: Sequence[Asked], statuses: Sequence[Status | None]) -> Verdicts:
    """What nodes with history say of the doubtful; those that none of them knows stay so."""
    found = Verdicts([], [], [])
    for one, status in zip(asked, statuses, strict=True):
        if status is None:
            found.doubtful.append(one)
        else:
            _judge(one[0], status, found)
    return found


def _judge(tx: str, status: Status, found: Verdicts) -> None:
    if status.confirmation_status == "finalized":
        (found.final if status.err is None else found.fallen).append(tx)
