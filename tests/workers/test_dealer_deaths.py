"""A dealer dies at every step of a round, and another one brings it to the same end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from casino.commands import commit_many, run_many
from casino.outbox import Message
from casino.rounds import courses, settlements
from casino.rounds.courses import UnderWay
from casino.sealed import Sealer
from tests.casino.conftest import rows
from tests.casino.rounds.dealt import Dealt, sign
from tests.workers.test_dealer_faults import Said, held, until_closing
from workers.dealer import Dealer
from workers.tables import place

SEALER = Sealer(b"\x01" * 32)
SEATS, PART = 5, 2  # three parts
DRAWN = (
    *("waiting", "in mid closing", "closed", "no beacon", "seed in hand", "in mid drawing"),
    *("drawn", "in mid paying", "between parts", "before the end", "in mid ending"),
)
VOID = ("given up", "in mid returning", "half returned", "all returned", "in mid voiding")


class Killed(BaseException):
    """The dealer dies here, as if by `kill -9`: nothing after this line happens."""


@dataclass
class Mortal(Dealer):
    """A dealer that dies at one point of a round."""

    point: str = ""
    settling: int = 0

    def at(self, *points: str) -> None:
        if self.point in points:
            raise Killed(self.point)

    async def close(self, one: UnderWay) -> float:
        self.at("waiting")
        return await super().close(one)

    async def draw(self, one: UnderWay) -> float:
        self.at("closed")
        return await super().draw(one)

    async def wait(self, one: UnderWay, pause: float = 0.0) -> float:
        self.at("no beacon")
        return await super().wait(one, pause)

    async def seed(self, number: int) -> bytes | None:
        seed = await super().seed(number)
        self.at("seed in hand")
        return seed

    async def settle(self, one: UnderWay) -> float:
        steps = {
            0: ("drawn", "given up"),
            1: ("between parts", "half returned"),
            3: ("before the end", "all returned"),
        }
        self.at(*steps.get(self.settling, ()))
        self.settling += 1
        return await super().settle(one)


@pytest.fixture
async def dealt(database: str, monkeypatch: pytest.MonkeyPatch) -> Dealt:
    """A round that closes now, with bets on both sides, settled in three parts."""
    monkeypatch.setattr(settlements, "PART", PART)
    made = await Dealt.at()
    await made.batch(1, opens_in=-5)
    await made.sealed(lambda number, seed: SEALER.seal(place(made.table, number), seed))
    sides = ({"over": False, "face": 5_000}, {"over": True, "face": 4_999})
    players = [await made.player(100) for _ in range(SEATS)]
    bets = [made.bet(one, choice=sides[at % 2]) for at, one in enumerate(players)]
    assert {answer.code for answer in await made.run_all(bets)} == {None}
    await until_closing(made)
    return made


def dying(monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    """Let the dealer die within a transaction, after all that it wrote."""
    tell = courses._tell
    types = {
        "in mid closing": "round.closed",
        "in mid drawing": "round.result",
        "in mid ending": "round.settled",
        "in mid voiding": "round.void",
    }

    async def told(connection: Any, messages: list[Message]) -> None:
        await tell(connection, messages)
        if any(one.type == types.get(point) for one in messages):
            raise Killed(point)

    async def decided(*asked: Any) -> Any:
        if point in ("in mid paying", "in mid returning"):
            await run_many(*asked)
            raise Killed(point)
        return await commit_many(*asked)

    monkeypatch.setattr(courses, "_tell", told)
    monkeypatch.setattr("workers.dealer.commit_many", decided)


async def died(dealt: Dealt, point: str, said: Callable[[], Said]) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        dying(monkeypatch, point)
        with pytest.raises(Killed, match=point):
            await Mortal(dealt.table, dealt.pays, held(said()), SEALER, sign, point=point).carry(0)


async def money(dealt: Dealt) -> list[int]:
    found = await dealt.bets(0, "player_id")
    return [await dealt.cash(row[0]) for row in found]


async def posted(dealt: Dealt, type: str) -> int:
    [(count,)] = await rows(
        "SELECT count(*) FROM transfers WHERE casino_id = %s AND type = %s",
        (dealt.table.casino_id, type),
    )
    return int(count)


@pytest.mark.parametrize("point", DRAWN)
async def test_a_round_is_settled_exactly_wherever_its_dealer_died(
    dealt: Dealt, point: str
) -> None:
    await died(dealt, point, lambda: Said(silent=point == "no beacon"))
    before = await dealt.round(0, "root", "signature", "seed", "outcome", "closed_at", "drawn_at")
    await Dealer(dealt.table, dealt.pays, held(Said()), SEALER, sign).carry(0)
    after = await dealt.round(0, "root", "signature", "seed", "outcome", "closed_at", "drawn_at")
    assert all(was in (None, now) for was, now in zip(before, after, strict=True))
    assert await dealt.round(0, "state", "seed") == ("settled", dealt.seeds[0])
    bets = await dealt.bets(0, "state", "payout")
    assert {state for state, _ in bets} == {"won", "lost"}
    assert await money(dealt) == [int(payout) for _, payout in bets]
    assert await posted(dealt, "round_payout") == sum(state == "won" for state, _ in bets)
    types = ("round.closed", "round.result", "round.settled", "round.void")
    assert [type for type, _ in await dealt.told(*types)] == list(types[:3])


@pytest.mark.parametrize("point", VOID)
async def test_all_stakes_go_back_once_wherever_the_dealer_of_a_void_round_died(
    dealt: Dealt, point: str
) -> None:
    await died(dealt, point, lambda: Said(gone=True))
    # The beacon turns up: what was given up stays so.
    await Dealer(dealt.table, dealt.pays, held(Said()), SEALER, sign).carry(0)
    assert await dealt.round(0, "state", "seed", "outcome") == ("void", None, None)
    assert await dealt.bets(0, "state") == [("returned",)] * SEATS
    assert await money(dealt) == [100] * SEATS
    assert await posted(dealt, "round_return") == SEATS
    types = ("round.closed", "round.result", "round.settled", "round.void")
    assert [type for type, _ in await dealt.told(*types)] == ["round.closed", "round.void"]
