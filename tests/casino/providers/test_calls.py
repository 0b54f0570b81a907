"""Calls as the casino decides them, under each policy; amounts, signatures and bonus money."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import random
import re
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from Crypto.Hash import SHA256
from Crypto.PublicKey import RSA
from Crypto.Signature import pkcs1_15
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from casino import samples as wallet_samples
from casino.commands import Answer, Command, Desk, run_many
from casino.providers import DIALECTS, records, rewards, samples
from casino.providers.calls import UNNAMED, Credit, Debit, Policy, ProviderCall, Rollback
from casino.providers.codes import Code, Refused
from casino.providers.launches import Launched
from casino.providers.money import MOST, SHOWN, Decimals, Money, Scaled
from casino.providers.samples import USD
from casino.providers.signatures import hmac_sha256, is_hmac, is_rsa
from casino.wallets import TREASURY, Move, move_many
from db import session
from ledger.accounts import Account
from ledger.transfers import Posting, Transfer
from local.postgres import Postgres
from tests.casino.wagering import Player, conserved, one, rows, value, work
from tests.conftest import copied

_numbers = itertools.count(1)
LATER = datetime.now(UTC) + timedelta(hours=1)
SESSION = f"{UNNAMED}session"  # the round of calls that name none
STRICT = Policy(
    accept_unknown_target=False,
    current_balance=True,
    refund_must_match=True,
    bet_after_payout=False,
    zero_closes=True,
)


def fresh(name: str) -> str:
    return f"{name}-{next(_numbers)}"


@pytest.fixture(scope="module", autouse=True)
async def house(database_url: str) -> AsyncIterator[None]:
    session.configure(database_url)
    async with session.transaction() as opened:
        await wallet_samples.give(opened, "house")
        await samples.give(opened, "house")
    yield
    await session.close()


@pytest.fixture
async def launched() -> Launched:
    """A player of their own, with ten dollars."""
    player_id = next(_numbers) + 1000
    one = Launched(b"d", 1, "house", "jaqpot", "1", player_id, "ada", USD, "USD", 2, LATER)
    move = Move(
        casino_id=1,
        casino="house",
        scope="tests",
        key=fresh("move"),
        actor="tests",
        type="top_up",
        player_id=player_id,
        asset=USD,
        amount=1000,
        source=TREASURY,
        target=f"player:{player_id}:cash",
    )
    async with session.transaction() as opened:
        await move_many(opened, [move])
    return one


def call(kind: type[ProviderCall], launched: Launched, **said: Any) -> Any:
    plain: dict[str, Any] = {
        "casino_id": 1,
        "scope": "provider:1:jaqpot",
        "key": fresh("call"),
        "actor": "provider:jaqpot",
        "launched": launched,
        "policy": STRICT,
        "player": "ada",
        "game": "1",
        "currency": "USD",
        "round": "round",
    }
    return kind(**{**plain, **said})


async def run(*commands: Command) -> list[Answer]:
    """In one transaction, as they would come in one batch."""
    async with session.transaction() as opened:
        answers = await run_many(opened, commands)
    found = [one for one in answers if isinstance(one, Answer)]
    assert len(found) == len(answers)
    return found


async def test_a_rollback_over_another_amount_is_refused_where_amounts_must_match(
    launched: Launched,
) -> None:
    """31"""
    bet = call(Debit, launched, amount=100)
    wrong = call(Rollback, launched, target=bet.key, amount=40)
    right = call(Rollback, launched, target=bet.key, amount=100)
    answers = await run(bet, wrong, right)
    assert [one.code for one in answers] == [None, Code.AMOUNT_MISMATCH, None]
    assert answers[2].body["balance"] == "1000"


async def test_a_batch_that_holds_a_whole_round_is_decided_in_its_order(
    launched: Launched,
) -> None:
    bet, other = call(Debit, launched, amount=100), call(Debit, launched, amount=50)
    late = fresh("late")
    answers = await run(
        call(Rollback, launched, target=late),
        call(Debit, launched, amount=10, key=late),
        bet,
        other,
        call(Rollback, launched, target=other.key),
        call(Credit, launched, amount=300, target=bet.key),
        call(Debit, launched, amount=10),
        bet,
    )
    rolled, closed = Code.ROLLED_BACK, Code.ROUND_CLOSED
    assert [one.code for one in answers] == [None, rolled, None, None, None, None, closed, None]
    assert [one.replayed for one in answers] == [False] * 7 + [True]
    assert answers[6].body["balance"] == "1200"


async def test_a_payout_of_a_round_without_a_standing_bet_is_refused(
    launched: Launched,
) -> None:
    """24"""
    bet = call(Debit, launched, amount=100)
    back = call(Rollback, launched, target=bet.key)
    paid = call(Credit, launched, amount=500)
    answers = await run(bet, back, paid, call(Credit, launched, amount=500, round="never"))
    assert [one.code for one in answers] == [None, None, Code.ROLLED_BACK, Code.BET_NOT_FOUND]
    assert answers[3].body["balance"] == "1000"


async def test_a_call_that_was_decided_is_never_changed(launched: Launched) -> None:
    """13"""
    bet = call(Debit, launched, amount=100)
    await run(bet)
    for statement in (
        "UPDATE casino_calls SET amount = 1, cash = 1 WHERE id = :id",
        "UPDATE casino_calls SET state = 'tombstone' WHERE id = :id",
        "DELETE FROM casino_calls WHERE id = :id",
    ):
        with pytest.raises(Exception, match="never allowed"):
            async with session.transaction() as opened:
                await opened.execute(text(statement), {"id": bet.key})


async def test_a_bet_taken_back_by_other_hands_is_neither_refunded_nor_paid(
    launched: Launched,
) -> None:
    bet = call(Debit, launched, amount=100)
    [answer] = await run(bet)
    assert answer.transfer_id is not None
    mine = Account(1, f"player:{launched.player_id}:cash", USD)
    back = (Posting(mine, 100), Posting(Account(1, "house:stakes", USD), -100))
    async with session.transaction() as opened:
        await run_many(opened, [_Posted(bet, Transfer("undo", back, reverses=answer.transfer_id))])
    [paid] = await run(call(Credit, launched, amount=500, target=bet.key))
    assert (paid.code, paid.body["balance"]) == (Code.ROLLED_BACK, "1000")
    [refused] = await run(call(Rollback, launched, target=bet.key))
    assert (refused.code, refused.body["balance"]) == (Code.ALREADY_ROLLED_BACK, "1000")


class _Posted(Command):
    """A transfer by hand."""

    def __init__(self, like: Debit, transfer: Transfer) -> None:
        object.__setattr__(self, "transfer", transfer)
        super().__init__(casino_id=1, scope="hands", key=f"undo {like.key}", actor="a person")

    @property
    def verb(self) -> str:
        return "undo"

    def asked(self) -> dict[str, Any]:
        return {}

    def accounts(self) -> Iterable[Account]:
        transfer: Transfer = vars(self)["transfer"]
        return [one.account for one in transfer.postings]

    def decide(self, desk: Desk) -> Answer:
        return Answer({"transfer": str(desk.books.post(vars(self)["transfer"]).id)})


async def lucky(launched: Launched, amount: int, **terms: Any) -> tuple[Player, int]:
    """A bonus for the player, who spent all cash before."""
    player = Player(1, "house", launched.player_id)
    await run(call(Debit, launched, amount=1000, round="before"))
    return player, await player.given(amount, **terms)


async def test_a_stake_in_two_colours_comes_back_in_both(launched: Launched) -> None:
    """31, 54"""
    player, grant = await lucky(launched, 500, order="mixed")
    await player.topped(500)
    bet, gone = call(Debit, launched, amount=101), call(Debit, launched, amount=300)
    answers = await run(
        bet,
        gone,
        call(Rollback, launched, target=gone.key, amount=300),
        call(Credit, launched, amount=202, target=bet.key),
    )
    bodies = [one.body for one in answers]
    assert [one["balance"] for one in bodies] == ["899", "599", "899", "1101"]
    split = [(one["cash"], one["bonus"]) for one in bodies]
    assert split == [("51", "50"), ("150", "150"), ("150", "150"), ("102", "100")]
    assert await player.balances() == (551, 550)
    await work(player)
    assert await player.state(grant) == ("active", 101 * 10_000)


async def test_a_payout_of_a_round_returns_to_every_bonus_that_paid_for_it(
    launched: Launched,
) -> None:
    """Bonus statements 11, 12: a round over the end of a bonus, which names no bet."""
    player, first = await lucky(launched, 100, stacking="queue")
    await one(player.grant(100, f"of-{player.number}"))
    await run(call(Debit, launched, amount=100))
    await one(player.forfeit(first))
    await player.topped(100)
    await run(call(Debit, launched, amount=200))
    assert await player.balances() == (0, 0)
    [answer] = await run(call(Credit, launched, amount=601))
    # Of three hundreds one was cash, one of the bonus that is lost, one of the one that is active.
    assert (answer.body["cash"], answer.body["bonus"]) == ("201", "200")
    assert await player.balances() == (201, 200)
    second = await value(
        "SELECT id FROM grants WHERE player_id = :p AND state = 'active'", p=player.number
    )
    await work(player)
    assert await player.state(first) == ("forfeited", 0)
    assert await player.state(second) == ("completed", 200 * 10_000)
    assert await player.balances() == (401, 0)


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
async def test_in_whatever_order_calls_come_each_bet_counts_once(
    launched: Launched, dialect: str
) -> None:
    """Bonus statements 3, 19: what is done is the sum of bets that are over and stand."""
    player, grant = await lucky(launched, 10_000, multiplier_bp=10_000_000)
    chance, said = random.Random(dialect), {"policy": DIALECTS[dialect].policy}
    calls: list[Any] = []
    over: dict[str, int] = {}
    standing: dict[str, tuple[str, int]] = {}
    for _ in range(60):
        batch = [_any_call(chance, launched, calls, said) for _ in range(chance.randint(1, 5))]
        calls += batch
        for made, answer in zip(batch, await run(*batch), strict=True):
            if answer.code is not None or answer.replayed or answer.body.get("nothing"):
                continue
            if isinstance(made, Debit):
                standing[made.key] = made.round, made.amount
            if isinstance(made, Rollback):
                del standing[made.target]
                over.pop(made.target, None)
            if made.closes or isinstance(made, Credit):
                # A call that names a bet is about the round of that bet, or in that of a session
                # about this bet alone; and no call closes one of these.
                target = getattr(made, "target", None) or ""
                ends = standing.get(target, (made.round, 0))[0]
                ended = {bet: one for bet, (round, one) in standing.items() if round == ends}
                if ends == SESSION:
                    ended = ended if isinstance(made, Credit) else {}
                    ended = {target: ended[target]} if target and ended else ended
                over |= ended
    assert len(over) > 15
    await work(player)
    assert await player.state(grant) == ("active", 10_000 * sum(over.values()))
    await conserved()


def _any_call(chance: random.Random, launched: Launched, before: list[Any], said: Any) -> Any:
    """One of a few rounds, and sometimes one that came before."""
    if before and chance.random() < 0.2:
        return chance.choice(before)
    kinds: list[type[ProviderCall]] = [Debit, Debit, Credit, Rollback]
    round, kind = f"of-{chance.randrange(40)}", chance.choice(kinds)
    if chance.random() < 0.3:
        round = SESSION
    bets = [one.key for one in before if isinstance(one, Debit) and one.round == round]
    said = {**said, "round": round, "closes": chance.random() < 0.1}
    if not bets and chance.random() < 0.8:
        kind = Debit
    if kind is Rollback:
        return call(kind, launched, **said, target=chance.choice([*bets, fresh("never")]))
    if kind is Credit:
        said["target"] = chance.choice([*bets, None])
    return call(kind, launched, **said, amount=chance.randrange(15))


@contextlib.asynccontextmanager
async def shut() -> AsyncIterator[None]:
    """The house takes no stakes and pays no winnings."""
    query = "UPDATE accounts SET closed_at = {} WHERE name = 'house:stakes'"
    await rows(query.format("now()"))
    try:
        yield
    finally:
        await rows(query.format("NULL"))


LEFT = """
SELECT (SELECT count(*) FROM outbox WHERE player = :p),
    (SELECT count(*) FROM transfers WHERE reference = 'grant\\:' || :g),
    (SELECT count(*) FROM late_returns WHERE grant_id = cast(:g AS bigint)),
    (SELECT count(*) FROM waiting_wagers WHERE grant_id = cast(:g AS bigint)),
    (SELECT count(*) FROM casino_rounds WHERE player_id = cast(:p AS bigint)),
    (SELECT sum(version) FROM accounts WHERE name LIKE 'player\\:' || :p || '\\:%')
"""


async def test_a_bet_that_is_declined_at_last_ends_no_bonus(launched: Launched) -> None:
    player, grant = await lucky(launched, 100, max_bet=5, above_max_bet="forfeit")
    await player.topped(50)
    said = {"p": str(player.number), "g": str(grant)}
    before = await rows(LEFT, **said)
    async with shut():
        [answer] = await run(call(Debit, launched, amount=50))
    assert (answer.code, answer.body["balance"]) == (Code.PLAYER_DISABLED, "150")
    assert await player.state(grant) == ("active", 0)
    assert await rows(LEFT, **said) == before


async def test_a_payout_that_is_declined_at_last_has_not_come_late(launched: Launched) -> None:
    player, grant = await lucky(launched, 100)
    late = call(Debit, launched, amount=40)
    await run(late)
    await player.played("a", 60, won=60)
    await player.played("b", 40, won=40)
    await work(player)
    said = {"p": str(player.number), "g": str(grant)}
    before = await rows(LEFT, **said)
    async with shut():
        [answer] = await run(call(Credit, launched, amount=70, target=late.key))
    assert (answer.code, answer.body["balance"]) == (Code.PLAYER_DISABLED, "60")
    assert await rows(LEFT, **said) == before


async def test_a_refusal_of_the_books_is_an_answer_too(launched: Launched) -> None:
    async with session.transaction() as opened:
        await opened.execute(
            text("UPDATE accounts SET closed_at = now() WHERE name = :name"),
            {"name": f"player:{launched.player_id}:cash"},
        )
    bet = replace(call(Debit, launched, amount=0), key=fresh("bet"))
    [answer] = await run(bet)
    assert answer.code == Code.PLAYER_DISABLED


@given(st.integers(0, 10**24), st.integers(0, 18), st.sampled_from([None, 0, 2, 5, 18]))
def test_what_is_said_is_read_as_the_same_amount(
    amount: int, scale: int, digits: int | None
) -> None:
    """49"""
    money = Scaled(digits)
    said = money.say(amount, scale)
    if digits is None or digits >= scale:
        assert money.read(said, scale) == amount
    else:
        assert money.read(said, scale) <= amount < money.read(said + 1, scale)


AMOUNTS: list[tuple[Money, Any, int, int]] = [
    (Decimals(6), 12, 2, 1200),
    (Decimals(6), Decimal("12.30"), 2, 1230),
    (Decimals(6), Decimal("-0.0"), 2, 0),
    (Decimals(6), Decimal("1E+2"), 0, 100),
    (Decimals(6), Decimal("0.000001"), 18, 10**12),
    (Scaled(), 0, 2, 0),
    (Scaled(), 150, 2, 150),
    (Scaled(5), 356_000, 2, 356),
    (Scaled(5), 1, 8, 1000),
]
NO_AMOUNTS: list[tuple[Money, object, Code]] = [
    (Decimals(6), Decimal("0.001"), Code.BAD_AMOUNT),
    (Decimals(6), Decimal("0.0000001"), Code.BAD_AMOUNT),
    (Decimals(6), Decimal("1." + "0" * 40 + "1"), Code.BAD_AMOUNT),
    (Decimals(6), Decimal("1E+400"), Code.BAD_AMOUNT),
    (Decimals(6), Decimal("1E-999999"), Code.BAD_AMOUNT),
    (Decimals(6), MOST, Code.BAD_AMOUNT),
    (Decimals(6), Decimal("-0.01"), Code.NEGATIVE_AMOUNT),
    (Decimals(6), Decimal("NaN"), Code.WRONG_TYPE),
    (Decimals(6), 1.5, Code.WRONG_TYPE),
    (Decimals(6), "1.5", Code.WRONG_TYPE),
    (Decimals(6), True, Code.WRONG_TYPE),
    (Scaled(5), 356_001, Code.BAD_AMOUNT),
    (Scaled(), MOST + 1, Code.BAD_AMOUNT),
    (Scaled(), -1, Code.NEGATIVE_AMOUNT),
    (Scaled(), 1.0, Code.WRONG_TYPE),
    (Scaled(), "1", Code.WRONG_TYPE),
    (Scaled(), True, Code.WRONG_TYPE),
    (Scaled(), None, Code.WRONG_TYPE),
]


@pytest.mark.parametrize(("money", "said", "scale", "meant"), AMOUNTS)
def test_amounts_are_read_exactly(money: Money, said: Any, scale: int, meant: int) -> None:
    """49"""
    assert money.read(said, scale) == meant


@pytest.mark.parametrize(("money", "said", "code"), NO_AMOUNTS)
def test_what_is_no_exact_amount_is_refused(money: Money, said: object, code: Code) -> None:
    """49"""
    with pytest.raises(Refused) as refused:
        money.read(said, 2)
    assert refused.value.code == code


@given(st.integers(0, 10**24), st.integers(0, 18))
def test_a_decimal_that_is_said_is_never_more_than_there_is(amount: int, scale: int) -> None:
    """49: as every reader of JSON understands it"""
    money = Decimals(6)
    said = json.loads(json.dumps(money.say(amount, scale)), parse_float=Decimal)
    digits = min(scale, 6)
    assert money.read(said, scale) <= amount
    if amount < 10 ** min(SHOWN - 1, SHOWN - digits + scale - 1):
        assert amount - money.read(said, scale) < 10 ** (scale - digits)


def test_a_contribution_is_read_as_millionths_of_the_smallest_unit() -> None:
    """29"""
    assert Decimals(6).millionths(Decimal("0.000001"), 2) == 100
    assert Scaled(5).millionths(1, 2) == 1_000
    with pytest.raises(Refused, match="decimals"):
        Decimals(6).millionths(Decimal("0.0000001"), 2)


def test_a_signature_is_lower_case_hex_of_the_raw_bytes() -> None:
    """1"""
    body, known = b"what do ya want for nothing?", "Jefe"  # RFC 4231, test case 2
    said = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert hmac_sha256(body, known) == said
    assert is_hmac(body, said, ["another", known])
    for wrong in (said.upper(), said[:-1], said + "0", "", f" {said}", said.encode().hex()):
        assert not is_hmac(body, wrong, [known])
    assert not is_hmac(body, said, [])


def test_a_signature_by_rsa_needs_one_of_the_keys() -> None:
    """1"""
    one, other = RSA.generate(1024), RSA.generate(1024)
    pems = [key.public_key().export_key().decode() for key in (one, other)]
    made = base64.b64encode(pkcs1_15.new(other).sign(SHA256.new(b"body"))).decode()
    assert is_rsa(b"body", made, pems)
    assert not is_rsa(b"body", made, pems[:1])
    assert not is_rsa(b"body ", made, pems)
    assert not is_rsa(b"body", "no base64!", pems)
    assert not is_rsa(b"body", "", pems)


def test_dialects_do_not_share_a_path() -> None:
    paths = [path for dialect in DIALECTS.values() for path in dialect.paths]
    assert len(paths) == len(set(paths))
    for dialect in DIALECTS.values():
        plain = {"balance", "debit", "credit", "rollback"}
        assert dialect.verbs == plain | dialect.policy.more


def test_a_call_is_found_by_its_key_in_a_table_that_was_never_counted(
    postgres_server: Postgres, template_database: str
) -> None:
    """Once every look read all calls of the provider, until the planner had counted them."""
    with (
        copied(postgres_server, template_database) as url,
        psycopg.connect(url, autocommit=True) as connection,
    ):
        for query in (records.CALLS, records.ROUNDS, rewards.REWARDS):
            numbers = itertools.count(1)
            numbered = re.sub(rb"%s", lambda _, at=numbers: b"$%d" % next(at), query)  # type: ignore[misc]
            plan = connection.execute(b"EXPLAIN (GENERIC_PLAN) " + numbered).fetchall()
            [used] = [row[0] for row in plan if " on casino_calls" in row[0]]
            assert "casino_calls_pkey" in used
