"""Facts commute: any order, any number of deliveries, the same books."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from casino import pages, stats
from casino.sources import Followed
from chains.chain import Fact
from db.session import transaction

UNHURRIED = settings(
    deadline=None,
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


async def apply(source: Followed, facts: list[Fact], *, fresh: bool = True) -> pages.Applied:
    async with transaction() as session:
        return await pages.apply(session, source, facts, fresh=fresh)


async def fold(source: Followed) -> stats.Folded:
    async with transaction() as session:
        return await stats.fold(session, source.casino_id, interval_ms=0)


async def test_a_bet_is_placed_settled_counted_and_told(
    opened: Any, says: Any, books: Any, messages: Any
) -> None:
    source = await opened()
    await apply(source, [says.placed(1), says.settled(1, payout=198)])
    await fold(source)

    book = await books(source)
    (bet,) = book["bets"]
    assert bet[:6] == ("1", "ada", "range", "eip155:31337/slip44:60", 100, 198)
    assert bet[7]["said"] == 'tab\t, back\\slash, "quote" and\nline'
    assert bet[11] == "settled"
    assert book["player_stats"] == [("ada", bet[3], 1, 1, 0, 1, 100, 198)]
    assert {row[0] for row in book["casino_stats"]} == {"total", "hour", "day"}
    assert all(row[3:] == (1, 1, 0, 1, 100, 198) for row in book["casino_stats"])
    told = await messages(source)
    assert [kind for kind, _ in told] == [
        "player.joined",
        "bet.placed",
        "bet.settled",
        "stats.updated",
    ]
    placed, settled = told[1][1], told[2][1]
    assert (placed["tx"], placed["status"]) == ("p1", "placed")
    assert (placed["stake"], placed["payout"]) == ("100", None)
    assert (settled["tx"], settled["payout"]) == ("s1", "198")
    assert told[3][1]["totals"][0]["staked"] == "100"


async def test_a_settlement_before_its_bet_waits_to_be_told(
    opened: Any, says: Any, books: Any, messages: Any
) -> None:
    source = await opened()
    await apply(source, [says.settled(1, payout=198)])
    assert [kind for kind, _ in await messages(source)] == ["player.joined"]
    await apply(source, [says.placed(1)])
    assert [kind for kind, _ in await messages(source)][1:] == ["bet.placed", "bet.settled"]
    await fold(source)
    assert (await books(source))["player_stats"][0][2:] == (1, 1, 0, 1, 100, 198)


async def test_a_page_delivered_twice_changes_nothing(
    opened: Any, says: Any, books: Any, messages: Any
) -> None:
    source = await opened()
    facts = [says.placed(1), says.settled(1), says.placed(2, "bob"), says.refunded(2)]
    assert (await apply(source, facts)).bets == 2
    await fold(source)
    before, told = await books(source), await messages(source)
    assert (await apply(source, facts)).bets == 0
    assert (await fold(source)).deltas == 0
    assert (await books(source), await messages(source)) == (before, told)


async def test_a_backfill_is_silent(opened: Any, says: Any, messages: Any) -> None:
    source = await opened()
    won = says.other("jackpot_won", 1, player="ada", amount=5, pool="grand", bet="1")
    await apply(source, [says.placed(1), says.settled(1), won], fresh=False)
    assert await messages(source) == []
    await apply(source, [says.placed(2)])
    assert [kind for kind, _ in await messages(source)] == ["bet.placed"]


async def test_every_other_fact_has_its_table(opened: Any, says: Any, messages: Any) -> None:
    source = await opened()
    facts = [
        says.other("deposited", 1, player="ada", amount=2**255),
        says.other("withdrawn", 2, player="ada", amount=1, request="aa"),
        says.other("seed_committed", 3, first=0, count=4, kind="0", root="cc", reveal_by=9),
        says.other("seed_revealed", 4, index=3, seed="dd"),
        says.other("jackpot_won", 5, player="bob", amount=9, pool="grand", bet=None),
        says.other("pool_registered", 6, pool="grand", manager="eve", config={"edge": 1}),
        says.other("fee_charged", 7, pool="grand", bet="1", amount=3, fee_type="house"),
        says.other("system_event", 8, name="PauseSet", args={"paused": True}),
    ]
    assert (await apply(source, facts)).others == 8
    assert (await apply(source, facts)).others == 0
    assert sorted(kind for kind, _ in await messages(source)) == [
        "jackpot.won",
        "player.joined",
        "player.joined",
    ]


FACTS = 6


@st.composite
def deliveries(draw: st.DrawFn) -> list[list[tuple[str, int, int]]]:
    """Pages of facts in any order, with any of them delivered again."""
    number = draw(st.integers(1, FACTS))
    said = []
    for bet in range(number):
        said.append(("placed", bet, draw(st.integers(1, 9))))
        ending = draw(st.sampled_from(["settled", "refunded", None]))
        if ending:
            said.append((ending, bet, draw(st.integers(10, 19))))
    said += [("deposited", 100 + n, n) for n in range(draw(st.integers(0, 2)))]
    doubled = said + draw(st.lists(st.sampled_from(said), max_size=6))
    shuffled = draw(st.permutations(doubled))
    cuts = sorted(draw(st.sets(st.integers(1, len(shuffled)), max_size=4)) | {len(shuffled)})
    starts = [0, *cuts[:-1]]
    return [list(shuffled[a:b]) for a, b in zip(starts, cuts, strict=True)]


def fact(says: Any, said: tuple[str, int, int]) -> Fact:
    kind, bet, position = said
    player = f"player{bet % 3}"
    made: Fact
    if kind == "placed":
        made = says.placed(bet, player, stake=100 + bet, position=position)
    elif kind == "settled":
        made = says.settled(bet, payout=(bet % 2) * 50, position=position, player=player)
    elif kind == "refunded":
        made = says.refunded(bet, position=position)
    else:
        made = says.other("deposited", bet, position, player=player, amount=bet)
    return made


@given(pages_=deliveries())
@UNHURRIED
async def test_any_order_and_any_doubling_leave_the_same_books(
    opened: Any, says: Any, books: Any, messages: Any, pages_: list[list[tuple[str, int, int]]]
) -> None:
    straight, shuffled = await opened(), await opened()
    once = sorted({said for page in pages_ for said in page}, key=lambda said: said[2])
    await apply(straight, [fact(says, said) for said in once if said[0] != "deposited"])
    await apply(straight, [fact(says, said) for said in once if said[0] == "deposited"])
    await fold(straight)
    # the other house's events carry other txs only where tables are unique per network
    for page in pages_:
        await apply(shuffled, [fact(says, said) for said in page if said[0] != "deposited"])
        await fold(shuffled)
    for page in pages_:
        await apply(shuffled, [fact(says, said) for said in page if said[0] == "deposited"])
    left, right = await books(straight), await books(shuffled)
    for name in ("bets", "players", "player_stats", "casino_stats"):
        assert left[name] == right[name], name
    told = [sorted(one[0] for one in await messages(house)) for house in (straight, shuffled)]
    assert [kind for kind in told[0] if kind != "stats.updated"] == [
        kind for kind in told[1] if kind != "stats.updated"
    ]


async def test_two_workers_at_once_make_a_player_once(
    opened: Any, says: Any, books: Any, messages: Any
) -> None:
    source = await opened()
    names = [f"player{number}" for number in range(40)]

    async def work(order: list[str], base: int) -> None:
        facts = [says.placed(base + place, name) for place, name in enumerate(order)]
        await apply(source, facts)

    await asyncio.gather(
        *(work(names if turn % 2 else names[::-1], 1000 * turn) for turn in range(8))
    )
    assert len((await books(source))["players"]) == 40
    joined = [data["player"] for kind, data in await messages(source) if kind == "player.joined"]
    assert sorted(joined) == sorted(names)


async def test_the_same_bets_from_many_workers_neither_deadlock_nor_double(
    opened: Any, says: Any, books: Any, messages: Any
) -> None:
    source = await opened()
    placed = [says.placed(bet, f"player{bet % 5}") for bet in range(200)]
    settled = [says.settled(bet, payout=7, player=f"player{bet % 5}") for bet in range(200)]
    await asyncio.gather(
        *(
            apply(source, facts[:: 1 if turn % 2 else -1])
            for turn in range(4)
            for facts in (placed, settled, placed + settled)
        )
    )
    while (await fold(source)).deltas:
        pass
    total = next(row for row in (await books(source))["casino_stats"] if row[0] == "total")
    assert total[3:] == (200, 200, 0, 200, 20_000, 1_400)
    kinds = [kind for kind, _ in await messages(source)]
    assert kinds.count("bet.placed") == kinds.count("bet.settled") == 200
