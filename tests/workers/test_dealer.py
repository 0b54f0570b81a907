"""Tables on both chains: rounds are dealt at their moments, whoever dies, and anybody can check."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import secrets
import signal
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from coincurve import PublicKey
from eth_account import Account
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer

from casino.commands import Answer, run_many
from casino.rounds import proofs, tables
from casino.rounds.bets import Place
from casino.rounds.tables import Table
from casino.samples import opening
from chains.evm import send as evm
from chains.evm.address import keccak256
from chains.solana import send as solana
from chains.solana.rpc import Rpc as SolanaRpc
from db import session
from db.session import direct
from games.fairness.verify import OK, UNCHECKED, verify
from local import anvil, deploy, players, redis, surfpool
from local.forks import fork
from local.process import Child

PERIOD, BATCH = 4, 8
RESULT_S = 6  # after its close a round has its result
GOLD = "casino:tables/GOLD"
NETWORK = "INSERT INTO networks (network, name, chain) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
_keys = itertools.count(1)


@dataclass
class House:
    """Both chains with a bond on each, and the two processes that keep and deal."""

    folder: Path
    database_url: str
    environment: dict[str, str] = field(default_factory=dict)
    children: dict[str, Child] = field(default_factory=dict)

    def start(self, name: str) -> None:
        log = self.folder / f"{name}.log"
        self.children[name] = fork(name, ["run", name], log=log, env=self.environment)

    async def kill(self, name: str) -> None:
        """As if by `kill -9`, and up again."""
        self.children[name].process.send_signal(signal.SIGKILL)
        await asyncio.to_thread(self.children[name].process.wait)
        self.start(name)

    async def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        connecting = psycopg.AsyncConnection.connect(self.database_url, autocommit=True)
        async with await connecting as connection:
            cursor = await connection.execute(query.encode(), values)
            return await cursor.fetchall() if cursor.description else []

    async def until(self, query: str, seconds: float = 90) -> None:
        """Wait until a query says true."""
        deadline = time.monotonic() + seconds
        while (await self.rows(query)) != [(True,)]:
            said = "\n".join(
                f"== {name}\n{child.log.read_text()[-2000:]}"
                for name, child in self.children.items()
            )
            assert time.monotonic() < deadline, f"{query}\n{said}"
            await asyncio.sleep(0.1)


@pytest.fixture(scope="module")
async def house(
    tmp_path_factory: pytest.TempPathFactory, fresh_database: Callable[[], str]
) -> AsyncIterator[House]:
    folder, url = tmp_path_factory.mktemp("dealer"), fresh_database()
    async with contextlib.AsyncExitStack() as stack:
        store = await stack.enter_async_context(redis.start(folder / "redis"))
        ether = await stack.enter_async_context(anvil.start(folder / "anvil"))
        sol = await stack.enter_async_context(surfpool.start(folder / "surfpool"))
        signer = secrets.token_hex(32)
        address = str(Account.from_key(signer).address).lower()
        keeper, bank = players.evm_key(1), Keypair()
        async with evm.Sender(ether.rpc_url, players.evm_key(0)) as owner:
            mine = str(Account.from_key(keeper).address)
            evm_bond = await deploy.bond_to_evm(owner, mine, address, bond=100 * players.ETHER)
        reader = SolanaRpc([sol.rpc_url])
        chain = await reader.network()
        await reader.close()
        async with solana.Sender(sol.rpc_url, sol.payer) as payer:
            raw = bytes.fromhex(address[2:])
            solana_bond = await deploy.bond_to_solana(
                payer, bank.pubkey(), raw, chain, bond=100 * players.SOL
            )
            await payer.confirm(await payer.send([_gift(payer, bank.pubkey())]))
        bound = {
            "asset": GOLD,
            "casino": "tables",
            "beacon": "block:evm-local",
            "period": PERIOD,
            "batch": BATCH,
            "reveal_window": 180,
            "most": 1_000,
            "most_win": 10**6,
            "most_player": 10**6,
            "coins": 1_000,
        }
        coin = {"evm": players.ETHER, "solana": players.SOL}
        made = House(folder, url)
        made.environment = {
            **os.environ,
            "DATABASE_URL": url,
            "REDIS_URL": store.url,
            "FAIRHOUSE_RPC": json.dumps(
                {"evm-local": [ether.rpc_url], "solana-local": [sol.rpc_url]}
            ),
            "FAIRHOUSE_RPC_RATE": "1000",
            "FAIRHOUSE_SOURCES": "[]",
            "FAIRHOUSE_SIGNER_KEY": signer,
            "FAIRHOUSE_KEEPER_EVM_KEY": keeper,
            "FAIRHOUSE_KEEPER_SOLANA_KEY": str(bank),
            "FAIRHOUSE_TABLES": json.dumps(
                [
                    bound
                    | {"name": name, "game": name, "program": f"bond_{chain}", "address": bond}
                    | {"max_liability": coin[chain] // 10}
                    for name, chain, bond in (
                        ("numbers", "evm", evm_bond),
                        ("dice", "solana", solana_bond),
                    )
                ]
            ),
        }
        await made.rows(NETWORK, "eip155:31337", "evm-local", "evm")
        await made.rows(NETWORK, chain, "solana-local", "solana")
        await made.rows("INSERT INTO assets VALUES (%s, 'GOLD', 0)", GOLD)
        session.configure(url)
        for name in ("keeper", "dealer"):
            made.start(name)
        yield made
        await session.close()
        for child in made.children.values():
            await child.stop()


def _gift(payer: solana.Sender, to: Pubkey) -> Any:
    given = TransferParams(from_pubkey=payer.key.pubkey(), to_pubkey=to, lamports=10 * players.SOL)
    return transfer(given)


async def seated(house: House) -> list[Table]:
    """The tables, once each has rounds that are final on its chain."""
    await house.until("SELECT count(DISTINCT table_id) = 2 FROM rounds")
    async with direct() as connection:
        return await tables.all_tables(connection)


async def player(table: Table, cash: int = 100_000) -> int:
    async with direct() as connection:
        cursor = await connection.execute(
            b"INSERT INTO players (casino_id, joined_at) VALUES (%s, now()) RETURNING id",
            (table.casino_id,),
        )
        [(made,)] = await cursor.fetchall()
        gift = opening(table.casino_id, table.casino, made, "gold", table.asset, cash)
        await run_many(connection, [gift])
    return int(made)


async def bet(table: Table, player_id: int) -> Answer:
    """On the round that is open, or the next one to be."""
    said: dict[str, Any] = {"numbers": {"spots": [3, 7, 40]}, "dice": {"over": True, "face": 4_000}}
    choice = said[table.game]
    async with direct() as connection:
        pays = await tables.all_pays(connection)
        cursor = await connection.execute(
            b"SELECT number FROM rounds WHERE table_id = %s AND state = 'waiting'"
            b" AND opens_at < clock_timestamp() AND closes_at > clock_timestamp()",
            (table.id,),
        )
        found = await cursor.fetchall()
        if not found:
            return Answer({}, code="ROUND_NOT_OPEN")
        [answer] = await run_many(
            connection,
            [
                Place(
                    casino_id=table.casino_id,
                    scope="test",
                    key=f"bet-{next(_keys)}",
                    actor="test",
                    table=table,
                    number=found[0][0],
                    player_id=player_id,
                    account=f"player:{player_id}",
                    payee=bytes(20 if table.network.startswith("eip155") else 32),
                    choice=msgspec.convert(choice, type=table.rules.Choice),
                    said=choice,
                    stake=10,
                    pays=pays,
                )
            ],
        )
    assert isinstance(answer, Answer)
    return answer


async def betting(table: Table, player_id: int, placed: list[str], enough: asyncio.Event) -> None:
    while not enough.is_set():
        answer = await bet(table, player_id)
        if answer.code is None:
            placed.append(answer.body["bet"])
        await asyncio.sleep(0.3)


def recover(digest: bytes, signature: bytes) -> bytes | None:
    compact = signature[:64] + bytes([signature[64] - 27])
    key = PublicKey.from_signature_and_message(compact, digest, hasher=None)
    return keccak256(key.format(compressed=False)[1:])[12:]


async def test_rounds_are_dealt_whoever_is_killed_and_every_bet_ends_once(house: House) -> None:
    """Keeper and dealer die again and again; books, rounds, bets and both bonds agree."""
    placed: list[str] = []
    seats = [(table, await player(table)) for table in await seated(house)]
    async with asyncio.TaskGroup() as tasks:
        enough = asyncio.Event()
        for table, player_id in seats:
            tasks.create_task(betting(table, player_id, placed, enough))
        for name in ("dealer", "keeper", "dealer", "dealer"):
            await asyncio.sleep(2.7)
            await house.kill(name)
        enough.set()
    assert len(placed) > 10
    await house.until(
        "SELECT count(*) = 0 FROM round_bets WHERE state IN ('placed', 'owed')", seconds=60
    )
    found = await house.rows("SELECT encode(bet, 'hex') FROM round_bets")
    assert sorted(row[0] for row in found) == sorted(placed)
    states = await house.rows(
        "SELECT DISTINCT r.state FROM rounds r JOIN round_bets b USING (table_id, number)"
    )
    assert states == [("settled",)]
    for table, player_id in seats:
        [(balance,)] = await house.rows(
            "SELECT balance FROM accounts WHERE casino_id = %s AND name = %s",
            table.casino_id,
            f"player:{player_id}:cash",
        )
        [(gain,)] = await house.rows(
            "SELECT sum(payout - stake) FROM round_bets WHERE player_id = %s", player_id
        )
        assert balance == 100_000 + gain
    await house.until("SELECT count(*) = 0 FROM rounds WHERE bets > 0 AND revealed_at IS NULL")
    assert await house.rows("SELECT trouble FROM round_tables") == [(None,), (None,)]


async def test_anybody_can_check_a_round_and_a_bet_of_it(house: House) -> None:
    for table in await seated(house):
        [(number, id)] = await house.rows(
            "SELECT b.number, b.bet FROM round_bets b JOIN rounds r USING (table_id, number)"
            " WHERE table_id = %s AND r.state = 'settled' ORDER BY b.id LIMIT 1",
            table.id,
        )
        async with direct() as connection:
            proof = await proofs.proof(connection, table, number, bytes(id))
        steps = verify(proof, recover=recover)
        assert {step.status for step in steps} == {OK, UNCHECKED}
        for name in ("commitment", "bets", "signature", "outcome", "draw", "bet", "payout"):
            assert [step.status for step in steps if step.name == name] == [OK], name


async def test_a_round_closes_in_time_and_is_drawn_while_the_next_one_is_open(
    house: House,
) -> None:
    await house.until("SELECT count(*) > 3 FROM rounds WHERE state = 'settled'")
    early = await house.rows("SELECT number FROM rounds WHERE closed_at < closes_at")
    assert early == []
    before = await house.rows(
        "SELECT count(*) FROM rounds WHERE drawn_at < closes_at + interval '2 s'"
    )
    assert before == [(0,)]  # the beacon is later than any bet by two seconds
    # Of rounds that began when nobody was killed any more: the result is there in time.
    [(now,)] = await house.rows("SELECT clock_timestamp()")
    untouched = f"opens_at > '{now}' AND state NOT IN ('waiting', 'skipped')"
    over = f"{untouched} AND closes_at < clock_timestamp() - interval '{RESULT_S} s'"
    await house.until(
        f"SELECT count(DISTINCT table_id) = 2 AND count(*) > 3 FROM rounds WHERE {over}"
    )
    late = await house.rows(
        f"SELECT number, drawn_at - closes_at FROM rounds WHERE {over}"
        f" AND (drawn_at IS NULL OR drawn_at > closes_at + interval '{RESULT_S} s')"
    )
    assert late == []
    order = await house.rows(
        "SELECT count(*) FROM rounds WHERE NOT (opened_at <= closed_at AND closed_at <= drawn_at"
        " AND drawn_at <= ended_at) AND state = 'settled'"
    )
    assert order == [(0,)]


async def test_batches_follow_one_another_without_a_gap(house: House) -> None:
    """Another batch is final before the last one is over."""
    await house.until(
        f"SELECT bool_and(most >= {2 * BATCH - 1}) FROM (SELECT max(number) AS most"
        " FROM rounds GROUP BY table_id) t",
        seconds=120,
    )
    gaps = await house.rows(
        "SELECT table_id, number FROM (SELECT *, lag(number) OVER (PARTITION BY table_id"
        " ORDER BY number) AS before FROM rounds) r WHERE number <> before + 1"
    )
    assert gaps == []
