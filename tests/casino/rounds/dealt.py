"""A table with players at it, whose seeds the test knows, for tests of rounds."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import msgspec
from coincurve import PrivateKey

from casino.commands import Answer, Command, KeyReused, run_many
from casino.rounds import courses, settlements, tables
from casino.rounds.bets import Place
from casino.rounds.courses import Drawn
from casino.rounds.tables import Limits, Table
from casino.samples import opening
from chains.signers import Signer, signer
from db.session import driver, transaction
from games.fairness import merkle
from games.fairness.rounds import BLOCK, Beacon, SignedRoot, of_chain
from tests.casino.conftest import NETWORK, rows

ASSET = "iso4217:EUR"
LIMITS = Limits(least=10, most=1_000, most_win=100_000, most_player=1_500, coins=3, units=2)
SIGNER = PrivateKey(b"\x07" * 32)
sign = signer(SIGNER.to_hex())
BEACON = Beacon(BLOCK, of_chain(NETWORK.encode()), 17, b"\xab" * 32)
_numbers = itertools.count(1)
_keys = itertools.count(1)


@dataclass
class Dealt:
    """One table, and everything that is done at it."""

    table: Table
    pays: dict[int, Any]
    seeds: dict[int, bytes] = field(default_factory=dict)

    @classmethod
    async def at(cls, game: str = "dice", **changed: Any) -> Dealt:
        """A new table in a new casino."""
        number = next(_numbers)
        async with transaction() as session:
            connection = await driver(session)
            await connection.execute(
                f"INSERT INTO assets VALUES ('{ASSET}', 'EUR', 2) ON CONFLICT DO NOTHING".encode()
            )
            cursor = await connection.execute(
                b"INSERT INTO casinos (slug, name) VALUES (%s, 'Tables') RETURNING id",
                (f"tables-{number}",),
            )
            [(casino_id,)] = await cursor.fetchall()
            await connection.execute(
                b"INSERT INTO networks (network, name, chain) VALUES (%s, 'evm-local', 'evm')"
                b" ON CONFLICT DO NOTHING",
                (NETWORK,),
            )
            pay_id = await tables.keep(connection, game, tables.GAMES[game].PAYS)
            table = Table(
                id=0,
                casino_id=casino_id,
                casino=f"tables-{number}",
                name=f"{game}-{number}",
                game=game,
                pay_id=pay_id,
                asset=ASSET,
                network=NETWORK,
                program="0x" + "ab" * 20,
                beacon="block:evm-local",
                limits=replace(LIMITS, **changed),
            )
            table = replace(table, id=await tables.settle(connection, table))
            return cls(table, await tables.all_pays(connection))

    async def beside(self, asset: str = ASSET) -> Dealt:
        """Another table of the same casino, within the same limits."""
        name = f"{self.table.game}-{next(_numbers)}"
        table = replace(self.table, id=0, name=name, asset=asset)
        async with transaction() as session:
            connection = await driver(session)
            await connection.execute(
                b"INSERT INTO assets VALUES (%s, 'X', 2) ON CONFLICT DO NOTHING", (asset,)
            )
            table = replace(table, id=await tables.settle(connection, table))
        return Dealt(table, self.pays)

    async def changed(self, **to: Any) -> int:
        """The table as somebody sets it now."""
        async with transaction() as session:
            return await tables.settle(await driver(session), replace(self.table, **to))

    async def batch(
        self, count: int = 4, *, first: int = 0, opens_in: int = 0, period: int = 10, **set: Any
    ) -> None:
        """Seeds that are final on chain already, whose first round opens in so many seconds."""
        drawn = {first + at: secrets.token_bytes(32) for at in range(count)}
        self.seeds |= drawn
        root = merkle.Tree.over([self.table.place(n).commit(drawn[n]) for n in drawn]).root
        most = set.get("max_liability", 10**9)
        async with transaction() as session:
            connection = await driver(session)
            await connection.execute(
                b"INSERT INTO round_batches (table_id, first, count, root, opens, period, lead,"
                b" reveal_window, beacon, max_liability, signer, pay_id, state, tx, position,"
                b" committed_at, confirmed_at)"
                b" VALUES (%s, %s, %s, %s, ceil(extract(epoch FROM now()))::bigint + %s, %s, 1, %s,"
                b" %s, %s, %s, %s, 'confirmed', '0xcc', 7, 1,"
                b" now() + make_interval(secs => %s))",
                (
                    *(self.table.id, first, count, root, opens_in, period),
                    set.get("reveal_window", 60),
                    *(set.get("beacon", self.table.beacon), most, sign.address),
                    *(self.table.pay_id, set.get("late_s", -3600)),
                ),
            )
            await courses.schedule(connection, self.table, first)

    async def sealed(self, seal: Callable[[int, bytes], bytes]) -> None:
        """Keep the seeds as a keeper would: sealed."""
        async with transaction() as session:
            connection = await driver(session)
            for number, seed in self.seeds.items():
                values = (
                    self.table.id,
                    number,
                    seal(number, seed),
                    self.table.place(number).commit(seed),
                )
                await connection.execute(
                    b"INSERT INTO round_seeds (table_id, number, batch_first, sealed, commit)"
                    b" VALUES (%s, %s, 0, %s, %s)",
                    values,
                )

    async def moved(self, number: int, seconds: float) -> None:
        """Let a round lie so many seconds earlier, as if that time had passed."""
        async with transaction() as session:
            connection = await driver(session)
            await connection.execute(b"ALTER TABLE rounds DISABLE TRIGGER rounds_forward")
            await connection.execute(
                b"UPDATE rounds SET opens_at = opens_at - make_interval(secs => %s),"
                b" closes_at = closes_at - make_interval(secs => %s)"
                b" WHERE table_id = %s AND number = %s",
                (seconds, seconds, self.table.id, number),
            )
            await connection.execute(b"ALTER TABLE rounds ENABLE TRIGGER rounds_forward")

    async def player(self, cash: int = 10_000) -> int:
        """A new player with so much to stake."""
        async with transaction() as session:
            connection = await driver(session)
            cursor = await connection.execute(
                b"INSERT INTO players (casino_id, joined_at) VALUES (%s, now()) RETURNING id",
                (self.table.casino_id,),
            )
            [(player,)] = await cursor.fetchall()
        table = self.table
        if cash:
            gift = opening(table.casino_id, table.casino, player, "cash", table.asset, cash)
            assert (await self.run(gift)).code is None
        return int(player)

    def bet(self, player: int, number: int = 0, stake: int = 100, **more: Any) -> Place:
        """A bet as a door would ask for it; on dice, under 5000, if nothing else is said."""
        said = more.pop("choice", {"over": False, "face": 5_000})
        plain: dict[str, Any] = {
            "casino_id": self.table.casino_id,
            "scope": "test",
            "key": f"bet-{next(_keys)}",
            "actor": "test",
            "table": self.table,
            "number": number,
            "player_id": player,
            "account": f"player:{player}",
            "payee": bytes(20),
            "choice": msgspec.convert(said, type=self.table.rules.Choice),
            "said": said,
            "stake": stake,
            "pays": self.pays,
        }
        return Place(**(plain | more))

    async def run(self, command: Command) -> Answer:
        [answer] = await self.run_all([command])
        return answer

    async def run_all(self, commands: Sequence[Command]) -> list[Answer]:
        """Decide commands in one transaction."""
        async with transaction() as session:
            answers = await run_many(session, commands)
        assert not any(isinstance(one, KeyReused) for one in answers)
        return answers  # type: ignore[return-value]

    async def close(self, number: int = 0, sign: Signer = sign) -> SignedRoot | None:
        async with transaction() as session:
            return await courses.close(await driver(session), self.table, number, sign)

    async def lapse(self, number: int = 0) -> bool:
        async with transaction() as session:
            return await courses.lapse(await driver(session), self.table, number)

    async def draw(self, number: int = 0, beacon: Beacon = BEACON) -> Drawn | None:
        async with transaction() as session:
            connection = await driver(session)
            seed = self.seeds[number]
            return await courses.draw(
                connection, self.table, number, seed=seed, beacon=beacon, evidence={"block": "0x"}
            )

    async def give_up(self, number: int = 0, reason: str = "the beacon is gone") -> bool:
        async with transaction() as session:
            return await courses.give_up(await driver(session), self.table, number, reason)

    async def part(self, number: int = 0) -> settlements.Settle | None:
        async with transaction() as session:
            connection = await driver(session)
            return await settlements.part(connection, self.table, number, self.pays)

    async def settle(self, number: int = 0) -> str | None:
        """All parts, and the end."""
        while part := await self.part(number):
            await self.run(part)
        return await self.end(number)

    async def end(self, number: int = 0) -> str | None:
        async with transaction() as session:
            return await courses.end(await driver(session), self.table, number)

    async def cash(self, player: int) -> int:
        found = await rows(
            "SELECT balance FROM accounts WHERE casino_id = %s AND name = %s AND asset = %s",
            (self.table.casino_id, f"player:{player}:cash", self.table.asset),
        )
        return int(found[0][0]) if found else 0

    async def round(self, number: int, *columns: str) -> tuple[Any, ...]:
        query = f"SELECT {', '.join(columns)} FROM rounds WHERE table_id = %s AND number = %s"
        [found] = await rows(query, (self.table.id, number))
        return found

    async def bets(self, number: int, *columns: str) -> list[tuple[Any, ...]]:
        said = ", ".join(columns)
        query = (
            f"SELECT {said} FROM round_bets WHERE table_id = %s AND number = %s ORDER BY position"
        )
        return await rows(query, (self.table.id, number))

    async def told(self, *types: str) -> list[tuple[str, dict[str, Any]]]:
        """What the feed will say of this casino, of some types, in order."""
        query = "SELECT type, data FROM outbox WHERE casino = %s AND type = ANY(%s) ORDER BY id"
        return [(row[0], row[1]) for row in await rows(query, (self.table.casino, list(types)))]


def seconds(later: datetime, earlier: datetime) -> float:
    return (later - earlier).total_seconds()
