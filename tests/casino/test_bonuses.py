"""Bonus money is given once, staked by its terms, and ends as cash or with the house, once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from psycopg.errors import LockNotAvailable
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from api.gatherer import Gatherer
from casino import bonuses, wagers
from casino.bonuses import Convert, Expire, Grants, withdrawn
from casino.campaigns import BadTerms, Define, Terms
from casino.commands import Answer, Command, Desk, KeyReused, commit_free, commit_many, run_many
from casino.stakes import Purse, Split
from casino.wallets import Move, ends
from db import session
from db.session import Connection, direct, driver
from ledger.accounts import Account
from ledger.errors import Refusal
from ledger.transfers import Posting, Transfer
from tests.casino.wagering import (
    USD,
    Bets,
    Place,
    Player,
    conserved,
    counted,
    ended,
    hours_later,
    one,
    rows,
    run,
    terms,
    value,
    work,
)

_players = iter(range(1, 10**6))


@pytest.fixture(scope="module", autouse=True)
async def books(database_url: str) -> AsyncIterator[None]:
    session.configure(database_url)
    async with session.transaction() as opened:
        await opened.execute(text(f"INSERT INTO assets VALUES ('{USD}', 'USD', 2)"))
        await opened.execute(text("INSERT INTO casinos (slug, name) VALUES ('house', 'House')"))
    yield
    await session.close()


@pytest.fixture
async def player() -> AsyncIterator[Player]:
    """Somebody new; whatever happened to them, no money came from nowhere."""
    casino_id = await value("SELECT id FROM casinos WHERE slug = 'house'")
    yield Player(casino_id, "house", next(_players))
    await conserved()


@pytest.mark.parametrize(("of", "required"), [("bonus", "3500"), ("bonus_and_deposit", "10500")])
async def test_what_is_required_is_a_multiple_of_bonus_or_bonus_and_deposit(
    player: Player, of: str, required: str
) -> None:
    await player.define(f"of-{of}", multiplier_bp=350_000, of=of)
    answer = await one(player.grant(100, f"of-{of}", deposit=200))
    assert (answer.body["required"], answer.body["done"]) == (required, "0")
    assert answer.body["remaining"] == required
    assert answer.body["state"] == "active"


async def test_a_fraction_of_a_multiple_is_exact_until_it_is_shown(player: Player) -> None:
    grant = await player.given(3, multiplier_bp=12_345)
    assert await value("SELECT required_bp::int FROM grants WHERE id = :g", g=grant) == 3 * 12_345
    [(_, said)] = await player.told()
    assert said["required"] == "4"


async def test_a_grant_asked_again_is_the_same_grant(player: Player) -> None:
    await player.define()
    asked = player.grant(50)
    [first, again] = await run(asked, asked)
    assert (first.replayed, again.replayed) == (False, True)
    assert first.body == again.body == (await one(asked)).body
    assert await player.balances() == (0, 50)
    [told] = await player.told()
    assert told[0] == "bonus.granted"


async def test_the_deposit_is_named_where_it_counts(player: Player) -> None:
    await player.define("both", of="bonus_and_deposit")
    assert (await one(player.grant(1, "both"))).code == "DEPOSIT_MISSING"


async def test_a_second_bonus_is_refused_where_bonuses_do_not_stack(player: Player) -> None:
    await player.given(10)
    refused = await one(player.grant(10, f"of-{player.number}"))
    assert refused.code == "BONUS_STACKED"
    assert await player.balances() == (0, 10)


async def test_a_second_bonus_waits_where_it_may_and_begins_when_the_first_ends(
    player: Player,
) -> None:
    first = await player.given(10, stacking="queue")
    [second, third] = await run(
        *(player.grant(amount, f"of-{player.number}") for amount in (20, 30))
    )
    assert {one.body["state"] for one in (second, third)} == {"pending"}
    assert await player.balances() == (0, 10)
    await one(player.forfeit(first))
    assert await player.balances() == (0, 20)
    await one(player.forfeit(int(third.body["grant"]), state="cancelled"))
    await one(player.forfeit(int(second.body["grant"])))
    assert await player.balances() == (0, 0)
    states = "SELECT state FROM grants WHERE player_id = :p ORDER BY id"
    found = [state for (state,) in await rows(states, p=player.number)]
    assert found == ["forfeited", "forfeited", "cancelled"]


async def test_bonuses_that_begin_and_end_in_one_batch_leave_what_they_left_one_by_one(
    player: Player,
) -> None:
    await player.define("quick", stacking="queue")
    [first, second] = await run(*(player.grant(amount, "quick") for amount in (5, 7)))
    numbers = [int(answer.body["grant"]) for answer in (first, second)]
    await run(*(player.forfeit(number) for number in numbers), player.grant(9, "quick"))
    assert await player.balances() == (0, 9)
    third = await value(
        "SELECT id FROM grants WHERE player_id = :p AND state = 'active'", p=player.number
    )
    await run(player.grant(11, "quick"), player.forfeit(third), player.place("b", 11))
    assert player.splits["b"].bonus == 11


async def test_a_player_gets_no_more_bonuses_of_a_campaign_than_it_allows(player: Player) -> None:
    first = await player.given(10, most_grants=1)
    await one(player.forfeit(first))
    assert (await one(player.grant(10, f"of-{player.number}"))).code == "TOO_MANY_GRANTS"


async def test_a_closed_or_unknown_campaign_gives_nothing(player: Player) -> None:
    await player.define("closing")
    await player.define("closing", closed=True)
    assert (await one(player.grant(10, "closing"))).code == "CAMPAIGN_CLOSED"
    assert (await one(player.grant(10, "nowhere"))).code == "UNKNOWN_CAMPAIGN"
    assert await player.balances() == (0, 0)


async def test_cash_is_staked_first_and_winnings_return_by_the_split(player: Player) -> None:
    await player.given(100, cash=30, max_win=None)
    answer = await one(player.place("a", 50))
    assert answer.body["available"] == "130"
    assert player.splits["a"][:2] == (30, 20)
    assert await player.balances() == (0, 80)
    await one(player.settle("a", 101))
    assert await player.balances() == (61, 120)


async def test_mixed_stakes_take_both_by_their_shares(player: Player) -> None:
    await player.given(100, cash=50, order="mixed")
    await one(player.place("a", 31))
    assert player.splits["a"][:2] == (11, 20)
    await one(player.settle("a", ending="refund"))
    assert await player.balances() == (50, 100)


@pytest.mark.parametrize("order", ["cash_first", "mixed"])
async def test_a_stake_of_all_there_is_is_paid_and_of_more_is_refused(
    player: Player, order: str
) -> None:
    await player.given(7, cash=3, order=order)
    refused = await one(player.place("a", 11))
    assert (refused.code, refused.body["available"]) == ("INSUFFICIENT_FUNDS", "10")
    assert (await one(player.place("b", 10))).code is None
    assert player.splits["b"][:2] == (3, 7)
    assert await player.balances() == (0, 0)


async def test_a_stake_above_the_most_is_refused_where_the_terms_say_so(player: Player) -> None:
    grant = await player.given(100, cash=100, max_bet=10)
    refused = await one(player.place("a", 11))
    assert (refused.code, refused.body["most"]) == ("MAX_BET_EXCEEDED", "10")
    assert await player.balances() == (100, 100)
    assert (await player.state(grant))[0] == "active"
    assert (await one(player.place("b", 10))).code is None


async def test_a_stake_above_the_most_forfeits_the_bonus_where_the_terms_say_so(
    player: Player,
) -> None:
    grant = await player.given(100, cash=40, max_bet=10, above_max_bet="forfeit")
    await one(player.place("a", 30))
    assert player.splits["a"] == Split(30)
    assert await player.balances() == (10, 0)
    assert (await player.state(grant))[0] == "forfeited"
    assert [(type, said.get("reason")) for type, said in await player.told()][-1] == (
        "bonus.forfeited",
        "max_bet",
    )


async def test_a_stake_that_cash_cannot_pay_forfeits_nothing(player: Player) -> None:
    grant = await player.given(100, cash=40, max_bet=10, above_max_bet="forfeit")
    # In one batch, so that what follows is decided on what the refused one left behind.
    [refused, small] = await run(player.place("a", 41), player.place("b", 10))
    assert refused.code == "INSUFFICIENT_FUNDS"
    assert small.code is None
    assert player.splits["b"].grant == grant
    assert await player.balances() == (30, 100)
    assert (await player.state(grant))[0] == "active"
    assert [type for type, _ in await player.told()] == ["bonus.granted"]


class Declines(Place):
    """A bet whose refusal its command takes for an answer, and so keeps what it did before."""

    def decide(self, desk: Desk) -> Answer:
        try:
            return super().decide(desk)
        except Refusal as refusal:
            return Answer({}, code=refusal.code)


async def test_a_stake_that_cash_cannot_pay_forfeits_nothing_even_if_its_refusal_is_caught(
    player: Player,
) -> None:
    grant = await player.given(100, cash=40, max_bet=10, above_max_bet="forfeit")
    declined = await one(Declines(**vars(player.place("a", 41))))
    assert declined.code == "INSUFFICIENT_FUNDS"
    assert (await player.state(grant))[0] == "active"
    assert await player.balances() == (40, 100)


class Breaks(Place):
    """A bet that something else refuses once its stake is paid."""

    def decide(self, desk: Desk) -> Answer:
        super().decide(desk)
        raise Refusal("something else")


async def test_a_bet_that_is_refused_in_the_end_takes_its_forfeit_back(player: Player) -> None:
    grant = await player.given(100, cash=40, max_bet=10, above_max_bet="forfeit")
    wide = player.place("a", 30)
    [refused, small] = await run(Breaks(**vars(wide)), player.place("b", 10))
    assert refused.code == "REFUSED"
    assert (small.code, player.splits["b"].grant) == (None, grant)
    # Alone, nothing of it is written either.
    await one(Breaks(**vars(wide) | {"key": f"alone-{grant}"}))
    assert (await player.state(grant))[0] == "active"
    assert await player.balances() == (30, 100)
    assert [type for type, _ in await player.told()] == ["bonus.granted"]


async def test_bonus_money_is_not_staked_at_excluded_games_or_other_products(
    player: Player,
) -> None:
    await player.given(100, cash=5, excluded=("slots/bad",), products=("slots",))
    for game in ("slots/bad", "live/roulette", None):
        assert (await one(player.place("a", 6, game=game))).code == "INSUFFICIENT_FUNDS"
        answer = await one(player.place(f"{game}", 1, game=game))
        assert (answer.code, answer.body["available"]) == (None, str(5 - len(player.splits) + 1))
        assert player.splits[f"{game}"] == Split(1)
    assert (await one(player.place("good", 50))).code is None


async def test_an_expired_bonus_leaves_by_one_balanced_transfer(player: Player) -> None:
    grant = await player.given(100, cash=20)
    await player.played("a", 20, won=70)
    await hours_later(grant)
    # Even before anybody came to end it, its money is not staked any more.
    assert (await one(player.place("b", 71))).code == "INSUFFICIENT_FUNDS"
    await work(player)
    assert (await player.state(grant))[0] == "expired"
    assert await player.balances() == (70, 0)
    legs = await rows(
        "SELECT a.name, e.amount::bigint FROM entries e JOIN accounts a ON a.id = e.account_id"
        " JOIN transfers t ON t.id = e.transfer_id WHERE t.type = 'bonus.expired'"
        " AND t.reference = :r ORDER BY 2",
        r=f"grant:{grant}",
    )
    assert legs == [(f"player:{player.number}:bonus", -100), ("system:retracted:bonus", 100)]


async def test_a_bonus_that_was_wagered_in_time_is_converted_however_late_the_worker_is(
    player: Player,
) -> None:
    grant = await player.given(10, cash=100)
    await player.played("a", 10)
    await counted(player)
    await hours_later(grant)
    await ended(player)
    assert (await player.state(grant))[0] == "completed"
    assert await player.balances() == (100, 0)


@pytest.mark.parametrize(
    ("said", "before", "added"),
    [
        pytest.param({}, 170, 170, id="all of it"),
        pytest.param({"max_win": 60}, 170, 60, id="a cap"),
        pytest.param({"sticky": True}, 170, 70, id="without the principal"),
        pytest.param({"sticky": True, "max_win": 30}, 170, 30, id="both"),
    ],
)
async def test_a_wagered_bonus_becomes_cash_in_one_transfer_as_far_as_its_terms_allow(
    player: Player, said: dict[str, Any], before: int, added: int
) -> None:
    grant = await player.given(100, **said)
    await player.played("a", 100, won=170)
    await counted(player)
    [answer] = await ended(player)
    ending = {name: answer.body[name] for name in ("state", "before", "added", "removed")}
    assert ending == {
        "state": "completed",
        "before": str(before),
        "added": str(added),
        "removed": str(before - added),
    }
    assert await player.balances() == (added, 0)
    query = "SELECT count(*) FROM transfers WHERE reference = :r AND type = 'bonus.completed'"
    assert await value(query, r=f"grant:{grant}") == 1
    assert (await player.told())[-1][1]["added"] == str(added)


async def test_a_sticky_bonus_that_lost_leaves_nothing_and_takes_no_cash(player: Player) -> None:
    await player.given(100, cash=10, sticky=True)
    await player.played("a", 100)
    await work(player)
    assert await player.balances() == (0, 0)


async def test_twenty_at_once_convert_a_bonus_once(player: Player) -> None:
    grant = await player.given(100)
    await player.played("a", 100, won=150)
    await counted(player)
    said: dict[str, Any] = {"player_id": player.number, "asset": USD, "grant_id": grant}
    commands = [Convert(**player.said, **said) for _ in range(20)]

    async def decided(command: Command) -> Answer | KeyReused:
        async with session.transaction() as opened:
            [answer] = await run_many(opened, [command])
            return answer

    answers = await asyncio.gather(*map(decided, commands))
    moved = [one for one in answers if isinstance(one, Answer) and one.transfer_id is not None]
    assert len(moved) == 1
    assert {one.body["state"] for one in answers if isinstance(one, Answer)} == {"completed"}
    assert await player.balances() == (150, 0)


async def test_a_bonus_is_not_converted_before_its_wagering_is_done(player: Player) -> None:
    grant = await player.given(100)
    await player.played("a", 99, won=99)
    await counted(player)
    said: dict[str, Any] = {"player_id": player.number, "asset": USD, "grant_id": grant}
    early = await one(Convert(**player.said, **said))
    assert (early.transfer_id, early.body["state"]) == (None, "active")
    assert (await one(Expire(**player.said, **said))).body["state"] == "active"
    assert await player.balances() == (0, 100)


async def test_closing_early_takes_bonus_and_its_wins_and_never_cash(player: Player) -> None:
    grant = await player.given(100, cash=40)
    await player.played("a", 60, won=90)
    assert await player.balances() == (60, 110)
    answer = await one(player.forfeit(grant, "closed by the player"))
    assert (answer.body["removed"], answer.body["added"]) == ("110", "0")
    assert await player.balances() == (60, 0)


async def test_an_open_bonus_is_voided_by_a_rule_with_a_row_that_says_which(
    player: Player,
) -> None:
    grant = await player.given(10)
    void = player.forfeit(grant, "chargeback", state="cancelled")
    await one(void)
    assert (await player.state(grant))[0] == "cancelled"
    kept = (
        "SELECT verb, actor, answer->>'reason' FROM requests WHERE scope = 'wagering' AND key = :k"
    )
    assert await rows(kept, k=void.key) == [("bonus.cancelled", "tests", "chargeback")]
    again = await one(player.forfeit(grant, "chargeback"))
    assert (again.code, again.body["state"]) == ("GRANT_ENDED", "cancelled")
    stranger = replace(player, number=player.number + 10**6)
    assert (await one(stranger.forfeit(grant))).code == "UNKNOWN_GRANT"


class Withdraw(Bets):
    """A withdrawal, as far as bonuses are concerned."""

    def accounts(self) -> Iterable[Account]:
        return (*super().accounts(), *self.purse.wallet.exits())

    def decide(self, desk: Desk) -> Answer:
        withdrawn(desk, self.purse.wallet, self.amount)
        return Answer({"cash": desk.books.line(self.purse.wallet.cash).available})


@pytest.mark.parametrize("sticky", [True, False])
async def test_a_withdrawal_forfeits_a_bonus_but_not_one_that_is_wagered(
    player: Player, sticky: bool
) -> None:
    grant = await player.given(100, cash=50, sticky=sticky)
    asked: dict[str, Any] = {"purse": player.purse(), "bet": "w", "amount": 0, "splits": {}}
    await player.played("a", 50, won=80)
    answer = await one(Withdraw(**player.said, **asked))
    assert answer.body["cash"] == 80
    assert (await player.state(grant))[0] == "forfeited"
    assert await player.balances() == (80, 0)

    other = replace(player, number=next(_players), splits={})
    grant = await other.given(100, cash=100, sticky=sticky)
    await other.played("b", 100, won=100)
    await counted(other)
    await one(Withdraw(**other.said, **asked | {"purse": other.purse()}))
    assert (await other.state(grant))[0] == "completed"
    assert await other.balances() == (100 if sticky else 200, 0)


@pytest.mark.parametrize("ending", ["win", "refund"])
async def test_late_money_of_a_converted_bonus_is_cash_as_far_as_it_would_have_been(
    player: Player, ending: str
) -> None:
    """A bet stays open over the conversion: together both give what one after the other would."""
    await player.given(100, cash=0, sticky=True, max_win=90)
    await one(player.place("open", 40))
    await player.played("a", 60, won=130)
    await one(player.place("more", 50))
    await work(player)
    assert await player.balances() == (0, 80)  # 60 of 100 are wagered
    await one(player.settle("more", 50))
    await work(player)
    assert await player.balances() == (30, 0)  # 130 less the principal
    await one(player.settle("open", 45, ending=ending))
    # A refund brings 40, a win 45: with the 130 before, 70 or 75 over the principal.
    assert await player.balances() == ((75, 0) if ending == "win" else (70, 0))
    await player.topped(1)
    player.splits["again"] = player.splits["open"]
    await one(player.settle("again", 60))
    assert await player.balances() == (91, 0)  # and never more than 90 of it


async def test_late_money_of_a_lost_bonus_stays_with_the_house_and_cash_with_the_player(
    player: Player,
) -> None:
    first = await player.given(100, cash=50, stacking="queue")
    await one(player.grant(10, f"of-{player.number}"))
    await one(player.place("open", 100))
    await one(player.forfeit(first))
    assert await player.balances() == (0, 10)
    await one(player.settle("open", 300))
    # Half of the stake was cash, and the bonus that is active now is another one.
    assert await player.balances() == (150, 10)


async def test_money_of_an_active_bonus_returns_to_it_whoever_forgot_its_number(
    player: Player,
) -> None:
    await player.given(100)
    await one(player.place("open", 100))
    player.splits["open"] = player.splits["open"]._replace(grant=None)
    await one(player.settle("open", 300))
    assert await player.balances() == (0, 300)


async def test_a_grant_only_goes_forward_whoever_writes_it(player: Player) -> None:
    grant = await player.given(100)
    for change in ("state = 'pending'", "amount = 1", "required_bp = 1", "expires_at = now()"):
        with pytest.raises(DBAPIError, match="only goes forward"):
            await rows(f"UPDATE grants SET {change} WHERE id = :g", g=grant)
    for change in ("done_bp = required_bp", "done_bp = -1"):
        with pytest.raises(DBAPIError, match="update of grants is never allowed"):
            await rows(f"UPDATE grants SET {change} WHERE id = :g", g=grant)
    await one(player.forfeit(grant))
    for change in ("state = 'active', ended_at = NULL", "reason = 'x'", "done_bp = 5"):
        with pytest.raises(DBAPIError, match="only goes forward"):
            await rows(f"UPDATE grants SET {change} WHERE id = :g", g=grant)
    for table in ("grants", "campaigns", "late_returns", "wagers"):
        with pytest.raises(DBAPIError, match="never allowed"):
            await rows(f"DELETE FROM {table}")
    with pytest.raises(DBAPIError, match="never allowed"):
        await rows("UPDATE campaigns SET terms = terms")


async def test_two_grants_of_a_wallet_are_never_active_together(player: Player) -> None:
    grant = await player.given(100)
    copy = (
        "INSERT INTO grants (id, casino_id, player_id, asset, campaign_id, state, amount, deposit,"
        " required_bp, activated_at, expires_at) SELECT -id, casino_id, player_id, asset,"
        " campaign_id, state, amount, deposit, required_bp, activated_at, expires_at"
        " FROM grants WHERE id = :g"
    )
    with pytest.raises(DBAPIError, match="grants_active"):
        await rows(copy, g=grant)


def spending(player: Player, amount: int, type: str = "spend") -> Move:
    """Cash that leaves the wallet without a bet."""
    other = None if type == "spend" else player.number + 10**7
    source, target = ends(type, player.number, other)
    said = {**player.said, "casino": player.casino, "player_id": player.number, "asset": USD}
    return Move(**said, type=type, amount=amount, source=source, target=target, other_id=other)


def leaving(player: Player, amount: int) -> Withdraw:
    asked: dict[str, Any] = {"purse": player.purse(), "bet": "w", "splits": {}}
    return Withdraw(**player.said, **asked, amount=amount)


async def test_locked_cash_is_bet_and_is_neither_spent_nor_withdrawn(player: Player) -> None:
    """14"""
    grant = await player.given(20, cash=100, locked=60, multiplier_bp=10**6)
    for type in ("spend", "transfer"):
        assert (await one(spending(player, 41, type))).code == "CASH_LOCKED"
    refused = await one(leaving(player, 41))
    assert (refused.code, refused.body["available"]) == ("CASH_LOCKED", "40")
    assert await player.state(grant) == ("active", 0)
    assert (await one(spending(player, 10))).code is None
    # It is bet like all cash, and what is won fills it up again.
    await player.played("lost", 70)
    assert await player.balances() == (20, 20)
    assert (await one(spending(player, 1))).code == "CASH_LOCKED"
    await player.played("won", 20, won=75)
    assert (await one(spending(player, 16))).code == "CASH_LOCKED"
    assert (await one(spending(player, 15))).code is None
    assert (await one(spending(player, 1000))).code == "INSUFFICIENT_FUNDS"
    assert await player.balances() == (60, 20)


@pytest.mark.parametrize("ending", ["completed", "forfeited", "expired", "withdrawal"])
async def test_locked_cash_is_free_when_its_bonus_ends_in_whatever_way(
    player: Player, ending: str
) -> None:
    """14"""
    grant = await player.given(20, cash=101, locked=100)
    if ending == "completed":
        await player.played("a", 20, won=20)
        await work(player)
    elif ending == "forfeited":
        await one(player.forfeit(grant))
    elif ending == "expired":
        await hours_later(grant)
        await work(player)
    else:
        assert (await one(leaving(player, 1))).code is None
    assert (await player.state(grant))[0] == ("forfeited" if ending == "withdrawal" else ending)
    cash, _ = await player.balances()
    assert (await one(spending(player, cash))).code is None


async def test_no_more_cash_is_locked_than_there_is_and_never_another_amount(
    player: Player,
) -> None:
    """14"""
    await player.topped(50)
    await player.define()
    answer = await one(player.grant(10, locked=51))
    assert (answer.code, answer.body["available"]) == ("INSUFFICIENT_FUNDS", "50")
    assert await player.balances() == (50, 0)
    answer = await one(player.grant(10, locked=50))
    assert (answer.code, answer.body["locked"]) == (None, "50")
    with pytest.raises(DBAPIError, match="never allowed"):
        await rows("UPDATE grants SET locked = 0 WHERE id = :g", g=int(answer.body["grant"]))


async def test_cash_that_is_owed_is_bet_and_neither_spent_nor_withdrawn(player: Player) -> None:
    await player.topped(100)
    await one(Owes(**player.said, player=player, amount=30))
    for type in ("spend", "transfer"):
        assert (await one(spending(player, 71, type))).code == "CASH_OWED"
    refused = await one(leaving(player, 71))
    assert (refused.code, refused.body["available"]) == ("CASH_OWED", "70")
    assert (await one(spending(player, 20))).code is None
    await player.played("all", 80)
    assert (await one(spending(player, 1))).code == "INSUFFICIENT_FUNDS"


@dataclass(frozen=True, kw_only=True)
class Owes(Command):
    """A debt to the house, as when a win is taken back."""

    player: Player
    amount: int

    @property
    def verb(self) -> str:
        return "owes"

    def asked(self) -> dict[str, Any]:
        return {}

    def accounts(self) -> Iterable[Account]:
        return (self.player.wallet.debt, self.player.wallet.house("house:stakes"))

    def decide(self, desk: Desk) -> Answer:
        debt, house = self.accounts()
        owed = (Posting(debt, -self.amount), Posting(house, self.amount))
        return Answer({"transfer": str(desk.books.post(Transfer("owes", owed)).id)})


class Leaves(Withdraw):
    """A withdrawal, as far as bonuses are concerned."""

    def decide(self, desk: Desk) -> Answer:
        withdrawn(desk, self.purse.wallet, self.amount)
        return Answer({})


async def test_what_ends_a_bonus_waits_for_its_count_and_knows_it(player: Player) -> None:
    """Counting and forfeiting at once: the forfeit sees the wagering done."""
    grant = await player.given(10, cash=10)
    await player.played("a", 10)
    asked: dict[str, Any] = {"purse": player.purse(), "bet": "w", "amount": 0, "splits": {}}
    async with session.transaction() as opened:
        # The count is done and not yet committed when the withdrawal looks for the grant.
        await wagers.count(opened, player.casino_id)
        waiting = asyncio.create_task(run(Leaves(**player.said, **asked)))
        waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"
        while not await value(waits) and not waiting.done():
            await asyncio.sleep(0.01)
        assert not waiting.done()
    await waiting
    assert (await player.state(grant))[0] == "completed"
    assert await player.balances() == (10, 0)


async def test_a_grant_is_not_ended_at_a_count_that_went_on(player: Player) -> None:
    """Whoever did not lock it is told so by the database."""
    grant = await player.given(10, cash=10)
    await player.played("a", 5)
    await counted(player)
    before = "UPDATE grants SET state = 'expired', ended_at = now(), before = 0, added = 0,"
    with pytest.raises(DBAPIError, match="counted meanwhile"):
        await rows(f"{before} removed = 0, done_bp = 0 WHERE id = :g", g=grant)


async def test_a_grant_that_is_kept_by_somebody_holds_up_its_own_player_only(
    player: Player,
) -> None:
    other = replace(player, number=next(_players), splits={})
    grant, _ = await player.given(10, cash=50), await other.given(10, cash=50)

    async def impatient(
        connection: Connection, commands: Sequence[Command]
    ) -> list[Answer | KeyReused]:
        await connection.execute("SET LOCAL lock_timeout = '200ms'")
        return await commit_many(connection, commands)

    gatherer: Gatherer[Command, Answer | KeyReused] = Gatherer(impatient, commit_free)
    async with session.transaction() as opened:
        held = "SELECT FROM grants WHERE id = :g FOR NO KEY UPDATE"
        await opened.execute(text(held), {"g": grant})
        mine, *others = await asyncio.gather(
            *map(
                gatherer.ask, (player.place("a", 5), *(other.place(f"b{n}", 5) for n in range(3)))
            ),
            return_exceptions=True,
        )
    assert isinstance(mine, LockNotAvailable)
    assert [isinstance(one, Answer) and one.code for one in others] == [None] * 3
    assert [await one.balances() for one in (player, other)] == [(50, 10), (35, 10)]
    async with direct() as connection:
        [again] = await commit_free(connection, [player.place("a", 5)])
    assert isinstance(again, Answer)
    assert await player.balances() == (45, 10)


async def test_what_ends_bonuses_locks_them_by_their_numbers(player: Player) -> None:
    """As counting does, so that neither waits for the other in a ring."""
    several = [replace(player, number=next(_players), splits={}) for _ in range(5)]
    grants = sorted([await gambler.given(100) for gambler in several])
    ends = [
        gambler.forfeit(await value("SELECT id FROM grants WHERE player_id = :p", p=gambler.number))
        for gambler in reversed(several)
    ]
    lock = "SELECT id FROM grants WHERE id = :g FOR NO KEY UPDATE NOWAIT"
    async with session.transaction() as opened:
        await opened.execute(text(lock), {"g": grants[2]})
        waiting = asyncio.create_task(run(*ends))
        waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"
        while not await value(waits) and not waiting.done():
            await asyncio.sleep(0.01)
        for later in grants[3:]:
            assert await value(lock, g=later) == later
        for earlier in grants[:2]:
            with pytest.raises(DBAPIError, match="could not obtain lock"):
                await value(lock, g=earlier)
    assert [answer.code for answer in await waiting] == [None] * 5


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"multiplier_bp": 0}, "multiplier_bp"),
        ({"multiplier_bp": 350_000, "jurisdiction": "GB", "products": ("slots",)}, "multiplier"),
        ({"jurisdiction": "GB", "products": ("slots", "sports")}, "products"),
        ({"jurisdiction": "GB"}, "products"),
        ({"jurisdiction": "UK"}, "jurisdiction"),
        ({"jurisdiction": "gb"}, "jurisdiction"),
        ({"expires_h": 0}, "expires_h"),
        ({"max_bet": 0}, "max_bet"),
        ({"max_win": -1}, "max_win"),
        ({"most_grants": 0}, "most_grants"),
        ({"weights": {"slots": -1}}, "weights"),
        ({"weights": {"": 1}}, "weights"),
        ({"default_weight_bp": 100_001}, "default_weight_bp"),
        ({"excluded": ("a b",)}, "excluded"),
        ({"excluded": ("slots/",)}, "excluded"),
        ({"excluded": ("slots/a\n",)}, "excluded"),
        ({"products": ("slots/book",)}, "products"),
    ],
)
async def test_terms_that_no_bonus_may_have_are_refused(said: dict[str, Any], field: str) -> None:
    with pytest.raises(BadTerms) as caught:
        terms(**said)
    assert caught.value.field == field


async def test_a_british_offer_of_ten_times_at_one_product_is_lawful(player: Player) -> None:
    lawful = {"multiplier_bp": 100_000, "jurisdiction": "GB", "products": ("slots",)}
    assert (await player.define("british", **lawful)).code is None
    by_hand = (
        "INSERT INTO campaigns (id, casino_id, code, version, asset, terms, actor) SELECT -id,"
        " casino_id, code, 99, asset, terms || '{\"multiplier_bp\": 350000}', 'hand'"
        " FROM campaigns WHERE code = 'british'"
    )
    with pytest.raises(DBAPIError, match="campaigns_gb"):
        await rows(by_hand)


async def test_other_terms_are_another_version_and_grants_keep_theirs(player: Player) -> None:
    versions = [
        (await player.define("changing", **said)).body["version"]
        for said in ({}, {}, {"max_bet": 5}, {"max_bet": 5}, {})
    ]
    assert versions == [1, 1, 2, 2, 3]
    both = [
        Define(**player.said, code="at-once", terms=terms(expires_h=hours)) for hours in (1, 2, 1)
    ]
    assert [answer.body["version"] for answer in await run(*both)] == [1, 2, 3]
    assert await value("SELECT count(*) FROM campaigns WHERE code = 'at-once'") == 3
    await player.define("changing", max_bet=5, stacking="queue")
    await one(player.grant(100, "changing"))
    await player.define("changing", stacking="queue")
    assert (await one(player.place("a", 6))).code == "MAX_BET_EXCEEDED"


async def test_a_campaign_keeps_to_one_asset_that_the_books_count(player: Player) -> None:
    await player.define("lasting")
    async with session.transaction() as opened:
        await opened.execute(
            text("INSERT INTO assets VALUES ('iso4217:EUR', 'EUR', 2) ON CONFLICT DO NOTHING")
        )
    assert (await player.define("lasting", asset="iso4217:EUR")).code == "CAMPAIGN_ASSET"
    assert (await player.define("strange", asset="iso4217:XXX")).code == "UNKNOWN_ASSET"


async def test_terms_survive_their_own_document(player: Player) -> None:
    full = terms(
        weights={"slots": 10_000, "live/roulette": 500},
        max_bet=2**70,
        max_win=2**71,
        products=("slots", "live"),
        excluded=("slots/bad",),
    )
    assert Terms.read(full.document()) == full
    await one(Define(**player.said, code="full", terms=full))
    kept = await value("SELECT terms FROM campaigns WHERE code = 'full'")
    assert Terms.read(kept) == full


async def test_terms_of_a_version_are_read_once_and_then_known(player: Player) -> None:
    weights = {f"slots/{n}": n for n in range(100)}
    for n in range(2):
        await player.define("known", weights=weights, max_bet=5 + n, stacking="queue")
        await one(player.grant(100, "known"))
    said = []
    for _ in range(2):
        async with session.transaction() as opened:
            cursor = await (await driver(opened)).execute(*Grants.find([player.wallet]))
            [row] = await cursor.fetchall()
        _, pocket = Grants.read(row)
        assert [grant.terms.max_bet for grant in pocket.grants] == [5, 6]
        assert all(grant.terms.weights == weights for grant in pocket.grants)
        said.append([terms is not None for _, _, _, terms, *_ in row[-1]])
    assert said[-1] == [False, False]
    # What was put into no database of this process is read, whatever its number.
    bonuses._terms.clear()
    assert (await one(player.place("a", 6))).code == "MAX_BET_EXCEEDED"


async def test_a_purse_without_a_bonus_is_cash_alone(player: Player) -> None:
    await player.topped(10)
    answer = await one(player.place("a", 10))
    assert (answer.body["available"], player.splits["a"]) == ("10", Split(10))
    purse = Purse(player.casino_id, player.number, USD)
    assert purse.won(Split(0), 5) == Split(5)
    assert (await one(player.settle("a", 20))).code is None
    assert await player.balances() == (20, 0)
    assert await value("SELECT count(*) FROM wagers WHERE bet = 'a' AND game IS NULL") == 0
