"""Draws of drand: only quicknet's own signature counts, whoever brings it."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import math
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from hashlib import sha256

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loguru import logger
from py_arkworks_bls12381 import GT, G1Point, G2Point

from chains.beacons import Drawn, Fallback, Forged, Gone
from chains.beacons.drand import Drand, verify
from chains.beacons.quicknet import DOMAIN, QUICKNET, check
from games.fairness import rounds
from tests.chains.beacons import quicknet
from tests.chains.beacons.endpoints import (
    ENDLESS,
    KEY,
    Mood,
    Place,
    changing,
    cut_off,
    endless,
    endpoints,
    honest,
    not_yet,
    saying,
    saying_of,
    stalling,
)
from tests.chains.beacons.quicknet import OURS, PUBLISHED, WALKTHROUGH, answer, closing, signature

FIELD = int(
    "1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab",
    16,
)
NOWHERE = "http://127.0.0.1:9"  # a port that nobody listens on


# What a signature is worth.


def test_the_name_that_everybody_knows_binds_the_key_that_is_pinned() -> None:
    known = "52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971"
    assert QUICKNET.hash.hex() == known
    assert QUICKNET.hash == rounds.QUICKNET
    assert replace(QUICKNET, public_key=WALKTHROUGH.public_key).hash != QUICKNET.hash
    assert WALKTHROUGH.hash.hex() == (
        "af8b6fc95693b058a3a59efe586eb31c2c352fe00cf40c62a427d87c34f7a235"
    )


@pytest.mark.parametrize("number", PUBLISHED)
def test_a_published_round_is_believed_and_no_other_round_with_its_signature(number: int) -> None:
    check(QUICKNET, number, signature(number))
    assert sha256(signature(number)).hexdigest() == PUBLISHED[number][1]
    for other in (number - 1, number + 1, 0, 2**64 - 1):
        with pytest.raises(Forged, match="not of drand's quicknet"):
            check(QUICKNET, other, signature(number))


def test_a_round_counts_under_the_key_of_its_own_chain_only() -> None:
    signed = bytes.fromhex(quicknet.WALKTHROUGH_38)
    check(WALKTHROUGH, 38, signed)
    for chain, number in ((WALKTHROUGH, 55), (QUICKNET, 38)):
        with pytest.raises(Forged, match="not of drand"):
            check(chain, number, signed)


def test_no_bit_of_a_signature_can_be_another() -> None:
    true = int.from_bytes(signature(1000))
    for bit in range(48 * 8):
        with pytest.raises(Forged):
            check(QUICKNET, 1000, (true ^ 1 << bit).to_bytes(48))


WRITTEN = {
    "nothing": b"",
    "a byte less": signature(1000)[:-1],
    "a byte more": signature(1000) + b"\0",
    "twice": signature(1000) * 2,
    "zeros": bytes(48),
    "the point at infinity": b"\xc0" + bytes(47),
    "infinity with a rest": b"\xc0" + bytes(46) + b"\1",
    "without its mark of compression": bytes([signature(1000)[0] & 0x7F]) + signature(1000)[1:],
    "outside of the subgroup": b"\x80" + bytes(46) + b"\4",
    "the generator": G1Point().to_compressed_bytes(),
}


@pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN)
def test_what_is_no_signature_is_refused_by_name(written: bytes) -> None:
    with pytest.raises(Forged):
        check(QUICKNET, 1000, written)


def test_the_older_scheme_is_another_one_although_its_points_look_the_same() -> None:
    number, key, written = quicknet.OLD_SCHEME
    theirs = replace(QUICKNET, public_key=bytes.fromhex(key))
    message = G1Point.hash_to_curve(sha256(number.to_bytes(8)).digest(), quicknet.OLD_DOMAIN)
    point = G1Point.from_compressed_bytes(bytes.fromhex(written))
    public = G2Point.from_compressed_bytes(bytes.fromhex(key))
    assert GT.pairing_check([point, message], [-G2Point(), public])  # it is a true one, there
    with pytest.raises(Forged):
        check(theirs, number, bytes.fromhex(written))
    check(OURS, number, quicknet.signed(number, DOMAIN))
    with pytest.raises(Forged):
        check(OURS, number, quicknet.signed(number, quicknet.OLD_DOMAIN))


def test_a_true_signature_has_one_way_to_be_written() -> None:
    """The same point under x + p would hash to another randomness: a choice of two."""
    found = 0
    for number in range(1, 40):
        true = quicknet.signed(number)
        marks, x = true[0] & 0xE0, int.from_bytes(true) & (1 << 381) - 1
        if x + FIELD < 1 << 381:
            found += 1
            other = (x + FIELD).to_bytes(48)
            with pytest.raises(Forged):
                check(OURS, number, bytes([other[0] | marks]) + other[1:])
    assert found


# Which round counts.


@given(st.integers(min_value=QUICKNET.genesis - 2, max_value=2**40))
def test_the_round_is_the_first_one_later_than_two_seconds_after_closing(closes_at: int) -> None:
    drand = Drand([NOWHERE], patience_s=1)
    number = drand.due(closes_at)
    assert QUICKNET.time(number) > closes_at + 2 >= QUICKNET.time(number - 1)
    assert drand.expected_at(closes_at) == QUICKNET.time(number)
    assert (number, QUICKNET.time(number)) == (
        rounds.drand_round(closes_at),
        rounds.drand_time(number),
    )


@given(st.floats(min_value=QUICKNET.genesis, max_value=2**40))
def test_parts_of_a_second_do_not_bring_a_round_forward(closes_at: float) -> None:
    number = Drand([NOWHERE], patience_s=1).due(closes_at)
    assert QUICKNET.time(number) > closes_at + 2 >= QUICKNET.time(number - 1)


@pytest.mark.parametrize("closes_at", [-1, 0, QUICKNET.genesis - 3, math.nan, math.inf, 1e300])
async def test_a_moment_without_a_round_is_refused(closes_at: float) -> None:
    async with asking(honest) as (drand, places):
        with pytest.raises(ValueError, match=r"moment|began at"):
            drand.due(closes_at)
        with pytest.raises(ValueError, match=r"moment|began at"):
            await drand.fetch(closes_at)
        assert places[0].asked == []


# What endpoints say.


@contextlib.asynccontextmanager
async def asking(
    *moods: Mood, patience_s: float = 60, timeout_s: float = 10
) -> AsyncIterator[tuple[Drand, list[Place]]]:
    async with endpoints(*moods) as places:
        drand = Drand([place.url for place in places], patience_s=patience_s, timeout_s=timeout_s)
        yield drand, places
        await drand.close()


async def patiently(drand: Drand, number: int) -> Drawn:
    """A draw that is there now, although it was missed, even for too long."""
    while True:
        with contextlib.suppress(Gone):
            drawn = await drand.fetch(closing(number))
            if drawn is not None:
                return drawn
        await asyncio.sleep(0.01)


@pytest.fixture
def lines() -> Iterator[list[str]]:
    written: list[str] = []
    sink = logger.add(lambda message: written.append(str(message)), level=0, diagnose=False)
    yield written
    logger.remove(sink)


async def test_a_draw_brings_all_that_is_needed_to_check_it() -> None:
    async with asking(honest) as (drand, _):
        drawn = await drand.fetch(closing(1000))
    assert drawn == Drawn(
        kind=b"drand",
        chain_hash=QUICKNET.hash,
        round=1000,
        randomness=bytes.fromhex(PUBLISHED[1000][1]),
        evidence=signature(1000),
    )
    verify(drawn, closing(1000))
    # Its hash is made by the games.
    games = rounds.Beacon(drawn.kind, drawn.chain_hash, drawn.round, drawn.randomness)
    assert len(games.hash) == 32


async def test_a_round_is_asked_for_once_by_however_many() -> None:
    async with asking(honest) as (drand, places):
        # Three closings of one round, by ten tables each.
        closings = [closing(1000) + late for late in range(3)] * 10
        drawn = await asyncio.gather(*map(drand.fetch, closings))
        assert {one.round for one in drawn if one} == {1000}
        assert await drand.fetch(closing(1000)) is drawn[0]
        assert places[0].asked == [1000]


async def test_who_stops_waiting_does_not_stop_the_others() -> None:
    hold = asyncio.Event()

    async def held(place: Place, *request: object) -> object:
        await hold.wait()
        return await honest(place, *request)  # type: ignore[arg-type]

    async with asking(held) as (drand, places):  # type: ignore[arg-type]
        first, second = (asyncio.create_task(drand.fetch(closing(1000))) for _ in range(2))
        while not places[0].asked:
            await asyncio.sleep(0.01)
        first.cancel()
        hold.set()
        drawn = await second
        assert drawn is not None
        assert first.cancelled()
        assert places[0].asked == [1000]


async def test_nobody_is_asked_before_the_round_is_due() -> None:
    async with asking(honest, patience_s=0) as (drand, places):
        assert await drand.fetch(time.time() + 600) is None
        assert await drand.fetch(time.time() - 1) is None
        assert places[0].asked == []


@pytest.mark.parametrize("wrong", [600.0, -600.0])
async def test_what_is_due_follows_from_the_clock_of_who_asks(
    wrong: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This machine's may be wrong."""
    closes_at = closing(1000)
    monkeypatch.setattr(time, "time", lambda: closes_at + wrong)
    async with asking(honest) as (drand, places):
        due = drand.expected_at(closes_at)
        assert await drand.fetch(closes_at, due - 0.01) is None
        assert places[0].asked == []
        assert await drand.fetch(closes_at, due) is not None


other_key = quicknet.signed(1000).hex()
LIES: dict[str, Mood] = {
    "another round": saying_of(lambda number: answer(1001)),
    "another round by this name": saying_of(lambda number: answer(1001, round=number)),
    "another key": changing(
        signature=other_key, randomness=sha256(bytes.fromhex(other_key)).hexdigest()
    ),
    "a flipped bit": changing(signature=PUBLISHED[1000][0][:-1] + "8"),
    "another randomness": changing(randomness="00" * 32),
    "a randomness that is short": changing(randomness=PUBLISHED[1000][1][:-2]),
    "a signature that is short": changing(signature=PUBLISHED[1000][0][:-2]),
    "a signature that is long": changing(signature=PUBLISHED[1000][0] + "00"),
    "a signature that is no hex": changing(signature="zz" * 48),
    "a signature in capitals": changing(signature=PUBLISHED[1000][0].upper()),
    "a signature with spaces": changing(signature=PUBLISHED[1000][0][:94] + "\n\n"),
    "no signature": changing(signature=None),
    "a negative round": changing(round=-1),
    "a round of more than 64 bits": changing(round="1000" * 9),
    "nothing": saying(b""),
    "a page": saying(b"<html>Sign in to this hotel's network</html>"),
    "a list": saying(b"[]"),
    "brackets without an end": saying(b"[" * 4000),
    "bytes that are no text": saying(b"\xff\xfe\x00"),
    "compressed": saying(
        gzip.compress(orjson.dumps(answer(1000))), headers={"content-encoding": "gzip"}
    ),
    "without an end": endless,
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
async def test_a_lie_is_set_aside_and_the_truth_is_found_elsewhere(
    lie: Mood, lines: list[str]
) -> None:
    async with asking(lie, honest) as (drand, (liar, true)):
        drawn = await drand.fetch(closing(1000))
        assert drawn is not None
        assert drawn.evidence == signature(1000)
        assert await drand.fetch(closing(1001)) is not None
        assert (liar.asked, true.asked) == ([1000], [1000, 1001])
        # An answer without an end is not read to its end.
        assert liar.written < ENDLESS
    assert sum("is not asked for drand for 600 s" in line for line in lines) == 1
    assert KEY not in "".join(lines)


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
async def test_where_all_endpoints_lie_nothing_is_drawn(lie: Mood) -> None:
    async with asking(lie, lie) as (drand, (one, other)):
        with pytest.raises(Forged, match="no endpoint of drand has a true round 1000"):
            await drand.fetch(closing(1000))
        # They are all that there is, so they are asked again, and may have come to their senses.
        one.mood = honest
        assert await drand.fetch(closing(1000)) is not None
        assert (one.asked, other.asked[:1]) == ([1000, 1000], [1000])


SILENT: dict[str, Mood] = {
    "not yet": not_yet,
    "too early": saying(b"", 425),
    "too many requests": saying(b"", 429),
    "broken": saying(b"<html>", 502),
    "cut off": cut_off,
    "stalling": stalling,
}


@pytest.mark.parametrize("silent", SILENT.values(), ids=SILENT)
async def test_an_endpoint_without_the_round_is_only_waited_for(
    silent: Mood, lines: list[str]
) -> None:
    async with asking(silent, timeout_s=0.3) as (drand, (place,)):
        while len(place.asked) < 2:
            assert await drand.fetch(closing(1000)) is None
            await asyncio.sleep(0.01)
        place.mood = honest
        assert await patiently(drand, 1000)
        assert place.asked == [1000] * 3
    assert not any("is not asked" in line for line in lines)


@pytest.mark.parametrize("silent", SILENT.values(), ids=SILENT)
async def test_the_next_endpoint_is_asked_beside_one_that_keeps_silent(silent: Mood) -> None:
    async with asking(silent, honest, timeout_s=3600) as (drand, (_, true)):
        assert await drand.fetch(closing(1000)) is not None
        assert true.asked == [1000]


async def test_an_endpoint_that_sends_us_elsewhere_is_not_followed() -> None:
    async with endpoints(honest) as (elsewhere,):
        path = f"{elsewhere.url}/{QUICKNET.hash.hex()}/public/1000"
        moved = saying(b"", 302, headers={"location": path})
        async with asking(moved) as (drand, (place,)):
            assert await drand.fetch(closing(1000)) is None
            assert (place.asked, elsewhere.asked) == ([1000], [])


async def test_addresses_that_nobody_serves_are_silence_too(lines: list[str]) -> None:
    drand = Drand([NOWHERE, f"https://{KEY}.invalid/{KEY}", f"no url {KEY}"], patience_s=60)
    assert await drand.fetch(closing(1000)) is None
    await drand.close()
    assert KEY + "/" not in "".join(lines)


async def test_a_round_that_was_missed_too_long_is_gone_until_it_turns_up() -> None:
    async with asking(not_yet, patience_s=0.2) as (drand, (place,)):
        assert await drand.fetch(closing(1000)) is None
        await asyncio.sleep(0.25)
        for _ in range(2):
            with pytest.raises(Gone) as gone:
                await drand.fetch(closing(1000))
            assert gone.value.fallback is Fallback.VOID
        # Patience is for each round by itself.
        assert await drand.fetch(closing(1001)) is None
        place.mood = honest
        assert await patiently(drand, 1000)


async def test_who_is_patient_waits_on_beside_one_who_is_not() -> None:
    async with asking(not_yet) as (drand, (place,)):
        patient = asyncio.create_task(drand.fetch(closing(1000), patience_s=60))
        with pytest.raises(Gone):
            await drand.fetch(closing(1000), patience_s=0)
        assert await patient is None
        assert place.asked == [1000]
        with pytest.raises(Gone):
            await drand.fetch(closing(1000), patience_s=0)
        assert await drand.fetch(closing(1000)) is None


async def test_what_does_not_come_is_asked_for_ever_more_seldom() -> None:
    async with asking(not_yet) as (drand, (place,)):
        until = time.monotonic() + 1
        while time.monotonic() < until:
            assert await drand.fetch(closing(1000)) is None
            await asyncio.sleep(0)
        # By a quarter longer each time: from a millisecond to a second in some thirty steps.
        assert len(place.asked) < 60


async def test_lies_do_not_make_patience_longer() -> None:
    async with asking(changing(randomness="00" * 32), patience_s=0) as (drand, _):
        with pytest.raises(Gone) as gone:
            await drand.fetch(closing(1000))
        assert isinstance(gone.value.__context__, Forged)


def test_drand_without_an_endpoint_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one endpoint"):
        Drand([], patience_s=1)


# What is checked later, without a network.

TRUE = Drawn(b"drand", QUICKNET.hash, 1000, sha256(signature(1000)).digest(), signature(1000))
FALSE = {
    "another chain": replace(TRUE, chain_hash=WALKTHROUGH.hash),
    "another round": replace(
        TRUE, round=1001, evidence=signature(1001), randomness=sha256(signature(1001)).digest()
    ),
    "another randomness": replace(TRUE, randomness=bytes(32)),
    "another signature": replace(
        TRUE, evidence=signature(1001), randomness=sha256(signature(1001)).digest()
    ),
    "no signature": replace(TRUE, evidence=b"", randomness=sha256(b"").digest()),
}


@pytest.mark.parametrize("false", FALSE.values(), ids=FALSE)
def test_a_draw_that_is_not_the_one_of_its_closing_is_refused_later_on(false: Drawn) -> None:
    verify(TRUE, closing(1000))
    with pytest.raises(Forged):
        verify(false, closing(1000))


MISSHAPEN = [
    {"kind": b"none"},
    {"kind": b"solana"},
    {"chain_hash": bytes(31)},
    {"randomness": bytes(33)},
    {"round": -1},
    {"round": 2**64},
]


@pytest.mark.parametrize("part", MISSHAPEN)
def test_a_draw_of_another_shape_cannot_exist(part: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="beacon"):
        replace(TRUE, **part)  # type: ignore[arg-type]
