"""What became of txs that were only confirmed: asked newest first, proven where nodes forgot."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from loguru import logger

from casino import finality
from casino.finality import Pending
from casino.sources import Followed
from chains.errors import RpcError
from chains.solana.finality import Asked, Missing, Verdicts, known
from chains.solana.rpc import STATUSES, Rpc
from indexer.inbox import Inbox

LOOKS = 8  # batches of statuses at a time: what waits for long is worked off beside the newest
PROOFS = 8  # a batch; each costs some calls to every provider


@dataclass
class Watch:
    """Walks down the unfinal txs of a Solana source, and begins each time with the newest.

    `doubt` says in words what stays confirmed because no node knows it any more. After a walk that
    proved nothing only the newest are looked at for `rest_s`.
    """

    source: Followed
    rpc: Rpc
    inbox: Inbox
    rest_s: float = 60.0
    doubt: str | None = None
    _missing: Missing = field(default_factory=Missing)
    _at: Pending | None = None
    _doubtful: dict[str, int] = field(default_factory=dict)
    _proved: bool = False
    _rest_until: float = 0.0

    async def look(self, finalized: int) -> int:
        """Promote and retract what is decided; how many rows were promoted."""
        resting = time.monotonic() < self._rest_until
        promoted, below = 0, None
        for _ in range(LOOKS):
            async with self.inbox.transaction() as session:
                txs = await finality.pending(
                    session, self.source, upto=finalized, below=below, limit=STATUSES
                )
            found = await self._judged([(one.tx, one.position) for one in txs], finalized, resting)
            promoted += await self._decide(found)
            moved = bool(found.final or found.fallen)
            self._doubtful |= dict(found.doubtful)
            if len(txs) < STATUSES:
                self._ended(resting)
                return promoted
            if resting and not moved:
                return promoted
            below = txs[-1]
            if not moved and self._at is not None and self._at < below:
                below = self._at  # those between were looked at before, and wait
        self._at = below
        return promoted

    async def _judged(self, asked: Sequence[Asked], finalized: int, resting: bool) -> Verdicts:
        if not asked:
            return Verdicts([], [], [])
        statuses = await self.rpc.statuses([tx for tx, _ in asked])
        found = self._missing.verdicts(asked, statuses, finalized=finalized)
        if not found.doubtful or resting:
            return found
        try:
            proven = await self._proven(found.doubtful)
        except RpcError as error:
            logger.debug("no proof for {} transactions: {}", len(found.doubtful), error)
            return found
        self._proved = self._proved or len(proven.doubtful) < len(found.doubtful)
        return Verdicts(found.final + proven.final, found.fallen + proven.fallen, proven.doubtful)

    async def _proven(self, doubtful: Sequence[Asked]) -> Verdicts:
        """What any provider knows of them, and for some of the rest whether they are gone."""
        found = known(doubtful, await self.rpc.statuses_everywhere([tx for tx, _ in doubtful]))
        for one in random.sample(found.doubtful, min(PROOFS, len(found.doubtful))):
            fell = await self.rpc.fell(*one)
            if fell is not None:
                found.doubtful.remove(one)
                (found.fallen if fell else found.final).append(one[0])
        return found

    async def _decide(self, found: Verdicts) -> int:
        if not found.final and not found.fallen:
            return 0
        async with self.inbox.transaction() as session:
            if found.fallen:
                logger.warning("{} transactions fell, {} first", len(found.fallen), found.fallen[0])
                await finality.retract(session, self.source, txs=found.fallen)
            if not found.final:
                return 0
            return await finality.promote(session, self.source, txs=found.final)

    def _ended(self, resting: bool) -> None:
        """The walk reached the oldest: say what is left, and rest if no proof was found."""
        self.doubt = said(self._doubtful)
        if self._doubtful and not self._proved and not resting:
            self._rest_until = time.monotonic() + self.rest_s
        self._at, self._proved, self._doubtful = None, False, {}


def said(doubtful: Mapping[str, int]) -> str | None:
    """One line for health about transactions that cannot be decided."""
    if not doubtful:
        return None
    slots = doubtful.values()
    return (
        f"no node knows {len(doubtful)} transactions of slots {min(slots)} to {max(slots)} any"
        " more: they stay confirmed until one with older history is asked"
    )
