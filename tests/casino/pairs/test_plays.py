"""Bets of a pair: a nonce each, a signed receipt each, an outcome that anybody computes again."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from coincurve import PublicKey

from casino.invariants import pairs
from casino.invariants.laws import examined
from casino.pairs import booths
from casino.pairs.plays import Hand, Play
from casino.sealed import Sealer
from casino.stakes import HOUSE
from chains.evm.address import keccak256
from chains.signers import signer
from db.session import driver, transaction
from games.fairness.pairs import MAX_BETS
from games.fairness.receipts import check_receipts
from games.fairness.verify import OK, read, verify
from tests.casino.conftest import rows
from tests.casino.pairs.paired import ASSET, HAND, SIGNER, Paired
from tests.casino.wagering import USD, Player, work


@pytest.fixture
async def paired(database: str) -> Paired:
    return await Paired.at()


def recovered(digest: bytes, signature: bytes) -> bytes:
    low = signature[:64] + bytes([signature[64] - 27])
    key = PublicKey.from_signature_and_message(low, digest, hasher=None)
    return keccak256(key.format(compressed=False)[1:])[12:]


async def test_a_bet_is_over_at_once_and_its_receipt_holds_everything(paired: Paired) -> None:
    ada = await paired.player()
    key = await paired.active(ada)
    answer = await paired.run(paired.bet(key))
    said, receipt = answer.body, answer.body["receipt"]
    assert (said["nonce"], said["state"], said["bet"]) == (0, "active", f"{ada}.0.0")
    digest = bytes.fromhex(receipt["digest"])
    assert recovered(digest, bytes.fromhex(receipt["signature"])) == SIGNER.address
    won = said["result"] < 5_000
    assert (int(said["payout"]) > 0) == won
    assert await paired.cash(ada) == 10_000 - 100 + int(said["payout"]) == int(said["balance"])
    assert await paired.pair(key, "bets", "stake", "payout", "last") == (
        *(1, 100, int(said["payout"])),
        digest,
    )
    [(_, told)] = await paired.told("pair.bet")
    assert told["receipt"] == receipt
    assert (told["player"], told["outcome"]) == (f"player:{ada}", said["outcome"])


async def test_a_revealed_pair_is_verified_from_its_file_and_the_chain_alone(
    paired: Paired,
) -> None:
    ada = await paired.player()
    key = await paired.active(ada)
    wishes: list[dict[str, Any]] = [
        {},
        {"game": "limbo", "choice": {"target": 200}},
        {"game": "coinflip", "choice": {"side": 1}},
        {"game": "numbers", "choice": {"spots": [1, 7, 80]}},
    ]
    for wish in wishes * 2:
        assert (await paired.run(paired.bet(key, **wish))).code is None
    await paired.run(paired.retire(key))
    await paired.shown(key)
    proof = await paired.proof(key)
    steps = verify(proof, facts=await paired.facts(key), recover=recovered)
    assert {step.name: step.status for step in steps} == {step.name: OK for step in steps}
    assert [step.found for step in steps if step.name == "receipts"] == ["nonces 0..7"]
    part = await paired.proof(key, first=6)
    assert part is not None
    assert [bet["nonce"] for bet in part["bets"]] == ["6", "7"]


async def test_a_pair_without_a_bet_is_proved_like_any_other(paired: Paired) -> None:
    key = await paired.active(await paired.player(), None)
    await paired.run(paired.retire(key))
    await paired.shown(key)
    proof = await paired.proof(key)
    steps = verify(proof, facts=await paired.facts(key), recover=recovered)
    assert [step.name for step in steps if step.status == "failed"] == []


async def test_a9_bets_of_many_transactions_at_once_have_each_a_nonce_of_their_own(
    paired: Paired,
) -> None:
    """A9: none is skipped or used twice, and every receipt holds on to the one before it."""
    ada = await paired.player(100_000)
    key = await paired.active(ada)

    async def betting() -> None:
        for _ in range(5):
            answers = await paired.run_all([paired.bet(key, 20), paired.bet(key, 30)])
            assert [one.code for one in answers] == [None, None]

    await asyncio.gather(*(betting() for _ in range(6)))
    assert [row[0] for row in await paired.bets(key, "nonce")] == list(range(60))
    await paired.run(paired.retire(key))
    await paired.shown(key)
    told = read(await paired.proof(key))
    receipts = [bet.receipt for bet in told.bets]  # type: ignore[union-attr]
    [(commit,)] = [await paired.pair(key, "commit")]
    last = check_receipts(receipts, previous=bytes(commit), count=60)
    assert await paired.pair(key, "last", "stake") == (last, 30 * 50)


async def test_a_bet_asked_again_is_the_same_bet(paired: Paired) -> None:
    ada = await paired.player()
    key = await paired.active(ada)
    bet = paired.bet(key)
    first, again = await paired.run(bet), await paired.run(bet)
    assert (again.replayed, again.body) == (True, first.body)
    assert len(await paired.bets(key, "nonce")) == 1
    together = paired.bet(key)
    answers = await paired.run_all([together, together])
    assert answers[0].body == answers[1].body
    assert await paired.pair(key, "bets") == (2,)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "too small": ({"stake": 9}, "STAKE_TOO_SMALL"),
    "too large": ({"stake": 1_001}, "STAKE_TOO_LARGE"),
    "more than there is": ({"stake": 501}, "INSUFFICIENT_FUNDS"),
    "a win beyond the most": (
        {"choice": {"over": False, "face": 5}, "stake": 100},
        "WIN_TOO_LARGE",
    ),
    "nothing to win": ({"choice": {"over": False, "face": 9_999}}, "CHOICE_NOT_OFFERED"),
    "a nonce that was used": ({"nonce": 0}, "NONCE_USED"),
    "a nonce ahead": ({"nonce": 2}, "NONCE_SKIPPED"),
    "a nonce past the cap": ({"nonce": MAX_BETS}, "NONCE_SKIPPED"),
    "an unknown game": ({"game": "roulette"}, "GAME_NOT_OFFERED"),
    "a game of other booths": (
        {"game": "crash", "choice": {"target": 200}},
        "GAME_NOT_OFFERED",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_is_refused_moves_nothing_and_says_why(paired: Paired, case: str) -> None:
    changed, code = REFUSED[case]
    ada = await paired.player(600)
    key = await paired.active(ada)
    assert (await paired.run(paired.bet(key, choice={"over": True, "face": 5_000}))).code is None
    cash, pair = await paired.cash(ada), await paired.pair(key, "bets", "stake", "last", "state")
    if code == "INSUFFICIENT_FUNDS":
        changed = {"stake": cash + 1}
    answer = await paired.run(paired.bet(key, **changed))
    assert answer.code == code
    assert (await paired.cash(ada), len(await paired.bets(key, "nonce"))) == (cash, 1)
    assert await paired.pair(key, "bets", "stake", "last", "state") == pair


async def test_a_player_stakes_under_a_pair_as_much_as_the_booth_allows(database: str) -> None:
    paired = await Paired.at(most_player=250)
    key = await paired.active(await paired.player())
    answers = await paired.run_all([paired.bet(key, stake) for stake in (100, 151, 150, 10)])
    assert [one.code for one in answers] == [None, "STAKE_TOO_LARGE", None, "STAKE_TOO_LARGE"]


async def test_the_last_nonce_retires_its_pair(paired: Paired) -> None:
    ada = await paired.player()
    key = await paired.active(ada)
    assert (await paired.run(paired.bet(key))).code is None
    await rows("UPDATE pairs SET bets = %s WHERE player_id = %s RETURNING 1", (MAX_BETS - 1, ada))
    cash = await paired.cash(ada)
    last, after = await paired.run_all([paired.bet(key), paired.bet(key)])
    assert (last.body["nonce"], last.body["state"]) == (MAX_BETS - 1, "retired")
    assert after.code == "PAIR_RETIRED"
    assert await paired.pair(key, "state", "bets") == ("retired", MAX_BETS)
    assert await paired.cash(ada) == cash - 100 + int(last.body["payout"])
    assert len(await paired.told("pair.retired")) == 1


async def test_an_account_that_would_not_take_every_win_hears_no_outcome(paired: Paired) -> None:
    """Else it could be told by its refusals which nonces win, and be bet on with more."""
    ada = await paired.player(1_000)
    key = await paired.active(ada)
    limit = "UPDATE accounts SET most = %s WHERE casino_id = %s AND name = %s RETURNING 1"
    name = (paired.booth.casino_id, f"player:{ada}:cash")
    await rows(limit, (1_000 - 100 + 176, *name))  # a win on under 5000 brings 177 of 100
    answers = [await paired.run(paired.bet(key)) for _ in range(12)]
    assert {one.code for one in answers} == {"LIMIT_EXCEEDED"}
    assert (await paired.cash(ada), await paired.pair(key, "bets")) == (1_000, (0,))
    await rows(limit, (1_000 - 100 + 177, *name))
    assert (await paired.run(paired.bet(key))).code is None


@pytest.mark.parametrize("fault", ["another signer", "another seed key"])
async def test_a_process_with_other_keys_plays_nothing_and_forgets_it_was_asked(
    paired: Paired, fault: str
) -> None:
    ada = await paired.player()
    key = await paired.active(ada)
    other = {"another signer": Hand(HAND.sealer, signer("08" * 32))}.get(
        fault, Hand(Sealer(b"\x01" * 32), HAND.sign)
    )
    bet = paired.bet(key, hand=other)
    answer = await paired.run(bet)
    codes = {"another signer": "PAIR_SIGNER_CHANGED", "another seed key": "PAIRS_UNAVAILABLE"}
    assert answer.code == codes[fault]
    assert (await paired.cash(ada), await paired.pair(key, "bets")) == (10_000, (0,))
    right = await paired.run(replace(bet, hand=HAND))
    assert (right.code, right.replayed) == (None, False)


@pytest.mark.parametrize("why", ["PAIRS_STOPPED", "PAIRS_ENDED"])
async def test_where_nobody_may_play_now_nothing_is_decided_and_old_answers_stand(
    paired: Paired, why: str
) -> None:
    ada = await paired.player()
    key = await paired.active(ada)
    bet, later = paired.bet(key), paired.bet(key)
    first = await paired.run(bet)

    def now(one: Play) -> Play:
        if why == "PAIRS_ENDED":
            return replace(one, hand=None)
        return replace(one, booth=replace(one.booth, stopped=True))

    assert (await paired.run(now(later))).code == why
    assert (await paired.run(now(bet))).body == first.body
    assert await paired.pair(key, "bets") == (1,)
    assert (await paired.run(later)).code is None


async def test_a_pair_keeps_its_asset_when_its_booth_is_given_another(paired: Paired) -> None:
    ada = await paired.player()
    key = await paired.active(ada)
    assert (await paired.run(paired.bet(key))).code is None
    before = await paired.pair(key, "stake", "payout")
    async with transaction() as session:
        connection = await driver(session)
        await booths.settle(connection, replace(paired.booth, asset="iso4217:USD"))
        [paired.booth] = [
            one for one in await booths.all_booths(connection) if one.id == paired.booth.id
        ]
    refused = await paired.run(paired.bet(key))
    assert (refused.code, refused.body["asset"]) == ("ASSET_CHANGED", ASSET)
    assert await paired.pair(key, "asset", "stake", "payout") == (ASSET, *before)
    await paired.run(paired.retire(key))
    await paired.shown(key)
    steps = verify(await paired.proof(key), facts=await paired.facts(key), recover=recovered)
    assert {step.status for step in steps} == {OK}


async def test_the_entries_of_a_bet_are_its_stake_and_its_payout(paired: Paired) -> None:
    ada = await paired.player()
    key = await paired.active(ada)
    await paired.run_all([paired.bet(key, 50) for _ in range(20)])
    moved = await rows(
        "SELECT t.type, sum(e.amount) FROM transfers t JOIN entries e ON e.transfer_id = t.id"
        " JOIN accounts a ON a.id = e.account_id"
        " WHERE t.casino_id = %s AND a.name = %s AND t.type LIKE 'pair%%'"
        " GROUP BY t.type ORDER BY t.type",
        (paired.booth.casino_id, f"player:{ada}:cash"),
    )
    payout = (await paired.pair(key, "payout"))[0]
    assert moved == [("pair_payout", payout), ("pair_stake", -1_000)]
    house = "SELECT balance FROM accounts WHERE casino_id = %s AND name = %s AND asset = %s"
    [(balance,)] = await rows(house, (paired.booth.casino_id, HOUSE, ASSET))
    assert balance == 1_000 - payout


async def test_a_bet_stands_as_it_was_played_whoever_writes(paired: Paired) -> None:
    ada = await paired.player()
    key = await paired.active(ada)
    await paired.run(paired.bet(key))
    for change in ("payout = 1", "digest = 'x'", "nonce = 7"):
        with pytest.raises(Exception, match="stay"):
            await rows(f"UPDATE pair_bets SET {change} WHERE player_id = %s RETURNING 1", (ada,))
    with pytest.raises(Exception, match="only goes forward"):
        await rows("UPDATE pairs SET bets = 0 WHERE player_id = %s RETURNING 1", (ada,))
    with pytest.raises(Exception, match="stay"):
        await rows("DELETE FROM pair_bets WHERE player_id = %s RETURNING 1", (ada,))


async def test_bonus_money_is_staked_comes_back_and_is_wagered_as_everywhere(
    database: str,
) -> None:
    paired = await Paired.at(asset=USD)
    number = await paired.player(0)
    ada = Player(paired.booth.casino_id, paired.booth.casino, number)
    grant = await ada.given(1_000, cash=100)
    key = await paired.active(number)
    wide = {"over": False, "face": 8_000}
    answers = [await paired.run(paired.bet(key, 200, choice=wide)) for _ in range(4)]
    assert {one.code for one in answers} == {None}
    cash, bonus = 100, 1_000
    for split, payout in zip(
        await paired.bets(key, "cash", "bonus", "grant_id"),
        await paired.bets(key, "payout"),
        strict=True,
    ):
        assert split == (min(cash, 200), 200 - min(cash, 200), grant)
        back = int(payout[0]) * int(split[1]) // 200
        cash += int(payout[0]) - back - int(split[0])
        bonus += back - int(split[1])
    assert await ada.balances() == (cash, bonus)
    await work(ada)
    assert await ada.state(grant) == ("active", 4 * 200 * 10_000)
    async with transaction() as opened:
        faults = (await examined(opened, pairs.LAW)).faults
    assert [one for one in faults if one.evidence["player"] == str(number)] == []
    refused = await paired.run(paired.bet(key, cash + bonus + 1))
    assert refused.code in ("INSUFFICIENT_FUNDS", "STAKE_TOO_LARGE")
