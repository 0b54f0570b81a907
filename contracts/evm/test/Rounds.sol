// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Bond} from "../src/Bond.sol";
import {Fairness} from "../src/Fairness.sol";
import {Checked} from "./Vm.sol";

/// @notice A house that runs rounds: seeds, trees, signed roots for the tests of the bond.
abstract contract Rounds is Checked {
    uint256 internal constant SIGNER_KEY = 0xA11CE;
    uint32 internal constant PERIOD = 10;
    uint32 internal constant LEAD = 1;
    uint32 internal constant REVEAL_WINDOW = 60;
    uint64 internal constant CLAIM_WINDOW = 600;
    Bond internal bond;

    function seedOf(string memory table, uint64 number) internal pure returns (bytes32) {
        return keccak256(abi.encode("seed", table, number));
    }

    function spotOf(string memory table, uint64 number) internal view returns (Fairness.Round memory) {
        return Fairness.Round(bond.chain(), address(bond), table, number);
    }

    /// @dev What a batch of these rounds hides under its root.
    function hiddenOf(string memory table, uint64 first, uint32 count)
        internal
        view
        returns (bytes32[] memory leaves)
    {
        leaves = new bytes32[](count);
        for (uint32 i = 0; i < count; ++i) {
            leaves[i] = Fairness.roundCommit(spotOf(table, first + i), seedOf(table, first + i));
        }
    }

    function scheduleAt(uint64 opens) internal pure returns (Bond.Schedule memory) {
        return Bond.Schedule(opens, PERIOD, LEAD, REVEAL_WINDOW);
    }

    function leavesOf(Fairness.Round memory spot, Fairness.RoundBet[] memory bets)
        internal
        pure
        returns (bytes32[] memory leaves)
    {
        leaves = new bytes32[](bets.length);
        for (uint256 i = 0; i < bets.length; ++i) leaves[i] = Fairness.betLeaf(spot, bets[i]);
    }

    function signedRootOf(Fairness.Round memory spot, Fairness.RoundBet[] memory bets)
        internal
        pure
        returns (Fairness.SignedRoot memory signedRoot)
    {
        signedRoot.count = uint32(bets.length);
        if (bets.length == 0) return signedRoot;
        signedRoot.root = rootOf(leavesOf(spot, bets));
        for (uint256 i = 0; i < bets.length; ++i) signedRoot.liability += bets[i].liability;
    }

    function signed(Fairness.Round memory spot, Fairness.SignedRoot memory signedRoot)
        internal
        pure
        returns (bytes memory)
    {
        return signedBy(SIGNER_KEY, spot, signedRoot);
    }

    function signedBy(uint256 key, Fairness.Round memory spot, Fairness.SignedRoot memory signedRoot)
        internal
        pure
        returns (bytes memory)
    {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, Fairness.rootDigest(spot, signedRoot));
        return abi.encodePacked(r, s, v);
    }

    function rootOf(bytes32[] memory leaves) internal pure returns (bytes32) {
        bytes32[] memory level = lowest(leaves);
        while (level.length > 1) level = above(level);
        return level[0];
    }

    function proofOf(bytes32[] memory leaves, uint256 position) internal pure returns (bytes32[] memory proof) {
        bytes32[] memory level = lowest(leaves);
        uint256 depth;
        while (uint256(1) << depth < level.length) ++depth;
        proof = new bytes32[](depth);
        for (uint256 height = 0; height < depth; ++height) {
            proof[height] = level[position >> height ^ 1];
            level = above(level);
        }
    }

    function lowest(bytes32[] memory leaves) private pure returns (bytes32[] memory level) {
        uint256 size = 1;
        while (size < leaves.length) size *= 2;
        level = new bytes32[](size);
        for (uint256 i = 0; i < leaves.length; ++i) level[i] = sha256(abi.encodePacked(bytes1(0), leaves[i]));
    }

    function above(bytes32[] memory level) private pure returns (bytes32[] memory next) {
        next = new bytes32[](level.length / 2);
        for (uint256 i = 0; i < next.length; ++i) {
            next[i] = sha256(abi.encodePacked(bytes1(0x01), level[2 * i], level[2 * i + 1]));
        }
    }
}
