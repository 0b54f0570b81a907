"""Withdrawals on the books: held, decided, taken when the chain is final; forward, and once."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from casino import withdrawals
from casino.commands import Answer
from casino.withdrawals import Overtaken, Payment, Withdrawal
from chains.solana.address import of_program
from db.session import transaction
from ledger.errors import Refusal
from tests.casino.conftest import NETWORK, Opens, rows
from tests.casino.custodial import LIMITS, Till, paid

TO = "0x" + "5a" * 20
CHECKSUMMED = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
SOLANA = "FAREvmepkHArRWwLjHmwPQGL9Byg8iKF3hu1vewxTSXe"
GENESIS = "solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1"
_txs = itertools.count(1)


@pytest.fixture
async def till(opened: Opens) -> Till:
    return await Till.over(await opened())


async def asked(till: Till, player: int, amount: int, **changed: Any) -> Answer:
    [answer] = await till.run(till.request(player, amount, TO, **changed))
    return answer


async def going(till: Till, player: int, amount: int = 40) -> Withdrawal:
    """One that was approved by rule."""
    answer = await asked(till, player, amount)
    assert answer.body["state"] == "approved"
    return await till.withdrawal(answer)


async def signed(one: Withdrawal) -> Withdrawal:
    """One that a tx was signed for."""
    async with transaction() as session:
        await withdrawals.signed(session, one, Payment(f"tx-{next(_txs)}", "me", b"raw", 0))
    return replace(one, state="sending")


async def sent(one: Withdrawal) -> Withdrawal:
    one = await signed(one)
    async with transaction() as session:
        await withdrawals.sent(session, one)
    return replace(one, state="sent")


async def test_a_request_holds_the_cash_and_waits_for_a_person(till: Till) -> None:
    player = await till.player(100)
    answer = await asked(till, player, 60)
    assert answer.code is None
    assert (answer.body["state"], answer.body["amount"]) == ("requested", "60")
    assert await till.purse(player) == (100, 60)
    more = await asked(till, player, 41)
    assert more.code == "INSUFFICIENT_FUNDS"
    assert await till.purse(player) == (100, 60)
    told = await rows(
        "SELECT type, player FROM outbox WHERE casino = %s AND type LIKE 'withdrawal%%'",
        (till.custody.casino,),
    )
    assert told == [("withdrawal.requested", str(player))]


async def test_a_request_asked_again_is_the_same_and_another_under_its_key_is_not(
    till: Till,
) -> None:
    player = await till.player(100)
    first = till.request(player, 40, TO)
    [answer] = await till.run(first)
    [again] = await till.run(first)
    assert (again.body, again.replayed) == (answer.body, True)
    assert await till.purse(player) == (100, 40)
    assert await till.run(replace(first, amount=41)) == []  # KeyReused


async def test_a_rule_approves_what_is_small_and_little_in_a_day(till: Till) -> None:
    """Also within one batch: the second sees what the first took."""
    player, other = await till.player(1000), await till.player(1000)
    amounts = [50, 31, 30, 51]
    answers = await till.run(
        *(till.request(player, amount, TO) for amount in amounts), till.request(other, 50, TO)
    )
    states = [answer.body["state"] for answer in answers]
    assert states == ["approved", "requested", "approved", "requested", "approved"]
    assert (await asked(till, player, 5)).body["state"] == "requested"
    nothing = LIMITS.model_copy(update={"automatic": 0})
    assert (await asked(till, other, 5, limits=nothing)).body["state"] == "requested"


REFUSED = {
    "no address": ("0x5a", "BAD_ADDRESS"),
    "nothing": ("", "BAD_ADDRESS"),
    "a wrong checksum": (CHECKSUMMED.replace("aA", "AA", 1), "BAD_ADDRESS"),
    "nobody": ("0x" + "00" * 20, "BAD_ADDRESS"),
    "a precompiled contract": ("0x" + "00" * 19 + "09", "BAD_ADDRESS"),
    "another chain's": (SOLANA, "WRONG_NETWORK"),
    "another network's": (f"eip155:1:{TO}", "WRONG_NETWORK"),
    "words before it": (f"x:{TO}", "WRONG_NETWORK"),
    "the contract itself": ("the contract", "OWN_ADDRESS"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_a_bad_address_is_refused_with_its_code_and_holds_nothing(
    till: Till, case: str
) -> None:
    given, code = REFUSED[case]
    player = await till.player(100)
    address = given.replace("the contract", till.custody.address)
    [answer] = await till.run(till.request(player, 40, address))
    assert answer.code == code
    assert await till.purse(player) == (100, 0)


async def test_addresses_are_kept_in_the_one_way_we_write_them(till: Till) -> None:
    player = await till.player(100)
    spellings = (CHECKSUMMED, f"{NETWORK}:{CHECKSUMMED}", CHECKSUMMED.lower())
    answers = await till.run(*(till.request(player, 5, one) for one in spellings))
    assert {answer.body["address"] for answer in answers} == {CHECKSUMMED.lower()}


@pytest.mark.parametrize(
    ("address", "code"),
    [
        (SOLANA, "OWN_ADDRESS"),
        ("9MhRyLxqKWZPXXcfNW7xJLUfLt1W3UDQV1sv8vE3qbKt", None),
        ("11111111111111111111111111111111", "BAD_ADDRESS"),
        (TO, "WRONG_NETWORK"),
        (f"{NETWORK}:{TO}", "WRONG_NETWORK"),
        ("FARE", "BAD_ADDRESS"),
    ],
)
async def test_solana_addresses_are_held_to_the_same_rules(
    till: Till, address: str, code: str | None
) -> None:
    custody = replace(till.custody, network=GENESIS, address=SOLANA)
    if code is None:
        assert withdrawals.payable(custody, address) == address
        return
    with pytest.raises(Refusal) as refused:
        withdrawals.payable(custody, address)
    assert refused.value.code == code


async def test_a_program_of_ours_never_pays_its_own_accounts(till: Till) -> None:
    custody = replace(till.custody, network=GENESIS, address=SOLANA)
    own = of_program(SOLANA)
    assert len(own) == 4
    for address in own:
        with pytest.raises(withdrawals.OwnAddress):
            withdrawals.payable(custody, address)


@pytest.mark.parametrize(
    ("amount", "code"),
    [(4, "AMOUNT_TOO_SMALL"), (5, None), (1_000, None), (1_001, "AMOUNT_TOO_LARGE")],
)
async def test_limits_of_one_withdrawal_are_kept(till: Till, amount: int, code: str | None) -> None:
    player = await till.player(5_000)
    assert (await asked(till, player, amount)).code == code


async def test_no_amount_is_larger_than_its_chain_can_say(till: Till) -> None:
    player = await till.player(10**78 - 1)
    free = LIMITS.model_copy(update={"most": None})
    largest = 2**256 - 1
    assert (await asked(till, player, largest + 1, limits=free)).code == "AMOUNT_TOO_LARGE"
    assert (await asked(till, player, largest, limits=free)).code is None


async def test_a_person_approves_or_rejects_and_says_why(till: Till) -> None:
    player = await till.player(200)
    one, other = [await till.withdrawal(await asked(till, player, 60)) for _ in range(2)]
    assert (await till.decide(one, approved=True, reason="known")).body["state"] == "approved"
    assert (await till.decide(other, approved=False, reason="odd")).body["state"] == "rejected"
    assert await till.purse(player) == (200, 60)
    decided = await rows(
        "SELECT state, decided_by, reason FROM withdrawals WHERE player_id = %s ORDER BY id",
        (player,),
    )
    assert decided == [("approved", "eve", "known"), ("rejected", "eve", "odd")]
    assert (await till.decide(one, approved=True)).code == "WRONG_STATE"
    assert (await till.decide(other, approved=True)).code == "WRONG_STATE"
    assert (await till.decide(one, approved=False)).body["state"] == "rejected"
    assert await till.purse(player) == (200, 0)


async def test_what_was_signed_cannot_be_rejected_and_what_was_rejected_not_signed(
    till: Till,
) -> None:
    player = await till.player(200)
    one, other = await going(till, player), await going(till, player)
    await signed(one)
    assert (await till.decide(one, approved=False)).code == "WRONG_STATE"
    await till.decide(other, approved=False)
    with pytest.raises(Overtaken):
        await signed(other)
    with pytest.raises(Overtaken):  # nor is another one first
        await signed(one)
    kept = "SELECT count(*) FROM payments p JOIN withdrawals w ON w.id = p.withdrawal_id"
    [(count,)] = await rows(f"{kept} WHERE w.player_id = %s", (player,))
    assert count == 1


async def test_a_final_payment_takes_what_was_held_once(till: Till) -> None:
    player = await till.player(100)
    one = await sent(await going(till, player))
    await till.apply(paid(one), final=False)
    assert await till.settle() == []
    await till.promote(upto=9)
    between = await till.figures()
    assert (between.went, between.leaving, between.difference) == (40, 40, 0)
    [settled] = await till.settle()
    assert (settled.state, settled.tx) == ("settled", till.tx(f"o{1_000_000 + one.id}"))
    assert await till.settle() == []
    assert await till.purse(player) == (60, 0)
    after = await till.figures()
    assert (after.booked, after.owed, after.leaving, after.strays) == (60, 60, 0, 0)
    assert after.difference == 0
    told = await rows(
        "SELECT data->>'state' FROM outbox WHERE data->>'id' = %s ORDER BY id", (str(one.id),)
    )
    assert told == [("approved",), ("settled",)]


async def test_a_payment_that_fell_off_the_chain_settles_nothing(till: Till) -> None:
    player = await till.player(100)
    one = await sent(await going(till, player))
    await till.apply(paid(one), final=False)
    async with transaction() as session:
        assert await withdrawals.unlanded(session, till.custody) == []
    await till.retract(f"o{1_000_000 + one.id}")
    assert await till.settle() == []
    async with transaction() as session:  # and it is looked after again
        [again] = await withdrawals.unlanded(session, till.custody)
    assert again.id == one.id
    await till.apply(paid(one, position=9))
    assert len(await till.settle()) == 1
    assert await till.purse(player) == (60, 0)


@pytest.mark.parametrize("changed", [{"amount": 39}, {"player": "0x" + "77" * 20}])
async def test_a_payment_of_something_else_settles_nothing_and_is_a_stray(
    till: Till, changed: dict[str, Any]
) -> None:
    player = await till.player(100)
    one = await sent(await going(till, player))
    await till.apply(paid(one, **changed))
    assert await till.settle() == []
    assert await till.purse(player) == (100, 40)
    figures = await till.figures()
    assert figures.strays == 1
    assert figures.difference == figures.went


async def test_a_payment_from_before_a_restored_backup_settles_the_request_that_comes_again(
    till: Till,
) -> None:
    """The chain knows it by the name that follows from what was asked; nothing is signed again."""
    player = await till.player(100)
    command = till.request(player, 40, TO)
    fact = paid(withdrawals.Withdrawal(**FIELDS, address=TO, amount=40, request=command.request))
    await till.apply(fact)
    assert (await till.figures()).strays == 1
    await till.run(command)
    async with transaction() as session:
        assert await withdrawals.to_pay(session, till.custody) == []
    assert len(await till.settle()) == 1
    assert await till.purse(player) == (60, 0)
    figures = await till.figures()
    assert (figures.strays, figures.difference) == (0, 0)


FIELDS: dict[str, Any] = dict.fromkeys(
    ("casino_id", "player_id", "source_id", "network", "asset", "hold_id", "actor", "state")
) | {"id": 7_000_000, "requested_at": None}


@pytest.mark.parametrize("state", ["approved", "sending", "sent"])
async def test_what_is_never_paid_gives_back_what_was_held(till: Till, state: str) -> None:
    player = await till.player(100)
    one = await going(till, player)
    if state != "approved":
        one = await (sent(one) if state == "sent" else signed(one))
    for count in (1, 0):
        async with transaction() as session:
            ended = await withdrawals.fail(session, till.custody, one, "no way")
        assert (len(ended.done), ended.refused) == (count, {})
    assert await till.purse(player) == (100, 0)
    async with transaction() as session:
        notes = await session.execute(
            text(
                "SELECT actor, reason, before->>'state', after->>'state' FROM audit"
                " WHERE action = 'withdrawal.failed' AND after->>'request' = :request"
            ),
            {"request": one.request},
        )
        assert notes.all() == [("house:keeper", "no way", state, "failed")]
    await till.apply(paid(one))
    assert await till.settle() == []
    assert (await till.figures()).strays == 1


async def test_a_closed_account_does_not_hold_up_the_settlement_of_others(
    till: Till, database_url: str
) -> None:
    closed, other = await till.player(100), await till.player(100)
    one, two = await sent(await going(till, closed)), await sent(await going(till, other))
    with psycopg.connect(database_url) as connection:
        name = f"player:{closed}:cash"
        connection.execute("UPDATE accounts SET closed_at = now() WHERE name = %s", (name,))
    await till.apply(paid(one), paid(two))
    async with transaction() as session:
        ended = await withdrawals.settle(session, till.custody)
    assert ([row.id for row in ended.done], list(ended.refused)) == ([two.id], [one.id])
    async with transaction() as session:
        ended = await withdrawals.settle(session, till.custody, but=[one.id])
    assert (ended.done, ended.refused) == ([], {})


FORWARD = ("requested", "approved", "rejected", "sending", "sent", "settled", "failed")
ALLOWED = {
    "requested": {"requested", "approved", "rejected"},
    "approved": {"approved", "rejected", "sending", "settled", "failed"},
    "sending": {"sending", "sent", "settled", "failed"},
    "sent": {"sent", "settled", "failed"},
}


async def test_no_statement_moves_a_withdrawal_backward_or_changes_what_was_asked(
    till: Till, database_url: str
) -> None:
    player = await till.player(100)
    answer = await asked(till, player, 60)
    id = int(answer.body["id"])
    ends = "ended_at = CASE WHEN %(to)s IN ('rejected', 'settled', 'failed') THEN now() END"
    pays = "transfer_id = CASE WHEN %(to)s = 'settled' THEN 1 END"
    go = f"UPDATE withdrawals SET state = %(to)s, {ends}, {pays} WHERE id = %(id)s".encode()
    reached = {
        "requested": [],
        "approved": ["approved"],
        "rejected": ["rejected"],
        "sending": ["approved", "sending"],
        "sent": ["approved", "sending", "sent"],
        "settled": ["approved", "settled"],
        "failed": ["approved", "failed"],
    }
    found: dict[str, set[str]] = {}
    with psycopg.connect(database_url) as connection:
        for start, target in itertools.product(FORWARD, FORWARD):
            for step in reached[start]:
                connection.execute(go, {"to": step, "id": id})
            try:
                connection.execute(go, {"to": target, "id": id})
                found.setdefault(start, set()).add(target)
            except psycopg.errors.CheckViolation:
                pass
            connection.rollback()
        for change in ("amount = 1", "address = 'me'", "hold_id = 1", "actor = 'me'", "id = 1"):
            with pytest.raises(psycopg.errors.CheckViolation, match="never changes"):
                connection.execute(f"UPDATE withdrawals SET {change} WHERE id = {id}".encode())
            connection.rollback()
        for statement in ("DELETE FROM withdrawals", "DELETE FROM payments"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())
            connection.rollback()
    assert found == ALLOWED
