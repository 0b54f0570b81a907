// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Casino} from "../src/Casino.sol";
import {Fairness} from "../src/Fairness.sol";
import {Built, Checked} from "./Vm.sol";

/// @notice A player whose wallet refuses money until it is opened, and then tries to be paid twice.
contract Deaf {
    Casino private casino;
    bool private open;
    uint256 public refused;

    function place(Casino casino_) external payable returns (uint64) {
        casino = casino_;
        return casino.placeBet{value: msg.value}(bytes32(uint256(1)), 0, 9_800);
    }

    function claim() external {
        open = true;
        casino.claimOwed(address(this));
    }

    function claimFor(address to) external {
        casino.claimOwed(to);
    }

    receive() external payable {
        require(open, "closed");
        try casino.claimOwed(address(this)) {}
        catch {
            ++refused;
        }
    }
}

/// @notice A player who tries to be paid twice from inside the payment.
contract Greedy {
    Casino private casino;
    uint64 private index;
    bytes32 private seed;
    uint256 public refused;

    function place(Casino casino_, bytes32 seed_) external payable returns (uint64) {
        (casino, seed) = (casino_, seed_);
        index = casino.placeBet{value: msg.value}(bytes32(uint256(1)), 0, 9_800);
        return index;
    }

    receive() external payable {
        try casino.settleBet(index, seed, new bytes32[](0)) {}
        catch (bytes memory reason) {
            if (bytes4(reason) == Casino.BetNotOpen.selector) refused = 1;
        }
    }
}

/// @notice A player whose wallet writes down what it is paid, which costs it gas.
contract Bookkeeper {
    uint256 public received;

    function place(Casino casino) external payable returns (uint64) {
        return casino.placeBet{value: msg.value}(bytes32(uint256(1)), 0, 9_800);
    }

    receive() external payable {
        received = msg.value;
    }
}

contract CasinoTest is Checked {
    address private constant KEEPER = address(0xCAFE);
    address private constant PLAYER = address(0xBEEF);
    bytes32 private constant SEED = keccak256("seed");
    Casino private casino;

    function setUp() public {
        vm.warp(1_000_000);
        vm.deal(address(this), 1_000 ether);
        vm.deal(PLAYER, 100 ether);
        casino = Casino(payable(Built.casino(KEEPER, 60, 1_000)));
        casino.fundVault{value: 100 ether}();
    }

    receive() external payable {}

    /// @dev Commits one seed alone: its leaf is the root, its proof is empty.
    function commitOne(bytes32 seed) private returns (uint64 first) {
        first = casino.committedUpTo();
        bytes32 hidden = Fairness.betCommit(casino.chain(), address(casino), first, seed);
        bytes32 root = sha256(abi.encodePacked(bytes1(0x00), hidden));
        vm.prank(KEEPER);
        casino.commit(root, first, 1, 0, uint64(block.timestamp) + 1 days);
    }

    function place(uint256 stake, uint16 low, uint16 high) private returns (uint64) {
        vm.prank(PLAYER);
        return casino.placeBet{value: stake}(bytes32(uint256(7)), low, high);
    }

    function settle(uint64 index, bytes32 seed) private {
        casino.settleBet(index, seed, new bytes32[](0));
    }

    function test_a_bet_takes_the_next_committed_index_once() public {
        commitOne(SEED);
        commitOne(SEED);
        same(place(1 ether, 0, 5_000), 0);
        same(place(1 ether, 0, 5_000), 1);
        vm.expectRevert(abi.encodeWithSelector(Casino.NoSeedsLeft.selector));
        place(1 ether, 0, 5_000);
    }

    function test_only_the_keeper_commits() public {
        vm.expectRevert(abi.encodeWithSelector(Casino.NotKeeper.selector, address(this)));
        casino.commit(bytes32(uint256(1)), 0, 1, 0, uint64(block.timestamp) + 1 days);
    }

    function test_indexes_leave_no_gap_and_the_first_write_wins() public {
        commitOne(SEED);
        vm.startPrank(KEEPER);
        vm.expectRevert(abi.encodeWithSelector(Casino.IndexGap.selector, uint64(1), uint64(0)));
        casino.commit(bytes32(uint256(1)), 0, 1, 0, uint64(block.timestamp) + 1 days);
        vm.expectRevert(abi.encodeWithSelector(Casino.IndexGap.selector, uint64(1), uint64(2)));
        casino.commit(bytes32(uint256(1)), 2, 1, 0, uint64(block.timestamp) + 1 days);
        vm.stopPrank();
    }

    function test_a_batch_that_cannot_be_revealed_in_time_is_skipped_whole() public {
        commitOne(SEED);
        vm.warp(block.timestamp + 1 days);
        commitOne(SEED);
        same(place(1 ether, 0, 5_000), 1);
    }

    function test_a_commit_clears_away_the_batches_before_it_that_are_late() public {
        for (uint256 i = 0; i < 3; ++i) commitOne(SEED);
        vm.warp(block.timestamp + 2 days);
        commitOne(SEED);
        same(casino.nextIndex(), 3);
        same(casino.current(), 3);
        same(place(1 ether, 0, 5_000), 3);
    }

    function test_a_batch_is_used_to_its_last_second_and_no_further() public {
        commitOne(SEED);
        commitOne(SEED);
        vm.warp(block.timestamp + 1 days - 60);
        same(place(1 ether, 0, 5_000), 0);
        vm.warp(block.timestamp + 1);
        vm.expectRevert(abi.encodeWithSelector(Casino.NoSeedsLeft.selector));
        place(1 ether, 0, 5_000);
    }

    function test_a_commit_outside_the_rules_is_refused() public {
        uint64 soon = uint64(block.timestamp) + 60;
        bytes32 root = bytes32(uint256(1));
        vm.startPrank(KEEPER);
        vm.expectRevert(abi.encodeWithSelector(Casino.BadKind.selector, uint8(1)));
        casino.commit(root, 0, 1, 1, soon + 1);
        vm.expectRevert(abi.encodeWithSelector(Casino.BadCount.selector, uint32(0)));
        casino.commit(root, 0, 0, 0, soon + 1);
        vm.expectRevert(abi.encodeWithSelector(Casino.BadCount.selector, uint32(65_537)));
        casino.commit(root, 0, 65_537, 0, soon + 1);
        vm.expectRevert(abi.encodeWithSelector(Casino.BadRoot.selector));
        casino.commit(bytes32(0), 0, 1, 0, soon + 1);
        vm.expectRevert(abi.encodeWithSelector(Casino.DeadlinePassed.selector, soon));
        casino.commit(root, 0, 1, 0, soon);
        casino.commit(root, 0, 65_536, 0, soon + 1);
        vm.stopPrank();
        same(casino.committedUpTo(), 65_536);
    }

    function test_a_bet_announces_what_it_may_win_and_until_when() public {
        commitOne(SEED);
        uint64 deadline = uint64(block.timestamp) + 60;
        vm.expectEmit();
        emit Casino.BetPlaced(0, PLAYER, bytes32(uint256(7)), 10, 2_010, 1 ether, 4.95 ether, deadline);
        place(1 ether, 10, 2_010);
        Casino.Bet memory placed = casino.bet(0);
        same(placed.player, PLAYER);
        same(placed.stake, 1 ether);
        same(placed.low, 10);
        same(placed.high, 2_010);
        same(placed.deadline, deadline);
        same(casino.locked(), 4.95 ether);
    }

    function test_the_house_tells_its_standing_in_one_call() public {
        commitOne(SEED);
        place(1 ether, 0, 5_000);
        Casino.House memory seen = casino.house();
        same(seen.owner, address(this));
        same(seen.keeper, KEEPER);
        same(seen.revealWindow, 60);
        same(seen.penaltyBp, 1_000);
        same(seen.nextIndex, 1);
        same(seen.committedUpTo, 1);
        same(seen.balance, 101 ether);
        same(seen.locked, 1.98 ether);
        same(seen.free, seen.balance - seen.locked - seen.owed);
    }

    function test_a_new_keeper_commits_and_the_old_one_no_more() public {
        vm.prank(PLAYER);
        vm.expectRevert(abi.encodeWithSelector(Casino.NotOwner.selector, PLAYER));
        casino.setKeeper(PLAYER);
        casino.setKeeper(PLAYER);
        vm.prank(KEEPER);
        vm.expectRevert(abi.encodeWithSelector(Casino.NotKeeper.selector, KEEPER));
        casino.commit(bytes32(uint256(1)), 0, 1, 0, uint64(block.timestamp) + 1 days);
        vm.prank(PLAYER);
        casino.commit(bytes32(uint256(1)), 0, 1, 0, uint64(block.timestamp) + 1 days);
    }

    function test_a_house_outside_the_rules_cannot_be_built() public {
        bytes memory refusal = abi.encodeWithSelector(Casino.BadSetting.selector);
        vm.expectRevert(refusal);
        new Casino(address(0), 60, 1_000);
        vm.expectRevert(refusal);
        new Casino(KEEPER, 9, 1_000);
        vm.expectRevert(refusal);
        new Casino(KEEPER, 10, 10_001);
        new Casino(KEEPER, 10, 10_000);
    }

    function test_a_bet_settles_until_its_deadline_and_is_refunded_from_it_on() public {
        commitOne(SEED);
        commitOne(SEED);
        uint64 deadline = uint64(block.timestamp) + 60;
        place(1 ether, 0, 5_000);
        place(1 ether, 0, 5_000);
        vm.warp(deadline - 1);
        vm.expectRevert(abi.encodeWithSelector(Casino.DeadlineAhead.selector, deadline));
        casino.refundBet(0);
        settle(0, SEED);
        vm.warp(deadline);
        vm.expectRevert(abi.encodeWithSelector(Casino.DeadlinePassed.selector, deadline));
        settle(1, SEED);
        casino.refundBet(1);
        same(uint256(casino.bet(0).status), uint256(Casino.Status.Settled));
        same(uint256(casino.bet(1).status), uint256(Casino.Status.Refunded));
    }

    function test_a_fresh_house_takes_any_stake_and_any_prize_it_can_pay() public {
        vm.expectEmit();
        emit Casino.LimitsSet(1, 10_000);
        casino = Casino(payable(Built.casino(KEEPER, 60, 1_000)));
        casino.fundVault{value: 98 ether}();
        commitOne(SEED);
        commitOne(SEED);
        place(1, 0, 5_000);
        place(1 ether, 0, 100);
        same(casino.free(), 0);
    }

    function test_a_stake_below_the_smallest_is_refused() public {
        commitOne(SEED);
        vm.expectEmit();
        emit Casino.LimitsSet(1 ether, 10_000);
        casino.setLimits(1 ether, 10_000);
        vm.expectRevert(abi.encodeWithSelector(Casino.StakeTooSmall.selector, 1 ether - 1, 1 ether));
        place(1 ether - 1, 0, 5_000);
        place(1 ether, 0, 5_000);
        same(casino.house().smallestStake, 1 ether);
    }

    function test_one_prize_reserves_its_share_of_the_free_vault_and_no_more() public {
        commitOne(SEED);
        commitOne(SEED);
        casino.setLimits(1, 1_000);
        // 101 ether are free with the stake; a tenth is 10.1 ether.
        vm.expectRevert(abi.encodeWithSelector(Casino.PrizeTooLarge.selector, 10.1 ether, 11 ether));
        place(1 ether, 0, 900);
        place(1 ether, 0, 1_000);
        same(casino.house().largestShareBp, 1_000);
        // 91.1 ether are left free: the next prize gets a tenth of that, with its stake.
        vm.expectRevert(abi.encodeWithSelector(Casino.PrizeTooLarge.selector, 9.21 ether, 9.9 ether));
        place(1 ether, 0, 1_000);
        place(0.9 ether, 0, 1_000);
        vm.expectRevert(abi.encodeWithSelector(Casino.VaultTooPoor.selector, 84.09 ether, 9_900 ether));
        place(1 ether, 0, 1);
    }

    function test_only_the_owner_sets_limits_and_only_within_the_rules() public {
        vm.prank(PLAYER);
        vm.expectRevert(abi.encodeWithSelector(Casino.NotOwner.selector, PLAYER));
        casino.setLimits(1, 1);
        bytes memory refusal = abi.encodeWithSelector(Casino.BadSetting.selector);
        vm.expectRevert(refusal);
        casino.setLimits(0, 1);
        vm.expectRevert(refusal);
        casino.setLimits(1, 0);
        vm.expectRevert(refusal);
        casino.setLimits(1, 10_001);
        casino.setLimits(type(uint128).max, 1);
        same(casino.smallestStake(), type(uint128).max);
        same(casino.largestShareBp(), 1);
    }

    function testFuzz_a_settled_bet_pays_by_its_seed_and_frees_its_reserve(bytes32 seed, uint96 stake, uint16 width)
        public
    {
        uint256 amount = uint256(stake) % 0.5 ether + 1;
        uint16 high = uint16(width % 9_700 + 100);
        commitOne(seed);
        uint64 index = place(amount, 0, high);
        uint256 before = PLAYER.balance;
        uint256 vault = address(casino).balance;
        settle(index, seed);
        bytes32 hash = Fairness.betHash(
            casino.chain(), address(casino), index, PLAYER, amount, bytes4(uint32(high)), bytes32(uint256(7))
        );
        uint64 roll = Fairness.below(Fairness.betOutcome(casino.chain(), index, seed, hash), 10_000);
        uint256 prize = roll < high ? amount * 9_900 / high : 0;
        same(PLAYER.balance - before, prize);
        same(vault - address(casino).balance, prize);
        same(casino.locked(), 0);
    }

    function test_a_bet_settles_once() public {
        commitOne(SEED);
        settle(place(1 ether, 0, 5_000), SEED);
        vm.expectRevert(abi.encodeWithSelector(Casino.BetNotOpen.selector, uint64(0), Casino.Status.Settled));
        settle(0, SEED);
    }

    function test_another_seed_is_refused() public {
        commitOne(SEED);
        place(1 ether, 0, 5_000);
        vm.expectRevert(abi.encodeWithSelector(Casino.SeedRefused.selector, uint64(0)));
        settle(0, ~SEED);
    }

    function test_a_longer_proof_is_refused() public {
        commitOne(SEED);
        place(1 ether, 0, 5_000);
        vm.expectRevert(abi.encodeWithSelector(Casino.SeedRefused.selector, uint64(0)));
        casino.settleBet(0, SEED, new bytes32[](1));
    }

    function test_silence_costs_the_house_the_stake_and_a_penalty() public {
        commitOne(SEED);
        uint64 index = place(1 ether, 0, 5_000);
        uint256 before = PLAYER.balance;
        vm.warp(block.timestamp + 61);
        casino.refundBet(index);
        same(PLAYER.balance - before, 1.1 ether);
        same(casino.locked(), 0);
        vm.expectRevert(abi.encodeWithSelector(Casino.BetNotOpen.selector, index, Casino.Status.Refunded));
        settle(index, SEED);
    }

    function test_a_bet_that_the_vault_could_not_pay_is_refused() public {
        commitOne(SEED);
        vm.prank(PLAYER);
        vm.expectRevert(abi.encodeWithSelector(Casino.VaultTooPoor.selector, 102 ether, 19_800 ether));
        casino.placeBet{value: 2 ether}(bytes32(0), 0, 1);
    }

    function testFuzz_a_range_outside_the_rules_is_refused(uint16 low, uint16 high) public {
        if (low < high && high <= 10_000 && high - low <= 9_800) return;
        commitOne(SEED);
        vm.expectRevert(abi.encodeWithSelector(Casino.BadRange.selector, low, high));
        place(1 ether, low, high);
    }

    function test_a_pause_stops_new_bets_and_deposits_and_nothing_else() public {
        commitOne(SEED);
        uint64 index = place(1 ether, 0, 5_000);
        casino.setPaused(true);
        vm.expectRevert(abi.encodeWithSelector(Casino.IsPaused.selector));
        casino.deposit{value: 1}();
        vm.expectRevert(abi.encodeWithSelector(Casino.IsPaused.selector));
        place(1 ether, 0, 5_000);
        settle(index, SEED);
    }

    function test_a_withdrawal_is_paid_once_and_never_from_what_bets_may_win() public {
        commitOne(SEED);
        place(1 ether, 0, 100);
        vm.startPrank(KEEPER);
        vm.expectRevert(abi.encodeWithSelector(Casino.VaultTooPoor.selector, 2 ether, 3 ether));
        casino.withdraw(PLAYER, 3 ether, bytes32(uint256(1)));
        casino.withdraw(PLAYER, 2 ether, bytes32(uint256(1)));
        vm.expectRevert(abi.encodeWithSelector(Casino.AlreadyPaid.selector, bytes32(uint256(1))));
        casino.withdraw(PLAYER, 1, bytes32(uint256(1)));
        vm.stopPrank();
    }

    function test_only_the_owner_defunds_and_only_the_free_part() public {
        commitOne(SEED);
        place(1 ether, 0, 100);
        vm.expectRevert(abi.encodeWithSelector(Casino.VaultTooPoor.selector, 2 ether, 3 ether));
        casino.defundVault(3 ether);
        casino.defundVault(2 ether);
        vm.prank(PLAYER);
        vm.expectRevert(abi.encodeWithSelector(Casino.NotOwner.selector, PLAYER));
        casino.defundVault(1);
    }

    function test_a_player_who_cannot_receive_holds_nobody_up_and_claims_once() public {
        commitOne(SEED);
        Deaf deaf = new Deaf();
        uint64 index = deaf.place{value: 1 ether}(casino);
        vm.warp(block.timestamp + 61);
        casino.refundBet(index);
        same(casino.owed(address(deaf)), 1.1 ether);
        same(casino.owedTotal(), 1.1 ether);
        same(casino.free(), 98.9 ether + 1 ether);
        deaf.claim();
        same(address(deaf).balance, 1.1 ether);
        same(deaf.refused(), 1);
        same(casino.owedTotal(), 0);
        same(casino.free(), address(casino).balance);
        vm.expectRevert(abi.encodeWithSelector(Casino.NothingToMove.selector));
        casino.claimOwed(address(this));
    }

    function test_what_is_owed_goes_to_whom_the_player_names() public {
        commitOne(SEED);
        Deaf deaf = new Deaf();
        uint64 index = deaf.place{value: 1 ether}(casino);
        vm.warp(block.timestamp + 60);
        casino.refundBet(index);
        vm.expectRevert(abi.encodeWithSelector(Casino.BadRecipient.selector, address(0)));
        deaf.claimFor(address(0));
        vm.expectRevert(
            abi.encodeWithSelector(Casino.PaymentFailed.selector, address(deaf), 1.1 ether)
        );
        deaf.claimFor(address(deaf));
        uint256 before = PLAYER.balance;
        deaf.claimFor(PLAYER);
        same(PLAYER.balance - before, 1.1 ether);
        same(casino.owed(address(deaf)), 0);
        same(casino.owedTotal(), 0);
    }

    function test_a_reentrant_player_is_paid_once() public {
        commitOne(SEED);
        Greedy greedy = new Greedy();
        uint64 index = greedy.place{value: 1 ether}(casino, SEED);
        settle(index, SEED);
        same(address(greedy).balance, uint256(1 ether) * 9_900 / 9_800);
        same(greedy.refused(), 1);
        same(uint256(casino.bet(index).status), uint256(Casino.Status.Settled));
        same(casino.locked(), 0);
        same(casino.owedTotal(), 0);
    }

    function testFuzz_nobody_starves_a_payment_by_bringing_little_gas(uint32 gas_) public {
        commitOne(SEED);
        Bookkeeper player = new Bookkeeper();
        uint64 index = player.place{value: 1 ether}(casino);
        vm.warp(block.timestamp + 61);
        try casino.refundBet{gas: gas_ % 200_000}(index) {
            same(player.received(), 1.1 ether);
        } catch {
            same(uint256(casino.bet(index).status), uint256(Casino.Status.Open));
        }
        same(casino.owedTotal(), 0);
    }
}
