"""The samples are there once, however often they are given, and the treasury owes for them."""

from __future__ import annotations

from casino import assets, samples
from db.session import driver, transaction
from ledger import statements
from ledger.statements import Balance


async def give(slug: str) -> int:
    async with transaction() as session:
        return await samples.give(session, slug)


async def balances(slug: str, *names: str) -> list[Balance]:
    async with transaction() as session:
        connection = await driver(session)
        asked = "SELECT id FROM casinos WHERE slug = %s"
        row = await (await connection.execute(asked.encode(), (slug,))).fetchone()
        assert row is not None
        return await statements.balances(connection, row[0], names)


async def test_samples_given_again_open_nothing_again(database: str) -> None:
    assert [await give("shop"), await give("shop"), await give("stall")] == [6, 0, 6]
    for slug in ("shop", "stall"):
        treasury = {
            one.account.asset: one.balance for one in await balances(slug, "system:treasury")
        }
        assert treasury == {
            f"casino:{slug}/GOLD_COINS": -1500,
            f"casino:{slug}/DIAMONDS": -150,
            f"casino:{slug}/LOYALTY_POINTS": -750,
        }


async def test_samples_count_whole_pieces_of_the_casinos_own_assets(database: str) -> None:
    await give("kiosk")
    async with transaction() as session:
        found = await assets.counted(await driver(session), "kiosk")
    assert [(one.symbol, one.scale) for one in found if one.own] == [
        ("DIAMONDS", 0),
        ("GOLD_COINS", 0),
        ("LOYALTY_POINTS", 0),
    ]
