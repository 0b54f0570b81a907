"""A table's seeds at a bond on Anvil: the keeper may die between any two steps, blocks may go."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
from eth_account import Account

from casino.rounds import tables
from casino.sealed import Sealer
from chains import manifest
from chains.evm import send as evm
from chains.evm.decode import Decoder
from chains.evm.logs import raws
from db import session
from local import anvil, deploy, players
from settings import Settings, TableSetting
from tests.casino.rounds.dealt import ASSET, Dealt, sign
from workers import backing, senders
from workers import tables as room
from workers.bonds import Bond, Committed, Statement
from workers.leader import connect
from workers.tables import TableKeeper, Unconfirmed, place

KEY = "5e" * 32
ROUNDS, PERIOD, WINDOW = 3, 20, 600
MOST_LIABLE = 10**15
AHEAD_S = 300
SETUP = f"""
INSERT INTO networks (network, name, chain) VALUES ('eip155:31337', 'evm-local', 'evm');
INSERT INTO assets (id, symbol, scale) VALUES ('{ASSET}', 'EUR', 2);
"""
# The steps at which one keeper after the other dies.
COMMITTING = (
    *("in mid drawing", "drawn", "commit not noted", "landed and not final"),
    *("final and not noted", "final noted"),
)
FOLLOWING = (
    *("before anchoring", "anchor not noted", "anchor final and not noted", "anchor noted"),
    *("reveal not noted", "revealed and not noted", "reveal noted"),
)
RELEASING = ("before releasing", "release not noted", "released and not noted")
SCHEDULED = "SELECT count(*) = 3 FROM rounds"
REVEALED = "SELECT bool_and(revealed_at IS NOT NULL) FROM rounds"
RELEASED = "SELECT bool_and(released_at IS NOT NULL) FROM round_batches"
# As if so much time had passed for every round.
PASSED = """
ALTER TABLE rounds DISABLE TRIGGER USER;
ALTER TABLE round_batches DISABLE TRIGGER USER;
UPDATE rounds SET opens_at = opens_at - interval '{0} s', closes_at = closes_at - interval '{0} s';
UPDATE round_batches SET opens = opens - {0};
ALTER TABLE rounds ENABLE TRIGGER USER;
ALTER TABLE round_batches ENABLE TRIGGER USER;
"""


class Killed(BaseException):
    """The keeper dies here, as if by `kill -9`: nothing after this line happens."""


@dataclass
class House:
    """A bond on Anvil, whose blocks come with its txs and when the test wants one."""

    owner: evm.Sender
    settings: Settings
    sent: list[tuple[int, bytes]] = field(default_factory=list)
    early: list[int] = field(default_factory=list)
    table: tables.Table | None = None  # looked at once: its pay table takes a second to check

    @property
    def address(self) -> str:
        return str(self.settings.tables[0].address)

    async def ask(self, method: str, *params: object) -> Any:
        return await self.owner.rpc.node.ask(method, list(params), object)

    async def mine(self, blocks: int = 1) -> None:
        await self.ask("anvil_mine", hex(blocks))

    async def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        url = self.settings.database_url
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            cursor = await connection.execute(query.encode(), values or None)
            return await cursor.fetchall() if cursor.description else []

    async def passed(self, seconds: int) -> None:
        """Let so much time go by, for the database's rounds and for the chain."""
        await self.rows(PASSED.format(seconds))
        await self.ask("evm_increaseTime", seconds)
        await self.mine()

    async def pause(self) -> None:
        """Let nothing more be committed, by the owner's word to the bond."""
        contract = evm.Program(manifest.load("bond_evm").interface_json(), self.address)
        await self.owner.confirm(await self.owner.send(contract.call("setPaused", [True])))

    async def said(self, name: str) -> list[dict[str, Any]]:
        """What the bond said on chain, as anybody hears it."""
        decoder = Decoder(manifest.load("bond_evm").interface_json(), self.address)
        rpc = self.owner.rpc
        logs = await rpc.logs(self.address, 0, await rpc.head())
        told = [decoder.decode(raw.kind, raw.body) for raw in raws(logs, self.address)]
        return [dict(args) for kind, args in told if kind == name]


@pytest.fixture
async def house(
    tmp_path: Path, fresh_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[House]:
    url, keeper = fresh_database(), players.evm_key(1)
    # However slow this machine is, seeds are final before their first round.
    monkeypatch.setattr(room, "LEAST_AHEAD_S", float(AHEAD_S))
    async with (
        anvil.start(tmp_path / "anvil", block_time_s=None) as node,
        evm.Sender(node.rpc_url, players.evm_key(0)) as owner,
    ):
        mine, signer = str(Account.from_key(keeper).address), "0x" + sign.address.hex()
        most = 3 * ROUNDS * MOST_LIABLE  # as much as one batch needs, and not as much as two
        bond = await deploy.bond_to_evm(owner, mine, signer, bond=most)
        table = TableSetting(
            name="dice",
            game="dice",
            program="bond_evm",
            address=bond,
            casino="tables",
            asset=ASSET,
            beacon="block:evm-local",
            period=PERIOD,
            batch=ROUNDS,
            reveal_window=WINDOW,
            max_liability=MOST_LIABLE,
            most=1_000,
            most_win=100_000,
            most_player=1_500,
        )
        settings = Settings(
            _env_file=None,
            database_url=url,
            rpc={"evm-local": [node.rpc_url]},
            rpc_rate=1_000,
            keeper_evm_key=keeper,
            keeper_renew_s=1.0,
            seed_key=KEY,
            tables=[table],
        )
        made = House(owner, settings)
        await made.rows(SETUP)
        await made.mine(3)  # until the bond itself is final
        session.configure(url)
        yield made
        await session.close()


class Mortal:
    """A bond that kills whoever holds it at one point, and notes what it is asked to send."""

    def __init__(self, inner: Bond, house: House, point: str) -> None:
        self._inner, self._house, self.point = inner, house, point

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def at(self, point: str) -> None:
        if point == self.point:
            raise Killed(point)

    async def committed(self, table: str, first: int, *, finalized: bool) -> Committed | None:
        held = await self._inner.committed(table, first, finalized=finalized)
        if held is not None and not finalized:
            self.at("landed and not final")
        if held is not None and finalized and held.revealed:
            self.at("revealed and not noted")
        if held is not None and finalized and not held.held:
            self.at("released and not noted")
        return held

    async def anchored(self, table: str, first: int, numbers: Sequence[int]) -> list[bool]:
        found = await self._inner.anchored(table, first, numbers)
        if any(found):
            self.at("anchor final and not noted")
        return found

    async def commit(self, table: str, root: bytes, schedule: Any) -> str:
        self.at("drawn")
        self._house.sent.append((schedule.first, root))
        tx = await self._inner.commit(table, root, schedule)
        self.at("commit not noted")
        return tx

    async def anchor(
        self, table: str, first: int, start: int, statements: Sequence[Statement]
    ) -> str:
        self.at("before anchoring")
        tx = await self._inner.anchor(table, first, start, statements)
        self.at("anchor not noted")
        return tx

    async def reveal(
        self, table: str, first: int, number: int, seed: bytes, proof: Sequence[bytes]
    ) -> str:
        self.at("anchor noted")
        if await self._inner.anchored(table, first, [number]) != [True]:
            self._house.early.append(number)
        tx = await self._inner.reveal(table, first, number, seed, proof)
        self.at("reveal not noted")
        return tx

    async def release(self, table: str, first: int) -> str:
        self.at("before releasing")
        tx = await self._inner.release(table, first)
        self.at("release not noted")
        return tx


class MortalKeeper(TableKeeper):
    """A keeper that may die around every note it makes."""

    async def confirmed(self, batch: Unconfirmed, root: bytes) -> None:
        mortal = cast(Mortal, self.bond)
        if await self.bond.landed(self.table.name, batch.schedule.first) is not None:
            mortal.at("final and not noted")
            await super().confirmed(batch, root)
            mortal.at("final noted")

    async def followed(self, behind: Sequence[room.Behind]) -> list[room.Behind]:
        left = await super().followed(behind)
        if await self._rows(b"SELECT 1 FROM rounds WHERE revealed_at IS NOT NULL"):
            cast(Mortal, self.bond).at("reveal noted")
        return left


class MortalSealer(Sealer):
    """A sealer in whose hand the keeper dies after one seed."""

    left = 1

    def seal(self, place: bytes, seed: bytes) -> bytes:
        if not self.left:
            raise Killed("in mid drawing")
        self.left -= 1
        return super().seal(place, seed)


@contextlib.asynccontextmanager
async def keeping(house: House, point: str = "") -> AsyncIterator[TableKeeper]:
    """A keeper as a fresh process would make it; whatever it held is gone afterwards."""
    wallets: senders.Wallets = {}
    async with await connect(house.settings) as connection:
        setting = house.settings.tables[0]
        house.table = house.table or await room.declared(house.settings, setting, connection)
        assert house.table is not None
        met = await backing.met(house.settings, setting, house.table.network, wallets)
        assert met is not None
        bond = cast(Bond, Mortal(met, house, point))
        sealer = (MortalSealer if point == "in mid drawing" else Sealer)(bytes.fromhex(KEY))
        try:
            yield MortalKeeper(house.table, room.paced(setting), bond, connection, sealer)
        finally:
            for wallet in wallets.values():
                await wallet.rpc.close()


async def kept(house: House, query: str, *, point: str = "") -> None:
    """Keep until a query says true, or until the keeper dies at its point, which it must."""
    async with keeping(house, point) as keeper:
        async with asyncio.timeout(60):
            with contextlib.suppress(Killed):
                while point or (await house.rows(query)) != [(True,)]:
                    await keeper.tick()
                    await house.mine()


async def dealt_at(house: House) -> Dealt:
    """The table as its dealer has it, who can open the seeds."""
    async with keeping(house) as keeper:
        table, pays = keeper.table, await tables.all_pays(keeper.connection)
        found = await house.rows("SELECT number, sealed FROM round_seeds")
        seeds = {n: keeper.sealer.open(place(table, n), bytes(sealed)) for n, sealed in found}
        return Dealt(table, pays, seeds)


async def test_seeds_are_committed_anchored_revealed_and_released_whoever_is_killed(
    house: House,
) -> None:
    """From the first draw to the bond's last coin, past sixteen deaths."""
    await kept(house, "", point=COMMITTING[0])
    assert await house.rows("SELECT count(*) FROM round_seeds") == [(0,)]
    for point in COMMITTING[1:]:
        assert await house.rows("SELECT count(*) FROM rounds") == [(0,)]
        await kept(house, "", point=point)
    assert await house.rows(SCHEDULED) == [(True,)]
    await house.pause()
    # A bet in the first round, and all rounds are over and drawn.
    dealt = await dealt_at(house)
    await house.passed(await opens_in(house) + 1)
    assert (await dealt.run(dealt.bet(await dealt.player()))).code is None
    await house.passed(ROUNDS * PERIOD + 40)
    for number in range(ROUNDS):
        await dealt.close(number)
        assert await dealt.draw(number) is not None
    for point in FOLLOWING:
        await kept(house, "", point=point)
    await kept(house, REVEALED)
    await house.passed(WINDOW + deploy.CLAIM_WINDOW_S)
    for point in RELEASING:
        await kept(house, "", point=point)
        await house.mine(3)
    await kept(house, RELEASED)
    # Nothing was committed twice, and nothing revealed before its anchor was final.
    assert len(set(house.sent)) == 1
    [committed] = await house.said("RoundsCommitted")
    assert (committed["first"], committed["count"]) == (0, ROUNDS)
    [anchored] = await house.said("RootsAnchored")
    assert (anchored["start"], anchored["counts"]) == (0, [1, 0, 0])
    assert house.early == []
    revealed = await house.said("RoundRevealed")
    assert {one["round"]: one["seed"] for one in revealed} == dealt.seeds
    assert len(revealed) == ROUNDS
    [released] = await house.said("BatchReleased")
    assert released["amount"] == ROUNDS * MOST_LIABLE
    trouble = await house.rows("SELECT trouble FROM round_tables")
    assert trouble == [("the bond's owner has stopped commitments",)]


async def opens_in(house: House) -> int:
    [(seconds,)] = await house.rows(
        "SELECT ceil(extract(epoch FROM min(opens_at) - clock_timestamp()))::int FROM rounds"
    )
    return int(seconds)


@contextlib.asynccontextmanager
async def dropped(house: House) -> AsyncIterator[TableKeeper]:
    """A keeper whose commitment was in a block that the chain dropped before it was final."""
    async with keeping(house) as keeper:
        await keeper.tick()
        while await keeper.bond.committed("dice", 0, finalized=False) is None:
            await asyncio.sleep(0.02)
        await keeper.tick()
        assert await house.rows("SELECT state FROM round_batches") == [("sent",)]
        await house.ask("anvil_reorg", 1, [])
        assert await keeper.bond.committed("dice", 0, finalized=False) is None
        for _ in range(3):
            await keeper.tick()
            await house.mine()
        assert await house.rows("SELECT count(*) FROM rounds") == [(0,)]
        yield keeper


async def test_a_commitment_that_a_reorg_took_away_is_made_again(house: House) -> None:
    """With the same seeds; and its rounds are made when it is final where it landed at last."""
    async with dropped(house) as keeper:
        keeper.rests.again_at.clear()  # as if it had waited for long
        async with asyncio.timeout(30):
            while await house.rows(SCHEDULED) != [(True,)]:
                await keeper.tick()
                await asyncio.sleep(0.1)
                if await keeper.bond.committed("dice", 0, finalized=False) is not None:
                    await house.mine()
    assert len(house.sent) == 2
    assert len(set(house.sent)) == 1
    [committed] = await house.said("RoundsCommitted")
    assert committed["root"] == house.sent[0][1]
    [(tx, position)] = await house.rows("SELECT tx, position FROM round_batches")
    receipt = await house.ask("eth_getTransactionReceipt", tx)
    assert int(receipt["blockNumber"], 16) == position


async def test_a_commitment_that_a_reorg_took_away_for_too_long_is_dropped(house: House) -> None:
    """Nobody saw its seeds, so they are forgotten, and no round ever opens on them."""
    async with dropped(house) as keeper:
        await house.ask("evm_increaseTime", 2 * AHEAD_S)
        await house.mine()
        keeper.rests.again_at.clear()
        await keeper.carry((await keeper.unconfirmed())[0])
    for gone in ("round_batches", "round_seeds", "rounds"):
        assert await house.rows(f"SELECT count(*) FROM {gone}") == [(0,)]
    assert await house.rows("SELECT trouble FROM round_tables") == [
        ("the seeds from 0 were committed too late",)
    ]
    assert await house.said("RoundsCommitted") == []
