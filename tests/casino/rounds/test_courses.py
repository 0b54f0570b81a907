"""The course of a round: it closes in time, is drawn once, and goes forward only."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import psycopg
import pytest
from coincurve import PublicKey

from casino.commands import Answer, run_many
from casino.rounds import courses
from chains.signers import signer
from db.session import driver, transaction
from games.fairness import rounds
from games.fairness.rounds import NO_BETS, Beacon, SignedRoot
from games.fairness.stream import Stream
from tests.casino.conftest import rows
from tests.casino.rounds.dealt import BEACON, SIGNER, Dealt, sign


@pytest.fixture
async def dealt(database: str) -> Dealt:
    made = await Dealt.at()
    await made.batch(opens_in=-5)
    return made


def signed_by(signature: bytes, digest: bytes) -> bytes:
    """Whose signature this is."""
    assert signature[64] in (27, 28)
    compact = signature[:64] + bytes([signature[64] - 27])
    return PublicKey.from_signature_and_message(compact, digest, hasher=None).format()


async def test_a_round_closes_when_it_is_time_and_not_before(dealt: Dealt) -> None:
    assert await dealt.close() is None
    assert (await dealt.round(0, "state"))[0] == "waiting"
    await dealt.moved(0, 60)
    assert await dealt.close() is not None
    assert (await dealt.round(0, "state"))[0] == "closed"
    assert await dealt.close() is None


async def test_the_close_signs_the_root_of_all_bets_in_their_order(dealt: Dealt) -> None:
    """A8: after this nobody adds or drops a bet."""
    ada = await dealt.player()
    answers = [await dealt.run(dealt.bet(ada)) for _ in range(3)]
    await dealt.moved(0, 60)
    signed = await dealt.close()
    leaves = [bytes.fromhex(one.body["leaf"]) for one in answers]
    liability = sum(int(one.body["liability"]) for one in answers)
    expected = SignedRoot(dealt.table.place(0), rounds.bets_root(leaves), 3, liability)
    assert signed == expected
    root, signature = await dealt.round(0, "root", "signature")
    assert bytes(root) == expected.root
    assert signed_by(bytes(signature), expected.digest) == SIGNER.public_key.format()
    [(_, told)] = await dealt.told("round.closed")
    assert (told["root"], told["bets"]) == (expected.root.hex(), 3)
    assert told["signature"] == bytes(signature).hex()


async def test_a_round_without_bets_has_a_root_of_zeros(dealt: Dealt) -> None:
    await dealt.moved(0, 60)
    signed = await dealt.close()
    assert signed is not None
    assert (signed.root, signed.count, signed.liability) == (NO_BETS, 0, 0)
    assert await dealt.draw() is not None
    assert await dealt.settle() == "settled"


async def test_closing_waits_for_a_bet_that_came_in_time(dealt: Dealt) -> None:
    """Who holds the round's row came before its close, however long it takes him."""
    ada = await dealt.player()
    held = asyncio.Event()
    go = asyncio.Event()

    async def slow_bet() -> None:
        async with transaction() as session:
            [answer] = await run_many(session, [dealt.bet(ada)])
            assert isinstance(answer, Answer)
            assert answer.code is None
            held.set()
            await go.wait()

    betting = asyncio.create_task(slow_bet())
    await held.wait()
    async with transaction() as session:
        connection = await driver(session)
        await connection.execute(b"SET LOCAL lock_timeout = '200ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            await connection.execute(courses.CLOSING, (dealt.table.id, 0))
        await session.rollback()
    go.set()
    await betting
    await dealt.moved(0, 60)
    signed = await dealt.close()
    assert signed is not None
    assert signed.count == 1


async def test_the_outcome_follows_from_seed_root_and_beacon_alone(dealt: Dealt) -> None:
    await dealt.run(dealt.bet(await dealt.player()))
    await dealt.moved(0, 60)
    signed = await dealt.close()
    drawn = await dealt.draw()
    assert signed is not None
    assert drawn is not None
    place = dealt.table.place(0)
    outcome = place.outcome(seed=dealt.seeds[0], bets_root=signed.root, beacon=BEACON.hash)
    assert drawn.outcome == outcome
    assert drawn.result == dealt.table.rules.draw(Stream(outcome))
    [(_, told)] = await dealt.told("round.result")
    assert told["seed"] == dealt.seeds[0].hex()
    assert told["outcome"] == outcome.hex()
    assert told["beacon"]["randomness"] == BEACON.randomness.hex()


async def test_a_seed_is_not_shown_before_the_root_is_fixed(dealt: Dealt) -> None:
    assert await dealt.draw() is None
    assert await dealt.round(0, "seed", "state") == (None, "waiting")


async def test_a_round_is_drawn_once_whatever_another_beacon_says(dealt: Dealt) -> None:
    """A16: the fallback is void; nobody chooses among beacons."""
    await dealt.moved(0, 60)
    await dealt.close()
    first = await dealt.draw()
    assert first is not None
    other = Beacon(BEACON.kind, BEACON.chain_hash, 18, b"\xcd" * 32)
    assert await dealt.draw(beacon=other) is None
    assert bytes((await dealt.round(0, "outcome"))[0]) == first.outcome
    assert not await dealt.give_up()


async def test_a_round_that_was_given_up_is_never_drawn(dealt: Dealt) -> None:
    """A5: a void round is no second throw."""
    await dealt.run(dealt.bet(await dealt.player()))
    await dealt.moved(0, 60)
    await dealt.close()
    assert await dealt.give_up()
    assert not await dealt.give_up(reason="another reason")
    assert await dealt.draw() is None
    assert await dealt.settle() == "void"
    assert await dealt.draw() is None
    assert await dealt.round(0, "state", "reason", "outcome") == (
        *("void", "the beacon is gone", None),
    )


async def test_a_round_is_not_drawn_once_the_bond_pays_for_it(dealt: Dealt) -> None:
    """After a long outage: whoever could claim its bets must not see them win or lose, too."""
    ada = await dealt.player()
    await dealt.run(dealt.bet(ada))
    await dealt.moved(0, 60)
    await dealt.close()
    await dealt.moved(0, 61)
    assert await dealt.draw() is None
    state, seed, reason = await dealt.round(0, "state", "seed", "reason")
    assert (state, seed) == ("closed", None)
    assert "in time" in reason
    assert await dealt.settle() == "void"
    assert await dealt.cash(ada) == 10_000


async def test_a_close_under_another_key_than_the_batchs_is_refused(dealt: Dealt) -> None:
    """No verifier would take it, nor the bond; with the right key the round goes on."""
    await dealt.run(dealt.bet(await dealt.player()))
    await dealt.moved(0, 60)
    with pytest.raises(courses.WrongSigner, match=f"0x{sign.address.hex()}"):
        await dealt.close(sign=signer("08" * 32))
    assert await dealt.round(0, "state", "root", "signature") == ("waiting", None, None)
    assert await dealt.close() is not None


async def test_a_round_lapses_when_it_is_overdue_and_not_before(dealt: Dealt) -> None:
    """Also one that never closed: its stakes go back."""
    ada = await dealt.player()
    await dealt.run(dealt.bet(ada))
    await dealt.moved(0, 60)
    assert not await dealt.lapse()
    await dealt.moved(0, 61)
    assert await dealt.lapse()
    assert not await dealt.lapse()
    assert await dealt.close() is None
    assert await dealt.draw() is None
    assert await dealt.settle() == "void"
    assert await dealt.cash(ada) == 10_000


BACKWARD: dict[str, str] = {
    "opened again": "state = 'waiting'",
    "another root": "root = 'x'",
    "another outcome": "outcome = 'x'",
    "another seed": "seed = 'x'",
    "another beacon": "beacon = '{}'",
    "void after all": "state = 'void', reason = 'x', outcome = NULL",
    "moved in time": "closes_at = closes_at + interval '1 s'",
    "more bets": "bets = bets + 1",
}


@pytest.mark.parametrize("case", BACKWARD)
async def test_a_drawn_round_stands_whoever_writes(dealt: Dealt, case: str) -> None:
    await dealt.moved(0, 60)
    await dealt.close()
    await dealt.draw()
    with pytest.raises(psycopg.errors.CheckViolation):
        await rows(
            f"UPDATE rounds SET {BACKWARD[case]} WHERE table_id = %s AND number = 0",
            (dealt.table.id,),
        )


async def test_a_seed_and_a_batch_stand_as_they_were_drawn(dealt: Dealt) -> None:
    """A7: one commitment for a round, the first one."""
    for change in ("root = 'x'", "opens = opens + 1", "max_liability = 1", "state = 'drawn'"):
        with pytest.raises(psycopg.errors.CheckViolation):
            await rows(f"UPDATE round_batches SET {change} WHERE table_id = %s", (dealt.table.id,))
    again: Any = dealt.batch(opens_in=100)
    with pytest.raises(psycopg.errors.UniqueViolation):
        await again


async def test_rounds_follow_each_other_without_a_gap_of_time(dealt: Dealt) -> None:
    """The next one opens while the one before is drawn, and none drifts."""
    found = await rows(
        "SELECT extract(epoch FROM opens_at)::float, extract(epoch FROM closes_at)::float"
        " FROM rounds WHERE table_id = %s ORDER BY number",
        (dealt.table.id,),
    )
    opens = [row[0] for row in found]
    assert [later - earlier for earlier, later in itertools.pairwise(opens)] == [10.0] * 3
    assert all(closes - at == 9.0 for at, closes in found)


async def test_a_round_that_opens_is_told_once_with_its_commitment(dealt: Dealt) -> None:
    async with transaction() as session:
        connection = await driver(session)
        assert await courses.open_due(connection, dealt.table) == [0]
        assert await courses.open_due(connection, dealt.table) == []
    [(_, told)] = await dealt.told("round.opened")
    assert told["commitment"]["tx"] == "0xcc"
    assert told["round"] == 0
    assert told["server_time"] < told["closes_at"]
