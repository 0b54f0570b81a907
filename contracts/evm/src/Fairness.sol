// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The arithmetic of fairness: encodings, Merkle proofs, HMAC-SHA256 and uniform integers.
/// @dev Byte for byte what games/fairness computes; contracts/vectors.json holds both to it.
library Fairness {
    bytes internal constant STREAM = "cgf/v1/stream\x00";
    uint256 private constant HALF_ORDER = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0;

    /// @notice A round of a table, as the bond contract of a chain knows it.
    struct Round {
        bytes chain;
        address program;
        string table;
        uint64 number;
    }

    /// @notice What is signed when a round closes: these bets, so many, so much at stake for the house.
    struct SignedRoot {
        bytes32 root;
        uint32 count;
        uint128 liability;
    }

    /// @notice One bet of a round; `liability` is the most it can win beyond its stake, in the chain's coin.
    struct RoundBet {
        uint32 position;
        bytes32 id;
        address payee;
        uint256 stake;
        uint128 liability;
        bytes32 details;
    }

    /// @notice The CAIP-2 name of the chain this runs on, such as `eip155:8453`.
    function chainName(uint256 id) internal pure returns (bytes memory) {
        uint256 digits;
        for (uint256 rest = id; rest != 0; rest /= 10) ++digits;
        if (digits == 0) digits = 1;
        bytes memory text = new bytes(digits);
        for (uint256 place = digits; place != 0; --place) {
            text[place - 1] = bytes1(uint8(48 + id % 10));
            id /= 10;
        }
        return abi.encodePacked("eip155:", text);
    }

    /// @notice The commitment to one seed, bound to chain, contract and index.
    function betCommit(bytes memory chain, address program, uint64 index, bytes32 seed)
        internal
        pure
        returns (bytes32)
    {
        return sha256(
            abi.encodePacked(
                "cgf/v1/bet-commit\x00",
                uint16(chain.length),
                chain,
                uint16(20),
                program,
                uint16(8),
                index,
                uint16(32),
                seed
            )
        );
    }

    /// @notice What identifies a bet: everything that the player and the contract agreed on.
    function betHash(
        bytes memory chain,
        address program,
        uint64 index,
        address player,
        uint256 stake,
        bytes4 choice,
        bytes32 clientSeed
    ) internal pure returns (bytes32) {
        bytes memory head =
            abi.encodePacked("cgf/v1/bet\x00", uint16(chain.length), chain, uint16(20), program);
        return sha256(
            abi.encodePacked(
                head,
                uint16(8),
                index,
                uint16(20),
                player,
                uint16(32),
                stake,
                uint16(4),
                choice,
                uint16(32),
                clientSeed
            )
        );
    }

    /// @notice HMAC-SHA256 keyed by the seed over the bet.
    function betOutcome(bytes memory chain, uint64 index, bytes32 seed, bytes32 hash)
        internal
        pure
        returns (bytes32)
    {
        return hmac(
            seed,
            abi.encodePacked(
                "cgf/v1/bet-out\x00",
                uint16(chain.length),
                chain,
                uint16(5),
                "range",
                uint16(8),
                index,
                uint16(32),
                hash
            )
        );
    }

    /// @notice The commitment to the seed of one scheduled round.
    function roundCommit(Round memory round, bytes32 seed) internal pure returns (bytes32) {
        return sha256(
            abi.encodePacked("cgf/v1/round-commit\x00", _spot(round.chain, round), uint16(32), seed)
        );
    }

    /// @notice The leaf of one bet under the root of its round's bets.
    function betLeaf(Round memory round, RoundBet memory bet) internal pure returns (bytes32) {
        bytes memory head = abi.encodePacked(
            "cgf/v1/round-bet\x00",
            _spot(abi.encodePacked(round.chain, uint16(20), round.program), round),
            uint16(8),
            uint64(bet.position)
        );
        bytes memory body = abi.encodePacked(
            uint16(32), bet.id, uint16(20), bet.payee, uint16(32), bet.stake, uint16(32), uint256(bet.liability)
        );
        return sha256(abi.encodePacked(head, body, uint16(32), bet.details));
    }

    /// @notice What the batch's signer signs, as it is.
    function rootDigest(Round memory round, SignedRoot memory signedRoot) internal pure returns (bytes32) {
        bytes memory spot = _spot(abi.encodePacked(round.chain, uint16(20), round.program), round);
        return sha256(
            abi.encodePacked(
                "cgf/v1/bets-root\x00",
                spot,
                uint16(32),
                signedRoot.root,
                uint16(8),
                uint64(signedRoot.count),
                uint16(32),
                uint256(signedRoot.liability)
            )
        );
    }

    /// @notice The commitment to the seed of one pair: of an account of the house, for one epoch.
    function pairCommit(bytes memory chain, string memory account, uint64 epoch, bytes32 seed)
        internal
        pure
        returns (bytes32)
    {
        return sha256(
            abi.encodePacked(
                "cgf/v1/pair-commit\x00",
                uint16(chain.length),
                chain,
                uint16(bytes(account).length),
                account,
                uint16(8),
                epoch,
                uint16(32),
                seed
            )
        );
    }

    /// @notice HMAC-SHA256 keyed by the seed over the round, its bets and the beacon after them.
    function roundOutcome(Round memory round, bytes32 seed, bytes32 betsRoot, bytes32 beacon)
        internal
        pure
        returns (bytes32)
    {
        bytes memory spot = _spot(round.chain, round);
        return hmac(
            seed,
            abi.encodePacked("cgf/v1/round-out\x00", spot, uint16(32), betsRoot, uint16(32), beacon)
        );
    }

    /// @notice Who signed a digest with r, s and v; zero where that is no signature, or one with a high s.
    function signerOf(bytes32 digest, bytes calldata signature) internal pure returns (address) {
        if (signature.length != 65) return address(0);
        bytes32 s = bytes32(signature[32:64]);
        if (uint256(s) > HALF_ORDER) return address(0);
        return ecrecover(digest, uint8(signature[64]), bytes32(signature[:32]), s);
    }

    /// @notice A uniform integer below `n`: 64-bit words, rejected where they would favour a value.
    function below(bytes32 outcome, uint64 n) internal pure returns (uint64 drawnBelow) {
        uint256 limit = (uint256(1) << 64) / n * n;
        for (uint32 number = 0;; ++number) {
            uint256 drawn = uint256(hmac(outcome, abi.encodePacked(STREAM, number)));
            for (uint256 shift = 256; shift != 0;) {
                shift -= 64;
                uint256 word = uint64(drawn >> shift);
                if (word < limit) return uint64(word % n);
            }
        }
    }

    /// @notice Whether `commit` stands at `position` among `count` leaves under `root`.
    function proves(
        bytes32 root,
        bytes32 commit,
        uint256 position,
        uint256 count,
        bytes32[] calldata proof
    ) internal pure returns (bool) {
        if (position >= count || uint256(1) << proof.length < count) return false;
        if (proof.length != 0 && uint256(1) << (proof.length - 1) >= count) return false;
        bytes32 found = sha256(abi.encodePacked(bytes1(0x00), commit));
        for (uint256 height = 0; height < proof.length; ++height) {
            found = position >> height & 1 == 1
                ? sha256(abi.encodePacked(bytes1(0x01), proof[height], found))
                : sha256(abi.encodePacked(bytes1(0x01), found, proof[height]));
        }
        return found == root;
    }

    /// @notice HMAC-SHA256 (RFC 2104) under a key of 32 bytes.
    function hmac(bytes32 key, bytes memory message) internal pure returns (bytes32) {
        bytes32 inner = 0x3636363636363636363636363636363636363636363636363636363636363636;
        bytes32 outer = 0x5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c;
        bytes32 digest = sha256(abi.encodePacked(key ^ inner, inner, message));
        return sha256(abi.encodePacked(key ^ outer, outer, digest));
    }

    /// @dev The fields that tell a round from every other; `fields` begin with the chain.
    function _spot(bytes memory fields, Round memory round) private pure returns (bytes memory) {
        return abi.encodePacked(
            uint16(round.chain.length),
            fields,
            uint16(bytes(round.table).length),
            round.table,
            uint16(8),
            round.number
        );
    }
}
