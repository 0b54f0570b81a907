"""The keeper on both chains: it may die between any two steps, and every bet is settled once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import secrets
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from eth_account import Account
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer

from casino.sealed import Sealer
from chains import manifest
from chains.evm import decode as evm_decode
from chains.evm import rpc as evm_rpc
from chains.solana import decode as solana_decode
from chains.solana import rpc as solana_rpc
from games.fairness import bets, merkle
from local import deploy, players
from settings import Settings, SourceSetting
from tests.flow.conftest import SOL, Line, laid
from workers import keeper as room
from workers.houses import Batch, House, OpenBet
from workers.keeper import Keeper
from workers.leader import connect as to_database
from workers.sealed import place

SIZE = 8  # seeds in a batch
WINDOW_S = 120  # a seed shown later is refused, and a busy machine must not be late
SHORT_S = 30
KEY = "5e" * 32
# The steps at which one keeper after the other dies; a new bet comes where it says so.
BET = "a bet"
DEATHS = (
    ("in mid drawing", "drawn", "committing not noted", "final not noted"),
    ("committing noted", "final noted"),
    (BET, "before settling", "after settling"),
)
Event = tuple[int, str, dict[str, Any]]


class Killed(BaseException):
    """The keeper dies here, as if by `kill -9`: nothing after this line happens."""


@dataclass
class Table:
    """A casino on one chain, whose keeper has a key of its own."""

    chain: str
    line: Line
    settings: Settings
    source: SourceSetting
    network: str
    sent: list[Batch] = field(default_factory=list)
    early: list[int] = field(default_factory=list)
    placed: int = 0

    @property
    def address(self) -> str:
        return str(self.source.address)

    async def place(self, count: int) -> None:
        house = self.line.evm if self.chain == "evm" else self.line.solana
        await asyncio.gather(*(house.place() for _ in range(count)))
        self.placed += count

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What a query finds of this casino; `{}` stands for where it is."""
        return await self.line.rows(
            query.format(f"network = '{self.network}' AND program = '{self.address}'")
        )

    async def bets(self) -> list[tuple[Any, ...]]:
        return await self.line.rows(
            "SELECT b.id, b.seed_index, b.status, b.finality FROM bets b JOIN sources s"
            f" ON s.id = b.source_id WHERE s.address = '{self.address}' ORDER BY 2"
        )

    async def events(self) -> list[Event]:
        """Everything the contract ever said, as the chain tells it to anybody."""
        means = manifest.load(self.source.program).located(address=self.address)
        decoders = means.decoders()
        raws = await (self._evm() if self.chain == "evm" else self._solana())
        return [
            (raw.position, *decoders.at(raw.position).decode(raw.kind, raw.body)) for raw in raws
        ]

    async def _evm(self) -> list[Any]:
        rpc = evm_rpc.Rpc([self.line.evm_url], rate=10_000)
        logs = await rpc.logs(self.address, 0, await rpc.head())
        await rpc.close()
        return evm_decode.candidates(logs, self.address)

    async def _solana(self) -> list[Any]:
        rpc, found = solana_rpc.Rpc([self.line.solana_url], rate=10_000), []
        for one in reversed(await rpc.signatures(self.address, before=None, until=None)):
            if one.err is None:
                answer = await rpc.transaction(one.signature)
                found += solana_decode.candidates(answer, self.address, ("data", "cpi"))
        await rpc.close()
        return found


class Mortal:
    """A house that notes what the keeper does to it, and kills it at one point."""

    def __init__(self, house: House, table: Table, point: str) -> None:
        self._house, self._table, self.point = house, table, point
        self.dead, self.under_way = False, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._house, name)

    def at(self, point: str) -> None:
        self.dead |= point == self.point
        if self.dead:
            raise Killed(point)

    async def commit(self, batch: Batch) -> str:
        self.at("drawn")
        self._table.sent.append(batch)
        tx = await self._house.commit(batch)
        self.at("committing not noted")
        return tx

    async def settle(self, bet: OpenBet, seed: bytes, proof: Sequence[bytes]) -> str:
        self.at("before settling")
        self.under_way += 1
        try:
            return await self._settle(bet, seed, proof)
        finally:
            self.under_way -= 1

    async def _settle(self, bet: OpenBet, seed: bytes, proof: Sequence[bytes]) -> str:
        final = (await self._house.state(finalized=True)).committed_up_to > bet.index
        known = {row[0]: row[3] for row in await self._table.bets()}
        if not final or known[bet.id] != "finalized":
            self._table.early.append(bet.index)
        tx = await self._house.settle(bet, seed, proof)
        self.at("after settling")
        return tx


class MortalKeeper(Keeper):
    """A keeper that may die around every note it makes."""

    async def mark(self, batch: Batch, state: str, tx: str | None = None) -> None:
        mortal = cast(Mortal, self.house)
        if state == "confirmed":
            mortal.at("final not noted")
        await super().mark(batch, state, tx)
        mortal.at({"sent": "committing noted", "confirmed": "final noted"}.get(state, "elsewhere"))


class MortalSealer(Sealer):
    """A sealer in whose hand the keeper dies after some seeds."""

    left = SIZE // 2

    def seal(self, place: bytes, seed: bytes) -> bytes:
        self.left -= 1
        if not self.left:
            raise Killed("in mid drawing")
        return super().seal(place, seed)


@contextlib.asynccontextmanager
async def keeping(table: Table, point: str = "", key: str = KEY) -> AsyncIterator[Keeper]:
    """A keeper as a fresh process would make it; whatever it held is gone afterwards."""
    house = await room.introduce(table.settings, table.source)
    assert house is not None
    kind = MortalSealer if point == "in mid drawing" else Sealer
    async with await to_database(table.settings) as connection:
        mortal = Mortal(house, table, point)
        try:
            sealer = kind(bytes.fromhex(key))
            yield MortalKeeper(cast(House, mortal), connection, sealer, SIZE)
        finally:
            while mortal.under_way:
                await asyncio.sleep(0.01)
            await house.close()


async def tick(keeper: Keeper, enough: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(150):
        while not await enough():
            await keeper.tick()
            await asyncio.sleep(0.1)


async def settled(table: Table, keeper: Keeper) -> bool:
    """Whether all that was placed is settled, and the next bets find final seeds."""
    ended = [row for row in await table.bets() if row[2] != "placed"]
    return len(ended) == table.placed and await supplied(table, keeper)


async def supplied(table: Table, keeper: Keeper) -> bool:
    waiting = await table.rows("SELECT 1 FROM seed_batches WHERE {} AND state IN ('drawn', 'sent')")
    if waiting:
        return False
    usable, _ = await keeper.supply((await keeper.house.state()).next_index)
    return usable * 2 >= SIZE


async def serve(table: Table) -> None:
    async with keeping(table) as keeper:
        await tick(keeper, lambda: settled(table, keeper))


async def drain(table: Table) -> None:
    """Bets until so few seeds are left that the keeper must draw."""
    async with keeping(table) as keeper:
        state = await keeper.house.state()
    await table.place(max(state.committed_up_to - state.next_index - SIZE // 2 + 1, 1))


async def honest(table: Table) -> None:
    """What must hold of the chain, whatever happened to the keeper."""
    said = await table.events()
    committed = {args["first"]: (at, args) for at, name, args in said if name == "SeedCommitted"}
    batches = await table.rows("SELECT first, count, root, state FROM seed_batches WHERE {}")
    assert {(first, count, root) for first, count, root, _ in batches} == {
        (first, args["count"], args["root"].hex()) for first, (_, args) in committed.items()
    }
    assert {row[3] for row in batches} == {"confirmed"}
    for first in committed:  # also what was refused: no second root was ever shown for an index
        assert len({batch.root for batch in table.sent if batch.first == first}) <= 1
    indexes = [args["index"] for _, name, args in said if name == "BetPlaced"]
    ended = Counter(args["index"] for _, name, args in said if name == "BetSettled")
    assert len(indexes) == table.placed
    assert ended == Counter(indexes)
    assert "BetRefunded" not in {name for _, name, _ in said}
    assert table.early == []
    first_of = dict(await table.rows("SELECT index, batch_first FROM seeds WHERE {}"))
    assert Counter(first_of.values()) == {first: count for first, count, _, _ in batches}
    for at, name, args in said:
        if name == "SeedRevealed":
            assert committed[first_of[args["index"]]][0] < at
    assert Counter(args["index"] for _, name, args in said if name == "SeedRevealed") == ended


@contextlib.asynccontextmanager
async def opened(folder: Path, database_url: str, window_s: int) -> AsyncIterator[list[Table]]:
    """Both casinos with keepers of their own, and the processes that read them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deploy, "REVEAL_WINDOW_S", window_s)
        async with laid(folder, database_url) as made:
            keeper = Keypair()
            keys = {"FAIRHOUSE_KEEPER_EVM_KEY": players.evm_key(1)}
            keys["FAIRHOUSE_KEEPER_SOLANA_KEY"] = str(keeper)
            made.environment |= keys
            made.environment["FAIRHOUSE_SEED_KEY"] = KEY
            made.environment["FAIRHOUSE_SEED_BATCH"] = str(SIZE)
            await made.evm.call("setKeeper", [Account.from_key(players.evm_key(1)).address])
            await hand_over(made, keeper.pubkey())
            made.start("indexer", "worker chain", "worker interpretation")
            yield await tables_of(made)


async def hand_over(line: Line, keeper: Pubkey) -> None:
    owner = line.solana.sender
    gift = TransferParams(from_pubkey=owner.key.pubkey(), to_pubkey=keeper, lamports=10 * SOL)
    await owner.confirm(await owner.send([transfer(gift)]))
    await line.solana.call("set_keeper", {"keeper": keeper}, {"owner": owner.key.pubkey()})


async def tables_of(line: Line) -> list[Table]:
    told = line.environment
    chosen = Settings(
        database_url=line.database_url,
        redis_url=line.redis_url,
        rpc=json.loads(told["FAIRHOUSE_RPC"]),
        sources=json.loads(told["FAIRHOUSE_SOURCES"]),
        keeper_evm_key=told["FAIRHOUSE_KEEPER_EVM_KEY"],
        keeper_solana_key=told["FAIRHOUSE_KEEPER_SOLANA_KEY"],
        seed_key=KEY,
        seed_batch=SIZE,
    )
    made = []
    for chain, source in zip(("evm", "solana"), chosen.sources, strict=True):
        house = await room.introduce(chosen, source)
        assert house is not None
        made.append(Table(chain, line, chosen, source, house.network))
        await house.close()
    await asyncio.gather(*map(serve, made))
    return made


@pytest.fixture(scope="module")
async def tables(
    tmp_path_factory: pytest.TempPathFactory, database_url: str
) -> AsyncIterator[list[Table]]:
    async with opened(tmp_path_factory.mktemp("keeper"), database_url, WINDOW_S) as made:
        yield made


@pytest.mark.parametrize("deaths", DEATHS, ids=" - ".join)
async def test_a_keeper_killed_at_any_step_leaves_nothing_undone_or_done_twice(
    tables: list[Table], deaths: tuple[str, ...]
) -> None:
    async def live(table: Table) -> None:
        if deaths[0] != BET:
            await drain(table)
        for point in deaths:
            if point == BET:
                await table.place(1)
                continue
            with pytest.raises(Killed, match=point):
                async with keeping(table, point) as keeper:
                    await tick(keeper, never)
        await serve(table)
        await honest(table)

    await asyncio.gather(*map(live, tables))


async def never() -> bool:
    return False


async def test_a_keeper_process_killed_again_and_again_settles_every_bet_once(
    tables: list[Table],
) -> None:
    """`kill -9` at moments of chance, while bets come in."""
    line, dice = tables[0].line, random.Random(11)
    for life in range(4):
        line.start(f"keeper/{life}")
        await asyncio.gather(*(table.place(2) for table in tables))
        await asyncio.sleep(dice.uniform(0.5, 3))
        line.children[f"keeper/{life}"].process.kill()
        assert line.children[f"keeper/{life}"].process.wait() == -signal.SIGKILL
        await asyncio.gather(*map(room_for_more, tables))
    line.start("keeper")
    ended = "SELECT count(*)::int FROM bets WHERE status = 'settled'"
    await line.until(ended, [(sum(table.placed for table in tables),)], 90)
    assert await line.children["keeper"].stop() == 0
    await asyncio.gather(*map(serve, tables))
    await asyncio.gather(*map(honest, tables))


async def room_for_more(table: Table) -> None:
    """Until two more bets find seeds: a keeper that is always dying may be late with them."""
    async with keeping(table) as keeper:

        async def enough() -> bool:
            state = await keeper.house.state()
            return state.committed_up_to - state.next_index >= 2

        await tick(keeper, enough)


async def test_seeds_lie_sealed_and_open_only_in_their_place(tables: list[Table]) -> None:
    for table in tables:
        async with keeping(table) as keeper:
            house, sealer = keeper.house, keeper.sealer
            shown = {
                args["index"]: args["seed"]
                for _, name, args in await table.events()
                if name == "SeedRevealed"
            }
            assert shown
            kept = await table.rows("SELECT s::text, index, sealed, commit FROM seeds s WHERE {}")
            for row, index, sealed, commit in kept:
                seed = sealer.open(place(house, index), bytes(sealed))
                assert shown.get(index, seed) == seed
                assert bets.commit(house.chain, house.program, index, seed) == bytes(commit)
                assert seed.hex() not in row
                assert seed not in bytes(sealed)
                with pytest.raises(ValueError, match="MAC"):
                    sealer.open(place(house, index + 1), bytes(sealed))
            once = sealer.seal(place(house, 0), bytes(32))
            assert sealer.seal(place(house, 0), bytes(32)) != once


async def test_a_wrong_key_is_refused_in_one_line_before_anything_is_done(
    tables: list[Table],
) -> None:
    line = tables[0].line
    drawn = "SELECT count(*) FROM seeds"
    before = await line.rows(drawn)
    line.environment["FAIRHOUSE_SEED_KEY"] = "00" * 31 + "01"
    try:
        line.start("keeper/wrong")
        child = line.children["keeper/wrong"]
        while child.process.poll() is None:
            await asyncio.sleep(0.05)
    finally:
        line.environment["FAIRHOUSE_SEED_KEY"] = KEY
    assert child.process.returncode == 2
    assert "FAIRHOUSE_SEED_KEY does not open the seeds of" in child.log.read_text().splitlines()[-1]
    assert await line.rows(drawn) == before


async def test_seeds_that_somebody_else_committed_are_never_shown_and_their_bets_refunded(
    tmp_path: Path, fresh_database: Callable[[], str]
) -> None:
    """Whoever has the keeper's key elsewhere, with seeds of his own, comes first to the chain."""

    async def live(table: Table) -> None:
        lost: set[int] = set()
        for count in (SIZE, SIZE - 3):  # a shorter batch leaves indexes that ours were drawn for
            await drain(table)
            with pytest.raises(Killed):
                async with keeping(table, "drawn") as keeper:
                    await tick(keeper, never)
            async with keeping(table) as keeper:
                first = await usurp(table, cast(Mortal, keeper.house)._house, count)
                await tick(keeper, partial(supplied, table, keeper))
            lost |= set(range(first, first + count))
        await serve(table)
        said = await table.events()
        ended = [(args["index"], name) for _, name, args in said if name.startswith("Bet")]
        assert lost <= {index for index, name in ended if name == "BetRefunded"}
        over = Counter(index for index, name in ended if name != "BetPlaced")
        assert over == Counter(index for index, name in ended if name == "BetPlaced")
        assert not lost & {args["index"] for _, name, args in said if name == "SeedRevealed"}
        assert table.early == []
        assert not lost & {batch.first for batch in table.sent}
        states = await table.rows("SELECT state FROM seed_batches WHERE {} ORDER BY first")
        assert Counter(row[0] for row in states)["foreign"] == 2
        assert states[-1] == ("confirmed",)

    async with opened(tmp_path, fresh_database(), SHORT_S) as tables:
        await asyncio.gather(*map(live, tables))


async def usurp(table: Table, house: House, count: int) -> int:
    """Commit seeds of nobody's, and bet on them all; the first of their indexes."""
    first = (await house.state()).committed_up_to
    root = merkle.Tree.over([secrets.token_bytes(32)] * count).root
    await house.commit(Batch(first, count, root, int(time.time()) + 86_400))
    while (await house.state()).committed_up_to == first:
        await asyncio.sleep(0.05)
    await table.place(first + count - (await house.state()).next_index)
    return first
