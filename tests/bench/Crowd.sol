// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice Logs what our casino would log for many players, and keeps nothing: Anvil hashes its
/// whole state for every block, so that 60,000 bets of the real contract would take it an hour.
contract Crowd {
    uint64 internal constant TOGETHER = 3;
    uint64 internal constant FIRST = 3;
    uint256 internal constant STAKE = 0.001 ether;
    uint256 internal constant PLAYERS = 500;

    event SeedCommitted(uint64 indexed first, uint32 count, uint8 kind, bytes32 root, uint64 revealBy);
    event BetPlaced(
        uint64 indexed index,
        address indexed player,
        bytes32 clientSeed,
        uint16 low,
        uint16 high,
        uint256 stake,
        uint256 maxPayout,
        uint64 deadline
    );
    event SeedRevealed(uint64 indexed index, bytes32 seed);
    event BetSettled(
        uint64 indexed index, address indexed player, uint16 roll, uint256 payout, bytes32 outcome
    );

    /// @notice End the three bets before `first`, commit three seeds, place three bets: ten events.
    function play(uint64 first) external {
        for (uint64 index = first - TOGETHER; index < first; ++index) {
            if (first != FIRST) settle(index);
        }
        bytes32 root = keccak256(abi.encode("root", first));
        emit SeedCommitted(first, uint32(TOGETHER), 0, root, uint64(block.timestamp + 60 days));
        for (uint64 index = first; index < first + TOGETHER; ++index) place(index);
    }

    function place(uint64 index) private {
        (uint16 low, uint16 high, bytes32 drawn) = choice(index);
        uint256 stake = STAKE + index;
        uint256 prize = stake * 9_900 / (high - low);
        uint64 deadline = uint64(block.timestamp + 1 hours);
        emit BetPlaced(index, player(index), drawn, low, high, stake, prize, deadline);
    }

    function settle(uint64 index) private {
        (uint16 low, uint16 high,) = choice(index);
        bytes32 seed = keccak256(abi.encode("seed", index));
        bytes32 outcome = keccak256(abi.encode("outcome", index));
        uint16 roll = uint16(uint256(outcome) % 10_000);
        bool won = roll >= low && roll < high;
        emit SeedRevealed(index, seed);
        uint256 prize = won ? (STAKE + index) * 9_900 / (high - low) : 0;
        emit BetSettled(index, player(index), roll, prize, outcome);
    }

    function choice(uint64 index) private pure returns (uint16 low, uint16 high, bytes32 drawn) {
        drawn = keccak256(abi.encode("bet", index));
        low = uint16(uint256(drawn) % 5_000);
        high = low + 500 + uint16(uint256(drawn) >> 16) % 4_500;
    }

    function player(uint64 index) private pure returns (address) {
        uint256 number = uint256(keccak256(abi.encode("who", index))) % PLAYERS;
        return address(uint160(uint256(keccak256(abi.encode("player", number)))));
    }
}
