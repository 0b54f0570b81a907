"""From listed signatures to raw events: what a node gives late, wrongly or never costs no other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

import queues
from chains.errors import RetryLater, RpcError
from chains.solana.rpc import Rpc
from indexer.solana import SolanaListener
from tests.casino.conftest import rows
from tests.indexer.conftest import follow, solana_address
from tests.indexer.nodes import FakeNode, Oops, SolanaChain, html, serving
from tests.workers.played import GENESIS, SOLANA
from tests.workers.test_deliveries import housed, settings
from workers import store as room
from workers.interpret import interpret
from workers.store import store


@dataclass
class Place:
    """A program with four transactions, listed on one page that nobody has fetched yet."""

    chain: SolanaChain
    node: FakeNode
    source: int
    page: int
    sent: list[tuple[str, int]] = field(default_factory=list)

    async def raws(self) -> list[tuple[Any, ...]]:
        query = "SELECT tx, extract(epoch FROM time)::bigint FROM raw_events WHERE source_id = %s"
        return await rows(f"{query} ORDER BY position", (self.source,))

    async def pages(self) -> list[tuple[Any, ...]]:
        query = "SELECT state, jsonb_array_length(signatures), attempts, error FROM pages"
        return await rows(f"{query} WHERE source_id = %s ORDER BY id", (self.source,))

    def signatures(self, *numbers: int) -> list[str]:
        return [self.chain.signature(number) for number in numbers]


@pytest.fixture
async def place(
    fresh_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Place]:
    monkeypatch.setattr(room, "PAUSES_S", (0.0, 0.0))
    chain = SolanaChain(solana_address())
    chain.genesis = GENESIS
    for _ in range(4):
        chain.add()
    async with (
        serving(chain.node()) as node,
        housed(settings(fresh_database(), node)) as inbox,
    ):
        rpc = Rpc([node.url], rate=10_000)
        source = await follow(inbox, chain.address, SOLANA)
        (page,) = (await SolanaListener(source, rpc, inbox, 0, 100).poll()).pages
        await rpc.close()
        made = Place(chain, node, source.id, page)

        def send(queue: str, id: int, delay_ms: int = 0) -> bool:
            made.sent.append((queue, id))
            return True

        monkeypatch.setattr(queues, "send", send)
        yield made


async def test_a_page_is_stored_once_however_often_it_is_asked_for(place: Place) -> None:
    await store(place.page)
    await store(place.page)
    assert [tx for tx, _ in await place.raws()] == place.signatures(0, 1, 2, 3)
    assert place.sent == [("interpretation", place.page)]
    assert len(place.node.asked("getTransaction")) == 4


@pytest.mark.parametrize("absent", ["null", "no effects", "unknown version"])
async def test_what_is_listed_and_not_given_waits_on_a_page_of_its_own(
    place: Place, absent: str
) -> None:
    """S15, S16, S21, S23: the rest goes on, and what is missing keeps its reason until it comes."""
    late, whole = place.chain.signature(2), place.node.methods["getTransaction"]

    def given(signature: str, options: dict[str, Any]) -> Any:
        if signature != late:
            return whole(signature, options)
        if absent == "unknown version":
            raise Oops(-32015, "Transaction version (2) is not supported")
        return None if absent == "null" else whole(signature, options) | {"meta": None}

    place.node.methods["getTransaction"] = given
    await store(place.page)
    assert [tx for tx, _ in await place.raws()] == place.signatures(0, 1, 3)
    done, waits = await place.pages()
    assert done == ("stored", 4, 0, None)
    assert waits[:3] == ("found", 1, 1)
    assert ("version" if absent == "unknown version" else late) in waits[3]
    (again,) = [page for queue, page in place.sent if queue == "chain"]
    with pytest.raises(RetryLater):
        await store(again)
    assert (await place.pages())[1][0] == "found"
    place.node.methods["getTransaction"] = whole
    await store(again)
    assert [tx for tx, _ in await place.raws()] == place.signatures(0, 1, 2, 3)


@pytest.mark.parametrize("damage", ["no data", "no message"])
async def test_a_malformed_transaction_becomes_a_dead_letter_and_stops_no_other(
    place: Place, damage: str
) -> None:
    """S27: read as plain JSON, one by one."""
    broken = place.chain.txs[1]
    if damage == "no data":
        del broken["transaction"]["message"]["instructions"][0]["data"]
    else:
        del broken["transaction"]["message"]
    await store(place.page)
    await interpret(place.page)
    assert [tx for tx, _ in await place.raws()] == place.signatures(0, 1, 2, 3)
    query = "SELECT tx, reason FROM dead_letters WHERE source_id = %s AND tx = %s"
    letters = await rows(query, (place.source, place.chain.signature(1)))
    assert len(letters) == 1
    assert (await place.pages())[0][0] == "interpreted"


async def test_a_node_that_is_away_leaves_the_page_as_it_was(place: Place) -> None:
    """S46."""
    place.node.troubles = [html(502) for _ in range(50)]
    with pytest.raises(RpcError, match="502"):
        await store(place.page)
    place.node.troubles = []
    assert await place.raws() == []
    assert [row[0] for row in await place.pages()] == ["found"]
    await store(place.page)
    assert len(await place.raws()) == 4


async def test_a_page_that_lists_a_signature_twice_brings_it_once(place: Place) -> None:
    """S5."""
    doubled = "UPDATE pages SET signatures = signatures || signatures WHERE id = %s RETURNING 1"
    await rows(doubled, (place.page,))
    await store(place.page)
    assert [tx for tx, _ in await place.raws()] == place.signatures(0, 1, 2, 3)


async def test_a_time_that_the_node_does_not_know_is_left_open(place: Place) -> None:
    """S20: the list's time counts, else the transaction's, else there is a row without one."""
    unlisted = "UPDATE pages SET signatures = jsonb_set(jsonb_set(signatures, '{1,1}', 'null'),"
    await rows(f"{unlisted} '{{2,1}}', 'null') WHERE id = %s RETURNING 1", (place.page,))
    place.chain.txs[2]["blockTime"] = place.chain.txs[3]["blockTime"] = None
    await store(place.page)
    slot = 1_790_000_101
    assert [at for _, at in await place.raws()] == [slot, slot + 1, None, slot + 3]
    await interpret(place.page)
    assert (await place.pages())[0][0] == "interpreted"


async def test_a_final_page_is_stored_only_by_a_node_that_has_it_final(place: Place) -> None:
    await rows("UPDATE pages SET final = true WHERE id = %s RETURNING 1", (place.page,))
    place.chain.final = 0
    with pytest.raises(RetryLater, match="does not have it yet"):
        await store(place.page)
    assert await place.raws() == []
    # What the node does not have final yet waits, and is wanted as final as before.
    place.chain.final = place.chain.slot - 1
    await store(place.page)
    assert [tx for tx, _ in await place.raws()] == place.signatures(0, 1, 2)
    query = "SELECT final FROM pages WHERE state = 'found' AND source_id = %s"
    assert await rows(query, (place.source,)) == [(True,)]
