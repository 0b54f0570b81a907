"""The Solana casino on a real runtime: what every verb pays to the lamport, and what it refuses."""

from __future__ import annotations

import base64

import pytest
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer

from chains.solana.address import event_authority
from chains.solana.decode import EVENT_TAG
from chains.solana.logs import DATA
from contracts.solana import build
from contracts.solana.postlink import link
from games import range as range_game
from tests.contracts.solana_house import SOL, House, Refused, expected_roll

SEEDS = [bytes([at + 1]) * 32 for at in range(5)]
CLIENT = bytes(range(32))


@pytest.fixture
def house() -> House:
    return House().open()


def refused(name: str) -> pytest.RaisesExc[Refused]:
    return pytest.RaisesExc(Refused, check=lambda error: error.name == name)


def test_what_is_committed_is_what_the_sources_build() -> None:
    assert build.HEADER.read_text() == build.header()
    assert build.PROGRAM.read_bytes() == link(build.compile_object())


@pytest.mark.parametrize("at", range(5))
def test_a_settled_bet_rolls_as_the_shared_arithmetic_says(house: House, at: int) -> None:
    tree = house.commit_seeds(SEEDS)
    for number in range(at + 1):
        client = bytes([number]) * 32
        placed = house.events(house.place(client, 0, 5_000, SOL + number))
        assert placed[0][1]["index"] == number
    roll = expected_roll(house, at, SEEDS[at], client, stake=SOL + at, low=0, high=5_000)
    before = house.balance(house.player.pubkey()), house.balance(house.vault)
    rent = house.balance(house.bet_address(client))
    events = house.events(house.settle(client, SEEDS[at], tree.proof(at)))
    payout = range_game.payout(SOL + at, range_game.Choice(0, 5_000), roll)
    assert [name for name, _ in events] == ["SeedRevealed", "BetSettled"]
    assert (events[1][1]["roll"], events[1][1]["payout"]) == (roll, payout)
    assert house.balance(house.player.pubkey()) - before[0] == payout + rent
    assert before[1] - house.balance(house.vault) == payout
    assert house.balance(house.bet_address(client)) == 0


def test_a_bet_settles_once(house: House) -> None:
    tree = house.commit_seeds(SEEDS)
    house.place(CLIENT)
    house.settle(CLIENT, SEEDS[0], tree.proof(0))
    with refused("WrongAccount"):
        house.settle(CLIENT, SEEDS[0], tree.proof(0))


def test_another_seed_another_proof_and_another_length_are_refused(house: House) -> None:
    tree = house.commit_seeds(SEEDS)
    house.place(CLIENT)
    proof = tree.proof(0)
    for seed, shown in ((SEEDS[1], proof), (SEEDS[0], tree.proof(1)), (SEEDS[0], proof[:-1])):
        with refused("SeedRefused"):
            house.settle(CLIENT, seed, shown)
    with refused("SeedRefused"):
        house.settle(CLIENT, SEEDS[0], [*proof, bytes(32)])
    with refused("BadInstruction"):
        house.settle(CLIENT, SEEDS[0], [bytes(32)] * 17)


def test_silence_costs_the_house_the_stake_and_a_penalty(house: House) -> None:
    house.commit_seeds(SEEDS)
    house.place(CLIENT, stake=SOL)
    house.pass_time(60)
    before = house.balance(house.vault)
    events = house.events(house.refund(CLIENT))
    assert events[0][1]["penalty"] == SOL // 10
    assert before - house.balance(house.vault) == SOL + SOL // 10


def test_a_bet_settles_until_its_deadline_and_is_refunded_from_it_on(house: House) -> None:
    tree = house.commit_seeds(SEEDS)
    second = bytes(reversed(CLIENT))
    house.place(CLIENT)
    house.place(second)
    house.pass_time(59)
    with refused("DeadlineAhead"):
        house.refund(CLIENT)
    house.settle(CLIENT, SEEDS[0], tree.proof(0))
    house.pass_time(1)
    with refused("DeadlinePassed"):
        house.settle(second, SEEDS[1], tree.proof(1))
    house.refund(second)


def test_a_fresh_house_takes_any_stake_and_any_prize_it_can_pay() -> None:
    house = House()
    house.deploy()
    opened = house.events(house.initialize())
    assert opened[1] == ("LimitsSet", {"smallest_stake": 1, "largest_share_bp": 10_000})
    house.call("fund_vault", {"amount": 98 * SOL}, {"funder": house.owner.pubkey()}, house.owner)
    house.commit_seeds(SEEDS)
    house.place(SEEDS[0], 0, 9_800, 1)  # its prize is as small as its stake
    house.place(CLIENT, 0, 100, SOL)
    with refused("VaultTooPoor"):
        house.place(SEEDS[1], 0, 5_000, 2)


def test_a_stake_below_the_smallest_is_refused(house: House) -> None:
    house.commit_seeds(SEEDS)
    said = house.events(house.limit(SOL, 10_000))
    assert said == [("LimitsSet", {"smallest_stake": SOL, "largest_share_bp": 10_000})]
    with refused("StakeTooSmall"):
        house.place(CLIENT, stake=SOL - 1)
    house.place(CLIENT, stake=SOL)


def test_one_prize_reserves_its_share_of_the_free_vault_and_no_more(house: House) -> None:
    house.commit_seeds(SEEDS)
    house.limit(1, 1_000)
    # 101 SOL are free with the stake; a tenth is 10.1 SOL.
    with refused("PrizeTooLarge"):
        house.place(SEEDS[0], 0, 900, SOL)
    house.place(SEEDS[0], 0, 1_000, SOL)
    # 91.1 SOL are left free: the next prize gets a tenth of that, with its stake.
    with refused("PrizeTooLarge"):
        house.place(SEEDS[1], 0, 1_000, SOL)
    house.place(SEEDS[1], 0, 1_000, SOL * 9 // 10)
    with refused("VaultTooPoor"):
        house.place(SEEDS[2], 0, 1, SOL)


def test_only_the_owner_sets_limits_and_only_within_the_rules(house: House) -> None:
    args = {"smallest_stake": 1, "largest_share_bp": 1}
    with refused("NotOwner"):
        house.call("set_limits", args, {"owner": house.keeper.pubkey()}, house.keeper)
    for smallest, share in ((0, 1), (1, 0), (1, 10_001)):
        with refused("BadSetting"):
            house.limit(smallest, share)
    house.limit(2**64 - 1, 1)


def test_a_house_without_a_penalty_gives_back_the_stake_alone() -> None:
    house = House()
    house.deploy()
    house.initialize(penalty_bp=0)
    house.call("fund_vault", {"amount": SOL}, {"funder": house.owner.pubkey()}, house.owner)
    house.commit_seeds(SEEDS)
    house.place(CLIENT, stake=SOL // 2)
    house.pass_time(61)
    before = house.balance(house.vault)
    assert house.events(house.refund(CLIENT))[0][1]["penalty"] == 0
    assert before - house.balance(house.vault) == SOL // 2


def test_a_prize_is_exact_as_long_as_64_bits_hold_it(house: House) -> None:
    house.commit_seeds(SEEDS)
    house.enrich(house.vault, 2**63)
    house.enrich(house.player.pubkey(), 2**63 - 1)
    placed = house.events(house.place(CLIENT, stake=2**62 + 1))
    assert placed[0][1]["max_payout"] == (2**62 + 1) * 9_900 // 5_000
    with refused("Overflow"):
        house.place(SEEDS[0], stake=2**64 * 5_000 // 9_900 + 1)


def test_only_the_keeper_commits_and_only_the_next_index(house: House) -> None:
    root = bytes([9]) * 32
    args = {"root": root, "first": 0, "count": 1, "kind": 0, "reveal_by": house.now + 9_999}
    with refused("NotKeeper"):
        house.call("commit", args, {"keeper": house.player.pubkey()}, house.player)
    with refused("IndexGap"):
        house.commit(root, 1, 1)
    house.commit(root, 0, 3)
    with refused("IndexGap"):
        house.commit(root, 0, 3)
    with refused("BadKind"):
        house.commit(root, 3, 1, kind=1)
    with refused("BadCount"):
        house.commit(root, 3, 0)
    with refused("BadRoot"):
        house.commit(bytes(32), 3, 1)
    with refused("DeadlinePassed"):
        house.commit(root, 3, 1, reveal_by=house.now + 60)


def test_sixteen_batches_may_wait_and_late_ones_are_skipped_whole(house: House) -> None:
    for first in range(16):
        house.commit_seeds([SEEDS[0]], first)
    with refused("TooManyBatches"):
        house.commit_seeds([SEEDS[0]], 16)
    house.pass_time(86_400)
    with refused("NoSeedsLeft"):
        house.place(CLIENT)
    house.commit_seeds([SEEDS[0]], 16)
    assert house.events(house.place(CLIENT))[0][1]["index"] == 16


def test_no_seeds_no_bet(house: House) -> None:
    with refused("NoSeedsLeft"):
        house.place(CLIENT)


@pytest.mark.parametrize(("low", "high"), [(5, 5), (6, 5), (0, 10_001), (0, 9_801)])
def test_a_range_outside_the_rules_is_refused(house: House, low: int, high: int) -> None:
    house.commit_seeds(SEEDS)
    with refused("BadRange"):
        house.place(CLIENT, low, high)


def test_a_bet_that_the_vault_could_not_pay_is_refused(house: House) -> None:
    house.commit_seeds(SEEDS)
    with refused("VaultTooPoor"):
        house.place(CLIENT, 0, 1, 2 * SOL)
    with refused("BadStake"):
        house.place(CLIENT, stake=0)
    with refused("Overflow"):
        house.place(CLIENT, 0, 1, 2**63)


def test_a_bet_address_that_somebody_funded_first_still_works(house: House) -> None:
    house.commit_seeds(SEEDS)
    house.svm.airdrop(house.bet_address(CLIENT), 1_000_000)
    house.place(CLIENT)
    second = bytes(reversed(CLIENT))
    house.svm.airdrop(house.bet_address(second), SOL)
    house.place(second)


def test_the_same_client_seed_cannot_hold_two_open_bets(house: House) -> None:
    house.commit_seeds(SEEDS)
    house.place(CLIENT)
    with refused("WrongAccount"):
        house.place(CLIENT)


def test_a_pause_stops_new_bets_and_deposits_and_nothing_else(house: House) -> None:
    tree = house.commit_seeds(SEEDS)
    house.place(CLIENT)
    with refused("NotOwner"):
        house.call("set_paused", {"paused": 1}, {"owner": house.player.pubkey()}, house.player)
    house.call("set_paused", {"paused": 1}, {"owner": house.owner.pubkey()}, house.owner)
    with refused("IsPaused"):
        house.place(SEEDS[0])
    with refused("IsPaused"):
        house.call("deposit", {"amount": 1}, {"player": house.player.pubkey()}, house.player)
    house.settle(CLIENT, SEEDS[0], tree.proof(0))


def test_a_withdrawal_is_paid_once_and_never_from_what_bets_may_win(house: House) -> None:
    house.commit_seeds(SEEDS)
    house.place(CLIENT, 0, 100, SOL)  # 99 SOL of 101 are held for it
    accounts = {"keeper": house.keeper.pubkey(), "player": house.player.pubkey()}
    args = {"amount": 3 * SOL, "request": SEEDS[0]}
    with refused("VaultTooPoor"):
        house.call("withdraw", args, accounts, house.keeper)
    before = house.balance(house.player.pubkey())
    house.call("withdraw", {**args, "amount": SOL}, accounts, house.keeper)
    assert house.balance(house.player.pubkey()) - before == SOL
    with refused("AlreadyPaid"):
        house.call("withdraw", {**args, "amount": SOL}, accounts, house.keeper)
    thief = {"keeper": house.player.pubkey(), "player": house.player.pubkey()}
    with refused("NotKeeper"):
        house.call("withdraw", {"amount": 1, "request": SEEDS[1]}, thief, house.player)


def test_a_withdrawal_that_a_wallet_could_not_hold_is_refused_by_name(house: House) -> None:
    wallet, least = Keypair(), house.svm.minimum_balance_for_rent_exemption(0)
    accounts = {"keeper": house.keeper.pubkey(), "player": wallet.pubkey()}

    def withdraw(amount: int, request: bytes) -> None:
        house.call("withdraw", {"amount": amount, "request": request}, accounts, house.keeper)

    with refused("BelowRent"):
        withdraw(least - 1, SEEDS[0])
    withdraw(least, SEEDS[0])
    withdraw(1, SEEDS[1])
    assert house.balance(wallet.pubkey()) == least + 1


def test_an_owner_takes_no_less_than_his_own_wallet_can_hold(house: House) -> None:
    least = house.svm.minimum_balance_for_rent_exemption(0)
    lamports = house.balance(house.owner.pubkey()) - 5_000  # what the transaction itself costs
    give = transfer(
        TransferParams(
            from_pubkey=house.owner.pubkey(), to_pubkey=house.player.pubkey(), lamports=lamports
        )
    )
    house.send([give], house.owner)

    def defund(amount: int) -> None:
        owner = {"owner": house.owner.pubkey()}
        call = house.program.call("defund_vault", {"amount": amount}, owner)
        house.send([call], house.player, house.owner)

    with refused("BelowRent"):
        defund(least - 1)
    defund(least)
    assert house.balance(house.owner.pubkey()) == least


def test_only_the_owner_defunds_and_only_the_free_part(house: House) -> None:
    house.commit_seeds(SEEDS)
    house.place(CLIENT, 0, 100, SOL)
    with refused("VaultTooPoor"):
        house.call(
            "defund_vault", {"amount": 3 * SOL}, {"owner": house.owner.pubkey()}, house.owner
        )
    house.call("defund_vault", {"amount": SOL}, {"owner": house.owner.pubkey()}, house.owner)
    with refused("NotOwner"):
        house.call("defund_vault", {"amount": 1}, {"owner": house.keeper.pubkey()}, house.keeper)


def test_only_the_upgrade_authority_initializes_and_only_once() -> None:
    house = House()
    house.deploy()
    with refused("NotAuthority"):
        house.initialize(house.player)
    for changed in ({"reveal_window": 9}, {"penalty_bp": 10_001}, {"chain": ""}):
        with refused("BadSetting"):
            house.initialize(**changed)
    house.initialize()
    with refused("WrongAccount"):
        house.initialize()


def test_money_cannot_go_to_or_come_from_accounts_that_only_look_right(house: House) -> None:
    tree = house.commit_seeds(SEEDS)
    house.place(CLIENT)
    thief = Keypair()
    with refused("WrongAccount"):
        house.settle(CLIENT, SEEDS[0], tree.proof(0), player=thief.pubkey())
    with refused("WrongAccount"):
        house.settle(CLIENT, SEEDS[0], tree.proof(0), house=house.vault)
    with refused("WrongAccount"):
        house.settle(CLIENT, SEEDS[0], tree.proof(0), vault=house.player.pubkey())
    with refused("WrongAccount"):
        house.settle(CLIENT, SEEDS[0], tree.proof(0), bet=Pubkey.new_unique())


def test_a_new_keeper_takes_over(house: House) -> None:
    other = Keypair()
    house.svm.airdrop(other.pubkey(), SOL)
    args = {"keeper": other.pubkey()}
    with refused("NotOwner"):
        house.call("set_keeper", args, {"owner": house.keeper.pubkey()}, house.keeper)
    house.call("set_keeper", args, {"owner": house.owner.pubkey()}, house.owner)
    with refused("NotKeeper"):
        house.commit(SEEDS[0], 0, 1)
    house.keeper = other
    house.commit(SEEDS[0], 0, 1)


def test_every_event_is_said_in_the_log_and_by_a_call_of_the_program_to_itself(
    house: House,
) -> None:
    tree = house.commit_seeds(SEEDS)
    house.place(CLIENT)
    done = house.settle(CLIENT, SEEDS[0], tree.proof(0))
    said = [one.instruction().data for group in done.inner_instructions() for one in group]
    logged = [line.removeprefix(DATA) for line in done.logs() if line.startswith(DATA)]
    assert len(logged) == 2
    assert said == [EVENT_TAG + base64.b64decode(text) for text in logged]


def test_only_the_program_itself_can_say_its_events(house: House) -> None:
    authority = Pubkey.from_string(event_authority(str(house.program.address)))
    event = EVENT_TAG + bytes(16)

    def say(*accounts: AccountMeta) -> None:
        house.send([Instruction(house.program.address, event, list(accounts))], house.player)

    with refused("MissingSignature"):
        say(AccountMeta(authority, False, False))
    with refused("WrongAccount"):
        say(AccountMeta(house.player.pubkey(), True, False))
    with refused("WrongAccount"):
        say()
    with refused("WrongAccount"):
        say(AccountMeta(authority, False, False), AccountMeta(authority, False, False))


def test_a_verb_without_the_accounts_of_its_events_is_refused(house: House) -> None:
    house.commit_seeds(SEEDS)
    args = {"client_seed": CLIENT, "low": 0, "high": 5_000, "stake": SOL}
    whole = house.program.call("place_bet", args, {"player": house.player.pubkey()})
    for wrong in (
        whole.accounts[:-2],
        [*whole.accounts[:-1], AccountMeta(house.vault, False, False)],
        [*whole.accounts[:-2], AccountMeta(house.vault, False, False), whole.accounts[-1]],
    ):
        with refused("WrongAccount"):
            house.send([Instruction(whole.program_id, bytes(whole.data), wrong)], house.player)
    house.send([whole], house.player)


def test_no_verb_needs_more_than_a_quarter_of_the_default_compute_budget() -> None:
    # Where derived addresses are found, some programs search longer: this one is held to a number.
    house = House(program=Keypair.from_seed(bytes(32)), player=Keypair.from_seed(bytes([1]) * 32))
    house.open()
    tree = house.commit_seeds(SEEDS)
    house.place(CLIENT)
    house.settle(CLIENT, SEEDS[0], tree.proof(0))
    assert max(house.compute_units.values()) < 50_000, house.compute_units
