// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Bond} from "../src/Bond.sol";
import {Fairness} from "../src/Fairness.sol";
import {Rounds} from "./Rounds.sol";
import {Built} from "./Vm.sol";

/// @notice Pairs in the bond: committed by the keeper, shown by anybody, and the shared vectors of them.
contract PairsTest is Rounds {
    address private constant KEEPER = address(0xCAFE);
    address private constant STRANGER = address(0xBEEF);
    bytes32 private constant ROOT = bytes32(uint256(1));
    string private constant ACCOUNT = "player:17";

    function setUp() public {
        bond = Bond(Built.bond(KEEPER, vm.addr(SIGNER_KEY), CLAIM_WINDOW));
    }

    function hiddenPairs(uint256 count) private view returns (bytes32[] memory leaves) {
        leaves = new bytes32[](count);
        for (uint64 i = 0; i < count; ++i) leaves[i] = Fairness.pairCommit(bond.chain(), ACCOUNT, i, seedOf("", i));
    }

    function commit(uint64 number, bytes32 root, uint16 count) private {
        vm.prank(KEEPER);
        bond.commitPairs(number, root, count, 1);
    }

    function refuse(bytes memory reason, uint64 number, bytes32 root, uint16 count, uint8 kind) private {
        vm.prank(KEEPER);
        vm.expectRevert(reason);
        bond.commitPairs(number, root, count, kind);
    }

    /// @dev Shows the pair whose epoch is its place, as all are that `hiddenPairs` makes.
    function reveal(uint64 number, uint16 place, bytes32[] memory leaves) private {
        vm.prank(STRANGER);
        bond.revealPair(number, place, ACCOUNT, place, seedOf("", place), proofOf(leaves, place));
    }

    function test_the_keeper_commits_to_pairs_and_no_money_is_locked() public {
        vm.expectEmit();
        emit Bond.PairsCommitted(0, ROOT, 256, 2);
        vm.prank(KEEPER);
        bond.commitPairs(0, ROOT, 256, 2);
        Bond.Pairs memory kept = bond.pairsAt(0);
        same(kept.root, ROOT);
        same(kept.count, 256);
        same(kept.kind, 2);
        same(kept.revealed, 0);
        same(bond.nextPairs(), 1);
        same(bond.locked(), 0);
        same(bond.pairsAt(1).count, 0);
    }

    function test_only_the_keeper_commits_pairs_and_not_while_paused() public {
        vm.expectRevert(abi.encodeWithSelector(Bond.NotKeeper.selector, address(this)));
        bond.commitPairs(0, ROOT, 1, 1);
        bond.setPaused(true);
        refuse(abi.encodeWithSelector(Bond.IsPaused.selector), 0, ROOT, 1, 1);
        bond.setPaused(false);
        commit(0, ROOT, 1);
    }

    function test_pairs_outside_the_rules_are_refused_by_name() public {
        refuse(abi.encodeWithSelector(Bond.BadKind.selector, 0), 0, ROOT, 1, 0);
        refuse(abi.encodeWithSelector(Bond.BadKind.selector, 3), 0, ROOT, 1, 3);
        refuse(abi.encodeWithSelector(Bond.BadCount.selector, 0), 0, ROOT, 0, 1);
        refuse(abi.encodeWithSelector(Bond.BadCount.selector, 257), 0, ROOT, 257, 1);
        refuse(abi.encodeWithSelector(Bond.BadRoot.selector), 0, bytes32(0), 1, 1);
        same(bond.nextPairs(), 0);
    }

    function test_commitments_of_pairs_have_no_gap_and_the_first_write_wins() public {
        refuse(abi.encodeWithSelector(Bond.IndexGap.selector, 0, 1), 1, ROOT, 1, 1);
        commit(0, ROOT, 3);
        refuse(abi.encodeWithSelector(Bond.IndexGap.selector, 1, 0), 0, bytes32(uint256(2)), 1, 1);
        refuse(abi.encodeWithSelector(Bond.IndexGap.selector, 1, 2), 2, ROOT, 1, 1);
        commit(1, bytes32(uint256(2)), 4);
        same(bond.pairsAt(0).root, ROOT);
        same(bond.pairsAt(0).count, 3);
    }

    function test_anybody_with_the_seed_shows_a_pair_once_even_while_paused() public {
        bytes32[] memory leaves = hiddenPairs(5);
        commit(0, rootOf(leaves), 5);
        bond.setPaused(true);
        vm.expectEmit();
        emit Bond.PairRevealed(0, 4, ACCOUNT, 4, seedOf("", 4));
        reveal(0, 4, leaves);
        reveal(0, 0, leaves);
        same(bond.pairsAt(0).revealed, 17);
        bytes32[] memory proof = proofOf(leaves, 4);
        vm.expectRevert(abi.encodeWithSelector(Bond.AlreadyRevealed.selector, 4));
        bond.revealPair(0, 4, ACCOUNT, 4, seedOf("", 4), proof);
    }

    function test_the_last_of_256_pairs_is_shown_like_the_first() public {
        bytes32[] memory leaves = hiddenPairs(256);
        commit(0, rootOf(leaves), 256);
        reveal(0, 255, leaves);
        same(bond.pairsAt(0).revealed, 1 << 255);
    }

    function test_a_pair_that_is_not_what_was_committed_changes_nothing() public {
        bytes32[] memory leaves = hiddenPairs(3);
        bytes32[] memory proof = proofOf(leaves, 1);
        bytes32 seed = seedOf("", 1);
        commit(0, rootOf(leaves), 3);
        bytes memory reason = abi.encodeWithSelector(Bond.SeedRefused.selector, 1);
        vm.expectRevert(reason);
        bond.revealPair(0, 1, ACCOUNT, 1, ~seed, proof);
        vm.expectRevert(reason);
        bond.revealPair(0, 1, ACCOUNT, 2, seed, proof);
        vm.expectRevert(reason);
        bond.revealPair(0, 1, "player:18", 1, seed, proof);
        vm.expectRevert(reason);
        bond.revealPair(0, 1, ACCOUNT, 1, seed, new bytes32[](1));
        vm.expectRevert(abi.encodeWithSelector(Bond.SeedRefused.selector, 0));
        bond.revealPair(0, 0, ACCOUNT, 1, seed, proof);
        vm.expectRevert(abi.encodeWithSelector(Bond.NoSuchPair.selector, 3));
        bond.revealPair(0, 3, ACCOUNT, 1, seed, proof);
        vm.expectRevert(abi.encodeWithSelector(Bond.NoSuchBatch.selector));
        bond.revealPair(1, 1, ACCOUNT, 1, seed, proof);
        same(bond.pairsAt(0).revealed, 0);
    }

    function test_an_account_is_1_to_160_visible_letters() public {
        commit(0, ROOT, 1);
        string[6] memory accounts = ["", " ", "a b", "a\x00", "\x7f", unicode"ü"];
        for (uint256 i = 0; i < accounts.length; ++i) refuseAccount(accounts[i], Bond.BadAccount.selector, "");
        bytes memory longest = new bytes(160);
        for (uint256 i = 0; i < longest.length; ++i) longest[i] = i % 2 == 0 ? bytes1("!") : bytes1("~");
        refuseAccount(string(longest), Bond.SeedRefused.selector, abi.encode(0));
        refuseAccount(string.concat(string(longest), "!"), Bond.BadAccount.selector, "");
    }

    function refuseAccount(string memory account, bytes4 reason, bytes memory about) private {
        vm.expectRevert(abi.encodePacked(reason, about));
        bond.revealPair(0, 0, account, 0, ROOT, new bytes32[](0));
    }

    function test_only_what_was_committed_is_ever_shown(uint8 count, uint16 place, uint64 epoch, uint8 bit) public {
        bytes32[] memory leaves = hiddenPairs(uint256(count) % 16 + 1);
        commit(0, rootOf(leaves), uint16(leaves.length));
        place = uint16(place % leaves.length);
        bytes32 seed = seedOf("", place);
        bytes32[] memory proof = proofOf(leaves, place);
        bytes memory reason = abi.encodeWithSelector(Bond.SeedRefused.selector, place);
        vm.expectRevert(reason);
        bond.revealPair(0, place, ACCOUNT, place, seed ^ bytes32(uint256(1) << bit), proof);
        if (epoch != place) {
            vm.expectRevert(reason);
            bond.revealPair(0, place, ACCOUNT, epoch, seed, proof);
        }
        bond.revealPair(0, place, ACCOUNT, place, seed, proof);
        same(bond.pairsAt(0).revealed, uint256(1) << place);
    }

    function test_every_shared_pair_is_committed_and_shown_as_python_says() public {
        string memory json = vm.readFile("../pairs.json");
        for (uint256 i = 0; i < 18; ++i) {
            string memory here = string.concat(".pairs[", vm.toString(i), "]");
            string memory account = vm.parseJsonString(json, string.concat(here, ".account"));
            uint64 epoch = uint64(vm.parseUint(vm.parseJsonString(json, string.concat(here, ".epoch"))));
            bytes32 seed = word(json, here, ".seed");
            same(Fairness.pairCommit(bond.chain(), account, epoch, seed), word(json, here, ".commit"));
            uint16 count = uint16(vm.parseJsonUint(json, string.concat(here, ".count")));
            vm.prank(KEEPER);
            bond.commitPairs(
                uint64(i), word(json, here, ".root"), count, uint8(vm.parseJsonUint(json, string.concat(here, ".kind")))
            );
            uint16 place = uint16(vm.parseJsonUint(json, string.concat(here, ".place")));
            bond.revealPair(uint64(i), place, account, epoch, seed, proofAt(json, here));
            same(bond.pairsAt(uint64(i)).revealed, uint256(1) << place);
        }
    }

    function proofAt(string memory json, string memory here) private pure returns (bytes32[] memory proof) {
        string[] memory texts = vm.parseJsonStringArray(json, string.concat(here, ".proof"));
        proof = new bytes32[](texts.length);
        for (uint256 i = 0; i < texts.length; ++i) proof[i] = vm.parseBytes32(string.concat("0x", texts[i]));
    }

    function word(string memory json, string memory here, string memory key) private pure returns (bytes32) {
        return vm.parseBytes32(string.concat("0x", vm.parseJsonString(json, string.concat(here, key))));
    }
}
