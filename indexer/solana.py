"""Solana, as the listener sees it: signatures paged downward from the newest to the cursor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncSession

from casino import finality
from casino.sources import Followed
from chains.solana.rpc import PAGE, STATUSES, Rpc, Signature
from indexer import inbox
from indexer.inbox import Found, Inbox, Span


@dataclass
class SolanaListener:
    """Follows one program. `size` is how many signatures make a page of work."""

    source: Followed
    rpc: Rpc
    inbox: Inbox
    start: int
    size: int
    upward: bool = False
    _seen: dict[str, None] = field(default_factory=dict)
    _missing: set[str] = field(default_factory=set)

    async def poll(self, head: int) -> list[int]:
        """Carry what is newer than the cursor; ids of pages to store."""
        async with self.inbox.transaction() as session:
            edge = await inbox.top(session, self.source.id)
        floor = edge.upper if edge is not None else self.start
        found = await self.rpc.signatures(
            self.source.address, before=None, until=edge.upper_tx if edge else None, floor=floor
        )
        newer = within(found, floor)
        async with self.inbox.transaction() as session:
            if edge is None:
                await self._begin(session, newer, head)
            elif newer:
                await self._extend(session, edge, newer, whole=len(newer) < PAGE)
            # The first look at a source is history, and so is what comes after a long silence.
            fresh = edge is not None and len(newer) < PAGE
            pages = await self._save(session, newer, fresh=fresh)
            await inbox.frontier(session, self.source.id, upward=False)
        self._note(newer)
        return pages

    async def backfill(self) -> list[int] | None:
        """Page one step further down the oldest open span; None when nothing is open."""
        async with self.inbox.transaction() as session:
            span = await inbox.oldest_open(session, self.source.id)
        if span is None:
            return None
        found = await self.rpc.signatures(
            self.source.address, before=span.reached_tx, until=span.lower_tx
        )
        older = within(found, span.lower)
        closed = len(older) < PAGE
        async with self.inbox.transaction() as session:
            last = older[-1] if older else None
            await inbox.advance(
                session,
                span,
                reached=last.slot if last else span.lower,
                reached_tx=last.signature if last else span.reached_tx,
                closed=closed,
            )
            await inbox.frontier(session, self.source.id, upward=False)
            return await self._save(session, older, fresh=False)

    async def finalize(self, finalized: int) -> int:
        """Ask what became of confirmed txs: promote the finalized, retract what vanished twice."""
        async with self.inbox.transaction() as session:
            txs = await finality.pending(session, self.source, upto=finalized, limit=STATUSES)
        if not txs:
            return 0
        statuses = await self.rpc.statuses(txs)
        final, gone = [], []
        for tx, status in zip(txs, statuses, strict=True):
            if status is None and tx not in self._missing:
                self._missing.add(tx)
            elif status is None or status.err is not None:
                gone.append(tx)
            elif status.confirmation_status == "finalized":
                final.append(tx)
        self._missing.difference_update(final, gone)
        async with self.inbox.transaction() as session:
            if gone:
                await finality.retract(session, self.source, txs=gone)
            return await finality.promote(session, self.source, txs=final) if final else 0

    async def _begin(self, session: AsyncSession, newer: Sequence[Signature], head: int) -> None:
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

    async def _extend(
        self, session: AsyncSession, edge: Span, newer: Sequence[Signature], *, whole: bool
    ) -> None:
        cursor = cursor_of(newer)
        if cursor is not None and cursor.slot >= edge.upper:
            await inbox.extend(session, edge, upper=cursor.slot, upper_tx=cursor.signature)
        if not whole:
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
        self, session: AsyncSession, newest_first: Sequence[Signature], *, fresh: bool
    ) -> list[int]:
        """Pages of those that succeeded and were not just seen, oldest first."""
        oldest_first = [
            one
            for one in reversed(newest_first)
            if one.err is None and one.signature not in self._seen
        ]
        pages = []
        for at in range(0, len(oldest_first), self.size):
            part = oldest_first[at : at + self.size]
            found = Found(part[0].slot, part[-1].slot, [[s.signature, s.block_time] for s in part])
            pages.append(
                await inbox.save(session, self.source.id, self.source.network, found, fresh=fresh)
            )
        return pages

    def _note(self, signatures: Sequence[Signature]) -> None:
        for one in signatures:
            self._seen[one.signature] = None
        while len(self._seen) > 4 * PAGE:
            del self._seen[next(iter(self._seen))]


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
