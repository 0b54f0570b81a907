"""Bonus money at providers' games, through their own doors, whichever dialect they speak.

The numbers are those of the statements in docs/decisions/0009-one-active-bonus.md.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from psycopg.errors import SerializationFailure

from casino.invariants import LAWS
from casino.invariants.laws import examined
from casino.providers.codes import Code
from casino.providers.dialect import Verb
from db.session import transaction
from tests.api.providers.conftest import House
from tests.api.providers.speakers import JaqpotSpeaker, Seat, Speaker, ValkyrieSpeaker, fresh
from tests.casino.wagering import Player, conserved, one, value, work


@pytest.fixture(autouse=True)
async def lawful(house: House) -> AsyncIterator[None]:
    """19: whatever happens, money of each colour is conserved, and every law holds."""
    yield
    await conserved()
    for law in LAWS:
        if law.name in ("sums", "entries", "balances", "floors", "bonuses", "calls"):
            async with transaction() as opened:
                assert (await examined(opened, law)).faults == (), law.name


class Table:
    """A player with cash and a bonus, at a launched game."""

    def __init__(self, house: House, speaker: Speaker, seat: Seat, grant: int) -> None:
        self.house, self.speaker, self.seat, self.grant = house, speaker, seat, grant
        self.player = Player(1, "fairhouse", seat.player_id)

    @classmethod
    async def laid(
        cls, house: House, speaker: Speaker, *, cash: int, bonus: int, **terms: Any
    ) -> Table:
        seat = await house.seat(speaker, balance=cash + 1)
        await house.move(seat.player_id, -1)  # a wallet, maybe with nothing in it
        grant = await Player(1, "fairhouse", seat.player_id).given(bonus, **terms)
        return cls(house, speaker, seat, grant)

    async def bet(self, amount: int, round: str, **said: Any) -> str:
        """A bet that is taken; its id."""
        id = fresh("bet")
        heard = await self.speaker.debit(self.seat, amount, id=id, round=round, **said)
        assert heard.ok, heard
        return id

    async def win(self, amount: int, round: str, bet: str, **said: Any) -> int:
        """A payout that is taken; the balance told."""
        heard = await self.speaker.credit(self.seat, amount, round=round, target=bet, **said)
        assert heard.ok, heard
        return heard.balance

    async def back(self, bet: str, **said: Any) -> int:
        heard = await self.speaker.rollback(self.seat, bet, **said)
        assert heard.ok, heard
        return heard.balance

    async def played(self, amount: int, won: int = 0, **said: Any) -> None:
        """A round of one bet."""
        round = fresh("round")
        await self.win(won, round, await self.bet(amount, round, **said), **said)

    async def has(self) -> tuple[int, int]:
        """Cash and bonus, as the books have them."""
        return await self.player.balances()

    async def stands(self) -> tuple[str, int]:
        """The bonus after all counting: its state, and what is wagered."""
        await work(self.player)
        state, done_bp = await self.player.state(self.grant)
        assert done_bp % 10_000 == 0
        return state, done_bp // 10_000

    async def kept(self, call: str) -> tuple[Any, ...]:
        """The split and the bonus that a call keeps."""
        query = "SELECT cash::int, bonus::int, grant_id FROM casino_calls WHERE id = %s"
        [row] = await self.house.rows(query, (call,))
        return row


async def test_a_bet_takes_cash_first_and_its_payout_returns_by_the_split(
    house: House, speaker: Speaker
) -> None:
    """12"""
    table = await Table.laid(house, speaker, cash=30, bonus=100)
    assert await speaker.balance(table.seat) == 130
    bet, round, win = await table.bet(80, "split-" + speaker.name), "split-" + speaker.name, "w"
    assert await table.kept(bet) == (30, 50, table.grant)
    assert await table.has() == (0, 50)
    win = fresh("win")
    assert await table.win(161, round, bet, id=win) == 211
    assert await table.kept(win) == (61, 100, table.grant)
    assert await table.has() == (61, 150)
    assert await speaker.balance(table.seat) == 211


async def test_a_rollback_restores_both_colours_and_leaves_progress_as_it_was(
    house: House, speaker: Speaker
) -> None:
    """3, 12"""
    table = await Table.laid(house, speaker, cash=30, bonus=100)
    round = fresh("round")
    one, other = await table.bet(60, round), await table.bet(40, round)
    assert await table.back(one) == 90
    assert await table.has() == (30, 60)
    assert await table.back(other) == 130
    assert await table.has() == (30, 100)
    assert (await speaker.rollback(table.seat, one)).refused(Code.ALREADY_ROLLED_BACK)
    assert await table.stands() == ("active", 0)


async def test_what_stands_in_a_round_counts_once_when_it_is_paid(
    house: House, speaker: Speaker
) -> None:
    """3"""
    table = await Table.laid(house, speaker, cash=0, bonus=100)
    round, id = fresh("round"), fresh("bet")
    for _ in range(2):  # delivered twice
        await speaker.debit(table.seat, 10, id=id, round=round)
    gone = await table.bet(20, round)
    await table.bet(7, round)
    assert await table.stands() == ("active", 0)
    await table.back(gone)
    win = fresh("win")
    for to in (0, 1, 0):
        await table.win(5, round, id, id=win, to=to)
    assert await table.stands() == ("active", 17)
    await table.win(5, round, id)
    await table.win(0, round, id, closes=True)
    assert await table.stands() == ("active", 17)
    told = [said["done"] for type, said in await table.player.told() if type == "bonus.progress"]
    assert told == ["17"]


async def test_a_bet_after_the_payout_counts_with_the_next_one(
    house: House, speaker: Speaker
) -> None:
    """3"""
    table = await Table.laid(house, speaker, cash=0, bonus=100)
    round = fresh("round")
    await table.win(1, round, await table.bet(10, round))
    if not speaker.dialect.policy.bet_after_payout:
        late = await speaker.debit(table.seat, 20, round=round)
        assert late.refused(Code.ROUND_CLOSED)
        assert late.balance == 91
        assert await table.stands() == ("active", 10)
        return
    back, stays = await table.bet(20, round), await table.bet(30, round)
    assert await table.stands() == ("active", 10)
    await table.back(back)
    await table.win(1, round, stays)
    assert await table.stands() == ("active", 40)


@pytest.mark.parametrize("taken_back", [True, False])
async def test_a_round_that_closes_without_a_payout_counts_until_its_bet_is_rolled_back(
    house: House, speaker: Speaker, taken_back: bool
) -> None:
    """3"""
    table = await Table.laid(house, speaker, cash=0, bonus=100)
    round = fresh("round")
    lost = await table.bet(10, round)
    await table.bet(5, round, closes=True)
    assert await table.stands() == ("active", 15)
    if taken_back:
        assert await table.back(lost) == 95
        assert await table.stands() == ("active", 5)


async def test_a_payout_that_is_refused_counts_nothing(house: House, speaker: Speaker) -> None:
    """3"""
    table = await Table.laid(house, speaker, cash=0, bonus=100)
    bet, round = await table.bet(10, fresh("round")), fresh("round")
    stolen = await speaker.credit(table.seat, 5, round=round, target=bet)
    assert stolen.refused(Code.BET_NOT_FOUND)
    assert (await speaker.credit(table.seat, 5, round=round, target="none")).refused(
        Code.BET_NOT_FOUND
    )
    assert await table.stands() == ("active", 0)


async def test_games_count_by_their_own_weight_and_else_by_that_of_their_product(
    house: House, speaker: Speaker
) -> None:
    """2"""
    weights = {"live": 500, f"slots/{speaker.name}:1": 8000, "slots": 1}
    table = await Table.laid(house, speaker, cash=0, bonus=1000, weights=weights)
    await table.played(100, 100, game="1")
    assert await table.stands() == ("active", 80)
    await table.played(100, 100, game="2")
    assert await table.stands() == ("active", 85)


@pytest.mark.parametrize("code", ["Sweet Bonanza 1000", "live/roulette/1", "{" + "x" * 127])
async def test_a_game_counts_by_its_own_weight_whatever_its_provider_calls_it(
    house: House, speaker: Speaker, code: str
) -> None:
    """2"""
    await house.rows(
        "INSERT INTO casino_games (casino_id, provider, code, name, product)"
        " VALUES (1, %s, %s, 'A game', 'slots')",
        (speaker.name, code),
    )
    weights = {f"slots/{speaker.name}:{code}": 8000, "slots": 1}
    table = await Table.laid(house, speaker, cash=0, bonus=1000, weights=weights)
    await table.played(100, 100, game=code)
    assert await table.stands() == ("active", 80)
    excluded = (f"slots/{speaker.name}:{code}",)
    table = await Table.laid(house, speaker, cash=5, bonus=1000, excluded=excluded)
    assert (await speaker.debit(table.seat, 6, game=code)).refused(Code.INSUFFICIENT_FUNDS)


async def test_bonus_money_is_neither_shown_nor_staked_nor_wagered_at_an_excluded_game(
    house: House, speaker: Speaker
) -> None:
    """2, 17"""
    table = await Table.laid(house, speaker, cash=50, bonus=100, excluded=("live",))
    seat, shown = table.seat, speaker.body("balance", table.seat, game="2")
    assert (await speaker.send("balance", shown)).balance == 50
    assert await speaker.balance(seat) == 150
    refused = await speaker.debit(seat, 51, game="2")
    assert refused.refused(Code.INSUFFICIENT_FUNDS)
    assert refused.balance == 50
    bet, round = await table.bet(40, "live", game="2"), "live"
    assert await table.kept(bet) == (40, 0, None)
    assert await table.win(60, round, bet, game="2") == 70
    assert await table.has() == (70, 100)
    assert await table.stands() == ("active", 0)


async def test_a_bet_above_the_most_is_refused_as_a_limit_and_stays_so(
    house: House, speaker: Speaker
) -> None:
    """4"""
    table = await Table.laid(house, speaker, cash=50, bonus=100, max_bet=20)
    body = speaker.body("debit", table.seat, id=fresh("bet"), amount=21, round=fresh("round"))
    for _ in range(2):
        refused = await speaker.send("debit", body)
        assert refused.refused(Code.LIMIT_EXCEEDED)
        assert refused.balance == 150
    await table.bet(20, fresh("round"))
    assert await table.has() == (30, 100)


async def test_a_bet_above_the_most_forfeits_the_bonus_but_not_when_it_is_declined(
    house: House, speaker: Speaker
) -> None:
    """4"""
    terms = {"max_bet": 20, "above_max_bet": "forfeit"}
    table = await Table.laid(house, speaker, cash=50, bonus=100, **terms)
    declined = await speaker.debit(table.seat, 51)
    assert declined.refused(Code.INSUFFICIENT_FUNDS)
    assert declined.balance == 150
    assert await table.stands() == ("active", 0)
    bet, round = await table.bet(50, "above-" + speaker.name), "above-" + speaker.name
    assert await table.kept(bet) == (50, 0, None)
    assert (await table.stands())[0] == "forfeited"
    assert await table.win(70, round, bet) == 70
    assert await table.has() == (70, 0)


@pytest.mark.parametrize("way", ["win", "back"])
@pytest.mark.parametrize("ending", ["completed", "forfeited"])
async def test_what_returns_after_its_bonus_ended_follows_how_that_ended(
    house: House, speaker: Speaker, way: str, ending: str
) -> None:
    """11"""
    table = await Table.laid(house, speaker, cash=10, bonus=100, max_win=100)
    round = fresh("round")
    late = await table.bet(40, round)  # 10 of it cash
    if ending == "completed":
        await table.played(70, 75)
        await table.played(30, 30)
    else:
        await one(table.player.forfeit(table.grant))
    assert (await table.stands())[0] == ending
    cash, bonus = await table.has()
    assert (cash, bonus) == (75 if ending == "completed" else 0, 0)
    told = await (table.win(80, round, late) if way == "win" else table.back(late))
    # By the split 20 or 10 are cash; of the other 60 or 30 at most 25 were left to be paid.
    own, left = (20, 25) if way == "win" else (10, 25)
    assert told == cash + own + (left if ending == "completed" else 0)
    assert await table.has() == (told, 0)


async def test_payouts_at_once_complete_a_bonus_and_convert_it_once(
    house: House, speaker: Speaker
) -> None:
    """7, 11"""
    table = await Table.laid(house, speaker, cash=0, bonus=100, multiplier_bp=5_000)
    bets = [(fresh("round"), fresh("bet")) for _ in range(10)]
    for round, id in bets:
        assert (await speaker.debit(table.seat, 10, id=id, round=round)).ok

    async def paid(place: int, round: str, id: str) -> None:
        win = fresh("win")
        for to in (place % 2, 1 - place % 2):  # and delivered twice
            await table.win(12, round, id, id=win, to=to)

    async def worked() -> None:
        for _ in range(10):
            # Another one counted meanwhile: a worker is told to do it again.
            with contextlib.suppress(SerializationFailure):
                await work(table.player)

    payouts = [paid(place, round, id) for place, (round, id) in enumerate(bets)]
    await asyncio.gather(worked(), *payouts, worked())
    assert (await table.stands())[0] == "completed"
    assert await table.has() == (120, 0)
    converted = "SELECT count(*) FROM transfers WHERE reference = :r AND type = 'bonus.completed'"
    assert await value(converted, r=f"grant:{table.grant}") == 1
    counted = "SELECT sum(cash + bonus)::int FROM wagers WHERE grant_id = :g"
    assert await value(counted, g=table.grant) == 100


async def test_closing_a_bonus_early_takes_what_was_won_with_it_and_never_cash(
    house: House, speaker: Speaker
) -> None:
    """15"""
    table = await Table.laid(house, speaker, cash=40, bonus=100)
    await table.played(60, 90)
    assert await table.has() == (60, 110)
    answer = await one(table.player.forfeit(table.grant, "closed by the player"))
    assert (answer.body["removed"], answer.body["added"]) == ("110", "0")
    assert await speaker.balance(table.seat) == 60


async def test_bets_at_once_never_take_more_than_cash_and_bonus(
    house: House, speaker: Speaker
) -> None:
    """12, 19"""
    table = await Table.laid(house, speaker, cash=500, bonus=500, order="mixed")
    answers = await asyncio.gather(*(speaker.debit(table.seat, 300, to=n % 2) for n in range(8)))
    assert sum(one.ok for one in answers) == 3
    assert all(one.ok or one.refused(Code.INSUFFICIENT_FUNDS) for one in answers)
    assert sum(await table.has()) == 100


@pytest.fixture
def valkyrie(house: House) -> ValkyrieSpeaker:
    """The one that has plays, reversals, tips and rewards."""
    return ValkyrieSpeaker(house.client, house.urls)


async def test_a_play_takes_both_colours_and_counts_once(
    house: House, valkyrie: ValkyrieSpeaker
) -> None:
    """3, 12"""
    table = await Table.laid(house, valkyrie, cash=30, bonus=100, multiplier_bp=20_000)
    play = fresh("play")
    said = {"id": play, "amount": 80, "won": 160, "round": fresh("round")}
    body = valkyrie.body("play", table.seat, **said)
    for to in (0, 1):
        heard = await valkyrie.send("play", body, to=to)
        assert heard.ok
        assert heard.balance == 210
    assert await table.kept(play) == (30, 50, table.grant)
    assert await table.has() == (60, 150)
    assert await table.stands() == ("active", 80)


@pytest.mark.parametrize("ending", ["active", "completed", "forfeited"])
async def test_a_win_in_bonus_money_is_taken_back_by_how_its_bonus_stands(
    house: House, valkyrie: ValkyrieSpeaker, ending: str
) -> None:
    """11, 19"""
    table = await Table.laid(house, valkyrie, cash=20, bonus=80, max_win=100)
    win, round = fresh("win"), fresh("round")
    await table.win(200, round, await table.bet(100, round), id=win)
    assert await table.kept(win) == (40, 160, table.grant)
    if ending == "completed":
        assert (await table.stands())[0] == "completed"
        assert await table.has() == (140, 0)
    if ending == "forfeited":
        await one(table.player.forfeit(table.grant))
    back = await call(table, "reversal", target=win)
    kept = {"active": (40, 160), "completed": (140, 0), "forfeited": (40, 0)}[ending]
    assert await table.kept(back) == (*kept, table.grant)
    assert await table.has() == (0, 0)


async def test_bonus_money_that_was_staked_since_is_no_debt_and_cash_is(
    house: House, valkyrie: ValkyrieSpeaker
) -> None:
    """19: colours never pay for each other"""
    table = await Table.laid(house, valkyrie, cash=20, bonus=80, multiplier_bp=10**6)
    win, round = fresh("win"), fresh("round")
    await table.win(200, round, await table.bet(100, round), id=win)
    await table.bet(190, fresh("round"))
    assert await table.has() == (0, 10)
    back = await call(table, "reversal", target=win)
    assert await table.kept(back) == (40, 10, table.grant)
    assert await table.has() == (0, 0)
    owed = "SELECT balance::int FROM accounts WHERE name = %s"
    name = f"player:{table.seat.player_id}:debt"
    assert await house.rows(owed, (name,)) == [(-40,)]


async def test_bonus_money_and_locked_cash_are_neither_tipped_nor_bought_in_with(
    house: House, valkyrie: ValkyrieSpeaker
) -> None:
    """14"""
    seat = await house.seat(valkyrie, balance=100)
    player = Player(1, "fairhouse", seat.player_id)
    grant = await player.given(50, locked=70)
    table = Table(house, valkyrie, seat, grant)
    for verb in ("tip", "buy_in"):
        asked: Verb = verb
        body = valkyrie.body(asked, seat, id=fresh(verb), amount=31)
        heard = await valkyrie.send(asked, body)
        assert heard.refused(Code.INSUFFICIENT_FUNDS)
        assert heard.balance == 150
    await call(table, "tip", amount=30)
    await table.bet(60, fresh("round"))
    assert await table.has() == (10, 50)
    await one(player.forfeit(grant))
    await call(table, "tip", amount=10)


@pytest.fixture
def jaqpot(house: House) -> JaqpotSpeaker:
    """The one whose calls may come without a round, or as a payout without a bet."""
    return JaqpotSpeaker(house.client, house.urls)


async def call(table: Table, verb: Verb, **more: Any) -> str:
    """A call that is taken, of which nothing is said but this; its id."""
    id = fresh(verb)
    heard = await table.speaker.send(verb, table.speaker.body(verb, table.seat, id=id, **more))
    assert heard.ok, heard
    return id


@pytest.mark.parametrize("round", [{}, {"round": "again"}], ids=["session", "round"])
async def test_a_payout_returns_by_the_stakes_placed_since_the_one_before(
    house: House, jaqpot: JaqpotSpeaker, round: dict[str, str]
) -> None:
    """12: what was staked and paid long ago is no part of it"""
    table = await Table.laid(house, jaqpot, cash=100_000, bonus=1_000, multiplier_bp=10**7)
    await call(table, "debit", amount=60_000, **round)
    await call(table, "debit", amount=40_000, **round)
    await call(table, "credit", amount=1, **round)
    await call(table, "debit", amount=1_001, **round)
    win = await call(table, "credit", amount=50_050, **round)
    assert await table.kept(win) == (50, 50_000, table.grant)
    # One more payout without a stake, or after a bet that was taken back, is of the same stakes.
    for cash, back in ((51, False), (52, True)):
        if back:
            bet = await call(table, "debit", amount=20, **round)
            await call(table, "rollback", target=bet)
        free = await call(table, "debit", amount=0, **round)
        assert await table.kept(free) == (0, 0, table.grant)
        win = await call(table, "credit", amount=1_001, **round)
        assert await table.kept(win) == (1, 1_000, table.grant)
        assert (await table.has())[0] == cash


async def test_a_bet_without_a_round_is_paid_by_itself_and_settles_no_other(
    house: House, jaqpot: JaqpotSpeaker
) -> None:
    """3, 12"""
    table = await Table.laid(house, jaqpot, cash=0, bonus=100, multiplier_bp=1_000_000)
    one, two = [await call(table, "debit", amount=amount) for amount in (10, 20)]
    three = await call(table, "debit", amount=30)
    for _ in range(2):
        await call(table, "credit", amount=5, target=two)
    assert await table.stands() == ("active", 20)
    await call(table, "rollback", target=one)
    for bet, code in ((two, Code.ALREADY_SETTLED), (one, Code.ALREADY_ROLLED_BACK)):
        assert (await jaqpot.rollback(table.seat, bet)).refused(code)
    assert await table.stands() == ("active", 20)
    await call(table, "credit", amount=0)
    assert (await jaqpot.rollback(table.seat, three)).refused(Code.ALREADY_SETTLED)
    assert await table.stands() == ("active", 50)
    await call(table, "credit", amount=7, target=three)
    assert await table.stands() == ("active", 50)
    assert await table.has() == (0, 67)


async def test_a_bet_that_was_paid_by_itself_has_no_part_in_a_payout_that_names_none(
    house: House, jaqpot: JaqpotSpeaker
) -> None:
    """12"""
    table = await Table.laid(house, jaqpot, cash=0, bonus=100)
    bet = await call(table, "debit", amount=100)
    await house.move(table.seat.player_id, 50)
    await call(table, "debit", amount=50)
    await call(table, "credit", amount=0, target=bet)
    await call(table, "credit", amount=500)
    assert await table.has() == (500, 0)


async def test_a_session_goes_on_whatever_a_call_without_a_round_closes(
    house: House, jaqpot: JaqpotSpeaker
) -> None:
    """3"""
    table = await Table.laid(house, jaqpot, cash=100, bonus=100)
    bet = await call(table, "debit", amount=10, closes=True)
    await call(table, "credit", amount=0, target=bet, closes=True)
    await call(table, "credit", amount=0, closes=True)
    await call(table, "debit", amount=10)
    assert await table.has() == (80, 100)
