"""Pairs at a bond on Anvil: the keeper may die between any two steps, and anybody can check."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import psycopg
import pytest
from eth_account import Account

from casino.pairs import courses
from casino.pairs.records import PairKey
from casino.rounds import tables
from casino.sealed import Sealer
from chains import manifest
from chains.beacons import Beacon, Drawn
from chains.errors import RpcError
from chains.evm import send as evm
from chains.evm.decode import Decoder
from chains.evm.logs import raws
from cli.facts import asking
from db import session
from games.fairness.rounds import BLOCK, DRAND
from games.fairness.verify import OK, read, verify
from local import anvil, deploy, players
from settings import PairsSetting, Settings
from tests.casino.pairs.paired import ASSET, SIGNER, Paired
from tests.casino.pairs.test_plays import recovered
from workers import pairs as room
from workers import senders
from workers.bonds import CommittedPairs, PairBond
from workers.leader import connect
from workers.pairs import PairsKeeper
from workers.sealed import WrongKey
from workers.tending import tend

KEY = "5e" * 32
SETUP = f"""
INSERT INTO networks (network, name, chain) VALUES ('eip155:31337', 'evm-local', 'evm');
INSERT INTO assets (id, symbol, scale) VALUES ('{ASSET}', 'EUR', 2);
"""
# The steps at which one keeper after the other dies.
OPENING = (
    *("in mid drawing", "drawn", "committing not noted", "landed and not final"),
    *("final and not noted", "final noted", "beacon not noted", "beacon noted", "active"),
)
ENDING = ("before revealing", "revealing not noted", "revealed and not noted")


class Killed(BaseException):
    """The keeper dies here, as if by `kill -9`: nothing after this line happens."""


@dataclass
class House:
    """A bond on Anvil, and the settings under which pairs are committed to it."""

    rpc_url: str
    owner: evm.Sender
    settings: Settings
    sent: list[tuple[int, bytes]] = field(default_factory=list)
    early: list[PairKey] = field(default_factory=list)

    async def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        url = self.settings.database_url
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            cursor = await connection.execute(query.encode(), values)
            return await cursor.fetchall() if cursor.description else []

    async def said(self, name: str) -> list[dict[str, Any]]:
        """What the bond said on chain, as anybody hears it."""
        assert self.settings.pairs is not None
        address = str(self.settings.pairs.address)
        decoder = Decoder(manifest.load("bond_evm").interface_json(), address)
        rpc = self.owner.rpc
        logs = await rpc.logs(address, 0, await rpc.head())
        told = [decoder.decode(raw.kind, raw.body) for raw in raws(logs, address)]
        return [dict(args) for kind, args in told if kind == name]


@pytest.fixture
async def house(tmp_path: Path, fresh_database: Callable[[], str]) -> AsyncIterator[House]:
    url, keeper = fresh_database(), players.evm_key(1)
    async with (
        anvil.start(tmp_path / "anvil") as node,
        evm.Sender(node.rpc_url, players.evm_key(0)) as owner,
    ):
        mine, signer = str(Account.from_key(keeper).address), "0x" + SIGNER.address.hex()
        bond = await deploy.bond_to_evm(owner, mine, signer, bond=players.ETHER)
        await owner.rpc.node.ask("anvil_mine", ["0x4"], object)  # until the bond itself is final
        pairs = PairsSetting(
            program="bond_evm",
            address=bond,
            casino="booths",
            asset=ASSET,
            beacon="block:evm-local",
            games={"dice": "", "limbo": ""},
            most=1_000,
            most_win=100_000,
            most_player=50_000,
        )
        made = House(
            node.rpc_url,
            owner,
            Settings(
                _env_file=None,
                database_url=url,
                rpc={"evm-local": [node.rpc_url]},
                rpc_rate=1_000,
                keeper_evm_key=keeper,
                seed_key=KEY,
                pairs=pairs,
            ),
        )
        await made.rows(SETUP)
        session.configure(url)
        yield made
        await session.close()


class Mortal:
    """A bond, or a beacon, that kills whoever holds it at one point."""

    def __init__(self, inner: Any, house: House, point: str) -> None:
        self._inner, self._house, self.point = inner, house, point

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def at(self, point: str) -> None:
        if point == self.point:
            raise Killed(point)

    async def committed_pairs(self, number: int, *, finalized: bool) -> CommittedPairs | None:
        held = cast(
            CommittedPairs | None, await self._inner.committed_pairs(number, finalized=finalized)
        )
        if held is not None and not finalized:
            self.at("landed and not final")
        if held is not None and finalized and held.revealed:
            self.at("revealed and not noted")
        return held

    async def commit_pairs(self, number: int, root: bytes, count: int, kind: bytes) -> str:
        self.at("drawn")
        self._house.sent.append((number, root))
        tx = str(await self._inner.commit_pairs(number, root, count, kind))
        self.at("committing not noted")
        return tx

    async def reveal_pair(
        self,
        number: int,
        place: int,
        account: bytes,
        epoch: int,
        seed: bytes,
        proof: Sequence[bytes],
    ) -> str:
        self.at("before revealing")
        key = PairKey(int(account.decode().split(":")[1]), epoch)
        state = "SELECT state FROM pairs WHERE player_id = %s AND epoch = %s"
        if await self._house.rows(state, *key) != [("retired",)]:
            self._house.early.append(key)
        tx = str(await self._inner.reveal_pair(number, place, account, epoch, seed, proof))
        self.at("revealing not noted")
        return tx

    async def fetch(self, moment: float, now: float) -> Drawn | None:
        drawn = cast(Drawn | None, await self._inner.fetch(moment, now))
        if drawn is not None:
            self.at("beacon not noted")
        return drawn


class MortalKeeper(PairsKeeper):
    """A keeper that may die around every note it makes."""

    async def confirmed(self, batch: room.Unconfirmed) -> None:
        mortal = cast(Mortal, self.bond)
        if await self.bond.landed_pairs(batch.number) is not None:
            mortal.at("final and not noted")
            await super().confirmed(batch)
            mortal.at("final noted")

    async def activate(self) -> None:
        await super().activate()
        if await self._rows(b"SELECT 1 FROM pair_batches WHERE activation IS NOT NULL"):
            cast(Mortal, self.bond).at("beacon noted")

    async def behind(self) -> list[room.Behind]:
        if await self._rows(b"SELECT 1 FROM pairs WHERE state = 'active'"):
            cast(Mortal, self.bond).at("active")
        return await super().behind()


class MortalSealer(Sealer):
    """A sealer in whose hand the keeper dies after one seed."""

    left = 1

    def seal(self, place: bytes, seed: bytes) -> bytes:
        if not self.left:
            raise Killed("in mid drawing")
        self.left -= 1
        return super().seal(place, seed)


@contextlib.asynccontextmanager
async def keeping(house: House, point: str = "") -> AsyncIterator[PairsKeeper]:
    """A keeper as a fresh process would make it; whatever it held is gone afterwards."""
    wallets: senders.Wallets = {}
    assert house.settings.pairs is not None
    async with await connect(house.settings) as connection:
        made = await room.begin(house.settings, house.settings.pairs, connection, wallets)
        assert made is not None
        bond = cast(PairBond, Mortal(made.bond, house, point))
        beacon = cast(Beacon, Mortal(made.beacon, house, point))
        kind = MortalSealer if point == "in mid drawing" else Sealer
        sealer = kind(bytes.fromhex(KEY))
        try:
            yield MortalKeeper(made.booth, made.size, bond, beacon, connection, sealer)
        finally:
            await made.beacon.close()
            for wallet in wallets.values():
                await wallet.rpc.close()


async def kept(house: House, query: str, *values: Any, point: str = "") -> None:
    """Keep until a query says true, or until the keeper dies at its point, which it must."""
    async with keeping(house, point) as keeper:
        async with asyncio.timeout(60):
            with contextlib.suppress(Killed):
                while point or (await house.rows(query, *values)) != [(True,)]:
                    await keeper.tick()
                    await asyncio.sleep(0.05)


async def booth_of(house: House) -> Paired:
    """The booth with its players, once a keeper has declared it."""
    async with keeping(house) as keeper:
        pays = await tables.all_pays(keeper.connection)
        return Paired(keeper.booth, pays)


ACTIVE = "SELECT bool_and(state = 'active') FROM pairs"
REVEALED = "SELECT bool_and(state = 'revealed') FROM pairs"


async def test_pairs_are_committed_played_and_revealed_whoever_is_killed(house: House) -> None:
    """From the first ask to a proof that holds by what the node says, past twelve deaths."""
    paired = await booth_of(house)
    keys = [await paired.opened(await paired.player(), b"lucky") for _ in range(3)]
    for point in OPENING:
        await kept(house, "", point=point)
    await kept(house, ACTIVE)
    assert len({root for number, root in house.sent if number == 0}) == 1
    bets = [{"game": "limbo", "choice": {"target": 150}}, {}]
    for at in range(20):
        assert (await paired.run(paired.bet(keys[0], 20, **bets[at % 2]))).code is None
    assert (await paired.run(paired.bet(keys[1], 20))).code is None
    for key in keys[:2]:
        assert (await paired.run(paired.retire(key))).code is None
    for point in ENDING:
        await kept(house, "", point=point)
    await kept(
        house, REVEALED + " WHERE epoch = 0 AND player_id = ANY(%s)", [k[0] for k in keys[:2]]
    )
    # Nothing was committed twice, and no seed shown that was still played.
    [committed] = await house.said("PairsCommitted")
    assert (committed["number"], committed["count"]) == (0, 3)
    assert house.early == []
    assert {one["place"] for one in await house.said("PairRevealed")} == {
        (await paired.pair(key, "place"))[0] for key in keys[:2]
    }
    assert await paired.pair(keys[2], "state", "seed") == ("active", None)
    # The proof holds by what the node says.
    proof = await paired.proof(keys[0])
    nodes = asking.Nodes(house.settings, house.rpc_url, house.rpc_url)
    found = await asking.read(read(proof), nodes)
    steps = verify(proof, facts=found, recover=recovered)
    assert {step.name: (step.status, step.found) for step in steps if step.status != OK} == {}
    assert await paired.pair(keys[0], "bets") == (20,)


async def test_who_comes_together_is_committed_together(house: House) -> None:
    paired = await booth_of(house)
    for _ in range(5):
        await paired.opened(await paired.player(0), None)
    drawn = "SELECT count(*) = 5 FROM pairs WHERE number IS NOT NULL"
    async with keeping(house) as keeper:
        await keeper.tick()
        assert await house.rows(drawn) == [(True,)]
        late = await paired.opened(await paired.player(0), None)
        await keeper.tick()  # and who comes a moment later waits for the next
        assert await paired.pair(late, "number") == (None,)
    assert await house.rows("SELECT number, count, state FROM pair_batches") == [(0, 5, "sent")]


async def test_seeds_under_another_key_stop_everything_and_say_so(house: House) -> None:
    paired = await booth_of(house)
    await paired.opened(await paired.player(0), None)
    await kept(house, "SELECT count(*) = 1 FROM pair_batches")
    other = house.settings.model_copy(update={"seed_key": "6f" * 32})
    assert other.pairs is not None
    wallets: senders.Wallets = {}
    async with await connect(other) as connection:
        with pytest.raises(WrongKey):
            await room.begin(other, other.pairs, connection, wallets)
    for wallet in wallets.values():
        await wallet.rpc.close()
    [(trouble,)] = await house.rows("SELECT trouble FROM pair_booths")
    assert trouble is not None
    await kept(house, ACTIVE)
    assert await house.rows("SELECT trouble FROM pair_booths") == [(None,)]


async def test_a_number_that_the_chain_gave_to_others_is_never_taken_again(house: House) -> None:
    """As after an older database was put back: the chain is ahead, and a person has to look."""
    paired = await booth_of(house)
    async with keeping(house) as keeper:
        await keeper.bond.commit_pairs(0, b"\x01" * 32, 4, BLOCK)
        while await keeper.bond.committed_pairs(0, finalized=False) is None:
            await asyncio.sleep(0.1)
        await paired.opened(await paired.player(0), None)
        await keeper.tick()
    assert await house.rows("SELECT count(*) FROM pair_batches") == [(0,)]
    assert await house.rows("SELECT trouble FROM pair_booths") == [
        ("the chain is at pairs 1, and our seeds at 0",)
    ]
    assert len(await house.said("PairsCommitted")) == 1


async def test_seeds_under_a_root_that_is_not_the_chains_are_never_played(house: House) -> None:
    paired = await booth_of(house)
    await paired.opened(await paired.player(0), None)
    await kept(house, "", point="drawn")
    async with keeping(house) as keeper:
        await keeper.bond.commit_pairs(0, b"\x01" * 32, 1, BLOCK)
    await kept(house, "SELECT state = 'foreign' FROM pair_batches")
    # Its players may open others, which wait as long as the chain is not ours.
    assert await house.rows("SELECT state FROM pairs") == [("unplayed",)]
    key = await paired.opened(await paired.player(0), None)
    async with keeping(house) as keeper:
        for _ in range(3):
            await keeper.tick()
    assert await house.rows("SELECT trouble, stopped FROM pair_booths") == [
        ("the chain holds pairs 0 that are not ours", True)
    ]
    assert await paired.pair(key, "state", "number") == ("waiting", None)
    assert len(await house.said("PairsCommitted")) == 1
    # A person ends what could be known, and it goes on at the chain's number.
    async with await connect(house.settings) as connection, connection.transaction():
        assert await courses.end_every(connection, paired.booth) == 1
    key = await paired.opened(key.player_id, None)
    await kept(house, ACTIVE + " WHERE epoch = %s", key.epoch)
    assert await house.rows("SELECT trouble, stopped FROM pair_booths") == [(None, False)]
    assert await paired.pair(key, "number") == (1,)


async def test_pairs_are_activated_by_no_other_kind_of_beacon_than_the_bound_one(
    house: House,
) -> None:
    paired = await booth_of(house)
    number = await paired.drawn(await paired.opened(await paired.player(0), None))
    await paired.final(number)
    async with keeping(house) as keeper:
        keeper.beacon = cast(Beacon, SimpleNamespace(kind=DRAND))
        await keeper.activate()
    assert await house.rows(
        "SELECT b.activation, p.state FROM pair_batches b JOIN pairs p USING (number)"
    ) == [(None, "unplayed")]


async def test_a_seed_that_the_chain_shows_is_never_played_again_after_a_restore(
    house: House,
) -> None:
    paired = await booth_of(house)
    key = await paired.opened(await paired.player(), b"lucky")
    other = await paired.opened(await paired.player(), b"lucky")
    await kept(house, ACTIVE)
    async with keeping(house) as keeper:  # revealed, as the lost database knew
        found = await keeper._rows(
            b"SELECT account, number, place, sealed FROM pairs WHERE player_id = %s",
            key.player_id,
        )
        [(account, number, place, sealed)] = found
        behind = room.Behind(key, account, number, place, bytes(sealed), None)
        await keeper.reveal([behind])
        while not (await keeper.bond.committed_pairs(number, finalized=False)).revealed:  # type: ignore[union-attr]
            await asyncio.sleep(0.1)
    async with keeping(house) as keeper:
        await keeper.tick()
    assert await paired.pair(key, "state", "bets") == ("retired", 0)
    assert await paired.pair(other, "state") == ("active",)
    assert (await paired.run(paired.bet(key))).code == "PAIR_RETIRED"


async def test_what_landed_and_is_not_final_is_not_revealed_again(house: House) -> None:
    paired = await booth_of(house)
    keys = [await paired.opened(await paired.player(), b"lucky") for _ in range(2)]
    await kept(house, ACTIVE)
    assert (await paired.run(paired.bet(keys[0], 20))).code is None
    for key in keys:
        await paired.run(paired.retire(key))
    asked: list[int] = []
    async with keeping(house) as keeper:
        bond, inner = keeper.bond, cast(Mortal, keeper.bond)._inner

        async def reveal_pair(*args: Any) -> str:
            asked.append(args[1])
            return str(await inner.reveal_pair(*args))

        async def committed_pairs(number: int, *, finalized: bool) -> CommittedPairs | None:
            held: CommittedPairs = await inner.committed_pairs(number, finalized=False)
            unseen = finalized or on_its_way  # nothing becomes final
            return replace(held, revealed=0) if unseen else held

        async def waits(tx: str) -> bool:
            return on_its_way

        on_its_way = False
        vars(bond).update(reveal_pair=reveal_pair, committed_pairs=committed_pairs, waits=waits)
        await keeper.reveal(await keeper.followed(await keeper.behind()))
        while not (await bond.committed_pairs(0, finalized=False)).revealed:  # type: ignore[union-attr]
            await asyncio.sleep(0.1)
        keeper.rests.again_at.clear()
        await keeper.reveal(await keeper.followed(await keeper.behind()))
        on_its_way = True  # no block has it, for all that is seen
        keeper.rests.again_at.clear()
        await keeper.reveal(await keeper.followed(await keeper.behind()))
    # Once, and only the one with a bet: the other has nothing to be checked.
    assert asked == [(await paired.pair(keys[0], "place"))[0]]
    await kept(house, REVEALED + " WHERE bets > 0")
    assert await paired.pair(keys[1], "state") == ("retired",)


async def test_a_batch_that_no_node_answers_for_holds_up_no_other(house: House) -> None:
    paired = await booth_of(house)
    async with keeping(house) as keeper:
        asked: list[int] = []

        async def carry(batch: room.Unconfirmed) -> None:
            asked.append(batch.number)
            if batch.number == 0:
                raise RpcError("pruned")

        keeper.carry = carry  # type: ignore[method-assign]
        for _ in range(3):
            await paired.drawn(await paired.opened(await paired.player(0), None))
        for _ in range(2):
            await keeper.carry_all()
        assert asked == [0, 1, 2]  # and each of them rests
        keeper.rests.again_at.clear()
        await keeper.carry_all()
        assert asked == [0, 1, 2] * 2


async def test_a_bond_without_a_key_of_ours_keeps_no_pairs(house: House) -> None:
    settings = house.settings.model_copy(update={"keeper_evm_key": ""})
    assert settings.pairs is not None
    await tend(settings, settings.pairs, {}, room.begin)  # it says so, and ends
    assert await house.rows("SELECT count(*) FROM pair_booths") == [(1,)]
