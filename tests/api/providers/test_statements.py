"""What must hold for every provider, whichever dialect it speaks.

The numbers are those of the statements in docs/decisions/0008-providers.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from casino.providers.codes import Code
from casino.providers.dialect import Verb
from casino.providers.records import close_stale
from db.session import transaction
from tests.api.providers.conftest import House
from tests.api.providers.speakers import SPEAKERS, Seat, Speaker, ValkyrieSpeaker, fresh

SPOILT: dict[str, Callable[[str], str | None]] = {
    "missing": lambda said: None,
    "empty": lambda said: "",
    "truncated": lambda said: said[:-2],
    "in other case": lambda said: said.swapcase(),
    "of another": lambda said: said[::-1],
    "no text": lambda said: "é" + said,
}


async def test_a_forged_signature_opens_nothing_and_tells_nothing(
    speaker: Speaker, seat: Seat
) -> None:
    """1, 6"""
    raw = orjson.dumps(speaker.body("debit", seat, id=fresh("bet"), amount=10, round="r"))
    signed = speaker.signature(raw)
    said = signed.pop(speaker.header)
    for how, spoil in SPOILT.items():
        forged = spoil(said)
        headers = signed if forged is None else {**signed, speaker.header: forged.encode()}
        heard = await speaker.deliver("debit", raw, headers)  # type: ignore[arg-type]
        assert heard.refused(Code.INVALID_SIGNATURE), how
        assert set(heard.body) <= {"status", "request_uuid", "code", "error", "message"}
        assert said not in str(heard.body)
    assert await speaker.balance(seat) == 1000


async def test_a_signature_is_over_the_bytes_as_they_came(speaker: Speaker, seat: Seat) -> None:
    """1"""
    body = speaker.body("debit", seat, id=fresh("bet"), amount=10, round="r")
    raw = orjson.dumps(body)
    again = orjson.dumps(body, option=orjson.OPT_INDENT_2)
    assert (await speaker.deliver("debit", again, speaker.signature(raw))).refused(
        Code.INVALID_SIGNATURE
    )
    assert (await speaker.deliver("debit", again, speaker.signature(again))).ok


async def test_two_keys_are_valid_while_one_replaces_the_other(
    speaker: Speaker, seat: Seat
) -> None:
    """1"""
    for key in range(2):
        raw = orjson.dumps(speaker.body("balance", seat))
        assert (await speaker.deliver("balance", raw, speaker.signature(raw, key=key))).ok


def test_every_dialect_has_a_word_for_every_code(speaker: Speaker) -> None:
    """3, 17"""
    assert set(speaker.dialect.words) == set(Code)


@pytest.mark.parametrize("verb", ["debit", "credit", "rollback"])
async def test_a_call_sent_again_moves_money_once(
    house: House, speaker: Speaker, seat: Seat, verb: Verb
) -> None:
    """2, 7, 32"""
    bet, round = fresh("bet"), fresh("round")
    await speaker.debit(seat, 100, id=bet, round=round)
    said = {"id": fresh("call"), "round": round, "amount": 30}
    said |= {} if verb == "debit" else {"target": bet}
    body = speaker.body(verb, seat, **said)
    first = await speaker.send(verb, body)
    others = [await speaker.send(verb, body, to=to) for to in (0, 1)]
    assert first.ok
    assert [one.body for one in others] == [first.body, first.body]
    assert await speaker.balance(seat) == {"debit": 870, "credit": 930, "rollback": 1000}[verb]
    assert await _transfers(house, seat) == 3


CHANGED: dict[str, dict[str, Any]] = {
    "amount": {"amount": 11},
    "round": {"round": "another"},
    "game": {"game": "2"},
    "currency": {"currency": "EUR"},
    "player": {"player": "somebody"},
}


@pytest.mark.parametrize("changed", CHANGED)
async def test_an_id_used_for_something_else_moves_nothing(
    speaker: Speaker, seat: Seat, changed: str
) -> None:
    """8"""
    said = {"id": fresh("bet"), "amount": 10, "round": fresh("round")}
    assert (await speaker.send("debit", speaker.body("debit", seat, **said))).ok
    other = await speaker.send("debit", speaker.body("debit", seat, **{**said, **CHANGED[changed]}))
    assert other.refused(Code.CONFLICT)
    assert await speaker.balance(seat) == 990


async def test_an_id_used_by_another_player_moves_nothing(
    house: House, speaker: Speaker, seat: Seat
) -> None:
    """8"""
    other = await house.seat(speaker)
    said: dict[str, Any] = {"id": fresh("bet"), "round": fresh("round")}
    assert (await speaker.debit(seat, 10, **said)).ok
    assert (await speaker.debit(other, 10, **said)).refused(Code.CONFLICT)
    back = speaker.body("rollback", seat, id=said["id"], target=fresh("bet"))
    assert (await speaker.send("rollback", back)).refused(Code.CONFLICT)
    assert (await speaker.balance(seat), await speaker.balance(other)) == (990, 1000)


async def test_deliveries_at_once_move_money_once(
    house: House, speaker: Speaker, seat: Seat
) -> None:
    """9"""
    for _ in range(5):
        body = speaker.body("debit", seat, id=fresh("bet"), amount=10, round=fresh("round"))
        answers = await asyncio.gather(*(speaker.send("debit", body, to=n % 2) for n in range(6)))
        assert all(one.ok for one in answers)
        numbers = {one.number for one in answers}
        assert len(numbers) == 1
    assert await speaker.balance(seat) == 950
    assert await _transfers(house, seat) == 6


async def test_a_repeated_call_answers_the_balance_that_its_provider_wants(
    house: House, speaker: Speaker, seat: Seat
) -> None:
    """10"""
    body = speaker.body("debit", seat, id=fresh("bet"), amount=10, round=fresh("round"))
    assert (await speaker.send("debit", body)).balance == 990
    await house.move(seat.player_id, 500)
    again = await speaker.send("debit", body)
    assert again.ok
    assert again.balance == (1490 if speaker.dialect.policy.current_balance else 990)


async def test_two_providers_may_use_the_same_id(house: House) -> None:
    """11"""
    id = fresh("bet")
    for made in SPEAKERS.values():
        speaker = made(house.client, house.urls)
        seat = await house.seat(speaker)
        assert (await speaker.debit(seat, 10, id=id, round="the same")).ok
        assert (await speaker.rollback(seat, id)).ok
        assert await speaker.balance(seat) == 1000


async def test_a_declined_bet_stays_declined_after_a_deposit(
    house: House, speaker: Speaker, seat: Seat
) -> None:
    """12"""
    body = speaker.body("debit", seat, id=fresh("bet"), amount=1001, round=fresh("round"))
    assert (await speaker.send("debit", body)).refused(Code.INSUFFICIENT_FUNDS)
    await house.move(seat.player_id, 5000)
    assert (await speaker.send("debit", body)).refused(Code.INSUFFICIENT_FUNDS)
    assert await speaker.balance(seat) == 6000


REFUSING = {
    "closed_at = {}": ("now()", "NULL", Code.PLAYER_DISABLED),
    "most = {}": ("balance", "NULL", Code.LIMIT_EXCEEDED),
}


@pytest.mark.parametrize("column", REFUSING)
@pytest.mark.parametrize("verb", ["credit", "rollback"])
async def test_what_a_player_is_owed_is_taken_under_the_same_id_once_the_account_takes_it(
    house: House, speaker: Speaker, seat: Seat, verb: Verb, column: str
) -> None:
    """12, 30"""
    shut, open_, code = REFUSING[column]
    bet, round, id = fresh("bet"), fresh("round"), fresh("call")
    await speaker.debit(seat, 100, id=bet, round=round)
    said: dict[str, Any] = {"id": id, "round": round, "target": bet}
    said |= {"amount": 250} if verb == "credit" else {}
    body = speaker.body(verb, seat, **said)
    alter = f"UPDATE accounts SET {column} WHERE name = %s"
    mine = f"player:{seat.player_id}:cash"
    await house.rows(alter.format(shut), (mine,))
    for to in (0, 1):
        heard = await speaker.send(verb, body, to=to)
        assert heard.refused(code), heard
        assert heard.balance == 900
    kept = "SELECT (SELECT count(*) FROM casino_calls WHERE id = %s)"
    kept += " + (SELECT count(*) FROM requests WHERE key = ANY(%s))"
    keys = [id, body.get("request_uuid", id)]
    assert await house.rows(kept, (id, keys)) == [(0,)]
    await house.rows(alter.format(open_), (mine,))
    answers = [await speaker.send(verb, body, to=to) for to in (0, 1, 0)]
    assert all(one.ok for one in answers), answers
    assert await speaker.balance(seat) == (1150 if verb == "credit" else 1000)
    assert await _transfers(house, seat) == 3


async def test_a_bet_that_an_account_refuses_stays_declined_once_it_is_open_again(
    house: House, speaker: Speaker, seat: Seat
) -> None:
    """12"""
    body = speaker.body("debit", seat, id=fresh("bet"), amount=10, round=fresh("round"))
    await _close(house, seat)
    assert (await speaker.send("debit", body)).refused(Code.PLAYER_DISABLED)
    await house.rows(
        "UPDATE accounts SET closed_at = NULL WHERE name = %s", (f"player:{seat.player_id}:cash",)
    )
    assert (await speaker.send("debit", body)).refused(Code.PLAYER_DISABLED)
    assert await speaker.balance(seat) == 1000


async def test_what_was_not_understood_may_be_sent_again_in_order(
    speaker: Speaker, seat: Seat
) -> None:
    """12"""
    said: dict[str, Any] = {"id": fresh("bet"), "round": fresh("round")}
    wrong = speaker.body("debit", seat, amount="10", **said)
    assert (await speaker.send("debit", wrong)).refused(Code.WRONG_TYPE)
    assert (await speaker.debit(seat, 10, **said)).ok


async def test_a_message_id_is_no_call_id(house: House, seat: Seat, speaker: Speaker) -> None:
    """14: only where messages have ids of their own"""
    if speaker.name == "jaqpot":
        assert "request" not in speaker.body("debit", seat, request="x")
        return
    said = {"id": fresh("bet"), "round": fresh("round"), "amount": 10}
    if isinstance(speaker, ValkyrieSpeaker):
        for id, nonce, taken in (("a", "one", True), ("a", "two", True), ("b", "one", False)):
            bet = {**said, "id": f"{said['id']}-{id}"}
            raw = orjson.dumps(speaker.body("debit", seat, **bet))
            nonce = f"{said['id']}-{nonce}"
            heard = await speaker.deliver("debit", raw, speaker.signature(raw, nonce=nonce))
            assert heard.ok if taken else heard.refused(Code.CONFLICT)
        assert await speaker.balance(seat) == 990
        return
    first = speaker.body("debit", seat, request="one", **said)
    renamed = speaker.body("debit", seat, request="two", **said)
    reused = speaker.body("debit", seat, request="one", **{**said, "id": fresh("bet")})
    assert (await speaker.send("debit", first)).ok
    assert (await speaker.send("debit", renamed)).ok
    assert (await speaker.send("debit", reused)).refused(Code.CONFLICT)
    assert await speaker.balance(seat) == 990


async def test_a_bet_beyond_the_balance_is_declined_with_the_balance(
    speaker: Speaker, seat: Seat
) -> None:
    """15"""
    declined = await speaker.debit(seat, 1001)
    assert declined.refused(Code.INSUFFICIENT_FUNDS)
    assert declined.balance == 1000
    assert (await speaker.debit(seat, 1000)).balance == 0


async def test_bets_at_once_never_take_more_than_there_is(speaker: Speaker, seat: Seat) -> None:
    """15, 22"""
    answers = await asyncio.gather(*(speaker.debit(seat, 300, to=n % 2) for n in range(8)))
    assert sum(one.ok for one in answers) == 3
    assert all(one.ok or one.refused(Code.INSUFFICIENT_FUNDS) for one in answers)
    assert await speaker.balance(seat) == 100


async def test_nothing_may_be_bet_and_less_than_nothing_may_not(
    house: House, speaker: Speaker, seat: Seat
) -> None:
    """16, 45"""
    round, free = fresh("round"), fresh("bet")
    assert (await speaker.debit(seat, 0, id=free, round=round)).balance == 1000
    assert (await speaker.debit(seat, -1)).refused(Code.NEGATIVE_AMOUNT)
    assert (await speaker.credit(seat, 70, round=round, target=free)).balance == 1070
    assert await _transfers(house, seat) == 2


async def test_each_reason_has_a_code_of_its_own(
    house: House, speaker: Speaker, seat: Seat
) -> None:
    """17"""
    expired = await house.expire(seat)
    unknown = Seat(seat.player, seat.player_id, "never-launched", "1")
    assert (await speaker.debit(seat, 10, currency="EUR")).refused(Code.WRONG_CURRENCY)
    assert (await speaker.debit(seat, 10, game="none")).refused(Code.UNKNOWN_GAME)
    assert (await speaker.debit(seat, 10, game="over")).refused(Code.UNKNOWN_GAME)
    assert (await speaker.debit(seat, 10, player="somebody")).refused(Code.OTHER_PLAYER)
    assert (await speaker.debit(expired, 10)).refused(Code.TOKEN_EXPIRED)
    assert (await speaker.debit(unknown, 10)).refused(Code.INVALID_TOKEN)
    await _close(house, seat)
    assert (await speaker.debit(seat, 10)).refused(Code.PLAYER_DISABLED)
    assert (await speaker.debit(seat, 0)).refused(Code.PLAYER_DISABLED)
    assert await speaker.balance(seat) == 1000
    assert await _transfers(house, seat) == 1


async def test_a_token_of_another_provider_is_none(house: House) -> None:
    """17"""
    speakers = [made(house.client, house.urls) for made in SPEAKERS.values()]
    seat = await house.seat(speakers[0])
    for other in speakers[1:]:
        assert (await other.debit(seat, 10)).refused(Code.INVALID_TOKEN)


async def test_an_expired_session_bets_no_more_but_is_paid_and_refunded(
    house: House, speaker: Speaker, seat: Seat
) -> None:
    """18"""
    one, two, round = fresh("bet"), fresh("bet"), fresh("round")
    bet = speaker.body("debit", seat, id=one, amount=100, round=round)
    assert (await speaker.send("debit", bet)).ok
    assert (await speaker.debit(seat, 100, id=two, round=fresh("round"))).ok
    over = await house.expire(seat)
    assert (await speaker.debit(over, 10)).refused(Code.TOKEN_EXPIRED)
    # A bet that was taken before is not declined now.
    assert (await speaker.debit(over, 100, id=one, round=round)).ok
    assert (await speaker.rollback(over, two)).ok
    assert (await speaker.credit(over, 250, round=round, target=one)).ok
    assert await speaker.balance(over) == 1150


async def test_several_bets_are_taken_until_their_round_closes(
    speaker: Speaker, seat: Seat
) -> None:
    """19, 43"""
    round = fresh("round")
    assert (await speaker.debit(seat, 10, round=round)).ok
    assert (await speaker.debit(seat, 10, round=round, closes=True)).ok
    assert (await speaker.debit(seat, 10, round=round)).refused(Code.ROUND_CLOSED)
    assert await speaker.balance(seat) == 980


async def test_a_bet_after_the_payout_is_as_the_provider_wants(
    speaker: Speaker, seat: Seat
) -> None:
    """19, 35: and what was bet after a payout is not settled by it"""
    round, one, two = fresh("round"), fresh("bet"), fresh("bet")
    assert (await speaker.debit(seat, 10, id=one, round=round)).ok
    assert (await speaker.credit(seat, 20, round=round, target=one)).ok
    later = await speaker.debit(seat, 10, id=two, round=round)
    if not speaker.dialect.policy.bet_after_payout:
        assert later.refused(Code.ROUND_CLOSED)
        return
    assert later.ok
    assert (await speaker.rollback(seat, one)).refused(Code.ALREADY_SETTLED)
    assert (await speaker.rollback(seat, two)).ok
    assert await speaker.balance(seat) == 1010


async def test_a_bet_that_comes_after_its_rollback_is_refused_for_good(
    house: House, speaker: Speaker, seat: Seat
) -> None:
    """20, 33"""
    bet, round = fresh("bet"), fresh("round")
    early = await speaker.rollback(seat, bet)
    for _ in range(2):
        assert (await speaker.debit(seat, 100, id=bet, round=round)).refused(Code.ROLLED_BACK)
    late = await speaker.credit(seat, 100, round=round, target=bet)
    assert late.refused(Code.ROLLED_BACK)
    assert early.ok == speaker.dialect.policy.accept_unknown_target
    assert await speaker.balance(seat) == 1000
    assert await _transfers(house, seat) == 1


async def test_the_game_of_a_call_wins_over_that_of_the_session(
    house: House, speaker: Speaker, seat: Seat
) -> None:
    """21"""
    bet = fresh("bet")
    assert (await speaker.debit(seat, 10, id=bet, game="2")).ok
    assert await house.rows("SELECT game FROM casino_calls WHERE id = %s", (bet,)) == [("2",)]


async def test_two_sessions_of_a_player_bet_at_once_exactly(
    house: House, speaker: Speaker, seat: Seat
) -> None:
    """22"""
    other = await house.seat(speaker, player=seat)
    answers = await asyncio.gather(
        *(speaker.debit(one, 7, to=n % 2) for n in range(10) for one in (seat, other))
    )
    assert all(one.ok for one in answers)
    assert await speaker.balance(other) == 1000 - 140


async def test_a_payout_needs_a_bet(house: House, speaker: Speaker, seat: Seat) -> None:
    """23, 30"""
    said = {"id": fresh("win"), "round": fresh("round"), "target": fresh("bet"), "amount": 10}
    body = speaker.body("credit", seat, **said)
    answers = [await speaker.send("credit", body) for _ in range(3)]
    assert all(one.refused(Code.BET_NOT_FOUND) for one in answers)
    assert [one.balance for one in answers] == [1000, 1000, 1000]
    declined = fresh("bet")
    await speaker.debit(seat, 5000, id=declined, round=said["round"])
    never = await speaker.credit(seat, 10, round=said["round"], target=declined)
    assert never.refused(Code.BET_NOT_FOUND)
    assert await _transfers(house, seat) == 1


async def test_a_payout_of_a_bet_that_was_rolled_back_is_refused(
    speaker: Speaker, seat: Seat
) -> None:
    """24"""
    bet, round = fresh("bet"), fresh("round")
    await speaker.debit(seat, 10, id=bet, round=round)
    await speaker.rollback(seat, bet, round=round)
    answer = await speaker.credit(seat, 50, round=round, target=bet)
    assert answer.refused(Code.ROLLED_BACK)
    assert answer.balance == 1000


async def test_a_payout_into_a_closed_round_is_refused_unless_it_is_the_same(
    speaker: Speaker, seat: Seat
) -> None:
    """25, 27"""
    bet, round = fresh("bet"), fresh("round")
    await speaker.debit(seat, 10, id=bet, round=round)
    assert (await speaker.credit(seat, 20, round=round, target=bet)).ok
    last: dict[str, Any] = {"id": fresh("win"), "round": round, "target": bet, "closes": True}
    assert (await speaker.credit(seat, 30, **last)).ok
    assert (await speaker.credit(seat, 40, round=round, target=bet)).refused(Code.ALREADY_SETTLED)
    assert (await speaker.credit(seat, 30, **last)).ok
    assert await speaker.balance(seat) == 1040


async def test_a_payout_of_nothing_settles_a_lost_round(speaker: Speaker, seat: Seat) -> None:
    """26"""
    bet, round = fresh("bet"), fresh("round")
    await speaker.debit(seat, 10, id=bet, round=round)
    assert (await speaker.credit(seat, 0, round=round, target=bet)).balance == 990
    assert (await speaker.rollback(seat, bet)).refused(Code.ALREADY_SETTLED)
    more = await speaker.credit(seat, 10, round=round, target=bet)
    assert more.ok != speaker.dialect.policy.zero_closes


async def test_rounds_that_stand_still_take_no_more_bets_but_are_paid(
    house: House, speaker: Speaker, seat: Seat
) -> None:
    """26"""
    bet, round = fresh("bet"), fresh("round")
    await speaker.debit(seat, 10, id=bet, round=round)
    await house.rows(
        "UPDATE casino_rounds SET touched_at = now() - interval '49 h' WHERE round = %s", (round,)
    )
    async with transaction() as session:
        assert await close_stale(session, hours=48) == 1
        assert await close_stale(session, hours=48) == 0
    assert (await speaker.debit(seat, 10, round=round)).refused(Code.ROUND_CLOSED)
    assert (await speaker.credit(seat, 50, round=round, target=bet)).ok


async def test_a_payout_names_a_bet_of_the_same_player_and_round(
    house: House, speaker: Speaker, seat: Seat
) -> None:
    """28"""
    other = await house.seat(speaker)
    bet, round = fresh("bet"), fresh("round")
    await speaker.debit(seat, 10, id=bet, round=round)
    stolen = await speaker.credit(other, 50, round=round, target=bet)
    astray = await speaker.credit(seat, 50, round=fresh("round"), target=bet)
    back = await speaker.rollback(other, bet, round=round)
    for one in (stolen, astray, back):
        assert one.refused(Code.BET_NOT_FOUND)
    assert (await speaker.balance(seat), await speaker.balance(other)) == (990, 1000)


async def test_players_of_one_round_have_their_own_part_of_it(
    house: House, speaker: Speaker, seat: Seat
) -> None:
    """28, 43"""
    other = await house.seat(speaker)
    mine, theirs, round = fresh("bet"), fresh("bet"), fresh("round")
    await speaker.debit(seat, 10, id=mine, round=round, closes=True)
    assert (await speaker.debit(other, 10, id=theirs, round=round)).ok
    assert (await speaker.rollback(other, mine)).refused(Code.BET_NOT_FOUND)
    assert (await speaker.credit(other, 30, round=round, target=theirs)).ok
    assert (await speaker.rollback(seat, mine)).ok


async def test_a_refund_is_what_was_paid_whatever_the_rollback_says(
    speaker: Speaker, seat: Seat
) -> None:
    """31"""
    bet = fresh("bet")
    await speaker.debit(seat, 10, id=bet)
    assert (await speaker.rollback(seat, bet, amount=9999)).balance == 1000


async def test_a_second_rollback_of_a_bet_is_refused(
    house: House, speaker: Speaker, seat: Seat
) -> None:
    """32"""
    bet = fresh("bet")
    await speaker.debit(seat, 10, id=bet)
    answers = await asyncio.gather(*(speaker.rollback(seat, bet, to=n % 2) for n in range(6)))
    assert sum(one.ok for one in answers) == 1
    assert sum(one.refused(Code.ALREADY_ROLLED_BACK) for one in answers) == 5
    assert await speaker.balance(seat) == 1000
    assert await _transfers(house, seat) == 3


async def test_the_rollback_of_an_unknown_bet_is_answered_as_the_provider_wants(
    speaker: Speaker, seat: Seat
) -> None:
    """33"""
    unknown = fresh("bet")
    for answer in [await speaker.rollback(seat, unknown) for _ in range(2)]:
        if speaker.dialect.policy.accept_unknown_target:
            assert answer.ok
            assert answer.body["tombstone"] is True
        else:
            assert answer.refused(Code.BET_NOT_FOUND)
        assert answer.balance == 1000


async def test_the_rollback_of_a_declined_bet_gives_nothing(
    house: House, speaker: Speaker, seat: Seat
) -> None:
    """34"""
    bet, round = fresh("bet"), fresh("round")
    await speaker.debit(seat, 1001, id=bet, round=round)
    answer = await speaker.rollback(seat, bet, round=round)
    assert answer.ok == speaker.dialect.policy.accept_unknown_target
    assert "tombstone" not in answer.body
    assert await speaker.balance(seat) == 1000
    assert await _transfers(house, seat) == 1


async def test_a_bet_of_a_paid_round_is_not_rolled_back(speaker: Speaker, seat: Seat) -> None:
    """35"""
    one, two, round = fresh("bet"), fresh("bet"), fresh("round")
    await speaker.debit(seat, 10, id=one, round=round)
    await speaker.debit(seat, 10, id=two, round=round)
    await speaker.credit(seat, 50, round=round, target=one)
    for bet in (one, two):
        assert (await speaker.rollback(seat, bet)).refused(Code.ALREADY_SETTLED)
    assert await speaker.balance(seat) == 1030


async def test_only_bets_are_rolled_back(speaker: Speaker, seat: Seat) -> None:
    """36"""
    bet, win, back, round = fresh("bet"), fresh("win"), fresh("back"), fresh("round")
    await speaker.debit(seat, 10, id=bet, round=round)
    await speaker.credit(seat, 20, id=win, round=round, target=bet)
    assert (await speaker.rollback(seat, win)).refused(Code.NOT_A_BET)
    await speaker.rollback(seat, fresh("bet"), id=back)
    assert (await speaker.rollback(seat, back)).refused(Code.NOT_A_BET)
    assert await speaker.balance(seat) == 1010


async def test_a_rollback_needs_no_round(speaker: Speaker, seat: Seat) -> None:
    """38"""
    bet = fresh("bet")
    await speaker.debit(seat, 10, id=bet, round=fresh("round"))
    body = speaker.body("rollback", seat, id=fresh("back"), target=bet)
    assert not {"round", "roundId"} & set(body)
    assert (await speaker.send("rollback", body)).balance == 1000


async def test_one_of_several_bets_is_rolled_back_and_the_others_stand(
    speaker: Speaker, seat: Seat
) -> None:
    """39"""
    bets, round = [fresh("bet") for _ in range(3)], fresh("round")
    for bet in bets:
        await speaker.debit(seat, 10, id=bet, round=round)
    assert (await speaker.rollback(seat, bets[1], round=round)).balance == 980
    assert (await speaker.credit(seat, 100, round=round, target=bets[0])).balance == 1080


@pytest.mark.parametrize("verb", ["debit", "credit", "rollback"])
async def test_a_round_closes_with_whichever_call_says_so(
    speaker: Speaker, seat: Seat, verb: Verb
) -> None:
    """43"""
    one, two, round = fresh("bet"), fresh("bet"), fresh("round")
    await speaker.debit(seat, 10, id=one, round=round)
    await speaker.debit(seat, 10, id=two, round=round, closes=verb == "debit")
    if verb == "credit":
        assert (await speaker.credit(seat, 10, round=round, target=one, closes=True)).ok
    if verb == "rollback":
        assert (await speaker.rollback(seat, two, round=round, closes=True)).ok
    assert (await speaker.debit(seat, 10, round=round)).refused(Code.ROUND_CLOSED)


async def test_a_game_is_launched_in_a_currency_of_the_house_only(
    house: House, speaker: Speaker, seat: Seat
) -> None:
    """48"""
    body = {"userId": seat.player, "gameId": 1, "provider": speaker.name}
    for currency in ("FUN", "XXX", "usd"):
        asked = {**body, "currency": currency}
        answer = await house.client.post(f"{house.urls[0]}/casino/launchGame", json=asked)
        assert (answer.status_code, answer.json()["code"]) == (404, "WALLET_NOT_FOUND")


async def test_an_amount_that_is_none_moves_nothing(speaker: Speaker, seat: Seat) -> None:
    """49"""
    body = speaker.body("debit", seat, id=fresh("bet"), round="r", amount=1)
    text = orjson.dumps({**body, speaker.field: None}).decode()
    codes = (Code.WRONG_TYPE, Code.BAD_AMOUNT, Code.MALFORMED)
    for written in speaker.no_amounts:
        raw = text.replace(f'"{speaker.field}":null', f'"{speaker.field}":{written}').encode()
        answer = await speaker.deliver("debit", raw, speaker.signature(raw))
        assert any(answer.refused(code) for code in codes), (written, answer)
    assert await speaker.balance(seat) == 1000


async def test_every_answer_carries_the_balance_and_its_currency(
    house: House, speaker: Speaker, seat: Seat
) -> None:
    """50"""
    bet, round = fresh("bet"), fresh("round")
    answers = [
        await speaker.debit(seat, 10, id=bet, round=round),
        await speaker.debit(seat, 9999),
        await speaker.credit(seat, 20, round=round, target=bet),
        await speaker.rollback(seat, bet),
    ]
    assert [one.balance for one in answers] == [990, 990, 1010, 1010]
    assert {one.body["currency"] for one in answers} == {"USD"}
    if speaker.name != "caleta":  # whose answers have no place for it
        [(number,)] = await house.rows(
            "SELECT number::text FROM casino_calls WHERE id = %s", (bet,)
        )
        assert answers[0].number == number


async def _transfers(house: House, seat: Seat) -> int:
    """How often the player's money moved, the first deposit included."""
    [(version,)] = await house.rows(
        "SELECT version FROM accounts WHERE name = %s", (f"player:{seat.player_id}:cash",)
    )
    return int(version)


async def _close(house: House, seat: Seat) -> None:
    await house.rows(
        "UPDATE accounts SET closed_at = now() WHERE name = %s",
        (f"player:{seat.player_id}:cash",),
    )
