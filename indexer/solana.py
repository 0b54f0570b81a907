"""Solana, as the listener sees it: signatures paged downward from the newest to the cursor."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncSession

from casino.sources import Followed
from chains.errors import RetryLater
from chains.solana.rpc import CONFIRMED, FINAL, PAGE, Rpc, Signature
from indexer import inbox
from indexer.finality import Watch
from indexer.inbox import Found, Inbox, Span
from indexer.source import Polled

Key = tuple[str, int]  # a signature may land in another slot again
KEPT = 10_000  # slots that any node keeps: an hour


@dataclass
class SolanaListener:
    """Follows one program. `size` is how many signatures make a page of work.

    `final` is the newest slot known to be finalized: what the node lists as finalized up to there
    is on pages of its own, and its facts are born so.
    """

    source: Followed
    rpc: Rpc
    inbox: Inbox
    start: int
    size: int
    final: int = -1
    _seen: dict[tuple[str, int], None] = field(default_factory=dict)
    _head: int = 0
    _whole: int = 0
    _watch: Watch = field(init=False)

    def __post_init__(self) -> None:
        self._watch = Watch(self.source, self.rpc, self.inbox)

    @property
    def doubt(self) -> str | None:
        return self._watch.doubt

    async def poll(self) -> Polled:
        """Carry what is newer than the cursor, and see how far the chain is."""
        head, pages = await asyncio.gather(self.rpc.head(), self._carry())
        self._head = head
        return Polled(head, pages, bool(pages))

    async def _carry(self) -> list[int]:
        async with self.inbox.transaction() as session:
            edge = await inbox.top(session, self.source.id)
        floor = edge.upper if edge is not None else self.start
        found = await self.rpc.signatures(
            self.source.address, before=None, until=edge.upper_tx if edge else None, floor=floor
        )
        newer = within(found, floor)
        if edge is not None and edge.upper_tx is not None and len(newer) < PAGE:
            await self._reaches(edge.upper, max([self._head, *(one.slot for one in newer[:1])]))
        if edge is not None and not self._brings(edge, newer):
            return []
        final = await self._final_of(newer, edge)
        async with self.inbox.transaction() as session:
            if edge is None:
                await self._begin(session, newer)
            else:
                await self._extend(session, edge, newer)
            # The first look at a source is history, and so is what comes after a long silence.
            fresh = edge is not None and len(newer) < PAGE
            pages = await self._save(session, newer, fresh=fresh, final=final)
            await inbox.frontier(session, self.source.id, upward=False)
        self._note(newer)
        return pages

    async def backfill(self) -> list[int] | None:
        """Page one step further down the oldest open span; None when nothing is open."""
        async with self.inbox.transaction() as session:
            span = await inbox.oldest_open(session, self.source.id)
        if span is None:
            return None
        at = span.upper if span.reached is None else span.reached
        commitment, floor = (FINAL, at) if at <= self.final else (CONFIRMED, span.upper)
        found = await self.rpc.older(
            self.source.address,
            before=span.reached_tx,
            until=span.lower_tx,
            floor=floor,
            commitment=commitment,
        )
        # A short page is no end, only an empty one is: some nodes give fewer than asked for.
        last = found[-1] if found else None
        if last is None and span.lower > 0:
            await self._keeps(span.lower)
        closed = last is None or last.slot < span.lower
        older = [one for one in within(found, span.lower) if one.slot <= span.upper]
        async with self.inbox.transaction() as session:
            await inbox.advance(
                session,
                span,
                reached=span.lower if last is None or closed else min(last.slot, span.upper),
                reached_tx=last.signature if last else span.reached_tx,
                closed=closed,
            )
            await inbox.frontier(session, self.source.id, upward=False)
            final = keys(older) if commitment == FINAL else frozenset()
            return await self._save(session, older, fresh=False, final=final)

    async def finalize(self, finalized: int) -> int:
        """Ask what became of confirmed txs: promote the finalized, retract the fallen."""
        return await self._watch.look(finalized)

    async def _final_of(self, newer: Sequence[Signature], edge: Span | None) -> frozenset[Key]:
        """Those of them that the chain cannot drop: the node lists them as finalized, too."""
        unseen = [one.slot for one in newer if (one.signature, one.slot) not in self._seen]
        if not unseen or min(unseen) > self.final:
            return frozenset()
        until = edge.upper_tx if edge else None
        found = await self.rpc.signatures(
            self.source.address, before=None, until=until, commitment=FINAL
        )
        return keys([one for one in found if one.slot <= self.final])

    async def _reaches(self, cursor: int, newest: int) -> None:
        """After a long silence: whether an answer up to `newest` goes down to the cursor."""
        if newest - max(cursor, self._whole) > KEPT:
            await self._keeps(cursor)
            self._whole = newest

    async def _keeps(self, slot: int) -> None:
        """Raises `RetryLater` when the node forgot what came after a slot: its silence is none."""
        oldest = await self.rpc.oldest()
        if oldest is not None and oldest > slot + 1:
            raise RetryLater(
                f"the node keeps nothing below slot {oldest}, and what follows {slot} is wanted:"
                " give a node that keeps more, or a later start"
            )

    def _brings(self, edge: Span, newer: Sequence[Signature]) -> bool:
        """Whether there is anything to write: a signature not seen, or a cursor that moves."""
        cursor = cursor_of(newer)
        moves = cursor is not None and (cursor.slot, cursor.signature) != (
            edge.upper,
            edge.upper_tx,
        )
        return moves or any((one.signature, one.slot) not in self._seen for one in newer)

    async def _begin(self, session: AsyncSession, newer: Sequence[Signature]) -> None:
        """The first look: one closed stretch, or an open one below when history goes on."""
        cursor = cursor_of(newer)
        upper = cursor.slot if cursor else max(self.start, 0)
        await inbox.open_span(
            session,
            self.source.id,
            lower=self.start,
            upper=upper,
            upper_tx=cursor.signature if cursor else None,
            closed=True,
        )
        if len(newer) >= PAGE:
            await self._open_below(session, self.start, None, newer)

    async def _extend(self, session: AsyncSession, edge: Span, newer: Sequence[Signature]) -> None:
        """Move the cursor; what lies between it and a page that was cut becomes a span."""
        cursor = cursor_of(newer)
        if cursor is not None and cursor.slot >= edge.upper:
            await inbox.extend(session, edge, upper=cursor.slot, upper_tx=cursor.signature)
        if len(newer) >= PAGE:
            await self._open_below(session, edge.upper, edge.upper_tx, newer)

    async def _open_below(
        self, session: AsyncSession, lower: int, lower_tx: str | None, newer: Sequence[Signature]
    ) -> None:
        last = newer[-1]
        await inbox.open_span(
            session,
            self.source.id,
            lower=lower,
            lower_tx=lower_tx,
            upper=last.slot,
            upper_tx=last.signature,
            reached=last.slot,
            reached_tx=last.signature,
        )

    async def _save(
        self,
        session: AsyncSession,
        newest_first: Sequence[Signature],
        *,
        fresh: bool,
        final: frozenset[Key],
    ) -> list[int]:
        """Pages of those that succeeded and were not just seen, oldest first.

        What is final and what is not are on pages of their own.
        """
        oldest_first = [
            one
            for one in reversed(newest_first)
            if one.err is None and (one.signature, one.slot) not in self._seen
        ]
        pages = []
        for part, is_final in parted(oldest_first, final, self.size):
            found = Found(
                part[0].slot,
                part[-1].slot,
                [[s.signature, s.block_time] for s in part],
                final=is_final,
            )
            pages.append(
                await inbox.save(session, self.source.id, self.source.network, found, fresh=fresh)
            )
        return pages

    def _note(self, signatures: Sequence[Signature]) -> None:
        for one in signatures:
            self._seen[one.signature, one.slot] = None
        while len(self._seen) > 4 * PAGE:
            del self._seen[next(iter(self._seen))]


def keys(found: Sequence[Signature]) -> frozenset[Key]:
    return frozenset((one.signature, one.slot) for one in found)


def parted(
    oldest_first: Sequence[Signature], final: frozenset[Key], size: int
) -> Iterator[tuple[Sequence[Signature], bool]]:
    """Parts of at most `size`, and whether all of a part is final: those that are come first."""
    sure = [one for one in oldest_first if (one.signature, one.slot) in final]
    rest = [one for one in oldest_first if (one.signature, one.slot) not in final]
    for whole, is_final in ((sure, True), (rest, False)):
        for at in range(0, len(whole), size):
            yield whole[at : at + size], is_final


def within(found: Sequence[Signature], floor: int) -> list[Signature]:
    """Those not below the floor: a node that forgot the cursor answers with old history instead."""
    return [one for one in found if one.slot >= floor]


def cursor_of(newest_first: Sequence[Signature]) -> Signature | None:
    """The newest signature of a slot that is surely complete: below the newest slot seen.

    Nodes order a slot's signatures differently, so the newest slot is read again next time.
    """
    if not newest_first:
        return None
    newest = newest_first[0].slot
    return next((one for one in newest_first if one.slot < newest), None)
