"""Confirmed, finalized, retracted: and what a retraction takes back."""

from __future__ import annotations

from typing import Any

import pytest

from casino import finality, pages, stats
from casino.sources import Followed
from chains.chain import Fact
from db.session import driver, transaction


async def apply(source: Followed, *facts: Fact) -> None:
    async with transaction() as session:
        await pages.apply(session, source, facts, fresh=True)


async def fold(source: Followed) -> None:
    async with transaction() as session:
        await stats.fold(session, source.casino_id, interval_ms=10**9)


async def retract(source: Followed, **reach: Any) -> int:
    async with transaction() as session:
        return await finality.retract(session, source, **reach)


async def promote(source: Followed, **reach: Any) -> int:
    async with transaction() as session:
        return await finality.promote(session, source, **reach)


def total(book: dict[str, Any]) -> Any:
    return next((row[3:] for row in book["casino_stats"] if row[0] == "total"), None)


async def test_facts_up_to_a_position_are_promoted(opened: Any, says: Any, books: Any) -> None:
    source = await opened()
    await apply(source, says.placed(1, position=5), says.settled(1, position=9))
    async with transaction() as session:
        found = await finality.pending(session, source, upto=100)
        assert found == [finality.Pending(9, "s1"), finality.Pending(5, "p1")]
        assert await finality.pending(session, source, upto=8) == found[1:]
        assert await finality.pending(session, source, upto=100, below=found[0]) == found[1:]
    assert await promote(source, upto=8) == 1
    assert (await books(source))["bets"][0][20:22] == ("finalized", "confirmed")
    assert await promote(source, txs=["s1"]) == 1
    assert (await books(source))["bets"][0][20:22] == ("finalized", "finalized")
    assert await promote(source, upto=100) == 0
    async with transaction() as session:
        assert await finality.pending(session, source, upto=100) == []


@pytest.mark.parametrize("by", ["position", "txs"])
async def test_a_retracted_bet_is_uncounted_and_told(
    opened: Any, says: Any, books: Any, messages: Any, by: str
) -> None:
    source = await opened()
    await apply(source, says.placed(1, position=5), says.placed(2, position=6))
    await apply(source, says.settled(2, payout=7, position=7))
    await fold(source)
    reach: dict[str, Any] = {"above": 5} if by == "position" else {"txs": ["p2", "s2"]}
    assert await retract(source, **reach) == 1
    await fold(source)

    book = await books(source)
    assert [row[11] for row in book["bets"]] == ["placed", "retracted"]
    assert total(book) == (1, 0, 0, 0, 100, 0)
    kind, data = (await messages(source))[-1]
    assert (kind, data["bet"], data["status"]) == ("bet.retracted", "2", "retracted")
    assert await retract(source, **reach) == 0


async def test_a_lost_settlement_leaves_the_bet_placed(
    opened: Any, says: Any, books: Any, messages: Any
) -> None:
    source = await opened()
    await apply(source, says.placed(1, position=5), says.settled(1, payout=7, position=7))
    await fold(source)
    assert await retract(source, above=6) == 1
    await fold(source)
    book = await books(source)
    assert (book["bets"][0][5], book["bets"][0][11]) == (None, "placed")
    assert total(book) == (1, 0, 0, 0, 100, 0)
    assert (await messages(source))[-1][1]["status"] == "placed"


@pytest.mark.parametrize("landing", [4, 6, 9])
async def test_what_lands_again_counts_again(
    opened: Any, says: Any, books: Any, messages: Any, landing: int
) -> None:
    source = await opened()
    await apply(source, says.placed(1, position=6), says.settled(1, payout=7, position=7))
    await fold(source)
    await retract(source, above=5)
    await apply(source, says.settled(1, payout=9, position=10), says.placed(1, position=landing))
    await fold(source)
    book = await books(source)
    assert (book["bets"][0][11], book["bets"][0][20]) == ("settled", "confirmed")
    assert total(book) == (1, 1, 0, 1, 100, 9)
    kinds = [kind for kind, _ in await messages(source) if kind.startswith("bet.")]
    assert kinds == [
        "bet.placed",
        "bet.settled",
        "bet.retracted",
        "bet.placed",
        "bet.settled",
    ]


async def test_what_is_finalized_stays(opened: Any, says: Any, books: Any) -> None:
    source = await opened()
    await apply(source, says.placed(1, position=5))
    await promote(source, upto=5)
    assert await retract(source, above=0) == 0
    assert (await books(source))["bets"][0][11] == "placed"


async def test_other_facts_are_retracted_and_land_again(opened: Any, says: Any) -> None:
    source = await opened()

    async def state() -> Any:
        async with transaction() as session:
            cursor = await (await driver(session)).execute(
                "SELECT position, finality FROM chain_transfers WHERE source_id = %s", (source.id,)
            )
            return await cursor.fetchall()

    tx = 1000 + source.id
    await apply(source, says.other("deposited", tx, 5, player="ada", amount=1))
    await retract(source, above=4)
    assert await state() == [(5, "retracted")]
    await apply(source, says.other("deposited", tx, 4, player="ada", amount=1))
    assert await state() == [(4, "confirmed")]


async def test_a_reach_is_a_position_or_txs() -> None:
    with pytest.raises(ValueError, match="a position or txs"):
        finality.Reach()
    with pytest.raises(ValueError, match="a position or txs"):
        finality.Reach(1, ["a"])
