"""EVM, as the listener sees it: ranges of blocks with their logs, and the chain of parents."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import msgspec
from loguru import logger
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from casino import finality
from casino.sources import Followed
from chains.chain import Block, Raw
from chains.errors import ChainError, RetryLater, WrongChain
from chains.evm.decode import candidates
from chains.evm.rpc import Header, RangeTooLarge, Rpc
from indexer import inbox
from indexer.inbox import Found, Inbox, Span
from indexer.source import Polled
from indexer.stride import Stride

WINDOW = 256  # blocks whose hashes are kept; a deeper reorg stops the source
ROUNDS = 20  # batches promoted at a time: with a backlog the newest facts come first each time
DOUBTS_S = (0.05, 0.2)  # pauses before logs that a block's bloom promises are asked for again


class DeepReorg(ChainError):
    """The chain dropped blocks deeper than the kept window."""


@dataclass
class EvmListener:
    """Follows one contract. `range` is the most blocks that a node is asked for at once.

    `final` is the highest block known to be finalized: facts of history up to there are born so.
    """

    source: Followed
    rpc: Rpc
    inbox: Inbox
    start: int
    range: int
    final: int = -1
    doubt: None = None
    stride: Stride = field(init=False)
    _head: int = -1
    _agreed: int = -1

    def __post_init__(self) -> None:
        self.stride = Stride.of(self.range)

    async def poll(self) -> Polled:
        """Carry everything up to the node's head; the pages are already stored."""
        head = await self.rpc.head()
        before = self._head
        pages = await self._carry(head)
        self._head = head
        return Polled(head, pages, head != before)

    async def _carry(self, head: int, *, again: bool = True) -> list[int]:
        edge, known = await self._edge(head)
        if head - edge.upper > WINDOW:
            return await self._leap(edge, head)
        if head <= edge.upper:
            await self._compare(edge, head)
            return []
        numbers = range(edge.upper + 1, head + 1)
        headers, raws = await asyncio.gather(
            self.rpc.headers(numbers), self._logs(edge.upper + 1, head)
        )
        linked(headers)
        if known is not None and headers[0].parent_hash != known:
            await self._rewind(edge, edge.upper)
            return await self._carry(head, again=False) if again else []
        raws = await self._complete(headers, raws)
        agree(raws, headers)
        raws = timed(raws, headers)
        async with self.inbox.transaction() as session:
            await inbox.extend(session, edge, upper=head, upper_tx=None)
            await remember(session, self.source.id, headers)
            await inbox.frontier(session, self.source.id, upward=True)
            if not raws:
                return []
            return [await self._save(session, Found(edge.upper + 1, head, raws=raws), fresh=True)]

    async def backfill(self) -> list[int] | None:
        """Work off one stretch of the oldest open span; None when nothing is open."""
        async with self.inbox.transaction() as session:
            span = await inbox.oldest_open(session, self.source.id)
        if span is None:
            return None
        done = span.lower if span.reached is None else span.reached
        upper = min(done + self.stride.size, span.upper)
        if done < self.final < upper:
            upper = self.final  # a page is final as a whole or not at all
        raws = await self._logs(done + 1, upper, old=True) if upper > done else []
        without = sorted({raw.position for raw in raws if raw.time is None})
        if without:
            raws = timed(raws, await self.rpc.headers(without))
        async with self.inbox.transaction() as session:
            closed = upper >= span.upper
            await inbox.advance(session, span, reached=upper, reached_tx=None, closed=closed)
            await inbox.frontier(session, self.source.id, upward=True)
            if not raws:
                return []
            found = Found(done + 1, upper, raws=raws, final=upper <= self.final)
            return [await self._save(session, found, fresh=False)]

    async def finalize(self, finalized: int) -> int:
        """Promote facts up to a height that will not be dropped, once ours is that chain."""
        async with self.inbox.transaction() as session:
            edge = await inbox.top(session, self.source.id)
            if edge is None:
                return 0
            upto = min(finalized, edge.upper)
            waiting = await finality.pending(session, self.source, upto=upto, limit=1)
        if upto <= self._agreed and not waiting:
            return 0
        known = (await self._hashes(upto, upto)).get(upto)
        if known is not None and await self._dropped(upto, known):
            raise RetryLater(f"our block {upto} is not the final one: the next poll rewinds")
        self._agreed = upto
        return await self._promote(upto)

    async def _promote(self, upto: int) -> int:
        """In small transactions, so that others write between them, and not all of a backlog."""
        promoted = 0
        for _ in range(ROUNDS):
            async with self.inbox.transaction() as session:
                rows = await finality.promote(session, self.source, upto=upto)
            promoted += rows
            if rows < finality.BATCH:
                break
        return promoted

    async def _edge(self, head: int) -> tuple[Span, str | None]:
        """Where following goes on, and the hash of that block if we know it."""
        async with self.inbox.transaction() as session:
            edge = await inbox.top(session, self.source.id)
        if edge is None:
            origin = await self.rpc.block(0)
            async with self.inbox.transaction() as session:
                edge = await self._begin(session, head, origin)
        return edge, (await self._hashes(edge.upper, edge.upper)).get(edge.upper)

    async def _begin(self, session: AsyncSession, head: int, origin: Block | None) -> Span:
        """The first look: history is a span of its own, and what is near the head is followed."""
        if origin is not None:
            await _keep(session, self.source.id, [origin])
        lower = max(self.start - 1, -1)
        live = max(lower, head - WINDOW)
        if live > lower:
            await inbox.open_span(session, self.source.id, lower=lower, upper=live)
        await inbox.open_span(session, self.source.id, lower=live, upper=live, closed=True)
        edge = await inbox.top(session, self.source.id)
        if edge is None:
            raise RuntimeError("a span that was just opened is not there")
        return edge

    async def _leap(self, edge: Span, head: int) -> list[int]:
        """After a long pause the gap becomes a span of its own; the head is followed at once."""
        await self._compare(edge, head)
        live = head - WINDOW // 2
        async with self.inbox.transaction() as session:
            await inbox.extend(session, edge, upper=edge.upper, upper_tx=None)
            await inbox.open_span(session, self.source.id, lower=edge.upper, upper=live)
            await inbox.open_span(session, self.source.id, lower=live, upper=live, closed=True)
            await _forget(session, self.source.id, above=0)
            await inbox.frontier(session, self.source.id, upward=True)
        logger.info("{} blocks behind: the gap is worked off beside the head", live - edge.upper)
        return []

    async def _logs(self, lower: int, upper: int, *, old: bool = False) -> list[Raw]:
        """The raws of a range, in as many calls as the node wants."""
        raws: list[Raw] = []
        at = lower
        while at <= upper:
            until = min(at + self.stride.size - 1, upper)
            try:
                answer = await self.rpc.logs(self.source.address, at, until, old=old)
            except RangeTooLarge as error:
                if until == at:
                    raise
                self.stride.refused(until - at + 1, error.hint)
                continue
            if len(answer) > 1_000:
                raws += await asyncio.to_thread(candidates, answer, self.source.address)
            else:
                raws += candidates(answer, self.source.address)
            self.stride.answered(until - at + 1, len(answer))
            at = until + 1
        return raws

    async def _complete(self, headers: Sequence[Header], raws: list[Raw]) -> list[Raw]:
        """The raws, asked for again while a bloom filter promises some where there are none.

        A node may show a block before its logs. Filters also promise in vain, so doubt ends soon.
        """
        for pause_s in DOUBTS_S:
            brought = {raw.position for raw in raws}
            doubtful = [
                n
                for n, header in ((int(header.number, 16), header) for header in headers)
                if n not in brought and header.may_hold(self.source.address)
            ]
            if not doubtful:
                break
            await asyncio.sleep(pause_s)
            raws = raws + [
                raw
                for raw in await self._logs(doubtful[0], doubtful[-1])
                if raw.position not in brought
            ]
        return raws

    async def _compare(self, edge: Span, head: int) -> None:
        """Rewind if the newest block that both we and the node have is another one there.

        A head below ours with the hash that we know is a node that lags, or a chain to grow again.
        """
        number = min(head, edge.upper)
        if number < edge.upper:
            await self._same_chain()
        known = (await self._hashes(number, number)).get(number)
        if known is not None and await self._dropped(number, known):
            await self._rewind(edge, number)

    async def _rewind(self, edge: Span, newest: int) -> None:
        """Take back what the chain dropped. Raises `DeepReorg`, and `WrongChain` for another."""
        await self._same_chain()
        ancestor = await self._ancestor(edge, newest)
        logger.warning("the chain dropped blocks {} to {}", ancestor + 1, edge.upper)
        async with self.inbox.transaction() as session:
            await finality.retract(session, self.source, above=ancestor)
            await _forget(session, self.source.id, above=ancestor)
            await inbox.extend(session, edge, upper=ancestor, upper_tx=None)
            await inbox.frontier(session, self.source.id, upward=True)

    async def _same_chain(self) -> None:
        """Raises `WrongChain` when the chain began again: nothing of ours was dropped by it."""
        known = (await self._hashes(0, 0)).get(0)
        origin = await self.rpc.block(0) if known is not None else None
        if origin is not None and origin.hash != known:
            raise WrongChain(
                f"block 0 is {origin.hash} and was {known}: the chain began again, and what we"
                " have of it is kept; give the source a database of its own"
            )

    async def _ancestor(self, edge: Span, newest: int) -> int:
        """The newest height at which the chain and we agree."""
        hashes = await self._hashes(edge.lower, newest)
        number = newest
        while number in hashes:
            if not await self._dropped(number, hashes[number]):
                return number
            number -= 1
        if number <= self.start - 1:
            return number
        raise DeepReorg(
            f"the chain dropped block {number + 1} and more, deeper than the {WINDOW} blocks we"
            " keep: check the node; if it is right, give the source a database of its own"
        )

    async def _dropped(self, number: int, known: str) -> bool:
        block = await self.rpc.block(number)
        if block is None:
            raise RetryLater(f"the node does not have block {number}")
        return block.hash != known

    async def _hashes(self, lower: int, upper: int) -> dict[int, str]:
        async with self.inbox.transaction() as session:
            found = await session.execute(
                text(
                    "SELECT number, hash FROM blocks WHERE source_id = :source"
                    " AND number BETWEEN :lower AND :upper"
                ),
                {"source": self.source.id, "lower": lower, "upper": upper},
            )
            return {row[0]: row[1] for row in found}

    async def _save(self, session: AsyncSession, found: Found, *, fresh: bool) -> int:
        return await inbox.save(session, self.source.id, self.source.network, found, fresh=fresh)


def linked(headers: Sequence[Header]) -> None:
    """Raises `RetryLater` when the headers are not one chain."""
    for parent, child in pairwise(headers):
        if child.parent_hash != parent.hash:
            raise RetryLater("the chain changed while its headers were read")


def agree(raws: Sequence[Raw], headers: Sequence[Header]) -> None:
    """Raises `RetryLater` when a log is of another block than the header we keep."""
    hashes = {int(header.number, 16): header.hash for header in headers}
    for raw in raws:
        if raw.block_hash is not None and hashes.get(raw.position) != raw.block_hash:
            raise RetryLater(f"the logs of block {raw.position} are not of its header")


def timed(raws: list[Raw], headers: Sequence[Header]) -> list[Raw]:
    """The raws with their blocks' times, where the node did not give them along."""
    if all(raw.time is not None for raw in raws):
        return raws
    times = {int(header.number, 16): header.time() for header in headers}
    return [msgspec.structs.replace(raw, time=raw.time or times[raw.position]) for raw in raws]


async def remember(session: AsyncSession, source_id: int, headers: Sequence[Header]) -> None:
    """Keep the newest hashes and drop those behind the window; block 0 names the chain."""
    await _keep(session, source_id, [header.block() for header in headers])
    await session.execute(
        text("DELETE FROM blocks WHERE source_id = :source AND number BETWEEN 1 AND :number"),
        {"source": source_id, "number": int(headers[-1].number, 16) - WINDOW - 1},
    )


async def _keep(session: AsyncSession, source_id: int, blocks: Sequence[Block]) -> None:
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


async def _forget(session: AsyncSession, source_id: int, *, above: int) -> None:
    await session.execute(
        text("DELETE FROM blocks WHERE source_id = :source AND number > :above"),
        {"source": source_id, "above": above},
    )
