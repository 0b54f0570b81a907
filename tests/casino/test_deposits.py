"""Final deposits are credited once, in whatever order and however often their facts come."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import psycopg
import pytest

from casino import deposits, pages
from db.session import transaction
from tests.casino.conftest import Opens, rows
from tests.casino.custodial import Till, deposit


@pytest.fixture
async def till(opened: Opens) -> Till:
    return await Till.over(await opened())


async def test_a_deposit_is_credited_when_it_is_final_and_not_before(till: Till) -> None:
    await till.apply(deposit(1, "ada", 70), final=False)
    assert await till.credit() == 0
    await till.promote(txs=[till.tx("o1")])
    before = await till.figures()
    assert (before.came, before.arriving, before.difference) == (70, 70, 0)
    assert await till.credit() == 1
    assert await till.balances() == {"ada": 70, till.custody.account.name: -70}
    after = await till.figures()
    assert (after.booked, after.arriving, after.owed, after.difference) == (70, 0, 70, 0)
    [(type, data, player)] = await rows(
        "SELECT type, data, player FROM outbox WHERE namespace = 'user' AND casino = %s",
        (till.custody.casino,),
    )
    assert type == "wallet.deposited"
    assert (data["amount"], data["balance"], data["tx"]) == ("70", "70", till.tx("o1"))
    [(mine,)] = await rows(
        "SELECT player_id::text FROM player_identities WHERE external_id = 'ada'"
        " AND casino_id = %s",
        (till.custody.casino_id,),
    )
    assert player == mine


async def test_a_retracted_deposit_is_never_credited(till: Till) -> None:
    await till.apply(deposit(1, "ada", 70), final=False)
    await till.retract("o1")
    assert await till.credit() == 0
    assert await till.balances() == {}
    await till.apply(deposit(1, "ada", 70, position=9))  # and where it lands after all, it is
    assert await till.credit() == 1
    assert await till.credit() == 0


@pytest.mark.parametrize("seed", range(2))
async def test_shuffled_doubled_deliveries_and_two_workers_credit_each_deposit_once(
    till: Till, seed: int
) -> None:
    dice = random.Random(seed)
    facts = [deposit(n, f"player{n % 7}", 10 + n, position=n) for n in range(60)]
    deliveries = [facts[at : at + 9] for at in range(0, 60, 6)] * 2
    dice.shuffle(deliveries)

    async def deliver() -> None:
        for delivery in deliveries:
            await till.apply(*dice.sample(delivery, len(delivery)), final=False)
            await till.promote(upto=dice.randrange(60))

    async def work() -> None:
        for _ in range(30):
            await till.credit(limit=4)

    await asyncio.gather(deliver(), work(), work())
    await till.promote(upto=60)
    while await till.credit():
        pass
    expected = {f"player{who}": sum(10 + n for n in range(who, 60, 7)) for who in range(7)}
    total = sum(expected.values())
    assert await till.balances() == expected | {till.custody.account.name: -total}
    assert (await till.figures()).difference == 0


async def test_a_worker_that_dies_before_its_commit_credits_once_in_its_next_life(
    till: Till,
) -> None:
    class Killed(BaseException):
        pass

    await till.apply(*(deposit(n, "ada", 5) for n in range(9)))

    async def die() -> None:
        async with transaction() as session:
            assert await deposits.credit(session, till.custody) == 9
            raise Killed

    with pytest.raises(Killed):
        await die()
    assert await till.balances() == {}
    assert [await till.credit(limit=6) for _ in range(3)] == [6, 3, 0]
    assert (await till.balances())["ada"] == 45


async def test_the_books_refuse_a_deposit_whose_mark_was_lost(till: Till) -> None:
    await till.apply(deposit(1, "ada", 70))
    await till.credit()
    forget = "UPDATE chain_transfers SET transfer_id = NULL WHERE source_id = %s RETURNING tx"
    marked = "SELECT transfer_id FROM chain_transfers WHERE source_id = %s"
    before = await rows(marked, (till.source.id,))
    await rows(forget, (till.source.id,))
    await till.apply(deposit(2, "ada", 1))
    assert await till.credit() == 2
    assert (await till.balances())["ada"] == 71
    assert before[0] in await rows(marked, (till.source.id,))


async def test_what_a_closed_account_refuses_waits_as_unclaimed(
    till: Till, database_url: str
) -> None:
    await till.apply(deposit(1, "ada", 70))
    await till.credit()
    close = "UPDATE accounts SET closed_at = now() WHERE name LIKE 'player:%' AND casino_id = "
    with psycopg.connect(database_url) as connection:
        connection.execute(f"{close}{till.custody.casino_id}".encode())
    await till.apply(deposit(2, "ada", 5), deposit(3, "bob", 6))
    assert await till.credit() == 2
    held = {"ada": 70, "bob": 6, deposits.UNCLAIMED: 5}
    assert await till.balances() == held | {till.custody.account.name: -81}
    assert (await till.figures()).difference == 0
    assert await till.credit() == 0


async def test_only_a_custody_credits_what_is_deposited(till: Till, opened: Opens) -> None:
    other = await opened()
    await till.apply(deposit(1, "ada", 70))
    async with transaction() as session:
        await pages.apply(session, other, [deposit(2, "bob", 70)], fresh=True, final=True)
    assert await till.credit() == 1
    marked: list[tuple[Any, ...]] = await rows(
        "SELECT player, transfer_id IS NULL FROM chain_transfers WHERE source_id IN (%s, %s)"
        " ORDER BY player",
        (till.source.id, other.id),
    )
    assert marked == [("ada", False), ("bob", True)]
