"""The keeper among nodes that answer as they like, bets it cannot answer, and late finality."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import subprocess
import time
import traceback
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from loguru import logger
from solders.keypair import Keypair

from casino.sealed import Sealer
from chains import http
from chains.errors import ChainError, RpcError, WrongChain
from chains.evm import send as evm
from chains.evm.send import SendRefused
from local import deploy
from local.players import evm_key
from settings import Settings
from tests import typed
from tests.chains.moody import SECRET, TROUBLES, Moody, moody, result
from tests.flow.conftest import ETHER, EVM_KEY, Line, laid
from workers import keeper as room
from workers.houses import BadKey, Batch, OpenBet, State, outlook
from workers.keeper import Keeper
from workers.leader import connect
from workers.sealed import draw

SIZE = 8


@pytest.fixture(scope="module")
async def line(tmp_path_factory: pytest.TempPathFactory, database_url: str) -> AsyncIterator[Line]:
    """Both casinos; nothing reads them."""
    async with laid(tmp_path_factory.mktemp("answers"), database_url) as made:
        made.environment["FAIRHOUSE_KEEPER_EVM_KEY"] = EVM_KEY
        made.environment["FAIRHOUSE_KEEPER_SOLANA_KEY"] = str(made.solana.sender.key)
        yield made


def settings(line: Line, **changed: Any) -> Settings:
    told = line.environment
    return Settings(
        **{
            "database_url": line.database_url,
            "rpc": json.loads(told["FAIRHOUSE_RPC"]),
            "sources": json.loads(told["FAIRHOUSE_SOURCES"]),
            "keeper_evm_key": EVM_KEY,
            "keeper_solana_key": told["FAIRHOUSE_KEEPER_SOLANA_KEY"],
            "seed_batch": SIZE,
            **changed,
        }
    )


def fairhouse(line: Line, **changed: str) -> subprocess.CompletedProcess[str]:
    """`fairhouse run keeper`, which is expected to end by itself."""
    return typed.fairhouse("run", "keeper", env={**line.environment, **changed}, timeout=60)


async def batches(line: Line) -> dict[str, str]:
    """What became of the seeds of each network."""
    rows = await line.rows("SELECT network, state FROM seed_batches")
    return dict(row[:2] for row in rows)


KEYS = [
    ("EVM", f"0x1234{SECRET}"),
    ("EVM", "0x" + "00" * 32),
    ("EVM", SECRET),
    ("SOLANA", SECRET),
    ("SOLANA", f'["{SECRET}"]'),
    ("SOLANA", "[300]"),
    ("SOLANA", "[1, 2"),
    ("SOLANA", str(list(bytes(Keypair())[:32] + bytes(Keypair())[32:]))),
]


@pytest.mark.parametrize(("chain", "key"), KEYS)
async def test_a_key_that_is_none_is_refused_at_start(line: Line, chain: str, key: str) -> None:
    name = f"keeper_{chain.lower()}_key"
    with pytest.raises(BadKey) as raised:
        await room.run(settings(line, **{name: key}))
    assert str(raised.value) == f"FAIRHOUSE_{name.upper()} is no {chain.lower()} key"
    assert key not in "".join(traceback.format_exception(raised.value))


async def test_a_key_that_is_none_ends_the_process_in_one_line(line: Line) -> None:
    done = await asyncio.to_thread(fairhouse, line, FAIRHOUSE_KEEPER_EVM_KEY=f"0x1234{SECRET}")
    assert done.returncode == 2
    assert done.stderr.splitlines() == ["FAIRHOUSE_KEEPER_EVM_KEY is no evm key"]
    assert await batches(line) == {}


async def test_another_chain_ends_the_keeper_before_anything_is_drawn(line: Line) -> None:
    source = {"program": "casino_evm", "network": "base", "address": line.evm.address}
    async with moody(line.evm_url) as node:
        done = await asyncio.to_thread(
            fairhouse,
            line,
            FAIRHOUSE_SOURCES=json.dumps([source]),
            FAIRHOUSE_RPC=json.dumps({"base": [node.url]}),
        )
        assert set(node.methods) == {"eth_chainId"}
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("the RPC of network base is another chain's:")
    assert "eip155:31337, not eip155:8453" in last
    assert SECRET not in done.stderr
    assert "Traceback" not in done.stderr
    assert await batches(line) == {}


async def test_a_pinned_network_is_held_to_its_chain(line: Line) -> None:
    await line.rows(
        "INSERT INTO networks (network, name, chain) VALUES ('eip155:5', 'evm-local', 'evm')"
        " RETURNING name"
    )
    try:
        with pytest.raises(WrongChain, match=r"eip155:31337, not eip155:5"):
            await room.run(settings(line))
    finally:
        await line.rows("DELETE FROM networks RETURNING name")
    assert await batches(line) == {}


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        ({"rpc": {}}, r"no RPC URL is set for network evm-local \(FAIRHOUSE_RPC\)"),
        ({"sources": [{"program": "casino_evm"}]}, "address is missing"),
    ],
)
async def test_a_mistake_in_the_settings_is_said_at_start(
    line: Line, mistake: dict[str, Any], said: str
) -> None:
    with pytest.raises(ChainError, match=said):
        await room.run(settings(line, **mistake))


async def test_whatever_one_node_answers_the_other_casino_is_kept(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other, every trouble on one chain; when it is over, that one is kept too."""
    monkeypatch.setattr(http, "FIRST_REST_S", 0.001)
    monkeypatch.setattr(http, "LONGEST_REST_S", 0.01)
    monkeypatch.setattr(room, "LONGEST_REST_S", 0.05)
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(str(message)), level=0, diagnose=False)
    async with moody(line.evm_url) as ether, moody(line.solana_url) as sol:
        nodes = {"evm": ether, "solana": sol}
        urls = {f"{chain}-local": [node.url] for chain, node in nodes.items()}
        task = asyncio.create_task(room.run(settings(line, rpc=urls, rpc_rate=1_000)))
        for troubled in nodes.values():
            for mood in TROUBLES.values():
                troubled.always(mood)
                await answered(troubled, task)
            troubled.mood = lambda methods: NONSENSE() if methods == ["eth_call"] else None
            if troubled is ether:
                await answered(troubled, task)
            troubled.mood = lambda methods: None
            await until(line, len(nodes), task)
        states = set((await batches(line)).values())
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    logger.remove(sink)
    assert states == {"confirmed"}
    assert not [said for said in lines if "the keeper waits" in said]  # all of them at once
    assert [said for said in lines if "casino_evm" in said]
    assert [said for said in lines if "casino_solana" in said]
    assert not [said for said in lines if SECRET in said]


# A number as the contract might say it, and far beyond what it could.
NONSENSE = result(b'"0x' + b"00" * 24 + b"7f" + b"ff" * 7 + b'"')


async def answered(node: Moody, task: asyncio.Task[None]) -> None:
    """Until the keeper has seen a node's mood from every side."""
    before = node.moods
    while node.moods < before + 8:
        assert not task.done(), task.exception()
        await asyncio.sleep(0.01)


async def test_a_node_that_comes_late_and_serves_another_chain_ends_only_its_casino(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "LONGEST_REST_S", 0.05)
    monkeypatch.setattr(room, "ANSWER_S", 0.5)
    await line.rows(
        "WITH gone AS (DELETE FROM seed_batches) INSERT INTO networks (network, name, chain)"
        " VALUES ('eip155:5', 'evm-local', 'evm') RETURNING name"
    )
    async with moody(line.evm_url) as ether, moody(line.solana_url) as sol:
        ether.always(TROUBLES["down"])
        urls = {"evm-local": [ether.url], "solana-local": [sol.url]}
        task = asyncio.create_task(room.run(settings(line, rpc=urls)))
        await answered(ether, task)
        ether.mood = lambda methods: None
        ether.methods.clear()
        before = sol.methods.count("getAccountInfo")
        while len(ether.methods) < 3 or sol.methods.count("getAccountInfo") < before + 3:
            assert not task.done(), task.exception()
            await asyncio.sleep(0.01)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert set(ether.methods) == {"eth_chainId"}
    await line.rows("DELETE FROM networks RETURNING name")


async def until(line: Line, count: int, task: asyncio.Task[None]) -> None:
    """Until so many casinos have seeds that are final."""
    async with asyncio.timeout(60):
        while [*(await batches(line)).values()].count("confirmed") < count:
            assert not task.done(), task.exception()
            await asyncio.sleep(0.05)


async def test_every_url_of_a_network_is_asked_in_turn(line: Line) -> None:
    async with moody("") as broken:
        broken.always(TROUBLES["no key, in JSON"])
        dead = "http://127.0.0.1:9/"
        urls = {
            "evm-local": [dead, broken.url, line.evm_url],
            "solana-local": [dead, broken.url, line.solana_url],
        }
        chosen = settings(line, rpc=urls)
        for source in chosen.sources:
            house = await room.introduce(chosen, source)
            assert house is not None
            assert (await house.state()).committed_up_to >= 0
            await house.close()
        assert broken.moods


async def test_two_casinos_of_a_network_number_their_txs_together(line: Line) -> None:
    async with evm.Sender(line.evm_url, evm_key(3)) as owner:
        keeper = line.evm.sender.address
        other = await deploy.to_evm(owner, keeper, vault=ETHER)
        third = await deploy.to_evm(owner, keeper, vault=ETHER)
    sources = [{"program": "casino_evm", "address": address} for address in (other, third)]
    async with moody(line.evm_url) as node:
        chosen = settings(line, sources=sources, rpc={"evm-local": [node.url]})
        task = asyncio.create_task(room.run(chosen))
        query = (
            "SELECT count(*)::int FROM seed_batches WHERE state = 'confirmed'"
            f" AND program IN ('{other}', '{third}')"
        )
        await line.until(query, [(2,)], 60)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert node.methods.count("eth_sendRawTransaction") == 2


@dataclass
class Paper:
    """A house that exists on paper only: what it is told is noted, what it answers is given."""

    network: str = "paper:1"
    chain: bytes = b"paper:1"
    program: bytes = b"p" * 20
    address: str = "paper"
    reveal_window: int = 60
    behind: float | None = 2.0
    told: list[tuple[str, int]] = field(default_factory=list)
    answers: dict[int, Exception] = field(default_factory=dict)
    waiting: set[str] = field(default_factory=set)

    async def state(self, *, finalized: bool = False) -> State:
        return State(0, 0)

    async def committed(self, batch: Batch) -> bool:
        return False

    async def commit(self, batch: Batch) -> str:
        return self._note("commit", batch.first)

    async def confirm(self, tx: str) -> int:
        return 0

    async def settle(self, bet: OpenBet, seed: bytes, proof: Sequence[bytes]) -> str:
        return self._note("settle", bet.index)

    async def refund(self, bet: OpenBet) -> str:
        return self._note("refund", bet.index)

    async def renew(self) -> None: ...

    async def waits(self, tx: str) -> bool:
        return tx in self.waiting

    async def lag(self) -> float | None:
        return self.behind

    async def close(self) -> None: ...

    def _note(self, verb: str, index: int) -> str:
        self.told.append((verb, index))
        if index in self.answers:
            raise self.answers[index]
        return f"{verb} {index}"


@pytest.fixture
async def keeper(line: Line) -> AsyncIterator[Keeper]:
    """A keeper of a paper house, in a place of its own."""
    house = Paper(network=f"paper:{secrets.token_hex(4)}")
    async with await connect(settings(line)) as connection:
        yield Keeper(house, connection, Sealer(bytes(32)), SIZE)


def paper(keeper: Keeper) -> Paper:
    assert isinstance(keeper.house, Paper)
    return keeper.house


async def ours(keeper: Keeper, first: int, count: int) -> None:
    """Seeds that are drawn, committed and final."""
    by = int(time.time()) + 86_400
    batch = await draw(
        keeper.connection, keeper.sealer, keeper.house, first=first, count=count, reveal_by=by
    )
    await keeper.mark(batch, "confirmed")


async def placed(keeper: Keeper, bets: dict[int, float]) -> None:
    """Final bets, by index, whose deadlines are so many seconds ahead."""
    source = (
        "WITH c AS (INSERT INTO casinos (slug, name) VALUES (%(n)s, 'paper') RETURNING id), n AS"
        " (INSERT INTO networks (network, name, chain) VALUES (%(n)s, %(n)s, 'evm'))"
        " INSERT INTO sources (program, network, address, casino_id, start)"
        " SELECT 'paper', %(n)s, %(address)s, id, 0 FROM c RETURNING id, casino_id"
    )
    house = keeper.house
    named = {"n": house.network, "address": house.address}
    row = await (await keeper.connection.execute(source.encode(), named)).fetchone()
    assert row is not None
    bet = (
        "INSERT INTO bets (source_id, casino_id, network, bet, asset, seed_index, player,"
        " client_seed, deadline, status, finality)"
        " VALUES (%s, %s, %s, %s, 'coin', %s, 'p', '0x', %s, 'placed', 'finalized')"
    )
    now = int(time.time())
    async with keeper.connection.cursor() as cursor:
        await cursor.executemany(
            bet.encode(),
            [(*row, house.network, str(i), i, now + int(ahead)) for i, ahead in bets.items()],
        )


async def test_bets_on_seeds_that_are_not_ours_hide_none(keeper: Keeper) -> None:
    """A thousand bets that nobody can answer came first, and are due first."""
    await ours(keeper, 1_000, 4)
    await placed(
        keeper, {**dict.fromkeys(range(1_000), 10), **dict.fromkeys(range(1_000, 1_004), 50)}
    )
    await keeper.answer_bets()
    assert paper(keeper).told == [("settle", index) for index in range(1_000, 1_004)]


async def test_the_nearest_deadline_comes_first_and_what_is_late_last(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "TOGETHER", 1)
    await ours(keeper, 0, 4)
    await placed(keeper, {0: 50, 1: -100, 2: 20, 3: 35, 70: -100, 71: 5})
    await keeper.answer_bets()
    told = paper(keeper).told
    assert told[:3] == [("settle", 2), ("settle", 3), ("settle", 0)]
    assert sorted(told[3:]) == [("refund", 70), ("settle", 1)]


async def test_a_late_bet_whose_seed_is_refused_gets_its_money_back(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "LONGEST_PAUSE_S", 0.0)
    await ours(keeper, 0, 2)
    await placed(keeper, {0: -100, 1: 50})
    paper(keeper).answers = {0: SendRefused("late"), 1: SendRefused("no")}
    for _ in range(3):
        await keeper.answer_bets()
    told = paper(keeper).told
    assert [verb for verb, index in told if index == 0] == ["settle", "refund", "settle"]
    assert {verb for verb, index in told if index == 1} == {"settle"}


async def test_bets_that_are_refused_again_and_again_hide_none(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "OPEN_AT_ONCE", 4)
    await ours(keeper, 0, 16)
    paper(keeper).answers = {index: SendRefused("no") for index in range(12)}
    await placed(keeper, {index: 30 + index for index in range(16)})
    for _ in range(4):
        await keeper.answer_bets()
    assert {index for _, index in paper(keeper).told} == set(range(16))
    assert len(paper(keeper).told) == 16


async def test_one_bet_that_a_node_chokes_on_holds_up_no_other(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "TOGETHER", 2)
    await ours(keeper, 0, 6)
    paper(keeper).answers = {0: RpcError("choked"), 3: TypeError("choked")}
    await placed(keeper, {index: 30 + index for index in range(6)})
    with pytest.raises(RpcError):
        await keeper.answer_bets()
    await keeper.answer_bets()
    assert sorted(index for _, index in paper(keeper).told) == [0, 1, 2, 3, 4, 5]


async def test_a_bet_whose_tx_waits_is_not_sent_again(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "RESEND_S", 0.0)
    await ours(keeper, 0, 2)
    await placed(keeper, {0: 30, 1: 31})
    paper(keeper).waiting = {"settle 0"}
    for _ in range(5):
        await keeper.answer_bets()
    told = paper(keeper).told
    assert told.count(("settle", 0)) == 1
    assert told.count(("settle", 1)) > 1
    paper(keeper).waiting = set()
    await keeper.answer_bets()
    assert paper(keeper).told.count(("settle", 0)) == 2


async def test_what_was_tried_is_forgotten_with_the_bet(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "RESEND_S", 0.0)
    await ours(keeper, 0, 8)
    await placed(keeper, {index: 30 + index for index in range(8)})
    await keeper.answer_bets()
    assert len(keeper.tries) == 8
    await keeper.connection.execute(
        b"UPDATE bets SET status = 'settled' WHERE network = %s AND seed_index < 7",
        (keeper.house.network,),
    )
    await keeper.answer_bets()
    assert set(keeper.tries) == {7}


@pytest.mark.parametrize(
    ("lag", "window", "expected"),
    [
        (0, 10, "well"),
        (13, 60, "well"),
        (30, 60, "well"),
        (31, 60, "tight"),
        (59, 60, "tight"),
        (60, 60, "hopeless"),
        (900, 60, "hopeless"),
        (900, 3_600, "well"),
    ],
)
def test_a_window_is_as_good_as_finality_is_quick(lag: float, window: int, expected: str) -> None:
    assert outlook(lag, window) == expected


async def drawn(keeper: Keeper) -> int:
    count = b"SELECT count(*) FROM seed_batches WHERE network = %s"
    row = await (await keeper.connection.execute(count, (keeper.house.network,))).fetchone()
    assert row is not None
    return int(row[0])


async def test_no_seeds_are_committed_that_could_not_be_shown_in_time(keeper: Keeper) -> None:
    paper(keeper).behind = 900
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(str(message)), level="WARNING")
    await keeper.tick()
    await keeper.tick()
    logger.remove(sink)
    assert await drawn(keeper) == 0
    assert paper(keeper).told == []
    (said,) = lines
    assert "finality is 900 to 900 s behind, the reveal window is 60 s" in said
    # What was drawn before is not sent either, and what is placed is still answered.
    await ours(keeper, 0, 2)
    await keeper.mark(Batch(0, 2, bytes(32), 0), "drawn")
    await keeper.tick()
    assert paper(keeper).told == []


@pytest.mark.parametrize("behind", [2.0, 40.0, None])
async def test_seeds_are_committed_where_some_bets_can_be_settled(
    keeper: Keeper, behind: float | None
) -> None:
    paper(keeper).behind = behind
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(str(message)), level="WARNING")
    await keeper.tick()
    logger.remove(sink)
    assert await drawn(keeper) == 1
    assert paper(keeper).told == [("commit", 0)]
    assert len(lines) == (behind == 40.0)


async def test_the_best_finality_seen_decides_whether_a_window_is_hopeless(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes in steps: right before one it looks worse than it is."""
    monkeypatch.setattr(room, "LOOK_S", 0.0)
    for behind, expected in ((90, "hopeless"), (20, "tight"), (90, "tight"), (None, "well")):
        paper(keeper).behind = behind
        await keeper.watch()
        assert keeper.outlook == expected
