// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Fairness} from "./Fairness.sol";

/// @title A casino whose every seed is committed before a bet can name it.
/// @notice The sibling of contracts/solana: same verbs, same events, same arithmetic.
contract Casino {
    enum Status {
        None,
        Open,
        Settled,
        Refunded
    }

    struct Commitment {
        bytes32 root;
        uint64 first;
        uint32 count;
        uint64 revealBy;
    }

    struct Bet {
        address player;
        uint64 deadline;
        Status status;
        uint16 low;
        uint128 stake;
        uint16 high;
        uint64 commitment;
        bytes32 clientSeed;
    }

    struct House {
        address owner;
        address keeper;
        bool paused;
        uint64 revealWindow;
        uint16 penaltyBp;
        uint128 smallestStake;
        uint16 largestShareBp;
        uint64 nextIndex;
        uint64 committedUpTo;
        uint256 balance;
        uint256 locked;
        uint256 owed;
        uint256 free;
    }

    uint16 public constant FACES = 10_000;
    uint16 public constant EDGE = 100;
    uint16 public constant WIDEST = 9_800;
    uint32 public constant MOST_SEEDS = 65_536;
    uint64 public constant SHORTEST_WINDOW = 10;
    uint256 private constant PAY_GAS = 50_000;

    address public immutable owner;
    uint64 public immutable revealWindow;
    uint16 public immutable penaltyBp;
    address public keeper;
    bool public paused;
    uint16 public largestShareBp;
    uint64 public nextIndex;
    uint64 public committedUpTo;
    uint64 public current;
    uint128 public smallestStake;
    uint256 public locked;
    uint256 public owedTotal;
    bytes public chain;
    Commitment[] public commitments;
    mapping(uint64 index => Bet) private slips;
    mapping(address player => uint256) public owed;
    mapping(bytes32 request => bool) public paid;

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
    event BetRefunded(uint64 indexed index, address indexed player, uint256 stake, uint256 penalty);
    event Deposited(address indexed player, uint256 amount);
    event Withdrawn(address indexed player, uint256 amount, bytes32 request);
    event VaultFunded(address indexed from, uint256 amount);
    event VaultDefunded(address indexed to, uint256 amount);
    event PauseSet(bool paused);
    event LimitsSet(uint128 smallestStake, uint16 largestShareBp);
    event KeeperSet(address indexed keeper);

    error NotOwner(address caller);
    error NotKeeper(address caller);
    error IsPaused();
    error BadSetting();
    error BadKind(uint8 kind);
    error BadCount(uint32 count);
    error BadRoot();
    error IndexGap(uint64 expected, uint64 got);
    error DeadlinePassed(uint64 deadline);
    error BadRange(uint16 low, uint16 high);
    error BadStake(uint256 stake);
    error StakeTooSmall(uint256 stake, uint256 smallest);
    error NoSeedsLeft();
    error VaultTooPoor(uint256 free, uint256 needed);
    error PrizeTooLarge(uint256 allowed, uint256 needed);
    error BetNotOpen(uint64 index, Status status);
    error SeedRefused(uint64 index);
    error DeadlineAhead(uint64 deadline);
    error NothingToMove();
    error AlreadyPaid(bytes32 request);
    error BadRecipient(address to);
    error PaymentFailed(address to, uint256 amount);

    modifier onlyOwner() {
        if (msg.sender != owner) revert NotOwner(msg.sender);
        _;
    }

    modifier onlyKeeper() {
        if (msg.sender != keeper) revert NotKeeper(msg.sender);
        _;
    }

    modifier unlessPaused() {
        if (paused) revert IsPaused();
        _;
    }

    constructor(address keeper_, uint64 revealWindow_, uint16 penaltyBp_) {
        if (keeper_ == address(0) || revealWindow_ < SHORTEST_WINDOW || penaltyBp_ > 10_000) {
            revert BadSetting();
        }
        owner = msg.sender;
        keeper = keeper_;
        revealWindow = revealWindow_;
        penaltyBp = penaltyBp_;
        chain = Fairness.chainName(block.chainid);
        emit KeeperSet(keeper_);
        _setLimits(1, 10_000);
    }

    /// @notice Publish the root over the next `count` hidden seeds; the first write of an index wins.
    function commit(bytes32 root, uint64 first, uint32 count, uint8 kind, uint64 revealBy)
        external
        onlyKeeper
    {
        if (kind != 0) revert BadKind(kind);
        if (count == 0 || count > MOST_SEEDS) revert BadCount(count);
        if (root == bytes32(0)) revert BadRoot();
        if (first != committedUpTo) revert IndexGap(committedUpTo, first);
        if (revealBy <= block.timestamp + revealWindow) revert DeadlinePassed(revealBy);
        commitments.push(Commitment(root, first, count, revealBy));
        _dropLate(uint64(block.timestamp) + revealWindow);
        committedUpTo = first + count;
        emit SeedCommitted(first, count, kind, root, revealBy);
    }

    /// @notice Stake the value sent on rolls in [low, high); takes the next committed index.
    function placeBet(bytes32 clientSeed, uint16 low, uint16 high)
        external
        payable
        unlessPaused
        returns (uint64 index)
    {
        if (low >= high || high > FACES || high - low > WIDEST) revert BadRange(low, high);
        if (msg.value == 0 || msg.value > type(uint128).max) revert BadStake(msg.value);
        if (msg.value < smallestStake) revert StakeTooSmall(msg.value, smallestStake);
        uint256 prize = _prize(msg.value, low, high);
        uint256 needed = _reserve(msg.value, prize);
        _afford(needed);
        uint64 deadline = uint64(block.timestamp) + revealWindow;
        index = _take(deadline);
        locked += needed;
        slips[index] = Bet({
            player: msg.sender,
            deadline: deadline,
            status: Status.Open,
            low: low,
            stake: uint128(msg.value),
            high: high,
            commitment: current,
            clientSeed: clientSeed
        });
        emit BetPlaced(index, msg.sender, clientSeed, low, high, msg.value, prize, deadline);
    }

    /// @notice Before the deadline, show a bet's seed and its proof; outcome and payout follow from them alone.
    function settleBet(uint64 index, bytes32 seed, bytes32[] calldata proof) external {
        Bet memory slip = _close(index, Status.Settled);
        if (block.timestamp >= slip.deadline) revert DeadlinePassed(slip.deadline);
        Commitment memory batch = commitments[slip.commitment];
        bytes memory name = chain;
        bytes32 hidden = Fairness.betCommit(name, address(this), index, seed);
        if (!Fairness.proves(batch.root, hidden, index - batch.first, batch.count, proof)) {
            revert SeedRefused(index);
        }
        bytes4 choice = bytes4(uint32(slip.low) << 16 | slip.high);
        bytes32 hash = Fairness.betHash(
            name, address(this), index, slip.player, slip.stake, choice, slip.clientSeed
        );
        bytes32 outcome = Fairness.betOutcome(name, index, seed, hash);
        uint16 roll = uint16(Fairness.below(outcome, FACES));
        uint256 payout = roll >= slip.low && roll < slip.high ? _prize(slip.stake, slip.low, slip.high) : 0;
        emit SeedRevealed(index, seed);
        emit BetSettled(index, slip.player, roll, payout, outcome);
        _pay(slip.player, payout);
    }

    /// @notice From the deadline on anyone may return the stake, with the penalty for the silence.
    function refundBet(uint64 index) external {
        Bet memory slip = _close(index, Status.Refunded);
        if (block.timestamp < slip.deadline) revert DeadlineAhead(slip.deadline);
        uint256 penalty = _penalty(slip.stake);
        emit BetRefunded(index, slip.player, slip.stake, penalty);
        _pay(slip.player, slip.stake + penalty);
    }

    /// @notice Bring money to the house's books.
    function deposit() external payable unlessPaused {
        if (msg.value == 0) revert NothingToMove();
        emit Deposited(msg.sender, msg.value);
    }

    /// @notice Pay a player's approved request, once; never from what open bets may win.
    function withdraw(address player, uint256 amount, bytes32 request) external onlyKeeper {
        if (amount == 0) revert NothingToMove();
        if (paid[request]) revert AlreadyPaid(request);
        if (free() < amount) revert VaultTooPoor(free(), amount);
        paid[request] = true;
        emit Withdrawn(player, amount, request);
        _pay(player, amount);
    }

    /// @notice Collect what could not be pushed; it goes `to` whoever can receive it.
    function claimOwed(address to) external {
        uint256 amount = owed[msg.sender];
        if (to == address(0)) revert BadRecipient(to);
        if (amount == 0) revert NothingToMove();
        owed[msg.sender] = 0;
        owedTotal -= amount;
        (bool ok,) = to.call{value: amount}("");
        if (!ok) revert PaymentFailed(to, amount);
    }

    /// @notice Add to the vault that pays the winners.
    function fundVault() external payable {
        if (msg.value == 0) revert NothingToMove();
        emit VaultFunded(msg.sender, msg.value);
    }

    /// @notice The owner takes from the free part of the vault.
    function defundVault(uint256 amount) external onlyOwner {
        if (amount == 0) revert NothingToMove();
        if (free() < amount) revert VaultTooPoor(free(), amount);
        emit VaultDefunded(msg.sender, amount);
        (bool ok,) = msg.sender.call{value: amount}("");
        if (!ok) revert PaymentFailed(msg.sender, amount);
    }

    /// @notice Stop or resume new bets and deposits; open bets settle and refund all the same.
    function setPaused(bool paused_) external onlyOwner {
        paused = paused_;
        emit PauseSet(paused_);
    }

    /// @notice Set the smallest stake, and the share of the free vault that one bet may reserve, in basis points.
    function setLimits(uint128 smallestStake_, uint16 largestShareBp_) external onlyOwner {
        _setLimits(smallestStake_, largestShareBp_);
    }

    /// @notice Name the only address that may commit seeds and pay withdrawals.
    function setKeeper(address keeper_) external onlyOwner {
        if (keeper_ == address(0)) revert BadSetting();
        keeper = keeper_;
        emit KeeperSet(keeper_);
    }

    /// @notice One bet by its index; its status is `None` when the index was never taken.
    function bet(uint64 index) external view returns (Bet memory) {
        return slips[index];
    }

    /// @notice Settings and standing of the house in one call.
    function house() external view returns (House memory) {
        return House({
            owner: owner,
            keeper: keeper,
            paused: paused,
            revealWindow: revealWindow,
            penaltyBp: penaltyBp,
            smallestStake: smallestStake,
            largestShareBp: largestShareBp,
            nextIndex: nextIndex,
            committedUpTo: committedUpTo,
            balance: address(this).balance,
            locked: locked,
            owed: owedTotal,
            free: free()
        });
    }

    /// @notice What no open bet and no unpaid player can claim.
    function free() public view returns (uint256) {
        return address(this).balance - locked - owedTotal;
    }

    function _setLimits(uint128 smallestStake_, uint16 largestShareBp_) private {
        if (smallestStake_ == 0 || largestShareBp_ == 0 || largestShareBp_ > 10_000) revert BadSetting();
        (smallestStake, largestShareBp) = (smallestStake_, largestShareBp_);
        emit LimitsSet(smallestStake_, largestShareBp_);
    }

    /// @dev What a bet reserves must be there, and leave the vault open for others.
    function _afford(uint256 needed) private view {
        uint256 available = free();
        if (available < needed) revert VaultTooPoor(available, needed);
        uint256 allowed = available * largestShareBp / 10_000;
        if (allowed < needed) revert PrizeTooLarge(allowed, needed);
    }

    /// @dev Hands out the next index whose batch can still be revealed in time.
    function _take(uint64 deadline) private returns (uint64 index) {
        _dropLate(deadline);
        if (current == commitments.length) revert NoSeedsLeft();
        index = nextIndex;
        nextIndex = index + 1;
    }

    /// @dev Skips whole the batches that are used up or late; every commit does, so few ever wait.
    function _dropLate(uint64 deadline) private {
        uint256 count = commitments.length;
        uint64 turn = current;
        uint64 index = nextIndex;
        for (; turn < count; ++turn) {
            Commitment memory batch = commitments[turn];
            uint64 end = batch.first + batch.count;
            if (index < end && batch.revealBy >= deadline) break;
            index = end;
        }
        (current, nextIndex) = (turn, index);
    }

    /// @dev Ends an open bet once and frees its reserve, before anything is paid.
    function _close(uint64 index, Status to) private returns (Bet memory slip) {
        slip = slips[index];
        if (slip.status != Status.Open) revert BetNotOpen(index, slip.status);
        slips[index].status = to;
        locked -= _reserve(slip.stake, _prize(slip.stake, slip.low, slip.high));
    }

    /// @dev A player who cannot receive must not hold up the bet: the amount waits in `owed`.
    function _pay(address to, uint256 amount) private {
        if (amount == 0) return;
        bool ok;
        assembly ("memory-safe") {
            ok := call(PAY_GAS, to, amount, 0, 0, 0, 0)
        }
        if (!ok) {
            owed[to] += amount;
            owedTotal += amount;
        }
    }

    function _prize(uint256 stake, uint16 low, uint16 high) private pure returns (uint256) {
        return stake * (FACES - EDGE) / (high - low);
    }

    function _penalty(uint256 stake) private view returns (uint256) {
        return stake * penaltyBp / 10_000;
    }

    function _reserve(uint256 stake, uint256 prize) private view returns (uint256) {
        uint256 back = stake + _penalty(stake);
        return prize > back ? prize : back;
    }
}
