// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Bond} from "../src/Bond.sol";
import {Fairness} from "../src/Fairness.sol";
import {Rounds} from "./Rounds.sol";
import {Built, Checked} from "./Vm.sol";

/// @notice A house that keeps its word or not, and all who watch it, in any order forge likes.
contract Tables is Rounds {
    struct Played {
        string table;
        uint64 first;
        uint64 number;
        uint64 due;
        uint128 most;
        uint256 paid;
        bool anchored;
        bool revealed;
        bool slashed;
        bool released;
    }

    Played[] private rounds;
    mapping(uint256 which => mapping(uint32 position => bool)) private claimed;
    uint256 public burned;

    constructor() payable {
        bond = Bond(Built.bond(address(this), vm.addr(SIGNER_KEY), CLAIM_WINDOW));
        bond.fund{value: 100 ether}();
    }

    receive() external payable {}

    function theBond() external view returns (Bond) {
        return bond;
    }

    function commit(bool other, uint8 count, uint64 most) external {
        string memory table = other ? "dice" : "numbers";
        uint32 many = uint32(count) % 4 + 1;
        uint128 liability = uint128(most) % 3 ether + 1;
        (uint64 first, uint64 ends) = bond.tables(table);
        uint64 opens = ends > block.timestamp ? ends : uint64(block.timestamp) + 1;
        bytes32 root = rootOf(hiddenOf(table, first, many));
        uint256 available = bond.free();
        try bond.commit(table, root, first, many, 1, scheduleAt(opens), liability) {
            require(available >= 2 * uint256(many) * liability, "locked more than there was");
        } catch (bytes memory reason) {
            require(bytes4(reason) == Bond.BondTooSmall.selector, "refused for another reason");
            return;
        }
        for (uint32 i = 0; i < many; ++i) {
            Played storage round = rounds.push();
            (round.table, round.first, round.number, round.most) = (table, first, first + i, liability);
            round.due = opens + (i + 1) * PERIOD - LEAD + REVEAL_WINDOW;
        }
    }

    function anchor(uint256 which) external {
        if (rounds.length == 0) return;
        which = pick(which);
        Played storage round = rounds[which];
        if (block.timestamp < round.due - REVEAL_WINDOW) vm.warp(round.due - REVEAL_WINDOW);
        (bytes32[] memory roots, uint32[] memory counts, uint128[] memory liabilities) =
            (new bytes32[](1), new uint32[](1), new uint128[](1));
        Fairness.SignedRoot memory said = signedRootOf(spotOf(round.table, round.number), betsOf(which));
        (roots[0], counts[0], liabilities[0]) = (said.root, said.count, said.liability);
        bool fits = !round.anchored && block.timestamp < round.due && said.liability <= round.most;
        try bond.anchor(round.table, round.first, round.number, roots, counts, liabilities) {
            require(fits, "anchored against the rules");
            round.anchored = true;
        } catch {
            require(!fits, "not anchored");
        }
    }

    function reveal(uint256 which) external {
        if (rounds.length == 0) return;
        which = pick(which);
        Played storage round = rounds[which];
        uint32 count = uint32(bond.batchAt(round.table, round.first).count);
        bytes32[] memory proof = proofOf(hiddenOf(round.table, round.first, count), round.number - round.first);
        bool fits = round.anchored && !round.revealed && block.timestamp < round.due;
        try bond.reveal(round.table, round.first, round.number, seedOf(round.table, round.number), proof) {
            require(fits, "revealed against the rules");
            round.revealed = true;
        } catch {
            require(!fits, "not revealed");
        }
    }

    function claim(uint256 which, uint32 position) external {
        if (rounds.length == 0) return;
        which = pick(which);
        Played storage round = rounds[which];
        if (block.timestamp < round.due) vm.warp(round.due);
        Fairness.RoundBet[] memory bets = betsOf(which);
        position %= uint32(bets.length);
        uint256 left = round.most - round.paid;
        bool fits = !round.revealed && block.timestamp < round.due + CLAIM_WINDOW && left != 0
            && !claimed[which][position];
        uint256 before = address(this).balance;
        if (sentClaim(round, bets, position)) {
            require(fits, "claimed against the rules");
            uint256 wanted = bets[position].liability;
            same(address(this).balance - before, wanted < left ? wanted : left);
            round.paid += wanted < left ? wanted : left;
            claimed[which][position] = true;
            round.anchored = true;
        } else {
            require(!fits, "not claimed");
            same(address(this).balance, before);
        }
    }

    function sentClaim(Played storage round, Fairness.RoundBet[] memory bets, uint32 position)
        private
        returns (bool)
    {
        Fairness.Round memory spot = spotOf(round.table, round.number);
        Fairness.SignedRoot memory said = signedRootOf(spot, bets);
        bytes memory data = abi.encodeCall(
            Bond.claim,
            (
                round.table,
                round.first,
                round.number,
                said,
                signed(spot, said),
                bets[position],
                proofOf(leavesOf(spot, bets), position)
            )
        );
        (bool ok,) = address(bond).call(data);
        return ok;
    }

    function slash(uint256 which, bytes32 root) external {
        if (rounds.length == 0) return;
        which = pick(which);
        Played storage round = rounds[which];
        Fairness.Round memory spot = spotOf(round.table, round.number);
        Fairness.SignedRoot memory said = signedRootOf(spot, betsOf(which));
        Fairness.SignedRoot memory other = Fairness.SignedRoot(root, 1, 1);
        bytes memory signature = round.anchored ? bytes("") : signed(spot, said);
        (uint256 here, uint256 nobody) = (address(this).balance, address(0).balance);
        try bond.slash(round.table, round.first, round.number, said, signature, other, signed(spot, other)) {
            require(!round.slashed && !round.released, "slashed against the rules");
            round.slashed = true;
            same(address(this).balance - here, round.most / 10);
            same(address(0).balance - nobody, round.most - round.most / 10);
            burned += round.most - round.most / 10;
        } catch {
            require(round.slashed || round.released, "not slashed");
        }
    }

    function release(uint256 which, bool early) external {
        if (rounds.length == 0) return;
        which = pick(which);
        Played storage round = rounds[which];
        uint64 last = round.due + uint64(round.first + bond.batchAt(round.table, round.first).count - 1 - round.number) * PERIOD;
        if (!early && block.timestamp < last + CLAIM_WINDOW) vm.warp(last + CLAIM_WINDOW);
        bool fits = block.timestamp >= last + CLAIM_WINDOW && bond.batchAt(round.table, round.first).held != 0;
        try bond.release(round.table, round.first) {
            require(fits, "released against the rules");
            for (uint256 i = 0; i < rounds.length; ++i) {
                bool same_ = keccak256(bytes(rounds[i].table)) == keccak256(bytes(round.table));
                if (same_ && rounds[i].first == round.first) rounds[i].released = true;
            }
        } catch {
            require(!fits, "not released");
        }
    }

    function fund(uint64 amount) external {
        bond.fund{value: uint256(amount) % 5 ether + 1}();
    }

    function withdraw(uint256 amount) external {
        uint256 available = bond.free();
        amount %= available + 2;
        bool fits = amount != 0 && amount <= available;
        try bond.withdraw(amount) {
            require(fits, "withdrawn against the rules");
        } catch {
            require(!fits, "not withdrawn");
        }
    }

    /// @dev Any round, and every other time one of the last four: those may still be in time.
    function pick(uint256 which) private view returns (uint256) {
        uint256 count = rounds.length;
        return which % 2 == 0 || count < 4 ? which % count : count - 1 - (which / 2) % 4;
    }

    /// @dev What was bet in a round is always the same; some rounds take more than they may.
    function betsOf(uint256 which) private view returns (Fairness.RoundBet[] memory bets) {
        bytes32 chance = keccak256(abi.encode("bets", which));
        bets = new Fairness.RoundBet[](uint8(chance[0]) % 3 + 1);
        for (uint32 i = 0; i < bets.length; ++i) {
            uint128 liability = uint128(rounds[which].most * (uint8(chance[i + 1]) % 64 + 1) / 100 + 1);
            bets[i] = Fairness.RoundBet(i, chance, address(this), 1, liability, chance);
        }
    }

    /// @notice What every round may still cost, summed one by one.
    function open() external view returns (uint256 sum) {
        for (uint256 i = 0; i < rounds.length; ++i) {
            Played storage round = rounds[i];
            if (round.released) continue;
            if (!round.revealed) sum += round.most - round.paid;
            if (!round.slashed) sum += round.most;
        }
    }

    /// @notice Whether a round was paid more than it may cost, or the contract says otherwise than was seen.
    function exceeded() external view returns (bool) {
        for (uint256 i = 0; i < rounds.length; ++i) {
            uint256 paid = bond.roundAt(rounds[i].table, rounds[i].number).paid;
            if (paid > rounds[i].most || paid != rounds[i].paid) return true;
        }
        return false;
    }
}

contract LocksTest is Checked {
    Tables private tables;
    Bond private bond;

    function setUp() public {
        vm.warp(1_000_000);
        vm.deal(address(this), 1_000 ether);
        vm.deal(address(0), 0);
        tables = new Tables{value: 1_000 ether}();
        bond = tables.theBond();
    }

    /// @dev Forge calls only these.
    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(tables);
    }

    function invariant_locked_and_free_together_are_the_balance() public view {
        same(bond.locked() + bond.free(), address(bond).balance);
    }

    function invariant_what_is_locked_is_what_open_rounds_may_still_cost() public view {
        same(bond.locked(), tables.open());
    }

    function invariant_no_round_pays_more_than_it_may_cost() public view {
        require(!tables.exceeded(), "a round paid too much");
    }

    function invariant_money_is_neither_made_nor_lost() public view {
        same(address(0).balance, tables.burned());
        same(address(tables).balance + address(bond).balance + tables.burned(), 1_000 ether);
    }
}
