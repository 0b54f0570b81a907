// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Bond} from "../src/Bond.sol";
import {Fairness} from "../src/Fairness.sol";
import {Rounds} from "./Rounds.sol";
import {Built} from "./Vm.sol";

/// @notice A bettor whose wallet claims again from inside the payment, or refuses money.
contract Wallet {
    Bond private bond;
    bytes private again;
    bool private shut;
    bytes4 public refusal;

    function greed(Bond bond_, bytes calldata again_) external {
        (bond, again) = (bond_, again_);
    }

    function close(bool shut_) external {
        shut = shut_;
    }

    receive() external payable {
        require(!shut, "closed");
        if (again.length == 0) return;
        (bool ok, bytes memory said) = address(bond).call(again);
        require(!ok, "paid twice");
        refusal = bytes4(said);
    }
}

contract BondTest is Rounds {
    address private constant KEEPER = address(0xCAFE);
    address private constant STRANGER = address(0xBEEF);
    address private constant BETTOR = address(0xB0B);
    uint128 private constant MOST = 10 ether;
    string private constant TABLE = "numbers";
    uint64 private constant START = 1_000_000;
    uint64 private constant OPENS = START + 100;

    function setUp() public {
        vm.warp(START);
        vm.deal(address(this), 1_000 ether);
        bond = Bond(Built.bond(KEEPER, vm.addr(SIGNER_KEY), CLAIM_WINDOW));
        bond.fund{value: 200 ether}();
    }

    receive() external payable {}

    function commit(uint64 first, uint32 count) private {
        (, uint64 ends) = bond.tables(TABLE);
        commitAt(first, count, ends < OPENS ? OPENS : ends);
    }

    function commitAt(uint64 first, uint32 count, uint64 opens) private {
        bytes32 root = rootOf(hiddenOf(TABLE, first, count));
        vm.prank(KEEPER);
        bond.commit(TABLE, root, first, count, 1, scheduleAt(opens), MOST);
    }

    /// @dev What the keeper may not commit, for this reason.
    function refuse(bytes memory reason, uint32 count, uint8 kind, Bond.Schedule memory schedule) private {
        vm.prank(KEEPER);
        vm.expectRevert(reason);
        bond.commit(TABLE, bytes32(uint256(1)), 0, count, kind, schedule, MOST);
    }

    function betAt(uint32 position, uint128 liability) private pure returns (Fairness.RoundBet memory) {
        bytes32 id = keccak256(abi.encode("bet", position));
        return Fairness.RoundBet(position, id, BETTOR, 5_000, liability, keccak256("details"));
    }

    function betsOf(uint32 count, uint128 each) private pure returns (Fairness.RoundBet[] memory bets) {
        bets = new Fairness.RoundBet[](count);
        for (uint32 i = 0; i < count; ++i) bets[i] = betAt(i, each);
    }

    function closes(uint64 number) private pure returns (uint64) {
        return OPENS + (number + 1) * PERIOD - LEAD;
    }

    function dueAt(uint64 number) private pure returns (uint64) {
        return closes(number) + REVEAL_WINDOW;
    }

    function one(Fairness.SignedRoot memory signedRoot)
        private
        pure
        returns (bytes32[] memory roots, uint32[] memory counts, uint128[] memory liabilities)
    {
        (roots, counts, liabilities) = (new bytes32[](1), new uint32[](1), new uint128[](1));
        (roots[0], counts[0], liabilities[0]) = (signedRoot.root, signedRoot.count, signedRoot.liability);
    }

    function anchor(uint64 number, Fairness.SignedRoot memory signedRoot) private {
        (bytes32[] memory roots, uint32[] memory counts, uint128[] memory liabilities) = one(signedRoot);
        vm.prank(KEEPER);
        bond.anchor(TABLE, 0, number, roots, counts, liabilities);
    }

    function refuseAnchor(bytes memory reason, uint64 number, Fairness.SignedRoot memory signedRoot) private {
        (bytes32[] memory roots, uint32[] memory counts, uint128[] memory liabilities) = one(signedRoot);
        vm.prank(KEEPER);
        vm.expectRevert(reason);
        bond.anchor(TABLE, 0, number, roots, counts, liabilities);
    }

    function reveal(uint64 number, uint32 count) private {
        bytes32[] memory proof = proofOf(hiddenOf(TABLE, 0, count), number);
        vm.prank(STRANGER);
        bond.reveal(TABLE, 0, number, seedOf(TABLE, number), proof);
    }

    struct Ticket {
        Fairness.SignedRoot signedRoot;
        bytes signature;
        Fairness.RoundBet bet;
        bytes32[] proof;
    }

    /// @dev The ticket of one of these bets of a round, whole.
    function ticketOf(uint64 number, Fairness.RoundBet[] memory bets, uint32 position)
        private
        view
        returns (Ticket memory)
    {
        Fairness.Round memory spot = spotOf(TABLE, number);
        Fairness.SignedRoot memory signedRoot = signedRootOf(spot, bets);
        bytes32[] memory proof = proofOf(leavesOf(spot, bets), position);
        return Ticket(signedRoot, signed(spot, signedRoot), bets[position], proof);
    }

    function claim(uint64 number, Ticket memory ticket) private {
        bond.claim(TABLE, 0, number, ticket.signedRoot, ticket.signature, ticket.bet, ticket.proof);
    }

    function refuseClaim(bytes memory reason, uint64 number, Ticket memory ticket) private {
        uint256 held = bond.locked();
        vm.expectRevert(reason);
        bond.claim(TABLE, 0, number, ticket.signedRoot, ticket.signature, ticket.bet, ticket.proof);
        same(bond.locked(), held);
    }

    function slash(uint64 number, Fairness.SignedRoot memory first, Fairness.SignedRoot memory second) private {
        bytes memory signature = signed(spotOf(TABLE, number), first);
        bytes memory other = signed(spotOf(TABLE, number), second);
        vm.prank(STRANGER);
        bond.slash(TABLE, 0, number, first, signature, second, other);
    }

    // Commit.

    function test_a_batch_locks_what_can_be_claimed_and_a_deposit_for_each_round() public {
        bytes32 root = rootOf(hiddenOf(TABLE, 0, 4));
        vm.expectEmit();
        emit Bond.RoundsCommitted(TABLE, 0, 4, 1, root, scheduleAt(OPENS), MOST, vm.addr(SIGNER_KEY));
        commit(0, 4);
        same(bond.locked(), 8 * MOST);
        same(bond.free(), 200 ether - 8 * MOST);
        Bond.Batch memory batch = bond.batchAt(TABLE, 0);
        same(batch.root, root);
        same(batch.held, 8 * MOST);
        same(batch.count, 4);
        (uint64 next, uint64 ends) = bond.tables(TABLE);
        same(next, 4);
        same(ends, OPENS + 40);
    }

    function test_a_batch_that_the_bond_cannot_carry_is_refused() public {
        bytes memory reason = abi.encodeWithSelector(Bond.BondTooSmall.selector, 200 ether, 22 * MOST);
        refuse(reason, 11, 1, scheduleAt(OPENS));
        commit(0, 10);
        same(bond.free(), 0);
    }

    function test_only_the_keeper_commits_and_not_while_paused() public {
        vm.expectRevert(abi.encodeWithSelector(Bond.NotKeeper.selector, address(this)));
        bond.commit(TABLE, bytes32(uint256(1)), 0, 1, 1, scheduleAt(OPENS), MOST);
        bond.setPaused(true);
        refuse(abi.encodeWithSelector(Bond.IsPaused.selector), 1, 1, scheduleAt(OPENS));
        bond.setPaused(false);
        commit(0, 1);
    }

    function test_a6_a_commit_at_or_after_the_opening_is_refused() public {
        bytes memory reason = abi.encodeWithSelector(Bond.LateCommit.selector, START);
        refuse(reason, 1, 1, scheduleAt(START));
        reason = abi.encodeWithSelector(Bond.LateCommit.selector, START - 1);
        refuse(reason, 1, 1, scheduleAt(START - 1));
        commitAt(0, 1, START + 1);
    }

    function test_a7_of_several_commits_of_a_round_only_the_first_one_counts() public {
        commit(0, 4);
        bytes32 root = bond.batchAt(TABLE, 0).root;
        vm.prank(KEEPER);
        vm.expectRevert(abi.encodeWithSelector(Bond.IndexGap.selector, uint64(4), uint64(0)));
        bond.commit(TABLE, ~root, 0, 4, 1, scheduleAt(OPENS + 40), MOST);
        vm.prank(KEEPER);
        vm.expectRevert(abi.encodeWithSelector(Bond.IndexGap.selector, uint64(4), uint64(3)));
        bond.commit(TABLE, ~root, 3, 4, 1, scheduleAt(OPENS + 40), MOST);
        same(bond.batchAt(TABLE, 0).root, root);
    }

    function test_a9_rounds_are_numbered_without_a_gap_at_every_table() public {
        vm.prank(KEEPER);
        vm.expectRevert(abi.encodeWithSelector(Bond.IndexGap.selector, uint64(0), uint64(1)));
        bond.commit(TABLE, bytes32(uint256(1)), 1, 1, 1, scheduleAt(OPENS), MOST);
        commit(0, 2);
        vm.prank(KEEPER);
        vm.expectRevert(abi.encodeWithSelector(Bond.IndexGap.selector, uint64(2), type(uint64).max));
        bond.commit(TABLE, bytes32(uint256(1)), type(uint64).max, 1, 1, scheduleAt(OPENS + 20), MOST);
        commit(2, 2);
        vm.prank(KEEPER);
        bond.commit("numbers-2", bytes32(uint256(1)), 0, 1, 1, scheduleAt(OPENS), MOST);
    }

    function test_a_batch_begins_when_the_one_before_has_ended() public {
        commit(0, 2);
        vm.prank(KEEPER);
        vm.expectRevert(abi.encodeWithSelector(Bond.Overlap.selector, OPENS + 20, OPENS + 19));
        bond.commit(TABLE, bytes32(uint256(1)), 2, 1, 1, scheduleAt(OPENS + 19), MOST);
        commitAt(2, 1, OPENS + 20);
    }

    function test_a_commit_outside_the_rules_is_refused_by_name() public {
        Bond.Schedule memory good = scheduleAt(OPENS);
        refuse(abi.encodeWithSelector(Bond.BadKind.selector, uint8(0)), 1, 0, good);
        refuse(abi.encodeWithSelector(Bond.BadKind.selector, uint8(3)), 1, 3, good);
        refuse(abi.encodeWithSelector(Bond.BadCount.selector, uint256(0)), 0, 1, good);
        refuse(abi.encodeWithSelector(Bond.BadCount.selector, uint256(257)), 257, 1, good);
        vm.startPrank(KEEPER);
        vm.expectRevert(abi.encodeWithSelector(Bond.BadRoot.selector));
        bond.commit(TABLE, bytes32(0), 0, 1, 1, good, MOST);
        vm.expectRevert(abi.encodeWithSelector(Bond.BadLiability.selector, uint256(0)));
        bond.commit(TABLE, bytes32(uint256(1)), 0, 1, 1, good, 0);
        bytes memory poor = abi.encodeWithSelector(
            Bond.BondTooSmall.selector, 200 ether, 512 * uint256(type(uint128).max)
        );
        vm.expectRevert(poor);
        bond.commit(TABLE, bytes32(uint256(1)), 0, 256, 1, good, type(uint128).max);
        vm.stopPrank();
    }

    function test_a_schedule_that_no_table_could_keep_is_refused() public {
        bytes memory bad = abi.encodeWithSelector(Bond.BadSchedule.selector);
        uint64 far = START + 30 days;
        refuse(bad, 1, 1, Bond.Schedule(type(uint64).max, PERIOD, LEAD, REVEAL_WINDOW));
        refuse(bad, 1, 1, Bond.Schedule(far - PERIOD + 1, PERIOD, LEAD, REVEAL_WINDOW));
        refuse(bad, 1, 1, Bond.Schedule(OPENS, 0, 0, REVEAL_WINDOW));
        refuse(bad, 1, 1, Bond.Schedule(OPENS, PERIOD, PERIOD, REVEAL_WINDOW));
        refuse(bad, 1, 1, Bond.Schedule(OPENS, type(uint32).max, LEAD, REVEAL_WINDOW));
        refuse(bad, 1, 1, Bond.Schedule(OPENS, PERIOD, LEAD, 9));
        refuse(bad, 1, 1, Bond.Schedule(OPENS, PERIOD, LEAD, 1 days + 1));
        refuse(bad, 256, 1, Bond.Schedule(OPENS, 1 days, LEAD, REVEAL_WINDOW));
        commitAt(0, 1, far - PERIOD);
    }

    function test_a_table_has_a_plain_name_of_32_letters_at_most() public {
        string[6] memory bad = ["", "Numbers", "num bers", "num_bers", "num\x00ers", "a-name-of-33-letters-is-too-long-"];
        for (uint256 i = 0; i < bad.length; ++i) {
            vm.prank(KEEPER);
            vm.expectRevert(abi.encodeWithSelector(Bond.BadTable.selector));
            bond.commit(bad[i], bytes32(uint256(1)), 0, 1, 1, scheduleAt(OPENS), MOST);
        }
        vm.startPrank(KEEPER);
        bond.commit("a-name-of-32-letters-is-the-last", bytes32(uint256(1)), 0, 1, 1, scheduleAt(OPENS), MOST);
        bond.commit("-", bytes32(uint256(1)), 0, 1, 1, scheduleAt(OPENS), MOST);
        vm.stopPrank();
    }

    // Anchor.

    function test_roots_are_anchored_from_the_close_until_the_seed_is_due() public {
        commit(0, 2);
        Fairness.SignedRoot memory signedRoot = signedRootOf(spotOf(TABLE, 0), betsOf(3, 1 ether));
        vm.warp(closes(0) - 1);
        refuseAnchor(abi.encodeWithSelector(Bond.RoundOpen.selector, closes(0)), 0, signedRoot);
        vm.warp(closes(0));
        anchor(0, signedRoot);
        same(bond.roundAt(TABLE, 0).anchored, Fairness.rootDigest(spotOf(TABLE, 0), signedRoot));
        refuseAnchor(abi.encodeWithSelector(Bond.AlreadyAnchored.selector, uint64(0)), 0, signedRoot);
        vm.warp(dueAt(1));
        refuseAnchor(abi.encodeWithSelector(Bond.DeadlinePassed.selector, dueAt(1)), 1, signedRoot);
        vm.warp(dueAt(1) - 1);
        anchor(1, signedRoot);
    }

    function test_several_rounds_are_anchored_at_once_or_none_of_them() public {
        commit(0, 4);
        vm.warp(closes(2));
        (bytes32[] memory roots, uint32[] memory counts, uint128[] memory most) =
            (new bytes32[](3), new uint32[](3), new uint128[](3));
        (roots[0], counts[0], most[0]) = (keccak256("0"), 7, MOST);
        (roots[2], counts[2], most[2]) = (keccak256("2"), 65_536, 0);
        vm.expectEmit();
        emit Bond.RootsAnchored(TABLE, 0, roots, counts, most);
        vm.startPrank(KEEPER);
        bond.anchor(TABLE, 0, 0, roots, counts, most);
        require(bond.roundAt(TABLE, 1).anchored != bytes32(0), "a round without bets is anchored too");
        vm.expectRevert(abi.encodeWithSelector(Bond.RoundOpen.selector, closes(3)));
        bond.anchor(TABLE, 0, 3, roots, counts, most);
        vm.warp(closes(3));
        vm.expectRevert(abi.encodeWithSelector(Bond.NoSuchRound.selector, uint64(4)));
        bond.anchor(TABLE, 0, 3, roots, counts, most);
        vm.stopPrank();
        same(bond.roundAt(TABLE, 3).anchored, bytes32(0));
    }

    function test_an_anchor_outside_the_rules_is_refused_by_name() public {
        commit(0, 1);
        vm.warp(closes(0));
        Fairness.SignedRoot memory good = Fairness.SignedRoot(keccak256("root"), 2, MOST);
        (bytes32[] memory roots, uint32[] memory counts, uint128[] memory most) = one(good);
        vm.expectRevert(abi.encodeWithSelector(Bond.NotKeeper.selector, address(this)));
        bond.anchor(TABLE, 0, 0, roots, counts, most);
        vm.startPrank(KEEPER);
        vm.expectRevert(abi.encodeWithSelector(Bond.BadCount.selector, uint256(1)));
        bond.anchor(TABLE, 0, 0, roots, new uint32[](2), most);
        vm.expectRevert(abi.encodeWithSelector(Bond.BadCount.selector, uint256(1)));
        bond.anchor(TABLE, 0, 0, roots, counts, new uint128[](0));
        vm.expectRevert(abi.encodeWithSelector(Bond.BadCount.selector, uint256(0)));
        bond.anchor(TABLE, 0, 0, new bytes32[](0), new uint32[](0), new uint128[](0));
        vm.expectRevert(abi.encodeWithSelector(Bond.NoSuchBatch.selector));
        bond.anchor(TABLE, 1, 1, roots, counts, most);
        vm.expectRevert(abi.encodeWithSelector(Bond.NoSuchBatch.selector));
        bond.anchor("dice", 0, 0, roots, counts, most);
        vm.stopPrank();
        refuseAnchor(abi.encodeWithSelector(Bond.BadRoot.selector), 0, Fairness.SignedRoot(0, 2, MOST));
        refuseAnchor(abi.encodeWithSelector(Bond.BadRoot.selector), 0, Fairness.SignedRoot(good.root, 0, 0));
        Fairness.SignedRoot memory rich = Fairness.SignedRoot(good.root, 2, MOST + 1);
        refuseAnchor(abi.encodeWithSelector(Bond.BadLiability.selector, uint256(MOST) + 1), 0, rich);
        rich = Fairness.SignedRoot(0, 0, 1);
        refuseAnchor(abi.encodeWithSelector(Bond.BadLiability.selector, uint256(1)), 0, rich);
        Fairness.SignedRoot memory crowd = Fairness.SignedRoot(good.root, 65_537, MOST);
        refuseAnchor(abi.encodeWithSelector(Bond.BadCount.selector, uint256(65_537)), 0, crowd);
        anchor(0, good);
    }

    // Reveal.

    function test_anybody_with_the_seed_reveals_an_anchored_round() public {
        commit(0, 3);
        vm.warp(closes(1));
        anchor(1, Fairness.SignedRoot(0, 0, 0));
        vm.expectEmit();
        emit Bond.RoundRevealed(TABLE, 1, seedOf(TABLE, 1));
        reveal(1, 3);
        same(bond.locked(), 5 * MOST);
        same(bond.batchAt(TABLE, 0).revealed, 2);
    }

    function test_a_reveal_that_does_not_match_changes_nothing() public {
        commit(0, 3);
        vm.warp(closes(1));
        bytes32[] memory proof = proofOf(hiddenOf(TABLE, 0, 3), 1);
        vm.expectRevert(abi.encodeWithSelector(Bond.NotAnchored.selector, uint64(1)));
        bond.reveal(TABLE, 0, 1, seedOf(TABLE, 1), proof);
        anchor(1, Fairness.SignedRoot(0, 0, 0));
        bytes memory refusal = abi.encodeWithSelector(Bond.SeedRefused.selector, uint64(1));
        vm.expectRevert(refusal);
        bond.reveal(TABLE, 0, 1, seedOf(TABLE, 2), proof);
        vm.expectRevert(refusal);
        bond.reveal(TABLE, 0, 1, seedOf(TABLE, 1), new bytes32[](1));
        vm.expectRevert(refusal);
        bond.reveal(TABLE, 0, 1, seedOf(TABLE, 1), new bytes32[](300));
        vm.expectRevert(abi.encodeWithSelector(Bond.NoSuchRound.selector, uint64(3)));
        bond.reveal(TABLE, 0, 3, seedOf(TABLE, 1), proof);
        vm.expectRevert(abi.encodeWithSelector(Bond.NoSuchBatch.selector));
        bond.reveal(TABLE, 1, 1, seedOf(TABLE, 1), proof);
        same(bond.locked(), 6 * MOST);
        reveal(1, 3);
        vm.expectRevert(abi.encodeWithSelector(Bond.AlreadyRevealed.selector, uint64(1)));
        bond.reveal(TABLE, 0, 1, seedOf(TABLE, 1), proof);
    }

    // Claim.

    function test_a4_a_withheld_reveal_costs_the_house_what_the_bets_could_win() public {
        commit(0, 2);
        Fairness.RoundBet[] memory bets = betsOf(3, 2 ether);
        vm.warp(dueAt(0) - 1);
        refuseClaim(abi.encodeWithSelector(Bond.DeadlineAhead.selector, dueAt(0)), 0, ticketOf(0, bets, 0));
        anchor(0, signedRootOf(spotOf(TABLE, 0), bets));
        vm.warp(dueAt(0));
        bytes32[] memory proof = proofOf(hiddenOf(TABLE, 0, 2), 0);
        vm.expectRevert(abi.encodeWithSelector(Bond.DeadlinePassed.selector, dueAt(0)));
        bond.reveal(TABLE, 0, 0, seedOf(TABLE, 0), proof);
        for (uint32 i = 0; i < 3; ++i) {
            vm.expectEmit();
            emit Bond.BondClaimed(TABLE, 0, i, bets[i].id, BETTOR, 2 ether);
            claim(0, ticketOf(0, bets, i));
            same(BETTOR.balance, (i + 1) * 2 ether);
        }
        same(bond.locked(), 4 * MOST - 6 ether);
        same(bond.roundAt(TABLE, 0).paid, 6 ether);
    }

    function test_a5_a_void_round_is_never_seeded_again() public {
        commit(0, 1);
        vm.warp(dueAt(0));
        claim(0, ticketOf(0, betsOf(1, 1 ether), 0));
        vm.prank(KEEPER);
        vm.expectRevert(abi.encodeWithSelector(Bond.IndexGap.selector, uint64(1), uint64(0)));
        bond.commit(TABLE, bytes32(uint256(1)), 0, 1, 1, scheduleAt(dueAt(0) + 10), MOST);
        vm.warp(dueAt(0) + CLAIM_WINDOW);
        bond.release(TABLE, 0);
        vm.prank(KEEPER);
        vm.expectRevert(abi.encodeWithSelector(Bond.IndexGap.selector, uint64(1), uint64(0)));
        bond.commit(TABLE, bytes32(uint256(1)), 0, 1, 1, scheduleAt(uint64(block.timestamp) + 10), MOST);
        bytes32[] memory none = new bytes32[](0);
        vm.expectRevert(abi.encodeWithSelector(Bond.DeadlinePassed.selector, dueAt(0)));
        bond.reveal(TABLE, 0, 0, seedOf(TABLE, 0), none);
    }

    function test_a_bet_is_paid_once_and_only_within_the_window() public {
        commit(0, 1);
        Fairness.RoundBet[] memory bets = betsOf(2, 1 ether);
        vm.warp(dueAt(0));
        claim(0, ticketOf(0, bets, 0));
        require(bond.claimed(TABLE, 0, 0) && !bond.claimed(TABLE, 0, 1), "the first is paid and no other");
        refuseClaim(abi.encodeWithSelector(Bond.AlreadyClaimed.selector, uint32(0)), 0, ticketOf(0, bets, 0));
        uint64 over = dueAt(0) + CLAIM_WINDOW;
        vm.warp(over);
        refuseClaim(abi.encodeWithSelector(Bond.DeadlinePassed.selector, over), 0, ticketOf(0, bets, 1));
        vm.warp(over - 1);
        claim(0, ticketOf(0, bets, 1));
    }

    function test_a_revealed_round_cannot_be_claimed() public {
        commit(0, 1);
        Fairness.RoundBet[] memory bets = betsOf(1, 1 ether);
        vm.warp(closes(0));
        anchor(0, signedRootOf(spotOf(TABLE, 0), bets));
        reveal(0, 1);
        vm.warp(dueAt(0));
        refuseClaim(abi.encodeWithSelector(Bond.AlreadyRevealed.selector, uint64(0)), 0, ticketOf(0, bets, 0));
    }

    function test_the_first_claim_fixes_the_root_of_a_round_that_is_not_anchored() public {
        commit(0, 1);
        vm.warp(dueAt(0));
        Ticket memory ticket = ticketOf(0, betsOf(2, 1 ether), 0);
        (bytes32[] memory roots, uint32[] memory counts, uint128[] memory most) = one(ticket.signedRoot);
        vm.expectEmit();
        emit Bond.RootsAnchored(TABLE, 0, roots, counts, most);
        claim(0, ticket);
        same(bond.roundAt(TABLE, 0).anchored, Fairness.rootDigest(spotOf(TABLE, 0), ticket.signedRoot));
        Ticket memory other = ticketOf(0, betsOf(3, 1 ether), 2);
        refuseClaim(abi.encodeWithSelector(Bond.AnotherRoot.selector, uint64(0)), 0, other);
    }

    function test_an_anchored_root_needs_no_signature_and_allows_no_other() public {
        commit(0, 1);
        Fairness.RoundBet[] memory bets = betsOf(2, 1 ether);
        vm.warp(closes(0));
        anchor(0, signedRootOf(spotOf(TABLE, 0), bets));
        vm.warp(dueAt(0));
        Ticket memory ticket = ticketOf(0, bets, 1);
        ticket.signature = "";
        ticket.signedRoot.count = 3;
        refuseClaim(abi.encodeWithSelector(Bond.AnotherRoot.selector, uint64(0)), 0, ticket);
        ticket.signedRoot.count = 2;
        ticket.signedRoot.liability += 1;
        refuseClaim(abi.encodeWithSelector(Bond.AnotherRoot.selector, uint64(0)), 0, ticket);
        ticket.signedRoot.liability -= 1;
        claim(0, ticket);
        refuseClaim(abi.encodeWithSelector(Bond.AnotherRoot.selector, uint64(0)), 0, ticketOf(0, betsOf(3, 1), 0));
    }

    function test_only_what_the_signer_of_the_batch_signed_is_heard() public {
        commit(0, 1);
        vm.warp(dueAt(0));
        Ticket memory good = ticketOf(0, betsOf(2, 1 ether), 0);
        Ticket memory bad = ticketOf(0, betsOf(2, 1 ether), 0);
        bad.signature = signedBy(0xBAD, spotOf(TABLE, 0), bad.signedRoot);
        refuseClaim(abi.encodeWithSelector(Bond.WrongSigner.selector, vm.addr(0xBAD)), 0, bad);
        bytes memory refusal = abi.encodeWithSelector(Bond.BadSignature.selector);
        bytes[6] memory shapes;
        shapes[0] = "";
        shapes[1] = new bytes(65);
        shapes[2] = abi.encodePacked(good.signature, uint8(0));
        shapes[3] = high(good.signature);
        shapes[4] = otherV(good.signature, 0);
        shapes[5] = otherV(good.signature, 29);
        for (uint256 i = 0; i < shapes.length; ++i) {
            bad.signature = shapes[i];
            refuseClaim(refusal, 0, bad);
        }
        bad.signature = signed(spotOf(TABLE, 1), bad.signedRoot);
        refuseClaim(strayed(0, bad.signedRoot, bad.signature), 0, bad);
        bond.setSigner(STRANGER);
        claim(0, good);
    }

    function test_count_and_liability_are_those_that_were_signed() public {
        commit(0, 1);
        vm.warp(dueAt(0));
        Ticket memory ticket = ticketOf(0, betsOf(2, 1 ether), 0);
        ticket.signedRoot.count = 1;
        refuseClaim(strayed(0, ticket.signedRoot, ticket.signature), 0, ticket);
        ticket.signedRoot.count = 65_537;
        refuseClaim(abi.encodeWithSelector(Bond.BadCount.selector, uint256(65_537)), 0, ticket);
        ticket.signedRoot.count = 2;
        ticket.signedRoot.liability = type(uint128).max;
        refuseClaim(strayed(0, ticket.signedRoot, ticket.signature), 0, ticket);
        same(bond.roundAt(TABLE, 0).anchored, bytes32(0));
    }

    function test_a_bet_that_is_not_under_the_root_is_refused() public {
        commit(0, 1);
        vm.warp(dueAt(0));
        bytes memory refusal = abi.encodeWithSelector(Bond.BetRefused.selector, uint32(1));
        for (uint256 i = 0; i < 8; ++i) {
            Ticket memory ticket = ticketOf(0, betsOf(3, 1 ether), 1);
            if (i == 0) ticket.bet.payee = STRANGER;
            if (i == 1) ticket.bet.stake += 1;
            if (i == 2) ticket.bet.liability += 1;
            if (i == 3) ticket.bet.details = bytes32(0);
            if (i == 4) ticket.bet.id = bytes32(0);
            if (i == 5) ticket.proof = new bytes32[](1);
            if (i == 6) ticket.proof = new bytes32[](17);
            if (i == 7) ticket.proof[0] = bytes32(0);
            refuseClaim(refusal, 0, ticket);
        }
        Ticket memory outside = ticketOf(0, betsOf(3, 1 ether), 2);
        outside.bet.position = 3;
        refuseClaim(abi.encodeWithSelector(Bond.BetRefused.selector, uint32(3)), 0, outside);
        outside.bet.position = type(uint32).max;
        refuseClaim(abi.encodeWithSelector(Bond.BetRefused.selector, type(uint32).max), 0, outside);
        outside.bet.payee = address(0);
        refuseClaim(abi.encodeWithSelector(Bond.BadRecipient.selector, address(0)), 0, outside);
    }

    function test_bets_of_a_round_together_never_get_more_than_it_may_cost() public {
        commit(0, 2);
        vm.warp(dueAt(0));
        Fairness.RoundBet[] memory bets = betsOf(4, 4 ether);
        bets[3].liability = 0;
        Ticket memory nothing = ticketOf(0, bets, 3);
        refuseClaim(abi.encodeWithSelector(Bond.NothingToMove.selector), 0, nothing);
        bets[3].liability = 4 ether;
        for (uint32 i = 0; i < 3; ++i) claim(0, ticketOf(0, bets, i));
        same(BETTOR.balance, MOST);
        refuseClaim(abi.encodeWithSelector(Bond.NothingLeft.selector, uint64(0)), 0, ticketOf(0, bets, 3));
    }

    function test_a_wallet_that_claims_again_while_it_is_paid_gets_no_more() public {
        Wallet wallet = new Wallet();
        commit(0, 1);
        vm.warp(dueAt(0));
        Fairness.RoundBet[] memory bets = betsOf(2, 1 ether);
        bets[0].payee = address(wallet);
        Ticket memory t = ticketOf(0, bets, 0);
        wallet.greed(bond, abi.encodeCall(Bond.claim, (TABLE, 0, 0, t.signedRoot, t.signature, t.bet, t.proof)));
        claim(0, t);
        same(address(wallet).balance, 1 ether);
        require(wallet.refusal() == Bond.AlreadyClaimed.selector, "refused as claimed");
    }

    function test_a_wallet_that_takes_no_money_may_take_it_later() public {
        Wallet wallet = new Wallet();
        wallet.close(true);
        commit(0, 1);
        vm.warp(dueAt(0));
        Fairness.RoundBet[] memory bets = betsOf(1, 1 ether);
        bets[0].payee = address(wallet);
        Ticket memory ticket = ticketOf(0, bets, 0);
        refuseClaim(abi.encodeWithSelector(Bond.PaymentFailed.selector, address(wallet), 1 ether), 0, ticket);
        wallet.close(false);
        claim(0, ticket);
    }

    // Slash.

    function test_a8_two_signed_roots_for_one_round_cost_its_deposit() public {
        commit(0, 2);
        uint256 before = address(0).balance;
        vm.expectEmit();
        emit Bond.BondSlashed(TABLE, 1, STRANGER, MOST / 10, MOST - MOST / 10);
        slash(1, Fairness.SignedRoot(keccak256("a"), 1, 1), Fairness.SignedRoot(keccak256("b"), 1, 1));
        same(STRANGER.balance, MOST / 10);
        same(address(0).balance - before, MOST - MOST / 10);
        same(bond.locked(), 3 * MOST);
        same(address(bond).balance, 200 ether - MOST);
    }

    function test_a8_bets_added_after_the_signature_cost_the_deposit_of_a_revealed_round_too() public {
        commit(0, 1);
        Fairness.SignedRoot memory said = signedRootOf(spotOf(TABLE, 0), betsOf(2, 1 ether));
        Fairness.SignedRoot memory changed = signedRootOf(spotOf(TABLE, 0), betsOf(3, 1 ether));
        vm.warp(closes(0));
        anchor(0, changed);
        reveal(0, 1);
        vm.warp(dueAt(0));
        bytes memory signature = signed(spotOf(TABLE, 0), said);
        vm.startPrank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(Bond.AnotherRoot.selector, uint64(0)));
        bond.slash(TABLE, 0, 0, said, "", said, signature);
        vm.expectRevert(abi.encodeWithSelector(Bond.BadSignature.selector));
        bond.slash(TABLE, 0, 0, changed, "", said, "");
        bond.slash(TABLE, 0, 0, changed, "", said, signature);
        vm.stopPrank();
        same(bond.locked(), 0);
    }

    function test_every_round_has_a_deposit_of_its_own_and_loses_it_once() public {
        commit(0, 2);
        Fairness.SignedRoot memory a = Fairness.SignedRoot(keccak256("a"), 1, 1);
        Fairness.SignedRoot memory b = Fairness.SignedRoot(keccak256("b"), 1, 1);
        slash(0, a, b);
        bytes memory signature = signed(spotOf(TABLE, 0), a);
        bytes memory other = signed(spotOf(TABLE, 0), b);
        vm.expectRevert(abi.encodeWithSelector(Bond.AlreadySlashed.selector, uint64(0)));
        bond.slash(TABLE, 0, 0, b, other, a, signature);
        slash(1, a, b);
        same(bond.locked(), 2 * MOST);
    }

    function test_what_is_no_contradiction_costs_nothing() public {
        commit(0, 2);
        Fairness.SignedRoot memory a = Fairness.SignedRoot(keccak256("a"), 1, 1);
        Fairness.SignedRoot memory b = Fairness.SignedRoot(keccak256("a"), 1, 2);
        Fairness.Round memory spot = spotOf(TABLE, 0);
        bytes memory signature = signed(spot, a);
        bytes memory elsewhere = signed(spotOf(TABLE, 1), b);
        bytes memory strangers = signedBy(0xBAD, spot, b);
        vm.expectRevert(abi.encodeWithSelector(Bond.NoContradiction.selector));
        bond.slash(TABLE, 0, 0, a, signature, a, signature);
        vm.expectRevert(abi.encodeWithSelector(Bond.WrongSigner.selector, vm.addr(0xBAD)));
        bond.slash(TABLE, 0, 0, a, signature, b, strangers);
        vm.expectRevert(strayed(0, b, elsewhere));
        bond.slash(TABLE, 0, 0, a, signature, b, elsewhere);
        vm.expectRevert(abi.encodeWithSelector(Bond.BadSignature.selector));
        bond.slash(TABLE, 0, 0, a, new bytes(64), b, strangers);
        vm.expectRevert(abi.encodeWithSelector(Bond.NoSuchRound.selector, uint64(2)));
        bond.slash(TABLE, 0, 2, a, signature, b, strangers);
        same(bond.locked(), 4 * MOST);
        slash(0, a, b);
    }

    // Money.

    function test_a_batch_is_released_after_the_window_of_its_last_round() public {
        commit(0, 2);
        uint64 over = dueAt(1) + CLAIM_WINDOW;
        vm.warp(over - 1);
        vm.expectRevert(abi.encodeWithSelector(Bond.DeadlineAhead.selector, over));
        bond.release(TABLE, 0);
        vm.warp(over);
        vm.expectRevert(abi.encodeWithSelector(Bond.NoSuchBatch.selector));
        bond.release(TABLE, 1);
        vm.expectEmit();
        emit Bond.BatchReleased(TABLE, 0, 4 * MOST);
        bond.release(TABLE, 0);
        same(bond.locked(), 0);
        vm.expectRevert(abi.encodeWithSelector(Bond.AlreadyReleased.selector));
        bond.release(TABLE, 0);
        Fairness.SignedRoot memory a = Fairness.SignedRoot(keccak256("a"), 1, 1);
        bytes memory signature = signed(spotOf(TABLE, 0), a);
        vm.expectRevert(abi.encodeWithSelector(Bond.AlreadyReleased.selector));
        bond.slash(TABLE, 0, 0, a, signature, a, signature);
    }

    function test_the_owner_alone_withdraws_and_only_what_is_free() public {
        commit(0, 2);
        vm.expectRevert(abi.encodeWithSelector(Bond.BondTooSmall.selector, 160 ether, 160 ether + 1));
        bond.withdraw(160 ether + 1);
        vm.expectRevert(abi.encodeWithSelector(Bond.BondTooSmall.selector, 160 ether, type(uint256).max));
        bond.withdraw(type(uint256).max);
        vm.expectRevert(abi.encodeWithSelector(Bond.NothingToMove.selector));
        bond.withdraw(0);
        vm.expectRevert(abi.encodeWithSelector(Bond.NothingToMove.selector));
        bond.fund();
        vm.prank(KEEPER);
        vm.expectRevert(abi.encodeWithSelector(Bond.NotOwner.selector, KEEPER));
        bond.withdraw(1);
        bond.withdraw(160 ether);
        same(bond.free(), 0);
    }

    function test_only_the_owner_names_keeper_and_signer_and_pauses() public {
        bytes memory refusal = abi.encodeWithSelector(Bond.NotOwner.selector, STRANGER);
        vm.startPrank(STRANGER);
        vm.expectRevert(refusal);
        bond.setKeeper(STRANGER);
        vm.expectRevert(refusal);
        bond.setSigner(STRANGER);
        vm.expectRevert(refusal);
        bond.setPaused(true);
        vm.stopPrank();
        bytes memory bad = abi.encodeWithSelector(Bond.BadSetting.selector);
        vm.expectRevert(bad);
        bond.setKeeper(address(0));
        vm.expectRevert(bad);
        bond.setSigner(address(0));
        bond.setKeeper(STRANGER);
        bond.setSigner(BETTOR);
        vm.prank(STRANGER);
        bond.commit(TABLE, bytes32(uint256(1)), 0, 1, 2, scheduleAt(OPENS), MOST);
        same(bond.batchAt(TABLE, 0).signer, BETTOR);
        Bond.Standing memory seen = bond.standing();
        same(seen.keeper, STRANGER);
        same(seen.free, seen.balance - seen.locked);
    }

    function test_a_bond_outside_the_rules_cannot_be_built() public {
        bytes memory bad = abi.encodeWithSelector(Bond.BadSetting.selector);
        vm.expectRevert(bad);
        new Bond(address(0), STRANGER, CLAIM_WINDOW);
        vm.expectRevert(bad);
        new Bond(KEEPER, address(0), CLAIM_WINDOW);
        vm.expectRevert(bad);
        new Bond(KEEPER, STRANGER, 9);
        vm.expectRevert(bad);
        new Bond(KEEPER, STRANGER, 30 days + 1);
    }

    // Any values.

    function test_a_round_of_any_batch_is_due_by_its_schedule(uint8 count, uint16 period, uint16 lead, uint16 window)
        public
    {
        uint32 rounds = uint32(count) % 256 + 1;
        Bond.Schedule memory schedule =
            Bond.Schedule(OPENS, uint32(period) % 10_000 + 1, 0, uint32(window) % 86_391 + 10);
        schedule.lead = lead % schedule.period;
        bond.fund{value: 1 ether}();
        vm.prank(KEEPER);
        bond.commit(TABLE, bytes32(uint256(1)), 0, rounds, 1, schedule, 1);
        uint256 close = OPENS + uint256(rounds) * schedule.period - schedule.lead;
        (bytes32[] memory roots, uint32[] memory counts, uint128[] memory most) =
            one(Fairness.SignedRoot(keccak256("root"), 1, 1));
        vm.startPrank(KEEPER);
        vm.warp(close - 1);
        vm.expectRevert(abi.encodeWithSelector(Bond.RoundOpen.selector, uint64(close)));
        bond.anchor(TABLE, 0, rounds - 1, roots, counts, most);
        vm.warp(close + schedule.revealWindow - 1);
        bond.anchor(TABLE, 0, rounds - 1, roots, counts, most);
        vm.stopPrank();
    }

    function test_a_bet_gets_its_liability_or_what_is_left(uint128 each, uint8 claims) public {
        uint32 count = uint32(claims) % 5 + 1;
        uint128 liability = each % (2 * MOST) + 1;
        commit(0, 1);
        vm.warp(dueAt(0));
        Fairness.RoundBet[] memory bets = betsOf(count, liability);
        uint256 expected;
        for (uint32 i = 0; i < count && expected < MOST; ++i) {
            claim(0, ticketOf(0, bets, i));
            expected += liability;
            if (expected > MOST) expected = MOST;
            same(BETTOR.balance, expected);
        }
        same(bond.locked(), 2 * MOST - expected);
    }

    /// @dev The refusal of a signature made for something else: it is that of nobody known.
    function strayed(uint64 number, Fairness.SignedRoot memory signedRoot, bytes memory signature)
        private
        view
        returns (bytes memory)
    {
        (bytes32 r, bytes32 s) = abi.decode(signature, (bytes32, bytes32));
        bytes32 digest = Fairness.rootDigest(spotOf(TABLE, number), signedRoot);
        address found = ecrecover(digest, uint8(signature[64]), r, s);
        return abi.encodeWithSelector(Bond.WrongSigner.selector, found);
    }

    function high(bytes memory signature) private pure returns (bytes memory) {
        uint256 order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;
        (bytes32 r, bytes32 s) = abi.decode(signature, (bytes32, bytes32));
        return abi.encodePacked(r, bytes32(order - uint256(s)), signature[64] == 0x1b ? uint8(28) : uint8(27));
    }

    function otherV(bytes memory signature, uint8 v) private pure returns (bytes memory) {
        (bytes32 r, bytes32 s) = abi.decode(signature, (bytes32, bytes32));
        return abi.encodePacked(r, s, v);
    }
}
