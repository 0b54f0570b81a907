"""A table whose settings change while rounds are under way: what was taken or committed stands."""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest

from casino.rounds import courses
from casino.rounds.tables import AssetBound, BadTable
from db import migrate
from games.fairness.rounds import DRAND, Beacon, of_chain
from local.postgres import Postgres
from tests.casino.rounds.dealt import BEACON, Dealt


@pytest.fixture
async def dealt(database: str) -> Dealt:
    made = await Dealt.at()
    await made.batch(opens_in=-5)
    return made


async def test_a_table_keeps_its_asset_once_seeds_were_drawn_for_it(dealt: Dealt) -> None:
    """Payouts and proofs name it, of old rounds too."""
    for _ in range(2):
        with pytest.raises(AssetBound, match="has rounds in iso4217:EUR"):
            await dealt.changed(asset="iso4217:USD")
        with pytest.raises(BadTable, match="another game or casino"):
            await dealt.changed(casino_id=dealt.table.casino_id + 1)
        for number in range(4):
            await dealt.moved(number, 60)
            await dealt.close(number)
            await dealt.draw(number)
            await dealt.settle(number)
    fresh = await Dealt.at()
    assert await fresh.changed(asset="iso4217:USD") == fresh.table.id


async def test_a_bet_keeps_the_rate_that_it_was_backed_at(dealt: Dealt) -> None:
    before = await dealt.run(dealt.bet(await dealt.player()))
    limits = replace(dealt.table.limits, coins=7, units=1)
    await dealt.changed(limits=limits)
    dealt.table = replace(dealt.table, limits=limits)
    after = await dealt.run(dealt.bet(await dealt.player()))
    assert (before.body["liability"], after.body["liability"]) == ("116", "539")
    assert await dealt.round(0, "liability", "risk") == (116 + 539, 2 * 77)


OTHERS = {
    "another kind": Beacon(DRAND, BEACON.chain_hash, 17, b"\xab" * 32),
    "another chain": Beacon(BEACON.kind, of_chain(b"eip155:1"), 17, b"\xab" * 32),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
async def test_a_round_is_drawn_with_no_other_beacon_than_its_batch_is_bound_to(
    dealt: Dealt, other: Beacon
) -> None:
    await dealt.changed(beacon="drand")
    dealt.table = replace(dealt.table, beacon="drand")
    await dealt.moved(0, 60)
    await dealt.close()
    with pytest.raises(courses.WrongBeacon, match="bound to the beacon block:evm-local"):
        await dealt.draw(beacon=other)
    assert await dealt.round(0, "state", "seed", "outcome") == ("closed", None, None)
    assert await dealt.draw() is not None


async def test_a_batch_bound_to_drand_takes_drands_own_chain_alone(database: str) -> None:
    dealt = await Dealt.at()
    await dealt.batch(opens_in=-5, beacon="drand")
    await dealt.moved(0, 60)
    await dealt.close()
    for wrong in (BEACON, OTHERS["another kind"]):
        with pytest.raises(courses.WrongBeacon, match="bound to the beacon drand"):
            await dealt.draw(beacon=wrong)


UNDER_WAY = """
INSERT INTO round_tables (casino_id, name, game, pay_id, asset, network, program, beacon, least,
    most, most_win, most_player, coins, units)
VALUES (1, 'dice', 'dice', 1, 'x', 'eip155:1', '0x', 'drand', 1, 1, 1, 1, 3, 2);
INSERT INTO rounds (table_id, number, batch_first, opens_at, closes_at, bets, stake, liability)
SELECT 1, n, 0, now(), now() + interval '9 s', n, n, 116 * n FROM generate_series(0, 1) n;
"""


def test_rounds_under_way_count_for_the_limit_from_its_migration_on(
    postgres_server: Postgres,
) -> None:
    """By what backs them; and their sums are as fixed afterwards as before."""
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE rounds_under_way")
    url = postgres_server.database("rounds_under_way")
    migrate.upgrade(url, "0019")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(UNDER_WAY)
        for _ in range(2):
            migrate.upgrade(url)
            risks = connection.execute("SELECT risk FROM rounds ORDER BY number").fetchall()
            assert risks == [(0,), (78,)]
            migrate.downgrade(url, "0019")
        migrate.upgrade(url)
        connection.execute(
            "UPDATE rounds SET state = 'closed', root = '', signature = '' WHERE number = 1"
        )
        with pytest.raises(psycopg.errors.CheckViolation, match="only goes forward"):
            connection.execute("UPDATE rounds SET risk = 0 WHERE number = 1")
