// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice The cheat codes of forge that these tests use.
interface Vm {
    function prank(address sender) external;
    function startPrank(address sender) external;
    function stopPrank() external;
    function deal(address who, uint256 balance) external;
    function warp(uint256 timestamp) external;
    function expectRevert(bytes calldata data) external;
    function expectEmit() external;
    function addr(uint256 privateKey) external pure returns (address);
    function sign(uint256 privateKey, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function readFile(string calldata path) external view returns (string memory);
    function readLine(string calldata path) external view returns (string memory);
    function parseJsonUint(string calldata json, string calldata key) external pure returns (uint256);
    function parseJsonBytes(string calldata json, string calldata key) external pure returns (bytes memory);
    function parseJsonString(string calldata json, string calldata key) external pure returns (string memory);
    function parseJsonStringArray(string calldata json, string calldata key) external pure returns (string[] memory);
    function parseUint(string calldata text) external pure returns (uint256);
    function parseBytes(string calldata text) external pure returns (bytes memory);
    function parseBytes32(string calldata text) external pure returns (bytes32);
    function parseAddress(string calldata text) external pure returns (address);
    function toString(uint256 number) external pure returns (string memory);
}

/// @notice Puts the contract on the chain as it is built and committed, byte for byte.
library Built {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    function casino(address keeper, uint64 patience, uint64 penalty) internal returns (address) {
        return made("Casino", abi.encode(keeper, patience, penalty));
    }

    function bond(address keeper, address signer, uint64 claimWindow) internal returns (address) {
        return made("Bond", abi.encode(keeper, signer, claimWindow));
    }

    function made(string memory name, bytes memory settings) private returns (address place) {
        string memory file = string.concat("build/", name, ".bin");
        bytes memory code = vm.parseBytes(string.concat("0x", vm.readLine(file)));
        code = abi.encodePacked(code, settings);
        assembly ("memory-safe") {
            place := create(0, add(code, 32), mload(code))
        }
        require(place != address(0), "not built");
    }
}

abstract contract Checked {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    error Differs(uint256 got, uint256 expected);

    function same(uint256 got, uint256 expected) internal pure {
        if (got != expected) revert Differs(got, expected);
    }

    function same(bytes32 got, bytes32 expected) internal pure {
        same(uint256(got), uint256(expected));
    }

    function same(address got, address expected) internal pure {
        same(uint160(got), uint160(expected));
    }
}
