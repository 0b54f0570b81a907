// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Fairness} from "../src/Fairness.sol";
import {Checked} from "./Vm.sol";

/// @notice The shared vectors, computed by the library that the casino uses.
contract VectorsTest is Checked {
    string private json;

    function setUp() public {
        json = vm.readFile("../vectors.json");
    }

    function test_every_evm_bet_has_the_shared_commit_hash_outcome_and_roll() public view {
        for (uint256 i = 0; i < 32; ++i) checkBet(string.concat(".bets[", vm.toString(i), "]"));
    }

    function test_every_merkle_proof_holds_and_no_neighbour_of_it() public view {
        for (uint256 i = 0; i < 6; ++i) {
            string memory spot = string.concat(".merkle[", vm.toString(i), "]");
            uint256 count = vm.parseJsonUint(json, string.concat(spot, ".count"));
            uint256 position = vm.parseJsonUint(json, string.concat(spot, ".position"));
            bytes32 root = word(string.concat(spot, ".root"));
            bytes32 leaf = word(string.concat(spot, ".commit"));
            string[] memory texts = vm.parseJsonStringArray(json, string.concat(spot, ".proof"));
            bytes32[] memory proof = new bytes32[](texts.length);
            for (uint256 j = 0; j < texts.length; ++j) {
                proof[j] = vm.parseBytes32(string.concat("0x", texts[j]));
            }
            require(this.proves(root, leaf, position, count, proof), "the proof must hold");
            require(!this.proves(root, ~leaf, position, count, proof), "another leaf");
            if (count > 1) require(!this.proves(root, leaf, position ^ 1, count, proof), "another place");
            require(!this.proves(root, leaf, position, position, proof), "outside the tree");
        }
    }

    function test_words_that_would_favour_a_value_are_passed_over() public view {
        for (uint256 i = 0; i < 22; ++i) {
            string memory spot = string.concat(".stream[", vm.toString(i), "]");
            uint64 n = uint64(number(string.concat(spot, ".n")));
            same(Fairness.below(word(string.concat(spot, ".outcome")), n), number(string.concat(spot, ".value")));
        }
    }

    function proves(bytes32 root, bytes32 leaf, uint256 position, uint256 count, bytes32[] calldata proof)
        external
        pure
        returns (bool)
    {
        return Fairness.proves(root, leaf, position, count, proof);
    }

    function checkBet(string memory spot) private view {
        bytes memory chain = bytes(vm.parseJsonString(json, string.concat(spot, ".chain")));
        address program = person(string.concat(spot, ".program"));
        uint64 index = uint64(number(string.concat(spot, ".index")));
        bytes32 seed = word(string.concat(spot, ".seed"));
        same(Fairness.betCommit(chain, program, index, seed), word(string.concat(spot, ".commit")));
        uint32 low = uint32(vm.parseJsonUint(json, string.concat(spot, ".low")));
        uint32 high = uint32(vm.parseJsonUint(json, string.concat(spot, ".high")));
        bytes32 hash = Fairness.betHash(
            chain,
            program,
            index,
            person(string.concat(spot, ".player")),
            number(string.concat(spot, ".stake")),
            bytes4(low << 16 | high),
            word(string.concat(spot, ".client_seed"))
        );
        same(hash, word(string.concat(spot, ".bet_hash")));
        bytes32 outcome = Fairness.betOutcome(chain, index, seed, hash);
        same(outcome, word(string.concat(spot, ".outcome")));
        same(Fairness.below(outcome, 10_000), vm.parseJsonUint(json, string.concat(spot, ".roll")));
    }

    function word(string memory key) private view returns (bytes32) {
        return vm.parseBytes32(string.concat("0x", vm.parseJsonString(json, key)));
    }

    function person(string memory key) private view returns (address) {
        return vm.parseAddress(string.concat("0x", vm.parseJsonString(json, key)));
    }

    function number(string memory key) private view returns (uint256) {
        return vm.parseUint(vm.parseJsonString(json, key));
    }
}
