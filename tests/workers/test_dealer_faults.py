"""The dealer among faults of the house: a wrong key, a mistake in the code, a long outage."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest
from loguru import logger

from casino.rounds import courses
from casino.sealed import Sealer
from chains.beacons import Beacon, Drawn
from chains.signers import Signer, signer
from tests.casino.rounds.dealt import BEACON, Dealt, sign
from workers.dealer import Dealer
from workers.tables import place

SEALER = Sealer(b"\x01" * 32)


class Said(Beacon):
    """A beacon that says what the test wants, and breaks as often as it wants."""

    kind = BEACON.kind

    def __init__(self, *, breaks: int = 0) -> None:
        super().__init__(BEACON.chain_hash, patience_s=60)
        self.breaks = breaks

    def due(self, closes_at: float) -> int:
        return BEACON.round

    def expected_at(self, closes_at: float) -> float:
        return 0.0

    async def look(self, closes_at: float) -> Drawn:
        if self.breaks:
            self.breaks -= 1
            raise AttributeError("a mistake of ours")
        return Drawn(self.kind, self.chain_hash, BEACON.round, BEACON.randomness, b"")


@pytest.fixture
async def dealt(database: str) -> Dealt:
    """A table whose first round took a bet and is over; its seeds are sealed as by the keeper."""
    made = await Dealt.at()
    await made.batch(opens_in=-5)
    await made.sealed(lambda number, seed: SEALER.seal(place(made.table, number), seed))
    assert (await made.run(made.bet(await made.player()))).code is None
    await made.moved(0, 60)
    return made


@pytest.fixture
def logged() -> Iterator[list[str]]:
    said: list[str] = []
    number = logger.add(
        lambda message: said.append(str(message)), level="ERROR", format="{message}"
    )
    yield said
    logger.remove(number)


def dealer(dealt: Dealt, *, sign: Signer = sign, breaks: int = 0) -> Dealer:
    return Dealer(dealt.table, dealt.pays, Said(breaks=breaks), SEALER, sign)


@contextlib.asynccontextmanager
async def dealing(one: Dealer) -> AsyncIterator[None]:
    task = asyncio.create_task(one.run())
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(dealt: Dealt, state: str, number: int = 0) -> None:
    async with asyncio.timeout(30):
        while (await dealt.round(number, "state"))[0] != state:
            await asyncio.sleep(0.02)


async def test_a_dealer_with_another_key_says_so_and_waits_for_the_right_one(
    dealt: Dealt, logged: list[str]
) -> None:
    async with dealing(dealer(dealt, sign=signer("09" * 32))):
        async with asyncio.timeout(30):
            while not logged:
                await asyncio.sleep(0.02)
        assert (await dealt.round(0, "state"))[0] == "waiting"
    assert "FAIRHOUSE_SIGNER_KEY is wrong" in logged[0]
    async with dealing(dealer(dealt)):
        await until(dealt, "settled")


async def test_a_round_whose_key_never_comes_is_void_once_it_is_overdue(
    dealt: Dealt, logged: list[str]
) -> None:
    await dealt.moved(0, 61)
    async with dealing(dealer(dealt, sign=signer("09" * 32))):
        await until(dealt, "void")
    assert courses.OVERDUE in logged[-1]
    assert await dealt.bets(0, "state") == [("returned",)]


async def test_a_mistake_is_said_at_once_and_the_dealer_goes_on(
    dealt: Dealt, logged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.dealer.FAULT_S", 0.05)
    async with dealing(dealer(dealt, breaks=1)):
        await until(dealt, "settled")
    assert "AttributeError" in logged[0]


async def test_after_a_long_outage_no_seed_is_shown_that_the_bond_pays_for(dealt: Dealt) -> None:
    await dealt.close()
    await dealt.moved(0, 61)
    async with dealing(dealer(dealt)):
        await until(dealt, "void")
    assert await dealt.round(0, "seed", "outcome") == (None, None)
