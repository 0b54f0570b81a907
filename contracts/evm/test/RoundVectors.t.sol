// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Fairness} from "../src/Fairness.sol";
import {Checked} from "./Vm.sol";

/// @notice The shared vectors of scheduled rounds, computed by the library that the bond uses.
contract RoundVectorsTest is Checked {
    function test_every_evm_round_has_the_shared_commit_root_signer_and_outcome() public view {
        for (uint256 i = 0; i < 28; ++i) this.checkRound(spot(".rounds", i));
    }

    function test_every_signature_names_its_signer_or_nobody() public view {
        for (uint256 i = 0; i < 60; ++i) this.checkSignature(spot(".signatures", i));
    }

    function test_every_contradiction_is_two_roots_of_one_signer() public view {
        for (uint256 i = 0; i < 8; ++i) this.checkContradiction(spot(".contradictions", i));
    }

    function checkRound(string calldata here) external view {
        string memory json = vm.readFile("../rounds.json");
        Fairness.Round memory round = roundAt(json, here);
        bytes32 seed = word(json, here, ".seed");
        same(Fairness.roundCommit(round, seed), word(json, here, ".commit"));
        string memory said = string.concat(here, ".signed_root");
        Fairness.SignedRoot memory signedRoot = signedRootAt(json, said);
        bytes32 digest = Fairness.rootDigest(round, signedRoot);
        same(digest, word(json, said, ".digest"));
        same(this.signerOf(digest, raw(json, said, ".signature")), person(json, here, ".signer"));
        bytes32 outcome = Fairness.roundOutcome(round, seed, signedRoot.root, word(json, here, ".beacon"));
        same(outcome, word(json, here, ".outcome"));
        if (signedRoot.count != 0) checkBet(json, string.concat(here, ".bets[0]"), round, signedRoot);
    }

    function checkBet(
        string memory json,
        string memory here,
        Fairness.Round memory round,
        Fairness.SignedRoot memory signedRoot
    ) private view {
        Fairness.RoundBet memory bet;
        bet.position = uint32(vm.parseJsonUint(json, string.concat(here, ".position")));
        (bet.id, bet.payee) = (word(json, here, ".id"), person(json, here, ".payee"));
        (bet.stake, bet.liability) = (number(json, here, ".stake"), uint128(number(json, here, ".liability")));
        bet.details = word(json, here, ".details");
        bytes32 leaf = Fairness.betLeaf(round, bet);
        same(leaf, word(json, here, ".leaf"));
        string[] memory texts = vm.parseJsonStringArray(json, string.concat(here, ".proof"));
        bytes32[] memory proof = new bytes32[](texts.length);
        for (uint256 i = 0; i < texts.length; ++i) proof[i] = vm.parseBytes32(string.concat("0x", texts[i]));
        require(this.proves(signedRoot.root, leaf, bet.position, signedRoot.count, proof), "the proof must hold");
        require(!this.proves(signedRoot.root, leaf, bet.position ^ 1, signedRoot.count, proof), "another place");
    }

    function checkSignature(string calldata here) external view {
        string memory json = vm.readFile("../rounds.json");
        string memory who = vm.parseJsonString(json, string.concat(here, ".signer"));
        address expected = bytes(who).length == 0 ? address(0) : person(json, here, ".signer");
        same(this.signerOf(word(json, here, ".digest"), raw(json, here, ".signature")), expected);
    }

    function checkContradiction(string calldata here) external view {
        string memory json = vm.readFile("../rounds.json");
        Fairness.Round memory round = roundAt(json, here);
        bytes32 one = checkSignedRoot(json, string.concat(here, ".one"), round, person(json, here, ".signer"));
        bytes32 other = checkSignedRoot(json, string.concat(here, ".other"), round, person(json, here, ".signer"));
        require(one != other, "no contradiction");
    }

    function checkSignedRoot(string memory json, string memory here, Fairness.Round memory round, address who)
        private
        view
        returns (bytes32 digest)
    {
        digest = Fairness.rootDigest(round, signedRootAt(json, here));
        same(digest, word(json, here, ".digest"));
        same(this.signerOf(digest, raw(json, here, ".signature")), who);
    }

    function proves(bytes32 root, bytes32 leaf, uint256 position, uint256 count, bytes32[] calldata proof)
        external
        pure
        returns (bool)
    {
        return Fairness.proves(root, leaf, position, count, proof);
    }

    function signerOf(bytes32 digest, bytes calldata signature) external pure returns (address) {
        return Fairness.signerOf(digest, signature);
    }

    function spot(string memory list, uint256 place) private pure returns (string memory) {
        return string.concat(list, "[", vm.toString(place), "]");
    }

    function roundAt(string memory json, string memory here) private pure returns (Fairness.Round memory) {
        return Fairness.Round(
            bytes(vm.parseJsonString(json, string.concat(here, ".chain"))),
            person(json, here, ".program"),
            vm.parseJsonString(json, string.concat(here, ".table")),
            uint64(number(json, here, ".round"))
        );
    }

    function signedRootAt(string memory json, string memory here)
        private
        pure
        returns (Fairness.SignedRoot memory)
    {
        uint32 count = uint32(vm.parseJsonUint(json, string.concat(here, ".count")));
        return Fairness.SignedRoot(word(json, here, ".root"), count, uint128(number(json, here, ".liability")));
    }

    function raw(string memory json, string memory here, string memory key) private pure returns (bytes memory) {
        return vm.parseBytes(string.concat("0x", vm.parseJsonString(json, string.concat(here, key))));
    }

    function word(string memory json, string memory here, string memory key) private pure returns (bytes32) {
        return bytes32(raw(json, here, key));
    }

    function person(string memory json, string memory here, string memory key) private pure returns (address) {
        return address(bytes20(raw(json, here, key)));
    }

    function number(string memory json, string memory here, string memory key) private pure returns (uint256) {
        return vm.parseUint(vm.parseJsonString(json, string.concat(here, key)));
    }
}
