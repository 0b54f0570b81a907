"""A booth with players at it, whose seeds the test knows, for tests of pairs."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from casino.commands import Answer, Command, KeyReused, run_many
from casino.pairs import booths, courses, proofs
from casino.pairs.booths import Booth, Limits
from casino.pairs.courses import Choose, Open, Retire
from casino.pairs.plays import Hand, Play
from casino.pairs.records import PairKey
from casino.rounds import tables
from casino.samples import opening
from casino.sealed import Sealer
from chains.signers import signer
from db.session import driver, transaction
from games.fairness import merkle
from games.fairness.pairs import Pair
from games.fairness.rounds import BLOCK, Beacon, of_chain
from games.fairness.verify import Facts
from games.fairness.verify.facts import Block, Committed, Revealed
from tests.casino.conftest import NETWORK, rows

ASSET = "iso4217:EUR"
LIMITS = Limits(least=10, most=1_000, most_win=100_000, most_player=50_000)
GAMES = ("dice", "limbo", "coinflip", "numbers")
SEALER, SIGNER = Sealer(b"\x5e" * 32), signer("07" * 32)
HAND = Hand(SEALER, SIGNER)
FINAL_AT = 1_790_000_000
BEACON = Beacon(BLOCK, of_chain(NETWORK.encode()), 17, b"\xab" * 32)
_numbers = itertools.count(1)
_keys = itertools.count(1)


@dataclass
class Paired:
    """One booth, and everything that is done at it."""

    booth: Booth
    pays: dict[int, Any]
    seeds: dict[PairKey, bytes] = field(default_factory=dict)
    batches: int = 0

    @classmethod
    async def at(cls, *, program: str | None = None, asset: str = ASSET, **changed: Any) -> Paired:
        """A new booth in a new casino."""
        number = next(_numbers)
        async with transaction() as session:
            connection = await driver(session)
            await connection.execute(
                b"INSERT INTO assets VALUES (%s, right(%s, 3), 2) ON CONFLICT DO NOTHING",
                (asset, asset),
            )
            cursor = await connection.execute(
                b"INSERT INTO casinos (slug, name) VALUES (%s, 'Booths') RETURNING id",
                (f"booths-{number}",),
            )
            [(casino_id,)] = await cursor.fetchall()
            booth = Booth(
                id=0,
                casino_id=casino_id,
                casino=f"booths-{number}",
                network=NETWORK,
                program=program or f"0x{number:040x}",
                asset=asset,
                beacon="block:evm-local",
                games={game: await booths.keep(connection, game, "") for game in GAMES},
                limits=replace(LIMITS, **changed),
            )
            booth = replace(booth, id=await booths.settle(connection, booth))
            return cls(booth, await tables.all_pays(connection))

    async def player(self, cash: int = 10_000) -> int:
        async with transaction() as session:
            connection = await driver(session)
            cursor = await connection.execute(
                b"INSERT INTO players (casino_id, joined_at) VALUES (%s, now()) RETURNING id",
                (self.booth.casino_id,),
            )
            [(player,)] = await cursor.fetchall()
        booth = self.booth
        if cash:
            gift = opening(booth.casino_id, booth.casino, player, "cash", booth.asset, cash)
            assert (await self.run(gift)).code is None
        return int(player)

    def open(self, player: int, client_seed: bytes | None = b"lucky") -> Open:
        return Open(**self._by("open"), player_id=player, client_seed=client_seed)

    def choose(self, pair: PairKey, client_seed: bytes) -> Choose:
        return Choose(**self._by("choose"), pair=pair, client_seed=client_seed)

    def retire(self, pair: PairKey) -> Retire:
        return Retire(**self._by("retire"), pair=pair)

    def bet(self, pair: PairKey, stake: int = 100, **more: Any) -> Play:
        """A bet as a door would ask for it; on dice, under 5000, if nothing else is said."""
        game = more.pop("game", "dice")
        said = more.pop("choice", {"over": False, "face": 5_000})
        rules = tables.GAMES.get(game)
        choice = None if rules is None else msgspec.convert(said, type=rules.Choice)
        plain = {**self._by("bet"), "pair": pair, "game": game, "choice": choice, "said": said}
        return Play(**(plain | {"stake": stake, "pays": self.pays, "hand": HAND} | more))

    def _by(self, verb: str) -> dict[str, Any]:
        key = f"{verb}-{next(_keys)}"
        about = {"casino_id": self.booth.casino_id, "scope": "pairs", "actor": "test"}
        return {**about, "key": key, "booth": self.booth}

    async def run(self, command: Command) -> Answer:
        [answer] = await self.run_all([command])
        return answer

    async def run_all(self, commands: Sequence[Command]) -> list[Answer]:
        """Decide commands in one transaction."""
        async with transaction() as session:
            answers = await run_many(session, commands)
        assert not any(isinstance(one, KeyReused) for one in answers)
        return answers  # type: ignore[return-value]

    async def opened(self, player: int, client_seed: bytes | None = b"lucky") -> PairKey:
        """A pair that waits."""
        answer = await self.run(self.open(player, client_seed))
        assert answer.code is None, answer
        return PairKey(player, answer.body["epoch"])

    async def drawn(self, *pairs: PairKey) -> int:
        """Seeds for pairs that wait, under one root that nobody has seen; the batch's number."""
        number, self.batches, commits = self.batches, self.batches + 1, []
        async with transaction() as session:
            connection = await driver(session)
            for place, key in enumerate(pairs):
                seed, account = secrets.token_bytes(32), f"player:{key.player_id}"
                self.seeds[key] = seed
                commits.append(Pair(NETWORK.encode(), account.encode(), key.epoch).commit(seed))
                sealed = SEALER.seal(self.booth.place(account, key.epoch), seed)
                await connection.execute(
                    b"UPDATE pairs SET number = %s, place = %s, sealed = %s, commit = %s"
                    b" WHERE player_id = %s AND epoch = %s",
                    (number, place, sealed, commits[-1], *key),
                )
            root = merkle.Tree.over(commits).root
            await connection.execute(
                b"INSERT INTO pair_batches (booth_id, number, count, root, kind, signer)"
                b" VALUES (%s, %s, %s, %s, 'block', %s)",
                (self.booth.id, number, len(pairs), root, SIGNER.address),
            )
        return number

    async def final(self, number: int) -> None:
        async with transaction() as session:
            connection = await driver(session)
            where: dict[str, Any] = {"tx": "0x" + "cc" * 32, "position": 7, "time": FINAL_AT - 9}
            assert await courses.confirm(connection, self.booth, number, **where, final_at=FINAL_AT)

    async def activated(self, number: int) -> list[PairKey]:
        async with transaction() as session:
            connection = await driver(session)
            await courses.activate(connection, self.booth, number, BEACON, b"")
            return await courses.promote(connection, self.booth)

    async def active(self, player: int, client_seed: bytes | None = b"lucky") -> PairKey:
        """A pair that may be played."""
        key = await self.opened(player, client_seed)
        number = await self.drawn(key)
        await self.final(number)
        assert await self.activated(number) == [key]
        return key

    async def shown(self, key: PairKey) -> bool:
        async with transaction() as session:
            connection = await driver(session)
            return await courses.show(connection, self.booth, key, self.seeds[key])

    async def proof(self, key: PairKey, **more: int) -> dict[str, Any] | None:
        async with transaction() as session:
            return await proofs.proof(await driver(session), self.booth, key, **more)

    async def facts(self, key: PairKey) -> Facts:
        """What a node would say of a revealed pair."""
        (number,) = await self.pair(key, "number")
        [(root, tx)] = await rows(
            "SELECT root, tx FROM pair_batches WHERE booth_id = %s AND number = %s",
            (self.booth.id, number),
        )
        return Facts(
            chain=NETWORK.encode(),
            committed=Committed(
                program=bytes.fromhex(self.booth.program[2:]),
                table=None,
                root=bytes(root),
                schedule=None,
                number=number,
                kind=BLOCK,
                tx=tx[2:].encode(),
                position=7,
                time=FINAL_AT - 9,
                final_at=FINAL_AT,
            ),
            anchored=None,
            revealed=Revealed(self.seeds[key], FINAL_AT + 60),
            block=Block(NETWORK.encode(), 17, b"\xab" * 32, FINAL_AT + 3, FINAL_AT + 2),
        )

    async def cash(self, player: int) -> int:
        found = await rows(
            "SELECT balance FROM accounts WHERE casino_id = %s AND name = %s AND asset = %s",
            (self.booth.casino_id, f"player:{player}:cash", self.booth.asset),
        )
        return int(found[0][0]) if found else 0

    async def pair(self, key: PairKey, *columns: str) -> tuple[Any, ...]:
        query = f"SELECT {', '.join(columns)} FROM pairs WHERE player_id = %s AND epoch = %s"
        [found] = await rows(query, tuple(key))
        return found

    async def bets(self, key: PairKey, *columns: str) -> list[tuple[Any, ...]]:
        query = (
            f"SELECT {', '.join(columns)} FROM pair_bets"
            " WHERE player_id = %s AND epoch = %s ORDER BY nonce"
        )
        return await rows(query, tuple(key))

    async def told(self, *types: str) -> list[tuple[str, dict[str, Any]]]:
        """What the feed will say of this casino, of some types, in order."""
        query = "SELECT type, data FROM outbox WHERE casino = %s AND type = ANY(%s) ORDER BY id"
        return [(row[0], row[1]) for row in await rows(query, (self.booth.casino, list(types)))]
