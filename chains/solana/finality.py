"""What is final on Solana: what the cluster says of each transaction, and what it says no more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from chains.solana.rpc import Status

PATIENCE = 20  # how often a transaction must be missing, a look each second or so


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What one look at statuses decides."""

    final: list[str]
    fallen: list[str]


@dataclass
class Missing:
    """How often each transaction was not known where others were.

    One node that forgot is no proof, so a transaction falls only after `patience` looks; an answer
    in which nothing is known may come from a node that lags or was cut off, and counts a tenth.
    """

    patience: int = PATIENCE
    _looks: dict[str, float] = field(default_factory=dict)

    def verdicts(self, txs: Sequence[str], statuses: Sequence[Status | None]) -> Verdicts:
        """Final, fallen (failed on the final chain, or long gone), or left for the next look."""
        final, fallen = [], []
        trusted = any(status is not None for status in statuses)
        for tx, status in zip(txs, statuses, strict=True):
            if status is None:
                self._looks[tx] = self._looks.get(tx, 0.0) + (1 if trusted else 0.1)
                if self._looks[tx] > self.patience:
                    fallen.append(tx)
            elif status.err is not None and status.confirmation_status == "finalized":
                fallen.append(tx)
            elif status.confirmation_status == "finalized":
                final.append(tx)
        for tx in (*final, *fallen):
            self._looks.pop(tx, None)
        return Verdicts(final, fallen)
