"""The course of a pair: each state by its own door, once, and never back."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from casino.commands import Command
from casino.pairs import courses
from casino.pairs.records import PairKey
from db.session import driver, transaction
from games.fairness.encoding import MAX_FIELD
from games.fairness.pairs import Pair
from tests.casino.conftest import NETWORK, rows
from tests.casino.pairs.paired import BEACON, Paired


@pytest.fixture
async def paired(database: str) -> Paired:
    return await Paired.at()


async def test_a_pair_waits_until_its_commitment_is_final_and_its_beacon_came(
    paired: Paired,
) -> None:
    ada = await paired.player()
    key = await paired.opened(ada)
    for step in ("opened", "drawn", "final"):
        if step == "drawn":
            number = await paired.drawn(key)
        if step == "final":
            await paired.final(number)
        assert (await paired.run(paired.bet(key))).code == "PAIR_WAITING", step
        assert (await paired.run(paired.retire(key))).code == "PAIR_WAITING", step
    assert await paired.activated(number) == [key]
    assert (await paired.run(paired.bet(key))).code is None
    told = await paired.told("pair.opened", "pair.committed", "pair.active")
    assert [type for type, _ in told] == ["pair.opened", "pair.committed", "pair.active"]
    commit = Pair(NETWORK.encode(), f"player:{ada}".encode(), 0).commit(paired.seeds[key])
    assert told[1][1]["commitment"]["commit"] == commit.hex()
    assert told[2][1]["activation"] == BEACON.hash.hex()


async def test_epochs_count_up_and_one_pair_waits_while_one_is_in_play(paired: Paired) -> None:
    ada = await paired.player()
    first = await paired.active(ada)
    second = await paired.opened(ada)
    assert (first.epoch, second.epoch) == (0, 1)
    refused = await paired.run(paired.open(ada))
    assert (refused.code, refused.body["pair"]) == ("PAIR_WAITING", str(second))
    number = await paired.drawn(second)
    await paired.final(number)
    assert await paired.activated(number) == []  # the one before it is still in play
    assert (await paired.run(paired.bet(second))).code == "PAIR_WAITING"
    assert (await paired.run(paired.retire(first))).code is None
    assert await paired.activated(number) == [second]
    assert (await paired.run(paired.bet(second))).code is None


async def test_a_player_who_asks_many_times_at_once_opens_one_pair(paired: Paired) -> None:
    ada = await paired.player()

    async def opening() -> str | None:
        try:
            return (await paired.run(paired.open(ada))).code
        except Exception as error:
            return type(error).__name__  # the gatherer asks again

    codes = await asyncio.gather(*(opening() for _ in range(6)))
    assert codes.count(None) == 1
    assert set(codes) <= {None, "PAIR_WAITING", "UniqueViolation"}
    assert (await rows("SELECT count(*) FROM pairs WHERE player_id = %s", (ada,))) == [(1,)]


async def test_two_pairs_asked_for_in_one_batch_are_one_pair(paired: Paired) -> None:
    ada = await paired.player()
    answers = await paired.run_all([paired.open(ada), paired.open(ada)])
    assert [one.code for one in answers] == [None, "PAIR_WAITING"]


BAD = {"nothing": b"", "65 bytes": b"x" * 65, "no UTF-8": b"\xff\xfe"}


@pytest.mark.parametrize("case", BAD)
async def test_a_client_seed_is_1_to_64_bytes_of_utf_8(paired: Paired, case: str) -> None:
    ada = await paired.player()
    assert (await paired.run(paired.open(ada, BAD[case]))).code == "BAD_CLIENT_SEED"
    assert await rows("SELECT 1 FROM pairs WHERE player_id = %s", (ada,)) == []
    key = await paired.active(ada)
    assert (await paired.run(paired.choose(key, BAD[case]))).code == "BAD_CLIENT_SEED"
    assert await paired.pair(key, "client_seed") == (b"lucky",)


async def test_the_ends_of_a_client_seed_are_taken_as_they_are(paired: Paired) -> None:
    ada = await paired.player()
    key = await paired.active(ada, b"\0")
    assert await paired.pair(key, "client_seed") == (b"\0",)
    longest = "ß".encode() * 32
    assert (await paired.run(paired.choose(key, longest))).body["client_seed"] == longest.hex()
    assert (await paired.run(paired.bet(key))).body["receipt"]["client_seed"] == longest.hex()


async def test_a3_a_client_seed_is_the_players_and_stands_from_the_first_bet_on(
    paired: Paired,
) -> None:
    """A3: without a seed of the player's nothing is played, and none is made for him."""
    ada = await paired.player()
    key = await paired.active(ada, None)
    refused = await paired.run(paired.bet(key))
    assert (refused.code, await paired.cash(ada)) == ("NO_CLIENT_SEED", 10_000)
    chosen = await paired.run(paired.choose(key, b"mine"))
    assert chosen.code is None
    assert len(chosen.body["commit"]) == 64  # bound before the player chose
    assert (await paired.run(paired.bet(key))).code is None
    assert (await paired.run(paired.choose(key, b"other"))).code == "CLIENT_SEED_FIXED"
    with pytest.raises(Exception, match="only goes forward"):
        await rows("UPDATE pairs SET client_seed = 'x' WHERE player_id = %s RETURNING 1", (ada,))
    assert await paired.pair(key, "client_seed", "bets") == (b"mine", 1)


async def test_a2_a_seed_cannot_be_exchanged_once_its_place_is_known(paired: Paired) -> None:
    """A2: the client seed may be known early, because the house's seed and the beacon are not."""
    ada = await paired.player()
    key = await paired.opened(ada, b"known early")
    number = await paired.drawn(key)
    for change in ("commit = 'x'", "sealed = 'x'", "place = 1", "number = 9"):
        with pytest.raises(Exception, match="only goes forward"):
            await rows(f"UPDATE pairs SET {change} WHERE player_id = %s RETURNING 1", (ada,))
    with pytest.raises(Exception, match="check"):  # no beacon before the commitment is final
        await rows(
            "UPDATE pair_batches SET beacon = '{}', activation = 'x', activated_at = now()"
            " WHERE booth_id = %s RETURNING 1",
            (paired.booth.id,),
        )
    await paired.final(number)
    await paired.activated(number)
    for change in ("root = 'x'", "final_at = 1", "beacon = '{}'", "activation = 'x'"):
        with pytest.raises(Exception, match="stands as it was drawn"):
            await rows(
                f"UPDATE pair_batches SET {change} WHERE booth_id = %s RETURNING 1",
                (paired.booth.id,),
            )
    async with transaction() as session:
        connection = await driver(session)
        assert not await courses.activate(connection, paired.booth, number, BEACON, b"")


async def test_a_retired_pair_takes_no_bet_and_is_revealed_once(paired: Paired) -> None:
    ada = await paired.player()
    key = await paired.active(ada)
    played = await paired.run(paired.bet(key))
    ended = await paired.run(paired.retire(key))
    assert ended.body["last"] == played.body["receipt"]["digest"]
    assert (ended.body["bets"], ended.body["stake"]) == (1, "100")
    before = await paired.cash(ada)
    assert (await paired.run(paired.bet(key))).code == "PAIR_RETIRED"
    assert (await paired.run(paired.retire(key))).code == "PAIR_RETIRED"
    assert (await paired.run(paired.choose(key, b"x"))).code == "PAIR_RETIRED"
    assert (await paired.cash(ada), await paired.pair(key, "bets")) == (before, (1,))
    assert await paired.proof(key) is None
    assert [await paired.shown(key), await paired.shown(key)] == [True, False]
    assert (await paired.run(paired.bet(key))).code == "PAIR_RETIRED"
    assert [data["seed"] for _, data in await paired.told("pair.revealed")] == [
        paired.seeds[key].hex()
    ]


async def test_pairs_under_a_number_that_the_chain_gave_to_others_end_unplayed(
    paired: Paired,
) -> None:
    ada = await paired.player()
    key = await paired.opened(ada)
    number = await paired.drawn(key)
    async with transaction() as session:
        connection = await driver(session)
        assert await courses.disown(connection, paired.booth, number)
        assert not await courses.disown(connection, paired.booth, number)
    assert await paired.pair(key, "state") == ("unplayed",)
    for command in (paired.bet(key), paired.choose(key, b"x"), paired.retire(key)):
        assert (await paired.run(command)).code == "PAIR_UNPLAYED"
    assert await paired.opened(ada) == PairKey(ada, 1)
    assert [data["pair"] for _, data in await paired.told("pair.unplayed")] == [str(key)]
    with pytest.raises(Exception, match="only goes forward"):
        await rows("UPDATE pairs SET state = 'active' WHERE player_id = %s RETURNING 1", (ada,))


async def test_after_a_restore_every_pair_is_ended_at_once_and_told_so(paired: Paired) -> None:
    """What could have been played since the backup must not be played again."""
    ada = await paired.player()
    active = await paired.active(ada)
    await paired.run(paired.bet(active))
    drawn = await paired.opened(ada)
    await paired.drawn(drawn)
    alone = await paired.opened(await paired.player())
    async with transaction() as session:
        connection = await driver(session)
        assert await courses.end_every(connection, paired.booth) == 3
        assert await courses.end_every(connection, paired.booth) == 0
    states = [(await paired.pair(key, "state"))[0] for key in (active, drawn, alone)]
    assert states == ["retired", "unplayed", "unplayed"]
    assert (await paired.run(paired.bet(active))).code == "PAIR_RETIRED"
    assert len(await paired.told("pair.retired", "pair.unplayed")) == 3
    assert await rows("SELECT resumes FROM pair_booths WHERE id = %s", (paired.booth.id,)) == [
        (True,)
    ]


async def test_pairs_that_are_not_offered_any_more_are_not_opened_and_old_answers_stand(
    paired: Paired,
) -> None:
    ada = await paired.player()
    wish = paired.open(ada)
    first = await paired.run(wish)
    assert (await paired.run(replace(wish, offered=False))).body == first.body
    other = replace(paired.open(await paired.player()), offered=False)
    assert (await paired.run(other)).code == "PAIRS_ENDED"
    assert (await paired.run(replace(other, offered=True))).code is None


async def test_a_seed_is_shown_of_no_pair_that_is_in_play(paired: Paired) -> None:
    key = await paired.active(await paired.player())
    assert await paired.shown(key) is False
    assert await paired.pair(key, "state", "seed") == ("active", None)
    with pytest.raises(Exception, match="only goes forward"):
        await rows(
            "UPDATE pairs SET state = 'revealed', seed = 'x' WHERE player_id = %s RETURNING 1",
            (key.player_id,),
        )


async def test_a_bet_and_the_end_of_its_pair_at_once_leave_one_order(paired: Paired) -> None:
    ada = await paired.player()
    key = await paired.active(ada)

    async def run(command: Command) -> str | None:
        return (await paired.run(command)).code

    commands: list[Command] = [paired.bet(key, 20) for _ in range(8)]
    commands.insert(4, paired.retire(key))
    codes = await asyncio.gather(*map(run, commands))
    taken = [code for at, code in enumerate(codes) if at != 4].count(None)
    assert codes[4] is None
    assert set(codes) <= {None, "PAIR_RETIRED"}
    assert await paired.pair(key, "state", "bets") == ("retired", taken)
    assert [row[0] for row in await paired.bets(key, "nonce")] == list(range(taken))


async def test_nobody_elses_pair_is_anybodys(paired: Paired) -> None:
    other = await Paired.at()
    key = await paired.active(await paired.player())
    for command in (other.bet(key), other.retire(key), other.choose(key, b"x")):
        assert (await other.run(command)).code == "UNKNOWN_PAIR"
    assert (await paired.run(paired.retire(PairKey(MAX_FIELD**3, 0)))).code == "UNKNOWN_PAIR"
