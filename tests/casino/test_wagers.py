"""Settled bets count once for the bonus they were placed under, in any order, on chain and off."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from sqlalchemy import text

from casino import finality, pages
from casino.campaigns import Terms
from casino.sources import Followed
from chains.chain import Fact
from db import session
from tests.casino.wagering import (
    USD,
    Player,
    conserved,
    counted,
    ended,
    hours_later,
    one,
    rows,
    run,
    terms,
    value,
    work,
)

_players = itertools.count(1)
ETH = "eip155:31337/slip44:60"


@pytest.fixture(scope="module", autouse=True)
async def books(database_url: str) -> AsyncIterator[None]:
    session.configure(database_url)
    async with session.transaction() as opened:
        await opened.execute(
            text(f"INSERT INTO assets VALUES ('{USD}', 'USD', 2), ('{ETH}', 'ETH', 18)")
        )
    yield
    await session.close()


@pytest.fixture
def database(database_url: str, books: None) -> str:
    """The module's, which stays open from test to test."""
    return database_url


@pytest.fixture
async def player(books: None) -> AsyncIterator[Player]:
    """Somebody at a casino of their own; whatever happened, no money came from nowhere."""
    number = next(_players)
    slug = f"wagering-{number}"
    query = "INSERT INTO casinos (slug, name) VALUES (:slug, 'Wagering') RETURNING id"
    yield Player(await value(query, slug=slug), slug, number)
    await conserved()


async def test_only_what_is_settled_counts_and_what_is_rolled_back_never(player: Player) -> None:
    grant = await player.given(100, cash=100)
    await run(player.place("open", 5), player.place("back", 7), player.place("over", 9))
    await run(player.settle("back", ending="refund"), player.settle("over"))
    await counted(player)
    assert await player.state(grant) == ("active", 90_000)


async def test_a_settlement_that_is_taken_back_counts_no_more_in_either_order(
    player: Player,
) -> None:
    grant = await player.given(100, cash=100)
    await player.played("a", 10)
    await counted(player)
    await one(player.settle("a", ending="unsettle"))
    await counted(player)
    assert await player.state(grant) == ("active", 0)
    player.splits["b"] = player.splits["a"]
    await one(player.settle("b", ending="unsettle"))
    await counted(player)
    assert (await player.told())[-1][1]["done"] == "0"
    await one(player.settle("b"))
    await counted(player)
    assert await player.state(grant) == ("active", 0)


async def test_weights_of_tiny_stakes_add_up_exactly(player: Player) -> None:
    grant = await player.given(100, cash=100, weights={"slots": 3_333, "live": 1}, products=())
    for n in range(7):
        await player.played(f"s{n}", 1)
    await player.played("l", 1, game="live/roulette")
    await counted(player)
    assert await player.state(grant) == ("active", 7 * 3_333 + 1)
    assert (await player.told())[-1][1]["done"] == "2"


GAMES = ("slots/book", "slots/bad", "slots", "live/x", "live", "range", None)
NAMES = st.sampled_from([one for one in GAMES if one])


def weighed(said: Terms, game: str | None) -> int:
    """What the terms mean, said once more in Python."""
    if not said.plays(game):
        return 0
    whole = game or ""
    by_product = said.weights.get(whole.partition("/")[0], said.default_weight_bp)
    return said.weights.get(whole, by_product)


TERMS = st.builds(
    terms,
    multiplier_bp=st.just(10_000_000),
    weights=st.dictionaries(NAMES, st.integers(0, 20_000), max_size=4),
    default_weight_bp=st.integers(0, 10_000),
    excluded=st.lists(NAMES, max_size=2).map(tuple),
    products=st.lists(st.sampled_from(["slots", "live"]), max_size=2).map(tuple),
)
FEW = settings(
    max_examples=12, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
SETTLED = """
INSERT INTO waiting_wagers (casino_id, source, bet, grant_id, game, cash, bonus, settled_at)
SELECT :c, 'w', :g || '-' || n, :g, nullif(game, ''), 1, 0, now()
FROM unnest(cast(:games AS text[])) WITH ORDINALITY AS w(game, n)
"""


@FEW
@given(said=TERMS)
async def test_any_terms_weigh_any_game_as_they_say(player: Player, said: Terms) -> None:
    gambler = Player(player.casino_id, player.casino, next(_players))
    grant = await gambler.given(1000, **{name: getattr(said, name) for name in Terms.__slots__})
    games = [game or "" for game in GAMES]
    await rows(SETTLED, c=player.casino_id, g=grant, games=games)
    await counted(player)
    query = "SELECT game, counted_bp::int FROM wagers WHERE grant_id = :g ORDER BY bet"
    assert await rows(query, g=grant) == [(game, weighed(said, game)) for game in GAMES]


async def test_wagers_count_once_however_often_and_in_whatever_order_they_come(
    player: Player,
) -> None:
    grant = await player.given(1000, cash=100)
    bets = [f"b{n}" for n in range(20)]
    await run(*(player.place(bet, 1 + n % 3) for n, bet in enumerate(bets)))
    storm = bets * 3
    random.Random(7).shuffle(storm)

    async def settle(turn: int) -> None:
        for bet in storm[turn::4]:
            await run(player.settle(bet))
            await counted(player, batch=7)

    await asyncio.gather(*map(settle, range(4)))
    while (await counted(player, batch=7)).wagers:
        pass
    assert await player.state(grant) == ("active", 10_000 * sum(1 + n % 3 for n in range(20)))


async def test_each_counted_batch_tells_the_player_once_in_order(player: Player) -> None:
    await player.given(30, cash=100)
    for batch in range(3):
        await run(*(player.place(f"{batch}-{n}", 2) for n in range(4)))
        await run(*(player.settle(f"{batch}-{n}") for n in range(4)))
        assert (await counted(player)).grants == 1
    told = [said for type, said in await player.told() if type == "bonus.progress"]
    assert [(said["done"], said["remaining"], said["percent"]) for said in told] == [
        ("8", "22", 26.66),
        ("16", "14", 53.33),
        ("24", "6", 80.0),
    ]
    assert {said["required"] for said in told} == {"30"}
    assert all(datetime.fromisoformat(said["expires_at"]) > datetime.now(UTC) for said in told)
    await player.played("last", 8)
    await work(player)
    kinds = [(type, said["remaining"], said["percent"]) for type, said in await player.told()]
    assert kinds[-2:] == [("bonus.progress", "0", 100.0), ("bonus.completed", "0", 100.0)]


async def test_what_settles_after_the_end_or_the_time_of_a_bonus_counts_for_nothing(
    player: Player,
) -> None:
    first = await player.given(10, cash=100, stacking="queue")
    await one(player.grant(10, f"of-{player.number}"))
    await run(player.place("late", 5), player.place("later", 5))
    await one(player.forfeit(first))
    await one(player.settle("late"))
    await counted(player)
    assert await player.state(first) == ("forfeited", 0)
    second = await value(
        "SELECT id FROM grants WHERE player_id = :p AND state = 'active'", p=player.number
    )
    # Placed under the first, it does not count for the second either.
    assert await player.state(second) == ("active", 0)
    await one(player.place("over time", 50))
    await hours_later(second)
    await one(player.settle("over time"))
    await counted(player)
    assert await player.state(second) == ("active", 0)
    await ended(player)
    assert (await player.state(second))[0] == "expired"


async def test_a_counted_wager_is_never_counted_again_by_hand(player: Player) -> None:
    await player.given(10, cash=10)
    await player.played("a", 5)
    await counted(player)
    for change in ("counted_bp = 1", "cash = 7"):
        with pytest.raises(Exception, match="never allowed"):
            await rows(f"UPDATE wagers SET {change} WHERE casino_id = :c", c=player.casino_id)


async def promote(source: Followed, **reach: Any) -> None:
    async with session.transaction() as opened:
        await finality.promote(opened, source, **reach)


async def apply(source: Followed, *facts: Fact, final: bool = False) -> None:
    async with session.transaction() as opened:
        await pages.apply(opened, source, facts, fresh=True, final=final)


@pytest.fixture
async def gambler(opened: Any, says: Any) -> tuple[Player, Followed]:
    """A player known from the chain, with a bonus of 1000 in its coin that is wagered once."""
    source: Followed = await opened()
    await apply(source, says.placed(1, stake=7, position=1), final=True)
    query = "SELECT id FROM players WHERE casino_id = :c"
    found = Player(source.casino_id, source.casino, await value(query, c=source.casino_id))
    asset = source.asset
    await found.define("chain", asset=asset, weights={"range": 5_000})
    answer = await one(found.grant(1000, "chain", asset=asset))
    assert answer.code is None, answer
    return found, source


def soon(fact: Fact, seconds: int = 60) -> Fact:
    """The same in a block after now."""
    return replace(fact, time=datetime.now(UTC) + timedelta(seconds=seconds))


async def done(player: Player) -> int:
    while (await counted(player)).more:
        pass
    return int(await value("SELECT done_bp FROM grants WHERE casino_id = :c", c=player.casino_id))


async def test_a_bet_on_chain_counts_when_its_settlement_is_final(
    gambler: tuple[Player, Followed], says: Any
) -> None:
    player, source = gambler
    placed, settled = soon(says.placed(2, stake=100, position=5)), says.settled(2, position=6)
    await apply(source, placed, soon(settled))
    assert await done(player) == 0
    await promote(source, upto=5)
    assert await done(player) == 0
    await promote(source, upto=6)
    assert await done(player) == 100 * 5_000
    await apply(source, placed, soon(settled), final=True)
    await promote(source, txs=["s2", "p2"])
    assert await done(player) == 100 * 5_000
    [said] = [said for type, said in await player.told() if type == "bonus.progress"]
    assert (said["done"], said["asset"]) == ("50", source.asset)


WIDE: list[tuple[int, Any, bool]] = [
    (2, {"low": 0, "high": 9_000}, False),
    (3, {"low": 500, "high": 9_501}, False),
    (4, {"low": "0", "high": "9800"}, False),
    (5, {"low": 500, "high": 9_499}, True),
    (6, {"low": 1, "high": 2}, True),
    # Of what is said in no way that is known nobody knows the chance.
    (7, {"low": "all", "high": "9999999999"}, True),
    (8, None, True),
]


async def test_a_bet_on_chain_that_nearly_always_wins_counts_where_no_terms_are_against_it(
    gambler: tuple[Player, Followed], says: Any
) -> None:
    """17"""
    player, source = gambler
    terms = {"asset": source.asset, "most_chance_bp": 8_999, "stacking": "queue"}
    await player.define("careful", **terms)
    for bet, choice, _ in WIDE:
        wide = soon(says.placed(bet, stake=10**bet, position=5))
        wide = replace(wide, fields={**wide.fields, "choice": choice})
        await apply(source, wide, soon(says.settled(bet, position=6)), final=bet % 2 == 0)
    await promote(source, upto=6)
    assert await done(player) == sum(10**bet for bet, *_ in WIDE) * 5_000
    grant = await value("SELECT id FROM grants WHERE casino_id = :c", c=player.casino_id)
    await one(player.forfeit(grant, asset=source.asset))
    answer = await one(player.grant(1000, "careful", asset=source.asset))
    for bet, choice, _ in WIDE:
        wide = soon(says.placed(10 + bet, stake=10**bet, position=7), 120)
        wide = replace(wide, fields={**wide.fields, "choice": choice})
        await apply(source, wide, soon(says.settled(10 + bet, position=8)), final=bet % 2 == 0)
    await promote(source, upto=8)
    while (await counted(player)).more:
        pass
    found = await value(
        "SELECT done_bp::bigint FROM grants WHERE id = :g", g=int(answer.body["grant"])
    )
    assert found == sum(10**bet for bet, _, counts in WIDE if counts) * 10_000


async def test_a_bet_on_chain_that_falls_or_is_refunded_counts_for_nothing(
    gambler: tuple[Player, Followed], says: Any
) -> None:
    player, source = gambler
    await apply(source, soon(says.placed(2, position=5)), soon(says.settled(2, position=6)))
    async with session.transaction() as opened:
        await finality.retract(opened, source, above=5)
    refunded = soon(says.refunded(3, position=7))
    await apply(source, soon(says.placed(3, position=5)), refunded, final=True)
    await promote(source, upto=100)
    assert await done(player) == 0


@pytest.mark.parametrize("order", ["placed first", "settled first"])
@pytest.mark.parametrize("final", [(True, True), (True, False), (False, True)])
async def test_both_halves_must_be_final_in_whatever_order_they_come(
    gambler: tuple[Player, Followed], says: Any, order: str, final: tuple[bool, bool]
) -> None:
    player, source = gambler
    halves = [soon(says.placed(2, stake=10, position=5)), soon(says.settled(2, position=6))]
    first, second = halves if order == "placed first" else halves[::-1]
    await apply(source, first, final=final[0])
    assert await done(player) == 0
    await apply(source, second, final=final[1])
    assert await done(player) == (50_000 if all(final) else 0)
    await promote(source, upto=6)
    assert await done(player) == 50_000


async def test_a_bet_on_chain_from_before_the_bonus_does_not_count(
    gambler: tuple[Player, Followed], says: Any
) -> None:
    player, source = gambler
    # Placed before, and settled in its time; placed in its time by somebody else.
    await apply(source, soon(says.settled(1, position=6)), final=True)
    other = [says.placed(2, "bob", position=5), says.settled(2, position=6, player="bob")]
    await apply(source, *map(soon, other), final=True)
    # Placed in its time, and settled after it.
    long = soon(says.settled(3, position=8), seconds=10**6)
    await apply(source, soon(says.placed(3, position=7)), long, final=True)
    assert await done(player) == 0


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["place", "place", "place", "win", "lose", "refund", "count", "end", "forfeit", "give"]
        ),
        st.integers(1, 60),
    ),
    min_size=8,
    max_size=16,
)


@FEW
@given(
    steps=STEPS,
    said=st.fixed_dictionaries(
        {
            "sticky": st.booleans(),
            "order": st.sampled_from(["cash_first", "mixed"]),
            "max_win": st.none() | st.integers(0, 80),
            "max_bet": st.none() | st.integers(20, 60),
            "above_max_bet": st.sampled_from(["refuse", "forfeit"]),
            "stacking": st.sampled_from(["refuse", "queue"]),
        }
    ),
)
async def test_whatever_happens_money_of_each_colour_is_conserved(
    player: Player, steps: list[tuple[str, int]], said: dict[str, Any]
) -> None:
    """After every step, and what became cash is never more than the terms allow."""
    gambler = Player(player.casino_id, player.casino, next(_players))
    await gambler.given(100, cash=50, **said)
    bets: list[str] = []
    for n, (step, amount) in enumerate(steps):
        await taken(gambler, step, amount, bets, n)
        await conserved()
    converted = await rows(
        "SELECT g.amount::int, g.before::int + coalesce(l.amount, 0)::int, g.added::int FROM grants"
        " g LEFT JOIN late_returns l ON l.grant_id = g.id WHERE player_id = :p"
        " AND state = 'completed'",
        p=gambler.number,
    )
    for amount, before, added in converted:
        won = max(before - amount, 0) if said["sticky"] else before
        assert added <= (won if said["max_win"] is None else min(won, said["max_win"]))


async def taken(gambler: Player, step: str, amount: int, bets: list[str], n: int) -> None:
    open_ = "SELECT id FROM grants WHERE player_id = :p AND ended_at IS NULL ORDER BY id LIMIT 1"
    if step == "place":
        if (await one(gambler.place(f"b{n}", amount))).code is None:
            bets.append(f"b{n}")
    elif step in ("win", "lose", "refund") and bets:
        ending = "refund" if step == "refund" else "win"
        won = 2 * amount if step == "win" else 0
        assert (await one(gambler.settle(bets.pop(0), won, ending=ending))).code is None
    elif step == "count":
        await counted(gambler)
    elif step == "end":
        await ended(gambler)
    elif step == "forfeit":
        for (grant,) in await rows(open_, p=gambler.number):
            assert (await one(gambler.forfeit(grant))).code is None
    elif step == "give":
        answer = await one(gambler.grant(amount, f"of-{gambler.number}"))
        assert answer.code in (None, "BONUS_STACKED")
