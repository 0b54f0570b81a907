"""Every law holds on books that were played, and finds what somebody with all rights broke."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from psycopg import errors

from casino import invariants
from casino.commands import Answer, run_many
from casino.invariants import LAWS
from casino.invariants.laws import ALL, MOST, Connection, Fault, Window, examined
from casino.outbox import Message, announce
from casino.providers import DIALECTS
from casino.providers.asides import Tip
from casino.providers.calls import Credit, Debit, Rollback
from casino.providers.launches import Launched
from casino.providers.records import Jackpot
from casino.providers.reversals import Reversal
from casino.providers.rewards import Give
from db import session
from db.session import driver, transaction
from ledger import posting
from ledger.accounts import Account, cash
from ledger.transfers import move
from tests.casino.pairs.paired import Paired
from tests.casino.rounds.dealt import Dealt
from tests.casino.wagering import Player, one, value, work
from tests.casino.written import USD, counted, execute, sealed, written

BY_NAME = {law.name: law for law in LAWS}
CUSTODY = Account(1, "custody:eip155:1:0xc0", USD)
TREASURY = Account(1, "system:treasury", USD)
MINE, THEIRS = cash(1, 70, USD), cash(1, 71, USD)
LATER = datetime.now(UTC) + timedelta(hours=1)
BETS = """
INSERT INTO bets (casino_id, source_id, network, bet, asset, stake, payout, status, settled_tx,
    settled_index)
SELECT 1, 1, 'eip155:1', n::text, 'x', 5, 0, CASE WHEN n < 3 THEN 'settled' ELSE 'placed' END,
    CASE WHEN n < 3 THEN '0xaa' END, CASE WHEN n < 3 THEN n END
FROM generate_series(1, 4) n
"""
VAULT = f"""
INSERT INTO casinos (slug, name) VALUES ('house', 'House');
INSERT INTO networks (network, name, chain) VALUES ('eip155:1', 'ethereum', 'evm');
INSERT INTO sources (program, network, address, casino_id, start)
VALUES ('casino_evm', 'eip155:1', '0xc0', 1, 0);
INSERT INTO custodies (source_id, casino_id, network, address, asset, free, free_at)
VALUES (1, 1, 'eip155:1', '0xc0', '{USD}', 22000, now() + interval '1 hour');
INSERT INTO chain_transfers (casino_id, source_id, network, position, tx, index, finality,
    direction, asset, amount, player, transfer_id)
VALUES (1, 1, 'eip155:1', 1, '0x1', 0, 'finalized', 'deposited', '{USD}', 21500, '0xa1', 1);
"""
RELAXED = (
    "SET LOCAL session_replication_role = replica",
    "ALTER TABLE accounts DROP CONSTRAINT accounts_least, DROP CONSTRAINT accounts_held,"
    " DROP CONSTRAINT accounts_most",
)


@pytest.fixture(scope="module")
async def began(database_url: str) -> AsyncIterator[Window]:
    """Books on which everything happened that laws speak of; what was, before it did."""
    session.configure(database_url)
    await counted()
    await written(2, players=[60, 61])
    await sealed()
    async with transaction() as opened:
        [(since,)] = await execute(opened, "SELECT ledger_horizon()")
    await written(2, players=[60, 61])
    async with transaction() as opened:
        books, _ = await posting.opened(opened, [MINE, THEIRS, CUSTODY, TREASURY])
        books.post(move("deposit", source=CUSTODY, target=THEIRS, amount=500))
        books.post(move("bankroll", source=CUSTODY, target=TREASURY, amount=1000))
        for _ in range(2):
            books.post(move("deposit", source=CUSTODY, target=MINE, amount=10_000))
        books.hold(MINE, 30, expires_at=books.now + timedelta(days=1))
        books.hold(MINE, 40)
        await posting.written(opened, books)
        await announce(opened, [Message("user", "wallet.moved", "house")])
        await execute(opened, BETS)
        await execute(opened, VAULT)
    await played()
    await bonuses_given()
    await pairs_played()
    await dealt()
    yield Window(since, datetime.now(UTC))
    await session.close()


async def played() -> None:
    """A round at a provider: two bets, one of them taken back, and a payout."""
    launched = Launched(b"d", 1, "house", "jaqpot", "1", 71, "ada", USD, "USD", 2, LATER)
    said: dict[str, Any] = {"casino_id": 1, "scope": "calls", "actor": "tests", "game": "1"}
    said |= {"launched": launched, "policy": DIALECTS["jaqpot"].policy, "player": "ada"}
    said |= {"currency": "USD", "round": "round"}
    calls = [
        Debit(key="bet", amount=100, **said),
        Debit(key="back", amount=50, **said),
        Rollback(key="rollback", target="back", **said),
        Credit(key="win", target="bet", amount=250, **said),
    ]
    async with transaction() as opened:
        await execute(opened, "INSERT INTO casino_games VALUES (1, 'jaqpot', '1', 'One')")
        answers = await run_many(opened, calls)
    assert [isinstance(one, Answer) and one.code for one in answers] == [None] * 4
    await played_under_a_bonus(dict(said))
    await played_rarely(said)


async def played_under_a_bonus(said: dict[str, Any]) -> None:
    """A round paid with cash and bonus, and a bet whose bonus ended before its payout."""
    gambler = Player(1, "house", 72)
    grant = await gambler.given(50, cash=10)
    said |= {"launched": replace(said["launched"], player_id=72), "round": "under a bonus"}
    for call in (
        Debit(key="in both", amount=30, **said),
        Credit(key="won", target="in both", amount=45, **said),
        Debit(key="late", amount=20, **said),
        gambler.forfeit(grant),
        Credit(key="won late", target="late", amount=40, **said),
    ):
        assert (await one(call)).code is None


async def played_rarely(said: dict[str, Any]) -> None:
    """A bet for nothing, a jackpot that was taken back, and a tip."""
    said |= {"policy": DIALECTS["valkyrie"].policy, "round": "rare"}
    reward = Give(
        casino_id=1,
        scope="rewards",
        key="free",
        actor="tests",
        casino="house",
        provider="jaqpot",
        reward="free",
        player_id=71,
        asset=USD,
        count=2,
        game=None,
        expires_h=1,
    )
    for call in (
        reward,
        Debit(key="for nothing", amount=0, reward="free", **said),
        Debit(key="rare", amount=10, jackpots=(Jackpot("mini", contributed=5),), **said),
        Credit(
            key="jackpot", target="rare", amount=90, jackpots=(Jackpot("mini", won=60),), **said
        ),
        Reversal(key="reversal", target="jackpot", **said),
        Tip(key="tip", amount=5, **said),
    ):
        assert (await one(call)).code is None


async def bonuses_given() -> None:
    """A bonus that is active, one that was wagered, and one that was taken back."""
    slug = "INSERT INTO casinos (slug, name) VALUES ('laws', 'Laws') RETURNING id"
    casino_id = await value(slug)
    first, second, third = (Player(casino_id, "laws", number) for number in (80, 81, 82))
    for player in (first, second, third):
        grant = await player.given(5)
    await one(third.forfeit(grant))
    await second.played("b", 5, won=9)
    await work(second)


async def pairs_played() -> None:
    """Twelve bets of a pair, some of them won."""
    paired = await Paired.at()
    key = await paired.active(await paired.player())
    choice = {"over": False, "face": 8_000}
    answers = await paired.run_all([paired.bet(key, choice=choice) for _ in range(12)])
    assert {one.code for one in answers} == {None}


async def dealt() -> None:
    """A round in each of its states, with bets: settled, void, drawn, closed, given up, waiting."""
    table = await Dealt.at()
    await table.batch(6, opens_in=-5, period=60)
    ada = await table.player()
    for number in range(6):
        await table.moved(number, 60 * number)
        high, low = {"over": True, "face": 4_999}, {"over": False, "face": 5_000}
        for choice in (high, low):
            assert (await table.run(table.bet(ada, number, choice=choice))).code is None
    for number in range(5):
        await table.moved(number, 60)
        assert await table.close(number) is not None
    for number in (0, 2):
        assert await table.draw(number) is not None
    for number in (1, 4):
        assert await table.give_up(number)
    assert [await table.settle(0), await table.settle(1)] == ["settled", "void"]


async def found(connection: Connection, law: str, window: Window) -> list[Fault]:
    return list(await BY_NAME[law].check(connection, window))


def test_every_law_of_the_folder_is_in_its_table_of_contents() -> None:
    folder = Path(invariants.__file__).parent
    rooms = {path.stem for path in folder.glob("*.py")} - {"__init__", "laws"}
    assert {law.name for law in LAWS} == rooms
    assert len(BY_NAME) == len(LAWS)
    assert all(law.says and law.says[-1] != "." for law in LAWS)


@pytest.mark.parametrize("law", sorted(BY_NAME))
async def test_a_law_holds_on_books_that_only_the_house_wrote(law: str, began: Window) -> None:
    for window in (ALL, began):
        async with transaction() as opened:
            examination = await examined(opened, BY_NAME[law], window)
        assert examination.faults == ()
        assert examination.holds is True
        assert examination.reach is not None


FIRST = "(SELECT id FROM accounts WHERE name = 'player:70:cash')"
BETS_OF = (
    "UPDATE round_bets b SET state = '{}' FROM rounds r WHERE r.state = '{}'"
    " AND (r.table_id, r.number) = (b.table_id, b.number)"
)
# As somebody would write it who knows that a round holds the sum of its payouts.
PAID = (
    "WITH changed AS (UPDATE round_bets SET {} WHERE state = '{}' RETURNING table_id, number)"
    " UPDATE rounds r SET payout = r.payout + {} FROM changed c"
    " WHERE (r.table_id, r.number) = (c.table_id, c.number)"
)
BREAKS = [
    ("sums", "UPDATE accounts SET balance = balance + 1 WHERE name = 'system:treasury'"),
    ("sums", f"DELETE FROM entries WHERE account_id = {FIRST} AND version = 1"),
    ("sums", "INSERT INTO transfers (id, casino_id, type, at) VALUES (-1, 1, 'x', now())"),
    ("sums", "DELETE FROM transfers WHERE type = 'deposit'"),
    ("sums", f"UPDATE entries SET transfer_id = -5 WHERE account_id = {FIRST}"),
    (
        "entries",
        f"UPDATE entries SET before = before + 1, after = after + 1 WHERE account_id = {FIRST}"
        " AND version = 2",
    ),
    ("entries", f"DELETE FROM entries WHERE account_id = {FIRST} AND version = 1"),
    (
        "entries",
        f"UPDATE entries SET at = at - interval '1 day' WHERE account_id = {FIRST} AND version = 2",
    ),
    (
        "entries",
        f"UPDATE entries SET version = 3 WHERE account_id = {FIRST} AND version = 2",
    ),
    ("balances", f"UPDATE accounts SET balance = balance + 1 WHERE id = {FIRST}"),
    ("balances", f"UPDATE accounts SET version = version + 1 WHERE id = {FIRST}"),
    ("balances", f"DELETE FROM entries WHERE account_id = {FIRST} AND version = 2"),
    ("balances", f"UPDATE entries SET account_id = -7 WHERE account_id = {FIRST}"),
    ("floors", f"UPDATE accounts SET balance = -1 WHERE id = {FIRST}"),
    ("floors", f"UPDATE accounts SET balance = 69, least = NULL WHERE id = {FIRST}"),
    ("floors", f"UPDATE accounts SET most = 5 WHERE id = {FIRST}"),
    (
        "floors",
        "INSERT INTO accounts (casino_id, name, asset, colour, balance)"
        f" VALUES (1, 'player:70:debt', '{USD}', 'cash', 1)",
    ),
    ("holds", f"UPDATE accounts SET held = held + 1 WHERE id = {FIRST}"),
    ("holds", "UPDATE holds SET remaining = 29 WHERE amount = 30"),
    ("holds", "DELETE FROM holds"),
    ("holds", "UPDATE accounts SET held = 0"),
    ("holds", "INSERT INTO holds SELECT 1, 1, -9, 5, 5, 'open', NULL, NULL, now(), NULL"),
    ("holds", f"UPDATE accounts SET balance = 69 WHERE id = {FIRST}"),
    ("lapses", "UPDATE holds SET expires_at = now() - interval '1 hour' WHERE amount = 30"),
    ("custody", "UPDATE accounts SET balance = balance + 1000 WHERE name LIKE 'custody:%'"),
    ("custody", f"UPDATE accounts SET balance = 10 ^ 9 WHERE id = {FIRST}"),
    ("custody", "UPDATE custodies SET free = 20000"),
    ("custody", "UPDATE chain_transfers SET amount = 20999"),
    (
        "custody",
        "INSERT INTO chain_transfers (casino_id, source_id, network, position, tx, index, finality,"
        " direction, asset, amount, player) SELECT 1, 1, network, 1, tx, 1, finality, 'withdrawn',"
        " asset, 0, player FROM chain_transfers",
    ),
    ("outbox", "UPDATE outbox SET created_at = now() - interval '1 hour'"),
    ("bets", "UPDATE bets SET settled_tx = NULL WHERE bet = '1'"),
    ("bets", "UPDATE bets SET settled_index = 7"),
    ("bets", "UPDATE bets SET status = 'won' WHERE bet = '3'"),
    ("bets", "UPDATE bets SET settled_index = 1 WHERE bet = '2'"),
    ("bets", "UPDATE bets SET payout = -1 WHERE bet = '1'"),
    ("calls", "UPDATE casino_calls SET amount = 99, cash = 99 WHERE id = 'bet'"),
    ("calls", "UPDATE casino_calls SET cash = 0, bonus = 250 WHERE id = 'win'"),
    ("calls", "UPDATE casino_calls SET state = 'done' WHERE id = 'back'"),
    ("calls", "UPDATE casino_calls SET state = 'returned' WHERE id = 'bet'"),
    ("calls", "DELETE FROM casino_calls WHERE id = 'rollback'"),
    ("calls", "UPDATE casino_calls SET transfer_id = NULL WHERE id = 'win'"),
    ("calls", "UPDATE casino_rounds SET standing = 2"),
    ("calls", "UPDATE casino_rounds SET cash = 99, bonus = 0"),
    ("calls", "UPDATE casino_rounds SET cash = cash + 1, bonus = bonus - 1 WHERE bonus > 0"),
    ("calls", "UPDATE casino_rounds SET parts = NULL WHERE bonus > 0"),
    ("calls", "UPDATE casino_calls SET bonus = 5 WHERE id = 'won late'"),
    ("calls", "UPDATE casino_calls SET state = 'done' WHERE id = 'jackpot'"),
    ("calls", "DELETE FROM casino_calls WHERE id = 'reversal'"),
    ("calls", "UPDATE casino_calls SET amount = 4, cash = 4 WHERE id = 'tip'"),
    ("calls", "UPDATE casino_rewards SET used = 2"),
    ("calls", "UPDATE casino_jackpots SET won = 91 WHERE won > 0"),
    (
        "calls",
        "UPDATE casino_calls SET amount = amount + CASE id WHEN 'back' THEN 0 ELSE 1 END,"
        " at = at - CASE id WHEN 'back' THEN interval '1 day' ELSE '0' END"
        " WHERE id IN ('back', 'rollback')",
    ),
    ("rounds", "UPDATE rounds SET bets = bets + 1"),
    ("rounds", "UPDATE rounds SET stake = stake - 1 WHERE state = 'closed'"),
    ("rounds", "UPDATE rounds SET liability = liability + 1 WHERE state = 'waiting'"),
    ("rounds", "UPDATE rounds SET payout = payout + 1 WHERE state = 'settled'"),
    ("rounds", "UPDATE rounds SET payout = payout - 1 WHERE state = 'void'"),
    ("rounds", "UPDATE rounds SET payout = 1 WHERE state = 'drawn'"),
    ("rounds", "UPDATE round_bets SET position = 7 WHERE position = 1 AND state = 'placed'"),
    ("rounds", "DELETE FROM round_bets WHERE state = 'placed'"),
    ("rounds", "UPDATE round_bets SET state = 'placed' WHERE state = 'lost'"),
    ("rounds", "UPDATE round_bets SET state = 'won' WHERE state = 'returned'"),
    ("rounds", BETS_OF.format("returned", "drawn")),
    ("rounds", BETS_OF.format("lost", "closed")),
    ("rounds", BETS_OF.format("owed", "closed")),
    ("rounds", BETS_OF.format("won", "closed") + " AND r.reason IS NOT NULL"),
    ("rounds", BETS_OF.format("lost", "waiting")),
    (
        "rounds",
        "UPDATE rounds SET state = 'skipped', reason = 'x', ended_at = now()"
        " WHERE state = 'waiting'",
    ),
    ("rounds", "UPDATE round_bets SET transfer_id = -1 WHERE state = 'lost'"),
    ("rounds", "UPDATE round_bets SET paid_id = NULL WHERE state = 'won'"),
    ("rounds", PAID.format("payout = payout - 1", "won", -1)),
    ("rounds", PAID.format("payout = payout - 1, grant_id = 1", "won", -1)),
    ("rounds", PAID.format("payout = payout - 1, state = 'owed'", "won", -1)),
    ("rounds", PAID.format("payout = 5", "lost", 5)),
    ("bonuses", "UPDATE grants SET player_id = 999 WHERE state = 'active'"),
    ("bonuses", "UPDATE grants SET added = 2, removed = 7 WHERE state = 'completed'"),
    ("bonuses", "UPDATE grants SET before = 6, removed = 6 WHERE state = 'forfeited'"),
    ("bonuses", "DELETE FROM transfers WHERE type = 'bonus.completed'"),
    ("bonuses", "UPDATE grants SET done_bp = required_bp WHERE state = 'active'"),
    ("bonuses", "UPDATE grants SET done_bp = done_bp + 1 WHERE state = 'completed'"),
    ("bonuses", "UPDATE wagers SET counted_bp = counted_bp - 1"),
    ("bonuses", "DELETE FROM wagers"),
    ("bonuses", 'UPDATE campaigns SET terms = terms || \'{"max_win": "3"}\''),
    ("bonuses", "UPDATE campaigns SET terms = terms || '{\"sticky\": true}'"),
    ("bonuses", "INSERT INTO late_returns SELECT id, 5 FROM grants WHERE state = 'forfeited'"),
    ("pairs", "UPDATE pair_bets SET nonce = 40 WHERE nonce = 2"),
    ("pairs", "DELETE FROM pair_bets WHERE nonce = 11"),
    ("pairs", "UPDATE pair_bets SET previous = digest WHERE nonce = 3"),
    ("pairs", "UPDATE pair_bets SET digest = 'x' WHERE nonce = 3"),
    ("pairs", "UPDATE pairs SET commit = 'x'"),
    ("pairs", "UPDATE pairs SET last = 'x'"),
    ("pairs", "UPDATE pairs SET stake = stake + 1"),
    ("pairs", "UPDATE pairs SET bets = bets + 1"),
    ("pairs", "UPDATE pair_bets SET payout = payout + 1 WHERE payout > 0"),
    ("pairs", "UPDATE pair_bets SET stake = stake + 1, cash = cash + 1 WHERE nonce = 0"),
    (
        "pairs",
        "UPDATE pair_bets SET paid_id = -1 WHERE nonce = (SELECT min(nonce) FROM pair_bets"
        " WHERE payout > 0)",
    ),
    ("pairs", "DELETE FROM pair_bets"),
    (
        "pairs",
        "INSERT INTO transfers (id, casino_id, type, at) VALUES (-1, 1, 'pair_payout', now())",
    ),
    ("seals", "UPDATE requests SET at = at - interval '1 day'"),
    ("seals", "UPDATE seals SET count = count + 1"),
    ("seals", "UPDATE seals SET upper = 10 ^ 15"),
]


@pytest.mark.parametrize(("law", "statement"), BREAKS)
@pytest.mark.parametrize("only", ["everything", "what is new"])
async def test_a_law_that_somebody_broke_says_so_with_evidence(
    law: str, statement: str, only: str, began: Window
) -> None:
    async with transaction() as opened:
        for relaxing in RELAXED:
            await execute(opened, relaxing)
        await execute(opened, statement)
        connection = await driver(opened)
        faults = await found(connection, law, ALL if only == "everything" else began)
        assert 0 < len(faults) <= MOST
        assert all(fault.said and fault.evidence for fault in faults)
        await opened.rollback()


async def test_progress_that_no_bet_made_names_its_bonus(began: Window) -> None:
    async with transaction() as opened:
        for relaxing in RELAXED:
            await execute(opened, relaxing)
        by_hand = "UPDATE grants SET done_bp = required_bp WHERE state = 'active' RETURNING id"
        ids = {str(id) for (id,) in await execute(opened, by_hand)}
        connection = await driver(opened)
        for window in (ALL, began):
            faults = await found(connection, "bonuses", window)
            assert {fault.evidence["grant_id"] for fault in faults} == ids
        # What is not worth money yet is found by the look at everything.
        await execute(opened, "UPDATE grants SET done_bp = 1 WHERE state = 'active'")
        assert await found(connection, "bonuses", began) == []
        assert len(await found(connection, "bonuses", ALL)) == len(ids)
        await opened.rollback()


async def test_a_look_at_a_vault_is_held_against_the_books_of_its_moment(began: Window) -> None:
    """However much was booked since, as a busy house books all the time."""
    then = f"SELECT posted_at FROM accounts WHERE name = '{MINE.name}'"
    async with transaction() as opened:
        connection = await driver(opened)
        for moment, free, poor in (
            ("'2020-01-01'", 0, False),
            (f"({then}) - interval '1 microsecond'", 15_000, False),
            (f"({then})", 15_000, True),
        ):
            await execute(opened, f"UPDATE custodies SET free = {free}, free_at = {moment}")
            for window in (ALL, began):
                assert bool(await found(connection, "custody", window)) is poor, moment
        await opened.rollback()


async def test_the_house_may_owe_what_players_may_not(began: Window) -> None:
    async with transaction() as opened:
        [(least,)] = await execute(opened, "SELECT min(balance)::int FROM accounts")
        assert least < 0


async def test_a_look_at_what_is_new_leaves_the_old_alone(began: Window) -> None:
    """That is what makes it cheap; everything is looked at once a day and by the command."""
    async with transaction() as opened:
        for relaxing in RELAXED:
            await execute(opened, relaxing)
        await execute(opened, "UPDATE entries SET before = 7, after = amount + 7 WHERE version = 1")
        [(since,)] = await execute(opened, "SELECT ledger_next()")
        connection = await driver(opened)
        assert await found(connection, "entries", Window(since, datetime.now(UTC))) == []
        assert await found(connection, "entries", ALL) != []
        await opened.rollback()


async def test_a_check_sees_one_moment_however_long_it_takes(began: Window) -> None:
    class Slow:
        name, says = "slow", "nothing moves while it looks"

        async def check(self, connection: Connection, window: Window) -> list[Fault]:
            before = await self.seen(connection)
            await written(1, players=[62])
            assert await self.seen(connection) == before
            with pytest.raises(errors.ReadOnlySqlTransaction):
                await connection.execute("DELETE FROM outbox")
            return []

        async def seen(self, connection: Connection) -> list[tuple[int, int]]:
            cursor = await connection.execute(
                "SELECT (SELECT count(*) FROM entries), (SELECT count(*) FROM transfers)"
            )
            return await cursor.fetchall()

    async with transaction() as opened:
        assert (await examined(opened, Slow())).holds


async def test_a_law_brings_no_more_evidence_than_can_be_read(began: Window) -> None:
    async with transaction() as opened:
        for relaxing in RELAXED:
            await execute(opened, relaxing)
        transfers = "INSERT INTO transfers (id, casino_id, type, at) SELECT -n, 1, 'x', now()"
        await execute(opened, f"{transfers} FROM generate_series(1, 500) n")
        await execute(opened, "UPDATE accounts SET balance = balance + 1")
        assert len(await found(await driver(opened), "sums", ALL)) == MOST
        await opened.rollback()
