"""EVM, as the listener sees it: ranges of blocks with their logs, and the chain of parents."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import pairwise

from loguru import logger
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from casino import finality
from casino.sources import Followed
from chains.chain import Block, Raw
from chains.errors import ChainError, RetryLater
from chains.evm.decode import candidates
from chains.evm.rpc import RangeTooLarge, Rpc
from indexer import inbox
from indexer.inbox import Found, Inbox, Span

WINDOW = 256  # blocks whose hashes are kept; a deeper reorg stops the source
GROWTH = 1.2


class DeepReorg(ChainError):
    """The chain dropped blocks deeper than the kept window."""


@dataclass
class EvmListener:
    """Follows one contract. `range` is the learned number of blocks that a node answers for."""

    source: Followed
    rpc: Rpc
    inbox: Inbox
    start: int
    depth: int
    range: int
    upward: bool = True
    _cap: int = field(default=1 << 30)

    async def poll(self, head: int) -> list[int]:
        """Carry everything up to `head` that is near; ids of pages to interpret."""
        async with self.inbox.transaction() as session:
            edge = await inbox.top(session, self.source.id)
            if edge is None:
                lower = max(self.start - 1, -1)
                live = max(lower, head - WINDOW) if head - lower > self.range else lower
                if live > lower:
                    await inbox.open_span(session, self.source.id, lower=lower, upper=live)
                await inbox.open_span(session, self.source.id, lower=live, upper=live, closed=True)
                edge = await inbox.top(session, self.source.id)
        if edge is None:
            raise RuntimeError("a source has a newest span")
        edge = await self._rewound(edge)
        if head <= edge.upper:
            return []
        if head - edge.upper > WINDOW:
            return await self._leap(edge, head)
        blocks = await self._linked(edge.upper, head)
        raws = await self._logs(edge.upper + 1, head)
        agree(raws, blocks)
        async with self.inbox.transaction() as session:
            await inbox.extend(session, edge, upper=head, upper_tx=None)
            await remember(session, self.source.id, blocks)
            await inbox.frontier(session, self.source.id, upward=True)
            if not raws:
                return []
            found = Found(edge.upper + 1, head, raws=raws)
            return [
                await inbox.save(session, self.source.id, self.source.network, found, fresh=True)
            ]

    async def backfill(self) -> list[int] | None:
        """Work off one stretch of the oldest open span; None when nothing is open."""
        async with self.inbox.transaction() as session:
            span = await inbox.oldest_open(session, self.source.id)
        if span is None:
            return None
        done = span.lower if span.reached is None else span.reached
        upper = min(done + self.range, span.upper)
        raws = await self._logs(done + 1, upper) if upper > done else []
        async with self.inbox.transaction() as session:
            closed = upper >= span.upper
            await inbox.advance(session, span, reached=upper, reached_tx=None, closed=closed)
            await inbox.frontier(session, self.source.id, upward=True)
            if not raws:
                return []
            found = Found(done + 1, upper, raws=raws)
            return [await self._save(session, found, fresh=False)]

    async def finalize(self, finalized: int) -> int:
        """Promote all facts up to a height that will not be dropped."""
        async with self.inbox.transaction() as session:
            return await finality.promote(session, self.source, upto=finalized)

    async def _save(self, session: AsyncSession, found: Found, *, fresh: bool) -> int:
        return await inbox.save(session, self.source.id, self.source.network, found, fresh=fresh)

    async def _leap(self, edge: Span, head: int) -> list[int]:
        """After a long pause the gap becomes a span of its own; the head is followed at once."""
        live = head - WINDOW // 2
        async with self.inbox.transaction() as session:
            await inbox.open_span(session, self.source.id, lower=edge.upper, upper=live)
            await inbox.open_span(session, self.source.id, lower=live, upper=live, closed=True)
            await session.execute(
                text("DELETE FROM blocks WHERE source_id = :source"),
                {"source": self.source.id},
            )
        logger.info("{} blocks behind: the gap is worked off beside the head", live - edge.upper)
        return []

    async def _logs(self, lower: int, upper: int) -> list[Raw]:
        """The raws of a range, in as many calls as the node wants."""
        raws: list[Raw] = []
        at = lower
        while at <= upper:
            until = min(at + min(self.range, self._cap) - 1, upper)
            try:
                answer = await self.rpc.logs(self.source.address, at, until)
            except RangeTooLarge:
                if until == at:
                    raise
                self._cap = max(1, (until - at + 1) // 2)
                continue
            raws += await asyncio.to_thread(candidates, answer, self.source.address)
            at = until + 1
            self._cap = int(self._cap * GROWTH) + 1
        return raws

    async def _linked(self, below: int, head: int) -> list[Block]:
        """The headers above `below`, each the parent of the next, or a reason to ask again."""
        found = await asyncio.gather(*(self.rpc.block(n) for n in range(below + 1, head + 1)))
        blocks = [block for block in found if block is not None]
        if len(blocks) != head - below:
            raise RetryLater("the node does not have all headers up to its head")
        for parent, child in pairwise(blocks):
            if child.parent_hash != parent.hash:
                raise RetryLater("the chain changed while its headers were read")
        known = await self._known(below)
        if known is not None and blocks and blocks[0].parent_hash != known:
            raise RetryLater("the chain forked below: the next poll rewinds")
        return blocks

    async def _known(self, number: int) -> str | None:
        async with self.inbox.transaction() as session:
            row = await session.execute(
                text("SELECT hash FROM blocks WHERE source_id = :source AND number = :number"),
                {"source": self.source.id, "number": number},
            )
            return row.scalar_one_or_none()

    async def _rewound(self, edge: Span) -> Span:
        """The edge, after taking back what the chain dropped. Raises `DeepReorg`."""
        number = edge.upper
        known = await self._known(number)
        if known is None or await self._holds(number, known):
            return edge
        while True:
            number -= 1
            known = await self._known(number)
            if known is None:
                raise DeepReorg(f"blocks below {number + 1} were dropped, deeper than we keep")
            if await self._holds(number, known):
                break
        logger.warning("the chain dropped blocks {} to {}", number + 1, edge.upper)
        async with self.inbox.transaction() as session:
            await finality.retract(session, self.source, above=number)
            await session.execute(
                text("DELETE FROM blocks WHERE source_id = :source AND number > :number"),
                {"source": self.source.id, "number": number},
            )
            await inbox.extend(session, edge, upper=number, upper_tx=None)
            await inbox.frontier(session, self.source.id, upward=True)
            rewound = await inbox.top(session, self.source.id)
        if rewound is None:
            raise RuntimeError("a source has a newest span")
        return rewound

    async def _holds(self, number: int, known: str) -> bool:
        block = await self.rpc.block(number)
        return block is not None and block.hash == known


def agree(raws: list[Raw], blocks: list[Block]) -> None:
    """Raises `RetryLater` when a log is of another block than the header we keep."""
    hashes = {block.number: block.hash for block in blocks}
    for raw in raws:
        if raw.block_hash is not None and hashes.get(raw.position) != raw.block_hash:
            raise RetryLater(f"the logs of block {raw.position} are not of its header")


async def remember(session: AsyncSession, source_id: int, blocks: list[Block]) -> None:
    """Keep the newest hashes and drop those behind the window."""
    if not blocks:
        return
    await session.execute(
        text(
            "INSERT INTO blocks (source_id, number, hash, parent_hash) VALUES (:source, :number,"
            " :hash, :parent) ON CONFLICT (source_id, number) DO UPDATE SET hash = excluded.hash,"
            " parent_hash = excluded.parent_hash"
        ),
        [
            {"source": source_id, "number": b.number, "hash": b.hash, "parent": b.parent_hash}
            for b in blocks
        ],
    )
    await session.execute(
        text("DELETE FROM blocks WHERE source_id = :source AND number < :number"),
        {"source": source_id, "number": blocks[-1].number - WINDOW},
    )
