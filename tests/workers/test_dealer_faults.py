"""The dealer among faults: wrong keys and clocks, mistakes in the code, outages, lost beacons."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pytest
from loguru import logger

from casino.rounds import courses
from casino.sealed import Sealer
from chains.beacons import Beacon, Drawn, Fallback, Gone
from chains.errors import ChainError
from chains.signers import Signer, signer
from settings import Settings, TableSetting
from tests.casino.conftest import rows
from tests.casino.rounds.dealt import BEACON, SIGNER, Dealt, sign
from tests.chains.beacons.endpoints import endpoints, honest
from tests.chains.beacons.quicknet import closing
from tests.workers.test_tables import Chain, keeping
from workers.beacons import Beacons, Setting, Sources
from workers.dealer import Dealer, found, seated
from workers.leader import connect
from workers.tables import place

SEALER = Sealer(b"\x01" * 32)


class Said(Beacon):
    """A beacon that says what the test wants, and breaks as often as it wants."""

    kind = BEACON.kind

    def __init__(self, *, breaks: int = 0, silent: bool = False, gone: bool = False) -> None:
        super().__init__(BEACON.chain_hash, patience_s=60)
        self.breaks, self.silent, self.gone = breaks, silent, gone

    def due(self, closes_at: float) -> int:
        return BEACON.round

    def expected_at(self, closes_at: float) -> float:
        return 0.0

    async def look(self, closes_at: float) -> Drawn | None:
        if self.breaks:
            self.breaks -= 1
            raise AttributeError("a mistake of ours")
        if self.gone:
            raise Gone("nobody has it", Fallback.VOID)
        if self.silent:
            return None
        return Drawn(self.kind, self.chain_hash, BEACON.round, BEACON.randomness, b"")


class InTime(Said):
    """A beacon whose draw is there two seconds after a closing, as the real ones say."""

    def expected_at(self, closes_at: float) -> float:
        return closes_at + 2


class Other(Said):
    """A beacon of another chain than the batches of these tests are bound to."""

    def __init__(self) -> None:
        super().__init__()
        self.chain_hash = b"\xee" * 32


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


def table(name: str, **other: Any) -> TableSetting:
    """A table's setting, at a bond that nobody here asks."""
    bound = {"program": "bond_evm", "network": "evm-local", "address": "0x" + "11" * 20}
    paid = {"game": "dice", "max_liability": 1_000, "most": 10, "most_win": 100, "most_player": 100}
    return TableSetting.model_validate({"name": name, **bound, **paid, **other})


def dealer(dealt: Dealt, *, sign: Signer = sign, breaks: int = 0) -> Dealer:
    return Dealer(dealt.table, dealt.pays, held(Said(breaks=breaks)), SEALER, sign)


def held(beacon: Beacon) -> Beacons:
    """As a dealer holds the beacon of the tests' batches."""
    return Beacons({"block:evm-local": beacon})


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


async def test_a_round_whose_beacon_is_gone_is_void_and_its_seed_is_never_shown(
    dealt: Dealt, logged: list[str]
) -> None:
    """Neither told nor revealed at the bond, where the next round's seed is."""
    [(player,)] = await dealt.bets(0, "player_id")
    await until_closing(dealt)
    gone = Dealer(dealt.table, dealt.pays, held(Said(gone=True)), SEALER, sign)
    async with dealing(gone):
        await until(dealt, "void")
    assert "the beacon is gone: nobody has it" in logged[-1]
    assert await dealt.bets(0, "state") == [("returned",)]
    assert await dealt.cash(player) == 10_000
    assert await dealt.round(0, "seed", "outcome", "beacon") == (None, None, None)
    assert await dealt.told("round.result") == []
    [(_, told)] = await dealt.told("round.void")
    assert dealt.seeds[0].hex() not in str(told)
    await dealt.moved(1, 20)
    await dealt.close(1)
    await dealt.draw(1)
    chain = Anchored(final=True)
    async with keeping(dealt, chain) as keeper:
        for _ in range(3):
            await keeper.tick()
    assert chain.heard == [dealt.seeds[1]]


@dataclass
class Anchored(Chain):
    """A bond that has every root already, and keeps what it is shown."""

    heard: list[bytes] = field(default_factory=list)

    async def anchored(self, table: str, first: int, numbers: Sequence[int]) -> list[bool]:
        return [True for _ in numbers]

    async def reveal(
        self, table: str, first: int, number: int, seed: bytes, proof: Sequence[bytes]
    ) -> str:
        self.heard.append(seed)
        return "0xbb"


async def until_closing(dealt: Dealt, number: int = 0) -> None:
    """Let a round lie so that it closes this instant."""
    [(left,)] = await rows(
        "SELECT extract(epoch FROM closes_at - clock_timestamp())::float FROM rounds"
        " WHERE table_id = %s AND number = %s",
        (dealt.table.id, number),
    )
    await dealt.moved(number, left)


CLOCKS = {"ten minutes ahead": [600.0], "ten minutes slow": [-600.0], "jumping": [0.0, 600, -600]}


@pytest.mark.parametrize("clock", CLOCKS.values(), ids=CLOCKS)
async def test_a_dealer_whose_clock_is_wrong_asks_for_the_beacon_when_it_is_due(
    dealt: Dealt, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    right, wrong = time.time, itertools.cycle(clock)
    monkeypatch.setattr(time, "time", lambda: right() + next(wrong))
    await until_closing(dealt)
    async with dealing(Dealer(dealt.table, dealt.pays, held(InTime()), SEALER, sign)):
        await until(dealt, "settled")
    [early] = await rows(
        "SELECT drawn_at < closes_at + interval '2 s' FROM rounds"
        " WHERE table_id = %s AND number = 0",
        (dealt.table.id,),
    )
    assert early == (False,)


async def test_rounds_that_are_committed_keep_their_beacon_when_the_setting_changes(
    dealt: Dealt,
) -> None:
    beacons = Beacons({"block:evm-local": Said(), "drand": Other()})
    await dealt.changed(beacon="drand")
    table = replace(dealt.table, beacon="drand")
    async with dealing(Dealer(table, dealt.pays, beacons, SEALER, sign)):
        await until(dealt, "settled")
    [(shown,)] = [await dealt.round(0, "beacon")]
    assert shown["chain_hash"] == BEACON.chain_hash.hex()


async def test_a_beacon_that_the_settings_do_not_reach_is_waited_for_until_the_round_is_void(
    dealt: Dealt, logged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.dealer.FAULT_S", 0.05)

    async def nowhere(name: str) -> Beacon | None:
        raise ChainError(f"no RPC URL is set for network {name}")

    async with dealing(Dealer(dealt.table, dealt.pays, Beacons(find=nowhere), SEALER, sign)):
        async with asyncio.timeout(30):
            while not logged:
                await asyncio.sleep(0.02)
        assert "is bound to block:evm-local: no RPC URL" in logged[0]
        assert await dealt.round(0, "state", "seed") == ("closed", None)
        await dealt.moved(0, 61)
        await until(dealt, "void")


async def test_a_name_that_stands_for_another_chain_by_now_draws_nothing(
    dealt: Dealt, logged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.dealer.FAULT_S", 0.05)
    async with dealing(Dealer(dealt.table, dealt.pays, held(Other()), SEALER, sign)):
        async with asyncio.timeout(30):
            while not logged:
                await asyncio.sleep(0.02)
        assert "its batch is bound to the beacon block:evm-local" in logged[0]
        assert await dealt.round(0, "state", "seed") == ("closed", None)
        await dealt.moved(0, 61)
        await until(dealt, "void")


async def test_a_pay_table_kept_since_the_dealer_began_is_looked_up(dealt: Dealt) -> None:
    async with dealing(Dealer(dealt.table, {}, held(Said()), SEALER, sign)):
        await until(dealt, "settled")


async def test_a_beacon_is_found_once_for_all_tables_of_a_process() -> None:
    asked: list[tuple[str, int]] = []

    async def find(setting: Setting, name: str) -> Beacon | None:
        asked.append((name, setting.confirmations))
        await asyncio.sleep(0)
        return None if len(asked) == 1 else Said()

    sources = Sources(find)
    one, other, deeper = table("one"), table("other"), table("deeper", confirmations=1)
    assert await sources.of(one, "block:evm-local") is None  # its chain is not known yet
    found = await asyncio.gather(
        *(sources.of(setting, "block:evm-local") for setting in (one, other, deeper, other))
    )
    assert None not in found
    assert found[0] is found[1] is found[3]
    assert found[2] is not found[0]  # another block counts where more must be on top of it
    assert await sources.of(one, "drand") is await sources.of(deeper, "drand")
    assert asked[1:] == [("block:evm-local", 0), ("block:evm-local", 1), ("drand", 0)]


async def test_tables_of_one_dealer_ask_drand_once_for_a_round(dealt: Dealt, database: str) -> None:
    async with endpoints(honest) as [place], asyncio.timeout(30):
        settings = Settings(
            database_url=database,
            drand_urls=[place.url],
            seed_key="01" * 32,
            signer_key=SIGNER.to_hex(),
            tables=[table("dice", patience=1), table("dice-2", patience=2), table("dice-3")],
        )
        sources = Sources(partial(found, settings))
        async with await connect(settings) as connection:
            dealers = await seated(settings, sources, connection)
        beacons = [await one.beacons.named("drand") for one in dealers]
        drawn = await asyncio.gather(
            *(one.fetch(closing(1000) + late) for late, one in enumerate(beacons) if one)
        )
        assert [one.round for one in drawn if one] == [1000] * 3
        assert place.asked == [1000]
        assert [one.beacons.patience_s for one in dealers] == [1, 2, 30]
        await sources.close()
