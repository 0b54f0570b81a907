"""Money in and out on both local chains: credited once, paid once, whatever dies and when."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from casino import withdrawals
from casino.withdrawals import Payment, Withdrawal
from db.session import transaction
from tests.workers.custodies import Killed, Place, opened
from workers.deposits import Counter
from workers.withdrawals import Payer


@pytest.fixture(scope="module")
async def places(
    tmp_path_factory: pytest.TempPathFactory, database_url: str
) -> AsyncIterator[list[Place]]:
    async with opened(tmp_path_factory.mktemp("custodies"), database_url) as made:
        yield made


async def test_money_comes_in_and_goes_out_on_both_chains(places: list[Place]) -> None:
    async def live(place: Place) -> None:
        assert await place.purse() == (100 * place.unit, 0)
        one = await place.ask(3 * place.unit)
        async with place.paying() as payer:
            await place.tick(payer, lambda: place.ended(one))
        assert await place.purse() == (97 * place.unit, 0)
        assert await place.balance(one.address) == 3 * place.unit
        await place.in_order()

    await asyncio.gather(*map(live, places))


@dataclass
class Mortal(Payer):
    """Who pays, and dies at one point of one withdrawal."""

    point: str = ""
    victim: int = 0

    def at(self, point: str, one: Withdrawal) -> None:
        if (point, one.id) == (self.point, self.victim):
            raise Killed(point)

    async def note(self, one: Withdrawal, payment: Payment) -> None:
        self.at("signed, not stored", one)
        await super().note(one, payment)
        self.at("stored, not sent", one)

    async def sent(self, one: Withdrawal) -> None:
        self.at("sent, not noted", one)
        await super().sent(one)
        self.at("sent and noted", one)


DEATHS = (
    ("signed, not stored", "sent, not noted"),
    ("stored, not sent", "sent, not noted"),
    ("signed, not stored", "signed, not stored", "stored, not sent"),
    ("sent and noted",),
)


async def test_whoever_pays_may_die_at_any_step_and_everyone_is_paid_once(
    places: list[Place],
) -> None:
    async def live(place: Place) -> None:
        for deaths in DEATHS:
            one = await place.ask(place.unit)
            for point in deaths:
                with pytest.raises(Killed, match=point):
                    await die(place, point, one)
        async with place.paying() as payer:
            for one in place.asked:
                await place.tick(payer, lambda one=one: landed(place, one))  # type: ignore[misc]
        await settle_dying(place)
        await place.in_order()

    await asyncio.gather(*map(live, places))


async def die(place: Place, point: str, one: Withdrawal) -> None:
    async with place.paying(Mortal) as payer:
        assert isinstance(payer, Mortal)
        payer.point, payer.victim = point, one.id
        async with asyncio.timeout(30):
            while True:
                await payer.tick()


async def landed(place: Place, one: Withdrawal) -> bool:
    query = "SELECT count(*) FROM chain_transfers WHERE finality = 'finalized' AND request = '{}'"
    return await place.line.rows(query.format(one.request)) == [(1,)]


async def settle_dying(place: Place) -> None:
    """Die in mid settlement, and settle in the next life."""

    async def dying() -> None:
        async with transaction() as session:
            await withdrawals.settle(session, place.custody)
            raise Killed

    with pytest.raises(Killed):
        await dying()
    await asyncio.gather(*(Counter(place.means).tick() for _ in range(3)))


async def test_a_keeper_killed_again_and_again_credits_and_pays_once(places: list[Place]) -> None:
    """`kill -9` of the whole process, while money comes in and goes out."""
    line = places[0].line
    for life in range(3):
        line.start(f"keeper/{life}")
        for place in places:
            await place.ask(place.unit)
        await asyncio.sleep(1.5 + life / 2)
        line.children[f"keeper/{life}"].process.kill()
        assert line.children[f"keeper/{life}"].process.wait() == -signal.SIGKILL
    line.start("keeper")
    states = "SELECT count(*) FROM withdrawals WHERE state NOT IN ('settled', 'failed')"
    await line.until(states, [(0,)], 60)
    assert await line.children["keeper"].stop() == 0
    await asyncio.gather(*(place.in_order() for place in places))
