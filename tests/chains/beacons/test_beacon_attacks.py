"""Attacks on fairness by way of the beacon, by the names they have in the research."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from chains.beacons import BLOCK, DRAND, FALLBACKS, Drawn, Fallback, Forged, Gone
from chains.beacons.block import FirstBlock
from chains.beacons.drand import Drand
from chains.beacons.quicknet import QUICKNET
from chains.beacons.verify import verify
from chains.evm.rpc import Rpc
from local import anvil
from tests.chains.beacons.endpoints import endpoints, honest, not_yet
from tests.chains.beacons.quicknet import closing, signature

LOCAL = "eip155:31337"
LOCAL_HASH = sha256(LOCAL.encode()).digest()
NAMED: dict[str, Any] = {
    "kind": DRAND,
    "chain_hash": QUICKNET.hash,
    "closes_at": closing(1000),
}
TRUE = Drawn(DRAND, QUICKNET.hash, 1000, sha256(signature(1000)).digest(), signature(1000))


@pytest.fixture
async def producer(tmp_path: Path) -> AsyncIterator[Rpc]:
    """Somebody who makes the blocks of a chain: it begins before the round's closing."""
    extra = ["--timestamp", str(closing(1000) - 10)]
    async with anvil.start(tmp_path / "anvil", block_time_s=None, extra=extra) as node:
        rpc = Rpc([node.rpc_url], rate=10_000)
        yield rpc
        await rpc.close()


async def grind(rpc: Rpc, wish: int) -> Drawn:
    """Withhold blocks until one has the hash, modulo 4, that was wished for: a coin each."""
    while True:
        await rpc.node.ask("evm_setNextBlockTimestamp", [closing(1000) + 3], object)
        await rpc.node.ask("evm_mine", [], object)
        beacon = FirstBlock(rpc, LOCAL, confirmations=0, patience_s=60)
        drawn = await beacon.fetch(closing(1000))
        assert drawn is not None
        if drawn.randomness[-1] % 4 == wish:
            return drawn
        # Nobody has seen it: it goes, and another one with other dust in it comes in its place.
        await rpc.node.ask("anvil_rollback", [1], object)
        await rpc.node.ask("anvil_setCoinbase", [f"0x{drawn.randomness[:20].hex()}"], object)


async def test_a13_who_makes_blocks_grinds_the_block_beacon_and_cannot_put_it_in_drands_place(
    producer: Rpc,
) -> None:
    # It works, and nothing in the block shows it: this is why the kind is named as the weaker one.
    for wish in (0, 1, 2, 3):
        ground = await grind(producer, wish)
        verify(ground, kind=BLOCK, chain_hash=LOCAL_HASH, closes_at=closing(1000))
        await producer.node.ask("anvil_rollback", [1], object)
    # A batch that named drand takes drand's draw and no block's, whatever it is called.
    verify(TRUE, **NAMED)
    posing = Drawn(DRAND, QUICKNET.hash, 1000, ground.randomness, ground.evidence)
    signed = Drawn(DRAND, QUICKNET.hash, 1000, ground.randomness, signature(1000))
    for one in (ground, posing, signed):
        with pytest.raises(Forged):
            verify(one, **NAMED)


async def test_a16_when_the_beacon_is_gone_the_round_is_void_and_nothing_takes_its_place(
    producer: Rpc,
) -> None:
    async with endpoints(not_yet, not_yet) as places:
        drand = Drand([place.url for place in places], patience_s=0)
        with pytest.raises(Gone) as gone:
            await drand.fetch(closing(1000))
        # What happens now was declared with the kind, before anybody bet.
        assert gone.value.fallback is FALLBACKS[DRAND] is Fallback.VOID
        # Neither a block nor another round of drand is taken instead.
        block = await grind(producer, 0)
        later = Drawn(DRAND, QUICKNET.hash, 1001, sha256(signature(1001)).digest(), signature(1001))
        for other in (block, later):
            with pytest.raises(Forged):
                verify(other, **NAMED)
        # And who says so wrongly is found out: the draw is there for everybody, and for ever.
        places[1].mood = honest
        assert await drand.fetch(closing(1000)) == TRUE
        await drand.close()


def test_a16_rounds_of_a_chain_that_ended_are_checked_without_it() -> None:
    """No endpoint and no clock is asked: the key that the chain had is kept with the code."""
    for late in range(QUICKNET.period):
        closes_at = closing(1000) + late
        verify(TRUE, kind=DRAND, chain_hash=QUICKNET.hash, closes_at=closes_at)
    for closes_at in (closing(1000) - 1, closing(1000) + 3, int(time.time())):
        with pytest.raises(Forged, match="counts"):
            verify(TRUE, kind=DRAND, chain_hash=QUICKNET.hash, closes_at=closes_at)
    stranger = sha256(b"a chain of the house's own").digest()
    own = Drawn(DRAND, stranger, 1000, TRUE.randomness, TRUE.evidence)
    with pytest.raises(Forged, match="no chain of drand is known"):
        verify(own, kind=DRAND, chain_hash=stranger, closes_at=closing(1000))


def test_every_kind_has_declared_what_happens_without_its_beacon() -> None:
    assert {DRAND: Fallback.VOID, BLOCK: Fallback.VOID} == FALLBACKS
    with pytest.raises(TypeError):
        FALLBACKS[DRAND] = Fallback.VOID  # type: ignore[index]
