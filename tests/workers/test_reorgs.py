"""A bet whose block the chain dropped: what it becomes depends on where it lands, if at all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

import queues
from chains.evm.rpc import Rpc
from indexer.evm import EvmListener
from tests.casino.conftest import rows
from tests.indexer.conftest import evm_address, follow
from tests.indexer.nodes import EvmChain, FakeNode, serving
from tests.workers.played import DEADLINE, EVM, PLACED, STAKE, Log, log
from tests.workers.test_deliveries import housed, settings
from workers.interpret import interpret
from workers.stats import fold

BET: Log = log(PLACED, [7, 0xA0], [9, 0, 5000, STAKE, 2 * STAKE, DEADLINE])
TX = "0x" + "be" * 32
OTHER: Log = log(PLACED, [8, 0xA1], [9, 0, 5000, STAKE, 2 * STAKE, DEADLINE])
EMPTY: list[Log] = []
# What is mined in the place of the block that was dropped: and the height and place of the bet.
FATES: dict[str, tuple[list[list[Log]], tuple[int, int] | None]] = {
    "never again": ([EMPTY, EMPTY, EMPTY], None),
    "at its height": ([[BET], EMPTY], (4, 0)),
    "in a later block": ([EMPTY, EMPTY, [BET]], (6, 0)),
    "in another place of its block": ([[OTHER, BET], EMPTY], (4, 1)),
    "on a shorter chain": ([[BET]], (4, 0)),
}


@dataclass
class Place:
    """A contract, who follows it, and the pages that were found."""

    chain: EvmChain
    listener: EvmListener
    pages: list[int] = field(default_factory=list)

    def mine(self, blocks: list[list[Log]], *, fork: str = "") -> None:
        """Blocks of these logs; the bet is in the same transaction wherever it lands."""
        for events in blocks:
            number = self.chain.add(events, fork=fork)
            for event, entry in zip(events, self.chain.logs[number], strict=True):
                if event is BET:
                    entry["transactionHash"] = TX

    async def poll(self) -> None:
        for _ in range(2):
            self.pages += (await self.listener.poll()).pages

    async def work(self) -> None:
        """Every page that was ever found, also those of blocks that are gone."""
        for page in self.pages:
            await interpret(page)
        await fold(self.listener.source.casino_id)

    async def bet(self) -> tuple[Any, ...]:
        query = "SELECT status, placed_position, placed_index FROM bets WHERE bet = '7'"
        found = await rows(query, None)
        return found[0] if found else ()

    async def counted(self) -> int:
        query = "SELECT bets FROM casino_stats WHERE bucket = 'total'"
        return sum(row[0] for row in await rows(query, None))

    async def told(self) -> list[str]:
        """What the feed is told of the bet."""
        query = "SELECT type FROM outbox WHERE data->>'bet' = '7' ORDER BY id"
        return [row[0] for row in await rows(query, None)]


@pytest.fixture
async def place(
    fresh_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Place]:
    monkeypatch.setattr(queues, "send", lambda queue, id, delay_ms=0: True)
    async with serving(FakeNode()) as node, housed(settings(fresh_database(), node)) as inbox:
        chain = EvmChain(evm_address())
        node.methods = chain.methods()
        rpc = Rpc([node.url], rate=10_000)
        source = await follow(inbox, chain.address, EVM)
        yield Place(chain, EvmListener(source, rpc, inbox, 0, 100))
        await rpc.close()


@pytest.mark.parametrize("late", [False, True], ids=["interpreted", "still queued"])
@pytest.mark.parametrize("fate", FATES)
async def test_a_dropped_bet_counts_where_it_lands_and_nowhere_else(
    place: Place, fate: str, late: bool
) -> None:
    """E14, E19, E23: also when the message of the dropped block comes after the reorg."""
    blocks, landed = FATES[fate]
    place.mine([EMPTY, EMPTY, EMPTY, [BET], EMPTY])
    await place.poll()
    if not late:
        await place.work()
        assert await place.bet() == ("placed", 4, 0)
        assert (await place.counted(), await place.told()) == (1, ["bet.placed"])
    place.chain.reorg(2)
    place.mine(blocks, fork="b")
    await place.poll()
    if not late:
        assert (await place.bet())[0] == "retracted"
    for _ in range(2):
        await place.work()

    others = sum(OTHER in block for block in blocks)
    assert await place.counted() == (landed is not None) + others
    before = [] if late else ["bet.placed", "bet.retracted"]
    if landed is None:
        assert await place.bet() == (() if late else ("retracted", 4, 0))
        assert await place.told() == before
    else:
        assert await place.bet() == ("placed", *landed)
        assert await place.told() == [*before, "bet.placed"]
