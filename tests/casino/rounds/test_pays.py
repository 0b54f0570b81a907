"""Pay tables of scheduled rounds: inside the band, wherever a table takes one, and for good."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from casino.pairs import booths
from casino.rounds import tables
from casino.rounds.tables import BadTable
from db.session import driver, transaction
from games import coinflip, crash, dice, limbo, numbers
from games.paytables import Edge, digest
from games.rules import Game
from tests.casino.conftest import rows
from tests.casino.rounds.dealt import Dealt


def one_spot(entry: int) -> numbers.PayTable:
    """The house's own, with another multiplier for one spot of one: a quarter of it comes back."""
    return numbers.PayTable(((0, entry), *numbers.PAYS.rows[1:]))


OUTSIDE: dict[str, tuple[Game, Any, str]] = {
    "dice of 0.8799": (dice, Edge(1_201), "dice returns 0.8799 to 0.8799"),
    "dice of 0.8901": (dice, Edge(1_099), "dice returns 0.8901 to 0.8901"),
    "coinflip of 0.8799": (coinflip, Edge(1_201), "coinflip returns 0.8799 to 0.8799"),
    "coinflip of 0.8901": (coinflip, Edge(1_099), "coinflip returns 0.8901 to 0.8901"),
    "limbo of 0.8901": (limbo, Edge(1_099), "limbo returns .* to 0.8901"),
    "crash of 0.8901": (crash, Edge(1_099), "crash returns .* to 0.8901"),
    "numbers with one spot of 0.8799": (numbers, one_spot(35_196), "numbers returns 0.8799 to"),
    "numbers with one spot of 0.8901": (numbers, one_spot(35_604), "numbers returns .* to 0.8901"),
}
ENDS: dict[str, tuple[Game, Any, tuple[int, int]]] = {
    "dice of 0.88": (dice, Edge(1_200), (8_800, 8_800)),
    "dice of 0.89": (dice, Edge(1_100), (8_900, 8_900)),
    "coinflip of 0.88": (coinflip, Edge(1_200), (8_800, 8_800)),
    "coinflip of 0.89": (coinflip, Edge(1_100), (8_900, 8_900)),
}


async def kept(game: Game, pays: Any) -> int:
    async with transaction() as session:
        return await tables.keep(await driver(session), game.NAME.decode(), pays)


async def kept_for_pairs(game: Game, pays: Any) -> int:
    async with transaction() as session:
        encoded = pays.encoded().hex()
        return await booths.keep(await driver(session), game.NAME.decode(), encoded)


async def standing(game: Game, pays: Any) -> list[tuple[Any, ...]]:
    query = "SELECT least_bp, most_bp FROM pay_tables WHERE digest = %s"
    return await rows(query, (digest(game, pays).hex(),))


@pytest.mark.parametrize("case", OUTSIDE)
async def test_a_pay_table_outside_the_band_is_refused_by_name_and_leaves_no_row(
    database: str, case: str
) -> None:
    game, pays, said = OUTSIDE[case]
    before = await rows("SELECT count(*) FROM pay_tables", ())
    with pytest.raises(BadTable, match=said + r".*, and rounds return 0\.88 to 0\.89"):
        await kept(game, pays)
    assert await rows("SELECT count(*) FROM pay_tables", ()) == before


@pytest.mark.parametrize("case", ENDS)
async def test_the_ends_of_the_band_are_kept_once_each(database: str, case: str) -> None:
    game, pays, ends = ENDS[case]
    assert await kept(game, pays) == await kept(game, pays)
    assert await standing(game, pays) == [ends]


async def test_a_game_that_nobody_knows_has_no_pay_table(database: str) -> None:
    with pytest.raises(BadTable, match="no game is called chess"):
        async with transaction() as session:
            await tables.keep(await driver(session), "chess", Edge(1_150))


async def test_a_kept_pay_table_is_neither_changed_nor_taken_away(database: str) -> None:
    id = await kept(dice, Edge(1_150))
    before = await rows("SELECT * FROM pay_tables WHERE id = %s", (id,))
    for change in (
        r"UPDATE pay_tables SET encoded = '\x0000' WHERE id = %s",
        "UPDATE pay_tables SET most_bp = 9900 WHERE id = %s",
        "DELETE FROM pay_tables WHERE id = %s",
    ):
        with pytest.raises(Exception, match="of pay_tables is never allowed"):
            await rows(change, (id,))
    with pytest.raises(Exception, match="of pay_tables is never allowed"):
        await rows("TRUNCATE pay_tables", ())
    assert await rows("SELECT * FROM pay_tables WHERE id = %s", (id,)) == before


async def test_a_table_never_pays_by_what_a_booth_of_pairs_does(database: str) -> None:
    """Both keep their pay tables in one place, and pairs return whatever they like up to all."""
    dealt = await Dealt.at()
    for edge_bp in (100, 1_201):
        loose = await kept_for_pairs(dice, Edge(edge_bp))
        with pytest.raises(BadTable, match="and rounds return"):
            await settled(dealt, pay_id=loose)
    fine = await kept_for_pairs(dice, Edge(1_160))
    assert await pays_of(dealt) == dealt.table.pay_id
    await settled(dealt, pay_id=fine)
    assert await pays_of(dealt) == fine


async def test_a_table_never_pays_by_another_games_pay_table_or_by_none(database: str) -> None:
    dealt = await Dealt.at()
    other = await kept(coinflip, Edge(1_150))
    for pay_id in (other, 2**31 - 1):
        with pytest.raises(BadTable, match=f"dice has no pay table of the number {pay_id}"):
            await settled(dealt, pay_id=pay_id)
    assert await pays_of(dealt) == dealt.table.pay_id


async def settled(dealt: Dealt, **changed: Any) -> None:
    async with transaction() as session:
        await tables.settle(await driver(session), replace(dealt.table, **changed))


async def pays_of(dealt: Dealt) -> int:
    [(id,)] = await rows("SELECT pay_id FROM round_tables WHERE id = %s", (dealt.table.id,))
    return int(id)
