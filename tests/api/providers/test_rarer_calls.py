"""Calls that only some providers make: each test runs for the dialects that have them.

The numbers are those of the statements in docs/decisions/0008-providers.md.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson
import pytest

from casino.invariants import LAWS
from casino.invariants.laws import examined
from casino.providers import DIALECTS
from casino.providers.codes import Code
from casino.providers.dialect import Verb
from casino.providers.signatures import WINDOW_S, hmac_sha256, stamped
from db.session import transaction
from tests.api.providers.conftest import PROMOTER_SECRET, REPORTS_KEY, House
from tests.api.providers.speakers import SPEAKERS, Heard, Seat, Speaker, ValkyrieSpeaker, fresh
from tests.casino.wagering import conserved

READER = {"x-api-key": REPORTS_KEY}


def having(verb: Verb) -> pytest.MarkDecorator:
    """For the dialects that have such a call."""
    names = sorted(name for name in SPEAKERS if verb in DIALECTS[name].verbs)
    return pytest.mark.parametrize("speaker", names, indirect=True)


stamping = pytest.mark.parametrize(
    "speaker", sorted(name for name in SPEAKERS if DIALECTS[name].stamp({})), indirect=True
)


@pytest.fixture(autouse=True)
async def lawful(house: House) -> AsyncIterator[None]:
    """Whatever happens, money is conserved and every law about it holds."""
    yield
    await conserved()
    for law in LAWS:
        if law.name in ("sums", "entries", "balances", "floors", "bonuses", "calls"):
            async with transaction() as opened:
                assert (await examined(opened, law)).faults == (), law.name


async def ask(speaker: Speaker, verb: Verb, seat: Seat, *, to: int = 0, **said: Any) -> Heard:
    said = {"id": fresh(verb), **said}
    return await speaker.send(verb, speaker.body(verb, seat, **said), to=to)


async def done(speaker: Speaker, verb: Verb, seat: Seat, **said: Any) -> Heard:
    heard = await ask(speaker, verb, seat, **said)
    assert heard.ok, heard
    return heard


async def account(house: House, name: str) -> int:
    found = await house.rows("SELECT balance::bigint FROM accounts WHERE name = %s", (name,))
    return int(found[0][0]) if found else 0


async def debt(house: House, seat: Seat) -> int:
    return -await account(house, f"player:{seat.player_id}:debt")


async def won(speaker: Speaker, seat: Seat, stake: int, win: int, **said: Any) -> str:
    """A payout that was made; its id."""
    bet, round, id = fresh("bet"), said.pop("round", fresh("round")), fresh("win")
    await done(speaker, "debit", seat, amount=stake, id=bet, round=round)
    await done(speaker, "credit", seat, amount=win, id=id, round=round, target=bet, **said)
    return id


# Messages


@stamping
async def test_a_message_signed_long_ago_or_for_a_time_to_come_is_refused(
    speaker: ValkyrieSpeaker, seat: Seat
) -> None:
    """2: and is not remembered"""
    body = speaker.body("debit", seat, id=fresh("bet"), amount=10, round=fresh("round"))
    raw, now = orjson.dumps(body), time.time()
    for away in (-WINDOW_S - 5, WINDOW_S + 5, -now, 10**9):
        heard = await speaker.deliver("debit", raw, speaker.signature(raw, at=now + away))
        assert heard.refused(Code.STALE), away
        assert "transactionResult" not in heard.body
    assert await speaker.balance(seat) == 1000
    for away in (-WINDOW_S + 30, WINDOW_S - 30):
        assert (await speaker.deliver("debit", raw, speaker.signature(raw, at=now + away))).ok
    assert await speaker.balance(seat) == 990


@stamping
async def test_time_and_nonce_are_signed_with_the_body(
    speaker: ValkyrieSpeaker, seat: Seat
) -> None:
    """1, 2"""
    raw = orjson.dumps(speaker.body("debit", seat, id=fresh("bet"), amount=10, round="r"))
    signed = speaker.signature(raw)
    later = str(int(signed["x-timestamp"]) + 1)
    for name, other in (("x-timestamp", later), ("x-nonce", "another"), ("x-nonce", "")):
        heard = await speaker.deliver("debit", raw, {**signed, name: other})
        assert heard.refused(Code.INVALID_SIGNATURE), name
    for left_out in signed:
        others = {name: said for name, said in signed.items() if name != left_out}
        assert (await speaker.deliver("debit", raw, others)).refused(Code.INVALID_SIGNATURE)
    for nonce in ("x" * 129, "~"):
        signed = speaker.signature(raw, nonce=nonce)
        assert (await speaker.deliver("debit", raw, signed)).refused(Code.MALFORMED)
    assert await speaker.balance(seat) == 1000


@stamping
async def test_a_message_played_back_changes_nothing_and_its_nonce_is_no_other_calls(
    speaker: ValkyrieSpeaker, seat: Seat
) -> None:
    """2, 14"""
    body = speaker.body("debit", seat, id=fresh("bet"), amount=10, round=fresh("round"))
    raw, nonce = orjson.dumps(body), fresh("nonce")
    signed = speaker.signature(raw, nonce=nonce)
    sent = [speaker.deliver("debit", raw, signed, to=n % 2) for n in range(6)]
    answers = await asyncio.gather(*sent)
    assert all(one.body == answers[0].body and one.ok for one in answers)
    other = speaker.body("debit", seat, id=fresh("bet"), amount=10, round=fresh("round"))
    raw = orjson.dumps(other)
    heard = await speaker.deliver("debit", raw, speaker.signature(raw, nonce=nonce))
    assert heard.refused(Code.CONFLICT)
    assert await speaker.balance(seat) == 990


# A bet with its payout


@having("play")
async def test_a_bet_and_its_payout_are_made_together_once(
    house: House, speaker: Speaker, seat: Seat
) -> None:
    """44, 9"""
    round = fresh("round")
    said = {"id": fresh("play"), "amount": 100, "won": 250, "round": round, "closes": True}
    body = speaker.body("play", seat, **said)
    answers = await asyncio.gather(*(speaker.send("play", body, to=n % 2) for n in range(6)))
    assert all(one.ok and one.balance == 1150 for one in answers), answers
    assert len({one.number for one in answers}) == 1
    other = speaker.body("play", seat, **{**said, "won": 251})
    assert (await speaker.send("play", other)).refused(Code.CONFLICT)
    assert (await ask(speaker, "debit", seat, amount=1, round=round)).refused(Code.ROUND_CLOSED)
    url = f"{house.urls[0]}/api/providers/{speaker.name}/rounds/{round}"
    calls = (await house.client.get(url, headers=READER)).json()["calls"]
    shown = [(one["kind"], one["amount"]) for one in calls if one["state"] == "done"]
    assert shown == [("debit", "100"), ("credit", "250")]
    assert await speaker.balance(seat) == 1150


@having("play")
async def test_a_play_is_covered_by_what_was_there_before_it(
    house: House, speaker: Speaker, seat: Seat
) -> None:
    """44: the bet, not what is left of it"""
    body = speaker.body("play", seat, id=fresh("play"), amount=1001, won=9000, round="never")
    assert (await speaker.send("play", body)).refused(Code.INSUFFICIENT_FUNDS)
    await house.move(seat.player_id, 5000)
    again = await speaker.send("play", body)
    assert again.refused(Code.INSUFFICIENT_FUNDS)
    assert again.balance == 6000


@having("play")
async def test_a_play_whose_payout_cannot_be_made_takes_no_bet(
    house: House, speaker: Speaker, seat: Seat
) -> None:
    """44"""
    mine = f"player:{seat.player_id}:cash"
    await house.rows("UPDATE accounts SET most = 1100 WHERE name = %s", (mine,))
    play, round = fresh("play"), fresh("round")
    heard = await ask(speaker, "play", seat, id=play, amount=100, won=201, round=round)
    assert heard.refused(Code.LIMIT_EXCEEDED)
    assert heard.balance == 1000
    kept = await house.rows("SELECT kind, state FROM casino_calls WHERE round = %s", (round,))
    assert kept == [("play", "declined")]
    assert await house.rows("SELECT FROM casino_rounds WHERE round = %s", (round,)) == []
    assert (await done(speaker, "play", seat, amount=100, won=200, round=round)).balance == 1100


@having("play")
async def test_a_play_is_never_rolled_back_but_barred_when_its_rollback_came_first(
    speaker: Speaker, seat: Seat
) -> None:
    """35, 40, 44"""
    one, two = fresh("play"), fresh("play")
    await done(speaker, "play", seat, id=one, amount=100, won=0, round=fresh("round"))
    assert (await speaker.rollback(seat, one)).refused(Code.ALREADY_SETTLED)
    await speaker.rollback(seat, two)
    late = await ask(speaker, "play", seat, id=two, amount=100, won=900, round=fresh("round"))
    assert late.refused(Code.ROLLED_BACK)
    assert await speaker.balance(seat) == 900


# A payout taken back


@having("reversal")
async def test_a_win_that_is_taken_back_beyond_the_balance_is_owed_and_paid_first(
    house: House, speaker: Speaker, seat: Seat
) -> None:
    """37: never cut short"""
    win = await won(speaker, seat, 100, 500)
    await done(speaker, "debit", seat, amount=1300, id=fresh("bet"), round=fresh("round"))
    body = speaker.body("reversal", seat, id=fresh("back"), target=win, amount=500)
    for to in (0, 1):
        heard = await speaker.send("reversal", body, to=to)
        assert heard.ok
        assert heard.balance == 0
    assert (await house.cash(seat), await debt(house, seat)) == (0, 400)
    await house.move(seat.player_id, 50)
    second = fresh("bet")
    await done(speaker, "debit", seat, amount=10, id=second, round="paying-" + second)
    paid = await done(speaker, "credit", seat, amount=450, target=second, round="paying-" + second)
    assert paid.balance == 90
    assert (await house.cash(seat), await debt(house, seat)) == (90, 0)


@having("reversal")
async def test_a_win_is_taken_back_once_however_many_ask(
    house: House, speaker: Speaker, seat: Seat
) -> None:
    """32, 37"""
    win = await won(speaker, seat, 100, 300)
    asked = [ask(speaker, "reversal", seat, target=win, to=n % 2) for n in range(6)]
    answers = await asyncio.gather(*asked)
    assert sum(one.ok for one in answers) == 1
    assert sum(one.refused(Code.ALREADY_ROLLED_BACK) for one in answers) == 5
    assert (await house.cash(seat), await debt(house, seat)) == (900, 0)


@having("reversal")
async def test_only_payouts_of_the_same_player_are_taken_back(
    house: House, speaker: Speaker, seat: Seat
) -> None:
    """36, 37"""
    other, bet = await house.seat(speaker), fresh("bet")
    win = await won(speaker, seat, 100, 300)
    await done(speaker, "debit", seat, amount=10, id=bet, round=fresh("round"))
    assert (await ask(speaker, "reversal", other, target=win)).refused(Code.WIN_NOT_FOUND)
    assert (await ask(speaker, "reversal", seat, target=bet)).refused(Code.NOT_A_WIN)
    assert (await speaker.rollback(seat, win)).refused(Code.NOT_A_BET)
    body = {**speaker.body("reversal", seat, id=fresh("back"), target=win)}
    body.pop("providerBetRef", None)
    assert (await speaker.send("reversal", body)).refused(Code.MALFORMED)
    assert (await speaker.balance(seat), await speaker.balance(other)) == (1190, 1000)


@having("reversal")
async def test_a_win_that_comes_after_its_reversal_is_refused_for_good(
    speaker: Speaker, seat: Seat
) -> None:
    """20, 33, 37"""
    bet, win, round = fresh("bet"), fresh("win"), fresh("round")
    await done(speaker, "debit", seat, amount=100, id=bet, round=round)
    early = await ask(speaker, "reversal", seat, target=win)
    assert early.ok == speaker.dialect.policy.accept_unknown_target
    assert early.ok or early.refused(Code.WIN_NOT_FOUND)
    for _ in range(2):
        late = await speaker.credit(seat, 500, id=win, round=round, target=bet)
        assert late.refused(Code.ROLLED_BACK)
    assert (await speaker.credit(seat, 300, round=round, target=bet)).ok
    assert await speaker.balance(seat) == 1200


@having("reversal")
async def test_a_round_whose_last_payout_is_taken_back_waits_for_the_right_one(
    speaker: Speaker, seat: Seat
) -> None:
    """25, 37: and takes no more bets"""
    round = fresh("round")
    win = await won(speaker, seat, 100, 300, round=round, closes=True)
    assert (await speaker.credit(seat, 1, round=round)).refused(Code.ALREADY_SETTLED)
    assert (await done(speaker, "reversal", seat, target=win)).balance == 900
    assert (await ask(speaker, "debit", seat, amount=1, round=round)).refused(Code.ROUND_CLOSED)
    assert (await done(speaker, "credit", seat, amount=250, round=round)).balance == 1150


@having("reversal")
async def test_the_payout_of_a_play_is_taken_back_and_its_bet_stands(
    speaker: Speaker, seat: Seat
) -> None:
    """37, 44"""
    play = fresh("play")
    await done(speaker, "play", seat, id=play, amount=100, won=700, round=fresh("round"))
    assert (await done(speaker, "reversal", seat, target=play)).balance == 900
    again = await ask(speaker, "reversal", seat, target=play)
    assert again.refused(Code.ALREADY_ROLLED_BACK)


# Jackpots


@having("play")
async def test_what_is_won_of_a_jackpot_is_a_part_of_the_payout(
    house: House, speaker: Speaker, seat: Seat
) -> None:
    """29: and contributions are told, finer than any coin, and moved by nobody"""
    before, round, bet = await totals(house, speaker), fresh("round"), fresh("bet")
    gave = [("mini", "0.0123"), ("grand", "0.000001")]
    await done(speaker, "debit", seat, amount=100, id=bet, round=round, jackpots=gave)
    said: dict[str, Any] = {"round": round, "target": bet, "amount": 500}
    wrong = await ask(speaker, "credit", seat, **said, jackpots=[("mini", "5.01")])
    assert wrong.refused(Code.BAD_AMOUNT)
    twice = await ask(speaker, "credit", seat, **said, jackpots=[("mini", "1"), ("mini", "1")])
    assert twice.refused(Code.MALFORMED)
    body = speaker.body("credit", seat, id=fresh("win"), **said, jackpots=[("mini", "3.00")])
    for to in (0, 1):
        assert (await speaker.send("credit", body, to=to)).balance == 1400
    after = await totals(house, speaker)
    assert round_sum(after, before, "contributed") == pytest.approx(1.2301, abs=1e-9)
    assert round_sum(after, before, "jackpots_won") == 300
    assert round_sum(after, before, "paid") == 500
    url = f"{house.urls[0]}/api/providers/{speaker.name}/rounds/{round}"
    calls = (await house.client.get(url, headers=READER)).json()["calls"]
    assert [one["jackpots"] for one in calls] == [
        [
            {"jackpot": "grand", "won": "0", "contributed": "0.0001"},
            {"jackpot": "mini", "won": "0", "contributed": "1.23"},
        ],
        [{"jackpot": "mini", "won": "300", "contributed": "0"}],
    ]


async def totals(house: House, speaker: Speaker) -> dict[str, Any]:
    day = datetime.now(UTC).date()
    url = f"{house.urls[0]}/api/providers/{speaker.name}/totals?day={day}"
    found = (await house.client.get(url, headers=READER)).json()["items"]
    return next((one for one in found if one["game"] == "1"), {})


def round_sum(after: dict[str, Any], before: dict[str, Any], name: str) -> float:
    return float(after[name]) - float(before.get(name, 0))


# Bets for nothing


class Promoter:
    """The service that gives rewards: it signs."""

    def __init__(self, house: House, speaker: Speaker) -> None:
        self.house, self.provider = house, speaker.name

    async def post(self, path: str, **body: Any) -> httpx.Response:
        raw, now, key = orjson.dumps(body), str(int(time.time())), fresh("promotion")
        said = stamped(raw, "promoter", now, f"POST {path}", key)
        headers = {
            "content-type": "application/json",
            "x-idempotency-key": key,
            "x-client-id": "promoter",
            "x-timestamp": now,
            "x-signature": hmac_sha256(said, PROMOTER_SECRET),
        }
        return await self.house.client.post(self.house.urls[0] + path, content=raw, headers=headers)

    async def given(self, seat: Seat, **said: Any) -> str:
        reward = fresh("reward")
        body = {"reward": reward, "provider": self.provider, "user": seat.player, "asset": "USD"}
        answer = await self.post("/api/rewards", **{**body, "count": 2, **said})
        assert answer.status_code == 200, answer.text
        return reward

    async def cancelled(self, reward: str) -> httpx.Response:
        path = f"/api/rewards/{self.provider}/{reward}/cancel"
        return await self.post(path, reason="a mistake")


@pytest.fixture
def promoter(house: House, speaker: Speaker) -> Promoter:
    return Promoter(house, speaker)


async def free(speaker: Speaker, seat: Seat, reward: str, **said: Any) -> Heard:
    said = {"amount": 0, "round": fresh("round"), **said}
    return await ask(speaker, "debit", seat, reward=reward, **said)


@having("cancel")
async def test_a_free_bet_takes_nothing_and_its_win_is_cash(
    house: House, speaker: Speaker, seat: Seat, promoter: Promoter
) -> None:
    """45"""
    reward, bet, round = await promoter.given(seat, game="1"), fresh("bet"), fresh("round")
    body = speaker.body("debit", seat, id=bet, amount=0, round=round, reward=reward)
    answers = await asyncio.gather(*(speaker.send("debit", body, to=n % 2) for n in range(4)))
    assert all(one.ok and one.balance == 1000 for one in answers)
    assert await used(house, reward) == 1
    assert (await done(speaker, "credit", seat, amount=70, target=bet, round=round)).balance == 1070
    assert (await free(speaker, seat, reward)).ok
    spent = await free(speaker, seat, reward)
    assert spent.refused(Code.REWARD_USED_UP)
    assert spent.balance == 1070
    assert await house.cash(seat) == 1070


async def used(house: House, reward: str) -> int:
    [(count,)] = await house.rows("SELECT used FROM casino_rewards WHERE id = %s", (reward,))
    return int(count)


@having("cancel")
async def test_a_reward_is_for_its_player_and_game_and_for_nothing_staked(
    house: House, speaker: Speaker, seat: Seat, promoter: Promoter
) -> None:
    """45"""
    other, reward = await house.seat(speaker), await promoter.given(seat, game="1")
    for refused in (
        await free(speaker, other, reward),
        await free(speaker, seat, reward, game="2"),
        await free(speaker, seat, "never given"),
    ):
        assert refused.refused(Code.REWARD_NOT_FOUND)
    assert (await free(speaker, seat, reward, amount=10)).refused(Code.AMOUNT_MISMATCH)
    assert await used(house, reward) == 0
    anywhere = await promoter.given(seat)
    assert (await free(speaker, seat, anywhere, game="2")).ok


@having("cancel")
async def test_an_expired_reward_is_refused_and_what_was_bet_before_is_paid(
    house: House, speaker: Speaker, seat: Seat, promoter: Promoter
) -> None:
    """45"""
    reward, bet, round = await promoter.given(seat), fresh("bet"), fresh("round")
    assert (await free(speaker, seat, reward, id=bet, round=round)).ok
    async with house.connection.transaction():
        await house.rows("SET LOCAL session_replication_role = replica")
        late = "UPDATE casino_rewards SET expires_at = now() - interval '1 s' WHERE id = %s"
        await house.rows(late, (reward,))
    body = speaker.body("debit", seat, id=fresh("bet"), amount=0, round="r", reward=reward)
    for _ in range(2):
        assert (await speaker.send("debit", body)).refused(Code.REWARD_EXPIRED)
    assert (await done(speaker, "credit", seat, amount=50, target=bet, round=round)).balance == 1050


@having("cancel")
async def test_a_free_bet_that_is_rolled_back_may_be_placed_again(
    house: House, speaker: Speaker, seat: Seat, promoter: Promoter
) -> None:
    """45, 31"""
    reward, bet = await promoter.given(seat, count=1), fresh("bet")
    assert (await free(speaker, seat, reward, id=bet)).ok
    assert (await free(speaker, seat, reward)).refused(Code.REWARD_USED_UP)
    for code in (None, Code.ALREADY_ROLLED_BACK):
        back = await speaker.rollback(seat, bet)
        assert back.ok if code is None else back.refused(code)
        assert await used(house, reward) == 0
    assert (await free(speaker, seat, reward)).ok


@having("cancel")
async def test_free_bets_at_once_are_never_more_than_were_given(
    house: House, speaker: Speaker, seat: Seat, promoter: Promoter
) -> None:
    """45"""
    reward = await promoter.given(seat, count=2)
    answers = await asyncio.gather(*(free(speaker, seat, reward, to=n % 2) for n in range(6)))
    assert sum(one.ok for one in answers) == 2
    assert sum(one.refused(Code.REWARD_USED_UP) for one in answers) == 4


@having("cancel")
async def test_unused_free_bets_are_cancelled_by_their_own_call_and_used_ones_are_not(
    house: House, speaker: Speaker, seat: Seat, promoter: Promoter
) -> None:
    """46: neither by a rollback"""
    kept, claimed = await promoter.given(seat), await promoter.given(seat)
    assert not (await speaker.rollback(seat, kept)).refused(Code.NOT_A_BET)
    assert (await free(speaker, seat, claimed)).ok
    assert (await ask(speaker, "cancel", seat, target=claimed)).refused(Code.REWARD_CLAIMED)
    other = await house.seat(speaker)
    assert (await ask(speaker, "cancel", other, target=kept)).refused(Code.REWARD_NOT_FOUND)
    body = speaker.body("cancel", seat, id=fresh("end"), target=kept)
    for to in (0, 1):
        assert (await speaker.send("cancel", body, to=to)).ok
    assert (await ask(speaker, "cancel", seat, target=kept)).refused(Code.REWARD_CANCELLED)
    assert (await free(speaker, seat, kept)).refused(Code.REWARD_CANCELLED)
    assert (await free(speaker, seat, claimed)).ok


@having("cancel")
async def test_a_cancellation_and_a_bet_at_once_are_never_both_taken(
    speaker: Speaker, seat: Seat, promoter: Promoter
) -> None:
    """46"""
    for turn in range(6):
        reward = await promoter.given(seat)
        end = ask(speaker, "cancel", seat, target=reward, to=turn % 2)
        bet, ended = await asyncio.gather(free(speaker, seat, reward), end)
        assert bet.ok != ended.ok
        assert bet.ok or bet.refused(Code.REWARD_CANCELLED)
        assert ended.ok or ended.refused(Code.REWARD_CLAIMED)


@having("cancel")
async def test_a_service_gives_and_cancels_rewards_once_for_each_name(
    house: House, speaker: Speaker, seat: Seat, promoter: Promoter
) -> None:
    """45, 46"""
    reward = await promoter.given(seat)
    said = {"reward": reward, "provider": speaker.name, "user": seat.player, "asset": "USD"}
    codes = [
        (await promoter.post("/api/rewards", **{**said, "count": 1, **more})).json()["code"]
        for more in (
            {},
            {"user": "nobody", "reward": "new"},
            {"provider": "jaqpot", "reward": "new"},
            {"provider": "nobody", "reward": "new"},
            {"game": "none", "reward": "new"},
        )
    ]
    assert codes == [
        "REWARD_STANDS",
        "unknown_user",
        "unknown_provider",
        "unknown_provider",
        "unknown_game",
    ]
    assert (await promoter.cancelled(reward)).json()["state"] == "cancelled"
    assert (await promoter.cancelled(reward)).json()["code"] == "REWARD_CANCELLED"
    assert (await promoter.cancelled("never")).json()["code"] == "UNKNOWN_REWARD"
    used_one = await promoter.given(seat)
    assert (await free(speaker, seat, used_one)).ok
    assert (await promoter.cancelled(used_one)).json()["code"] == "REWARD_CLAIMED"


# Tips and promotions


@having("tip")
async def test_a_tip_is_cash_for_who_deals_and_no_bet(
    house: House, speaker: Speaker, seat: Seat
) -> None:
    """47"""
    before, tips = await totals(house, speaker), await account(house, "house:tips")
    tip, round = fresh("tip"), fresh("round")
    body = speaker.body("tip", seat, id=tip, amount=30, round=round)
    for to in (0, 1):
        assert (await speaker.send("tip", body, to=to)).balance == 970
    assert await account(house, "house:tips") == tips + 30
    assert (await ask(speaker, "tip", seat, amount=971)).refused(Code.INSUFFICIENT_FUNDS)
    assert (await speaker.credit(seat, 5, round=round)).refused(Code.BET_NOT_FOUND)
    assert (await speaker.credit(seat, 5, round=round, target=tip)).refused(Code.BET_NOT_FOUND)
    assert (await ask(speaker, "refund", seat, target=tip)).refused(Code.NOT_A_BUY_IN)
    assert (await speaker.rollback(seat, tip)).balance == 1000
    assert (await speaker.rollback(seat, tip)).refused(Code.ALREADY_ROLLED_BACK)
    assert await account(house, "house:tips") == tips
    after = await totals(house, speaker)
    assert round_sum(after, before, "tipped") == 30
    assert round_sum(after, before, "staked") == 0


@having("buy_in")
async def test_a_promotion_takes_and_pays_by_types_and_codes_of_its_own(
    house: House, speaker: Speaker, seat: Seat
) -> None:
    """23, 47"""
    pot, before = await account(house, "house:promotions"), await totals(house, speaker)
    entry, bet = fresh("entry"), fresh("bet")
    body = speaker.body("buy_in", seat, id=entry, amount=200)
    for to in (0, 1):
        assert (await speaker.send("buy_in", body, to=to)).balance == 800
    assert await account(house, "house:promotions") == pot + 200
    poor = await ask(speaker, "buy_in", seat, amount=801)
    assert poor.refused(Code.INSUFFICIENT_FUNDS)
    assert poor.body["error"]["code"] != speaker.dialect.word(Code.INSUFFICIENT_FUNDS, "debit")
    # Where nobody bet there is a prize all the same.
    prize = speaker.body("prize", seat, id=fresh("prize"), amount=500, target="a tournament")
    for to in (0, 1):
        assert (await speaker.send("prize", prize, to=to)).balance == 1300
    await done(speaker, "debit", seat, amount=10, id=bet, round=fresh("round"))
    assert (await speaker.rollback(seat, entry)).refused(Code.NOT_A_BET)
    assert (await ask(speaker, "refund", seat, target=bet)).refused(Code.NOT_A_BUY_IN)
    assert (await ask(speaker, "refund", seat, target="never")).refused(Code.BUY_IN_NOT_FOUND)
    assert (await done(speaker, "refund", seat, target=entry)).balance == 1490
    again = await ask(speaker, "refund", seat, target=entry)
    assert again.refused(Code.ALREADY_ROLLED_BACK)
    assert await account(house, "house:promotions") == pot - 500
    after = await totals(house, speaker)
    for name, amount in {"entered": 200, "awarded": 500, "refunded": 200, "returned": 0}.items():
        assert round_sum(after, before, name) == amount, name


@having("buy_in")
async def test_a_buy_in_that_comes_after_its_refund_is_refused_for_good(
    speaker: Speaker, seat: Seat
) -> None:
    """20, 47"""
    entry = fresh("entry")
    early = await ask(speaker, "refund", seat, target=entry)
    assert early.ok or early.refused(Code.BUY_IN_NOT_FOUND)
    for _ in range(2):
        late = await ask(speaker, "buy_in", seat, id=entry, amount=100)
        assert late.refused(Code.ROLLED_BACK)
    assert await speaker.balance(seat) == 1000


@having("tip")
@pytest.mark.parametrize("verb", ["tip", "buy_in", "play"])
async def test_who_may_not_bet_gives_no_money_beside_either(
    house: House, speaker: Speaker, seat: Seat, verb: Verb
) -> None:
    """17, 18, 47"""
    expired = await house.expire(seat)
    said: dict[str, Any] = {"amount": 10, "round": fresh("round"), "won": 5}
    said = said if verb == "play" else {"amount": 10}
    assert (await ask(speaker, verb, expired, **said)).refused(Code.TOKEN_EXPIRED)
    assert (await ask(speaker, verb, seat, **said, game="over")).refused(Code.UNKNOWN_GAME)
    assert (await ask(speaker, verb, seat, **said, currency="EUR")).refused(Code.WRONG_CURRENCY)
    assert (await ask(speaker, verb, seat, **said, player="else")).refused(Code.OTHER_PLAYER)
    assert (await ask(speaker, verb, seat, **{**said, "amount": -1})).refused(Code.NEGATIVE_AMOUNT)
    mine = f"player:{seat.player_id}:cash"
    await house.rows("UPDATE accounts SET closed_at = now() WHERE name = %s", (mine,))
    assert (await ask(speaker, verb, seat, **said)).refused(Code.PLAYER_DISABLED)
    assert await house.cash(seat) == 1000


@having("tip")
async def test_an_amount_of_another_pot_is_refused(speaker: Speaker, seat: Seat) -> None:
    """47, 49"""
    for verb, more in (
        ("debit", {"promoAmount": 1}),
        ("credit", {"bonusAmount": 1}),
        ("buy_in", {"cashAmount": 1}),
        ("tip", {"tip": {"tipAmount": 1}}),
    ):
        said: Verb = verb  # type: ignore[assignment]
        body = speaker.body(said, seat, id=fresh("call"), amount=1000, round=fresh("round"))
        assert (await speaker.send(said, {**body, **more})).refused(Code.BAD_AMOUNT), verb
    assert await speaker.balance(seat) == 1000
