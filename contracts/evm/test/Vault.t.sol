// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Casino} from "../src/Casino.sol";
import {Fairness} from "../src/Fairness.sol";
import {Built, Checked} from "./Vm.sol";

/// @notice Everyone at once: plays, settles, waits, withdraws, refuses money, in any order forge likes.
contract Crowd is Checked {
    Casino public casino;
    uint64[] private open;
    uint256 private placed;
    bool private deaf;

    constructor() payable {
        casino = Casino(payable(Built.casino(address(this), 60, 1_000)));
        casino.fundVault{value: 50 ether}();
    }

    receive() external payable {
        require(!deaf, "closed");
    }

    function seedOf(uint64 index) private pure returns (bytes32) {
        return keccak256(abi.encode("seed", index));
    }

    function place(uint64 stake, uint16 low, uint16 width) external {
        uint64 index = casino.committedUpTo();
        bytes32 hidden = Fairness.betCommit(casino.chain(), address(casino), index, seedOf(index));
        bytes32 root = sha256(abi.encodePacked(bytes1(0x00), hidden));
        casino.commit(root, index, 1, 0, uint64(block.timestamp) + 1 hours);
        width = width % 9_800 + 1;
        low = uint16(low % (10_001 - width));
        try casino.placeBet{value: uint256(stake) % 5 ether + 1}(bytes32(placed), low, low + width) {
            open.push(index);
            ++placed;
        } catch (bytes memory reason) {
            bytes4 word = bytes4(reason);
            require(
                word == Casino.VaultTooPoor.selector || word == Casino.PrizeTooLarge.selector
                    || word == Casino.StakeTooSmall.selector,
                "refused for another reason"
            );
            vm.warp(block.timestamp + 1 hours);
        }
    }

    function settle(uint256 which) external {
        if (open.length == 0) return;
        if (block.timestamp >= casino.bet(open[which % open.length]).deadline) return;
        uint64 index = pick(which);
        casino.settleBet(index, seedOf(index), new bytes32[](0));
    }

    function refund(uint256 which) external {
        if (open.length == 0) return;
        vm.warp(block.timestamp + 60);
        casino.refundBet(pick(which));
    }

    function withdraw(uint256 amount, bytes32 request) external {
        uint256 available = casino.free();
        if (available == 0 || casino.paid(request)) return;
        casino.withdraw(address(this), amount % (available / 4 + 1) + 1, request);
    }

    function defund(uint256 amount) external {
        uint256 available = casino.free();
        if (available == 0 || deaf) return;
        casino.defundVault(amount % (available / 4 + 1) + 1);
    }

    function fund(uint64 amount) external {
        casino.fundVault{value: uint256(amount) % 5 ether + 1}();
    }

    function limit(uint64 smallestStake, uint16 largestShareBp) external {
        casino.setLimits(uint128(smallestStake) % 1 ether + 1, largestShareBp % 10_000 + 1);
    }

    function listen(bool deaf_) external {
        deaf = deaf_;
    }

    function claim() external {
        if (casino.owed(address(this)) != 0 && !deaf) casino.claimOwed(address(this));
    }

    /// @dev Takes one open bet off the list.
    function pick(uint256 which) private returns (uint64 index) {
        uint256 spot = which % open.length;
        index = open[spot];
        open[spot] = open[open.length - 1];
        open.pop();
    }

    /// @notice What the open bets can claim at most, summed one by one.
    function claims() external view returns (uint256 sum) {
        for (uint256 i = 0; i < open.length; ++i) {
            Casino.Bet memory slip = casino.bet(open[i]);
            uint256 prize = uint256(slip.stake) * 9_900 / (slip.high - slip.low);
            uint256 back = uint256(slip.stake) + uint256(slip.stake) / 10;
            sum += prize > back ? prize : back;
        }
    }
}

contract VaultTest is Checked {
    Crowd private crowd;

    function setUp() public {
        vm.warp(1_000_000);
        vm.deal(address(this), 2_000 ether);
        crowd = new Crowd{value: 1_000 ether}();
    }

    /// @dev Forge calls only these.
    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(crowd);
    }

    function invariant_the_vault_holds_all_that_anyone_can_claim() public view {
        Casino casino = crowd.casino();
        require(address(casino).balance >= casino.locked() + casino.owedTotal(), "the vault is short");
    }

    function invariant_what_is_locked_is_what_open_bets_can_claim() public view {
        same(crowd.casino().locked(), crowd.claims());
    }

    function invariant_money_is_neither_made_nor_lost() public view {
        same(address(crowd).balance + address(crowd.casino()).balance, 1_000 ether);
    }
}
