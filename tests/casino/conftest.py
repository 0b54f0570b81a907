"""A house to apply pages to: a casino and a source of its own for every test."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from casino.sources import Followed, followed
from chains.chain import Fact
from db.session import driver, transaction

_numbers = itertools.count(1)
NETWORK = "eip155:31337"
Opens = Callable[[], Awaitable[Followed]]


@pytest.fixture
def opened(database: str) -> Opens:
    """A new casino following a new program, as often as it is called."""

    async def make() -> Followed:
        number = next(_numbers)
        async with transaction() as session:
            connection = await driver(session)
            await connection.execute(
                "INSERT INTO networks (network, name, chain) VALUES (%s, 'evm-local', 'evm')"
                " ON CONFLICT DO NOTHING",
                (NETWORK,),
            )
            cursor = await connection.execute(
                "INSERT INTO casinos (slug, name) VALUES (%s, 'House') RETURNING id",
                (f"house-{number}",),
            )
            row = await cursor.fetchone()
            assert row is not None
            cursor = await connection.execute(
                "INSERT INTO sources (program, network, address, casino_id, start)"
                " VALUES ('casino_evm', %s, %s, %s, 0) RETURNING id",
                (NETWORK, f"0x{number:040x}", row[0]),
            )
            row = await cursor.fetchone()
            assert row is not None
            return await followed(session, row[0])

    return make


class Book:
    """The end state of a casino, without what may differ: row numbers and write times."""

    BETS = (
        "SELECT bet, player, game, asset, stake, payout, choice, outcome, seed_index, client_seed,"
        " deadline, status, placed_tx, placed_index, placed_position, placed_at, settled_tx,"
        " settled_index, settled_position, settled_at, finality, settled_finality,"
        " (SELECT counted - 'player') FROM bets WHERE casino_id = %s ORDER BY bet"
    )
    PLAYERS = (
        "SELECT i.external_id, p.joined_at FROM players p JOIN player_identities i"
        " ON i.player_id = p.id WHERE p.casino_id = %s ORDER BY 1"
    )
    PLAYER_STATS = (
        "SELECT i.external_id, s.asset, s.bets, s.settled, s.refunded, s.wins, s.staked, s.paid"
        " FROM player_stats s JOIN player_identities i ON i.player_id = s.player_id"
        " WHERE i.casino_id = %s AND s.bets <> 0 ORDER BY 1, 2"
    )
    CASINO_STATS = (
        "SELECT bucket, at, asset, bets, settled, refunded, wins, staked, paid FROM casino_stats"
        " WHERE casino_id = %s AND bets <> 0 ORDER BY 1, 2, 3"
    )
    OTHERS = (
        "SELECT 'transfer', tx, index, direction, amount, finality FROM chain_transfers"
        " WHERE casino_id = %(c)s UNION ALL"
        " SELECT 'jackpot', tx, index, pool, amount, finality FROM jackpots"
        " WHERE casino_id = %(c)s UNION ALL"
        " SELECT 'reveal', tx, index, seed, seed_index, finality FROM seed_reveals"
        " WHERE casino_id = %(c)s UNION ALL"
        " SELECT 'fee', tx, index, fee_type, amount, finality FROM fees"
        " WHERE casino_id = %(c)s ORDER BY 1, 2, 3"
    )


async def rows(statement: str, values: Any) -> list[tuple[Any, ...]]:
    async with transaction() as session:
        cursor = await (await driver(session)).execute(statement.encode(), values)
        return await cursor.fetchall()


async def book(source: Followed) -> dict[str, list[tuple[Any, ...]]]:
    """Everything a casino's books say."""
    one = (source.casino_id,)
    return {
        "bets": await rows(Book.BETS, one),
        "players": await rows(Book.PLAYERS, one),
        "player_stats": await rows(Book.PLAYER_STATS, one),
        "casino_stats": await rows(Book.CASINO_STATS, one),
        "others": await rows(Book.OTHERS, {"c": source.casino_id}),
    }


@pytest.fixture
def books(database: str) -> Callable[[Followed], Awaitable[dict[str, list[tuple[Any, ...]]]]]:
    return book


@pytest.fixture
def messages(database: str) -> Callable[[Followed], Awaitable[list[tuple[Any, ...]]]]:
    """What the outbox says of a casino, in order: type and data."""

    async def read(source: Followed) -> list[tuple[Any, ...]]:
        return await rows(
            "SELECT type, data FROM outbox WHERE casino = %s ORDER BY id", (source.casino,)
        )

    return read


def at(position: int) -> datetime:
    """A block every ten minutes, so that a few of them span hours."""
    return datetime.fromtimestamp(1_790_000_000 + 600 * position, UTC)


class Says:
    """Facts as a chain would mean them."""

    @staticmethod
    def placed(bet: int, player: str = "ada", *, stake: int = 100, position: int = 1) -> Fact:
        fields: dict[str, object] = {
            "bet": str(bet),
            "player": player,
            "game": "range",
            "stake": stake,
            "choice": {"low": 0, "high": 5000},
            "index": bet,
            "client_seed": "ab" * 32,
            "deadline": 1_790_000_060,
        }
        return Fact("bet_placed", position, f"p{bet}", 0, at(position), fields)

    @staticmethod
    def settled(bet: int, *, payout: int = 0, position: int = 2, player: str = "ada") -> Fact:
        fields: dict[str, object] = {
            "bet": str(bet),
            "player": player,
            "payout": payout,
            "outcome": {"roll": 1234, "said": 'tab\t, back\\slash, "quote" and\nline'},
        }
        return Fact("bet_settled", position, f"s{bet}", 1, at(position), fields)

    @staticmethod
    def refunded(bet: int, *, amount: int = 110, position: int = 3) -> Fact:
        return Fact(
            "bet_refunded",
            position,
            f"r{bet}",
            0,
            at(position),
            {"bet": str(bet), "amount": amount},
        )

    @staticmethod
    def other(kind: str, number: int, position: int = 1, /, **fields: object) -> Fact:
        return Fact(kind, position, f"o{number}", 7, at(position), fields)


@pytest.fixture
def says() -> type[Says]:
    return Says
