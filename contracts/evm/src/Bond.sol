// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Fairness} from "./Fairness.sol";

/// @title What the house stands to lose if it keeps a round's seed back, or signs two roots for one round.
/// @notice The sibling of contracts/solana/src/bond.c: same verbs, same events, same arithmetic.
/// It keeps the commitments of pairs too, for which nothing is locked.
contract Bond {
    struct Table {
        uint64 next;
        uint64 ends;
    }

    /// @notice When the rounds of a batch open and close; `opens` in unix seconds, the others in seconds.
    struct Schedule {
        uint64 opens;
        uint32 period;
        uint32 lead;
        uint32 revealWindow;
    }

    struct Batch {
        bytes32 root;
        address signer;
        uint64 opens;
        uint16 count;
        uint8 kind;
        uint32 period;
        uint32 lead;
        uint32 revealWindow;
        uint128 maxLiability;
        uint256 held;
        uint256 revealed;
        uint256 slashed;
    }

    struct Round {
        bytes32 anchored;
        uint128 paid;
    }

    /// @notice Seeds of pairs under one root; `revealed` are bits, place 0 the lowest.
    struct Pairs {
        bytes32 root;
        uint16 count;
        uint8 kind;
        uint256 revealed;
    }

    struct Standing {
        address owner;
        address keeper;
        address signer;
        bool paused;
        uint64 claimWindow;
        uint256 balance;
        uint256 locked;
        uint256 free;
    }

    uint8 public constant DRAND = 1;
    uint8 public constant BLOCK = 2;
    uint32 public constant MOST_ROUNDS = 256;
    uint32 public constant MOST_BETS = 65_536;
    uint16 public constant MOST_PAIRS = 256;
    uint64 public constant SHORTEST_WINDOW = 10;
    uint64 public constant LONGEST_WINDOW = 1 days;
    uint64 public constant FARTHEST = 30 days;
    /// @dev A slashed deposit is burned but for a tenth, so that showing one's own contradiction costs nine.
    uint256 public constant REWARD_PART = 10;

    address public immutable owner;
    uint64 public immutable claimWindow;
    address public keeper;
    bool public paused;
    address public signer;
    uint256 public locked;
    bytes public chain;
    uint64 public nextPairs;
    mapping(string name => Table) public tables;
    mapping(string name => mapping(uint64 first => Batch)) private batches;
    mapping(string name => mapping(uint64 number => Round)) private rounds;
    mapping(string name => mapping(uint64 number => mapping(uint256 word => uint256))) private marks;
    mapping(uint64 number => Pairs) private pairs;

    event RoundsCommitted(
        string table,
        uint64 indexed first,
        uint32 count,
        uint8 kind,
        bytes32 root,
        Schedule schedule,
        uint128 maxLiability,
        address signer
    );
    event RootsAnchored(
        string table, uint64 indexed start, bytes32[] roots, uint32[] counts, uint128[] liabilities
    );
    event RoundRevealed(string table, uint64 indexed round, bytes32 seed);
    event BondClaimed(
        string table,
        uint64 indexed round,
        uint32 position,
        bytes32 bet,
        address indexed payee,
        uint256 amount
    );
    event BondSlashed(
        string table, uint64 indexed round, address indexed by, uint256 reward, uint256 burned
    );
    event PairsCommitted(uint64 indexed number, bytes32 root, uint16 count, uint8 kind);
    event PairRevealed(uint64 indexed number, uint16 place, string account, uint64 epoch, bytes32 seed);
    event BatchReleased(string table, uint64 indexed first, uint256 amount);
    event BondFunded(address indexed from, uint256 amount);
    event BondWithdrawn(address indexed to, uint256 amount);
    event PauseSet(bool paused);
    event KeeperSet(address indexed keeper);
    event SignerSet(address indexed signer);

    error NotOwner(address caller);
    error NotKeeper(address caller);
    error IsPaused();
    error BadSetting();
    error BadTable();
    error BadKind(uint8 kind);
    error BadCount(uint256 count);
    error BadRoot();
    error BadSchedule();
    error BadLiability(uint256 liability);
    error IndexGap(uint64 expected, uint64 got);
    error LateCommit(uint64 opens);
    error Overlap(uint64 ends, uint64 opens);
    error BondTooSmall(uint256 free, uint256 needed);
    error NoSuchBatch();
    error NoSuchRound(uint64 round);
    error NoSuchPair(uint16 place);
    error RoundOpen(uint64 closes);
    error DeadlinePassed(uint64 deadline);
    error DeadlineAhead(uint64 deadline);
    error NotAnchored(uint64 round);
    error AlreadyAnchored(uint64 round);
    error AlreadyRevealed(uint64 number);
    error AlreadyClaimed(uint32 position);
    error AlreadySlashed(uint64 round);
    error AlreadyReleased();
    error SeedRefused(uint64 number);
    error BadAccount();
    error BetRefused(uint32 position);
    error BadSignature();
    error WrongSigner(address signer);
    error AnotherRoot(uint64 round);
    error NoContradiction();
    error NothingLeft(uint64 round);
    error NothingToMove();
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

    constructor(address keeper_, address signer_, uint64 claimWindow_) {
        if (claimWindow_ < SHORTEST_WINDOW || claimWindow_ > FARTHEST) revert BadSetting();
        owner = msg.sender;
        claimWindow = claimWindow_;
        chain = Fairness.chainName(block.chainid);
        _setKeeper(keeper_);
        _setSigner(signer_);
    }

    /// @notice Publish the root over the seeds of the table's next `count` rounds; the first write of a round wins.
    /// @dev Locks twice `maxLiability` for each: what bettors may claim of it, and its deposit.
    function commit(
        string calldata table,
        bytes32 root,
        uint64 first,
        uint32 count,
        uint8 kind,
        Schedule calldata schedule,
        uint128 maxLiability
    ) external onlyKeeper {
        if (paused) revert IsPaused();
        if (!_isName(bytes(table))) revert BadTable();
        if (kind != DRAND && kind != BLOCK) revert BadKind(kind);
        if (count == 0 || count > MOST_ROUNDS) revert BadCount(count);
        if (root == bytes32(0)) revert BadRoot();
        if (maxLiability == 0) revert BadLiability(0);
        _follow(tables[table], first, count, schedule);
        uint256 needed = 2 * uint256(count) * maxLiability;
        if (free() < needed) revert BondTooSmall(free(), needed);
        locked += needed;
        Batch storage batch = batches[table][first];
        (batch.root, batch.signer, batch.held) = (root, signer, needed);
        (batch.opens, batch.count, batch.kind) = (schedule.opens, uint16(count), kind);
        (batch.period, batch.lead) = (schedule.period, schedule.lead);
        (batch.revealWindow, batch.maxLiability) = (schedule.revealWindow, maxLiability);
        emit RoundsCommitted(table, first, count, kind, root, schedule, maxLiability, signer);
    }

    /// @notice Fix what was signed for closed rounds, one after the other from `start`, each once.
    function anchor(
        string calldata table,
        uint64 first,
        uint64 start,
        bytes32[] calldata roots,
        uint32[] calldata counts,
        uint128[] calldata liabilities
    ) external onlyKeeper {
        if (roots.length == 0 || counts.length != roots.length || liabilities.length != roots.length) {
            revert BadCount(roots.length);
        }
        Batch storage batch = batches[table][first];
        Fairness.Round memory round = _round(table, start);
        for (uint256 i = 0; i < roots.length; ++i) {
            _fix(batch, first, round, Fairness.SignedRoot(roots[i], counts[i], liabilities[i]));
            if (i + 1 < roots.length) ++round.number;
        }
        emit RootsAnchored(table, start, roots, counts, liabilities);
    }

    /// @notice Show an anchored round's seed and its proof in time: nobody can claim that round any more.
    function reveal(
        string calldata table,
        uint64 first,
        uint64 number,
        bytes32 seed,
        bytes32[] calldata proof
    ) external {
        Batch storage batch = batches[table][first];
        uint64 place = _place(batch, first, number);
        if (_has(batch.revealed, place)) revert AlreadyRevealed(number);
        if (rounds[table][number].anchored == bytes32(0)) revert NotAnchored(number);
        uint64 deadline = _revealBy(batch, place);
        if (block.timestamp >= deadline) revert DeadlinePassed(deadline);
        bytes32 hidden = Fairness.roundCommit(_round(table, number), seed);
        if (!Fairness.proves(batch.root, hidden, place, batch.count, proof)) revert SeedRefused(number);
        batch.revealed |= uint256(1) << place;
        _unlock(batch, batch.maxLiability);
        emit RoundRevealed(table, number, seed);
    }

    /// @notice Pay a bet of a round whose seed was kept back: its liability, or what the round has left.
    /// @param signature The signer's of `signedRoot`; empty where that is the anchored one.
    function claim(
        string calldata table,
        uint64 first,
        uint64 number,
        Fairness.SignedRoot calldata signedRoot,
        bytes calldata signature,
        Fairness.RoundBet calldata bet,
        bytes32[] calldata proof
    ) external {
        Batch storage batch = batches[table][first];
        _claimable(batch, first, number);
        Fairness.Round memory round = _round(table, number);
        _hear(batch, round, signedRoot, signature);
        if (bet.payee == address(0)) revert BadRecipient(bet.payee);
        if (!Fairness.proves(signedRoot.root, Fairness.betLeaf(round, bet), bet.position, signedRoot.count, proof)) {
            revert BetRefused(bet.position);
        }
        uint256 amount = _take(batch, round, bet);
        emit BondClaimed(table, number, bet.position, bet.id, bet.payee, amount);
        _pay(bet.payee, amount);
    }

    /// @notice Show that two different roots were signed for one round: its deposit is lost.
    /// @param oneSignature Empty where `one` is the anchored root; `other` is always a signed one.
    function slash(
        string calldata table,
        uint64 first,
        uint64 number,
        Fairness.SignedRoot calldata one,
        bytes calldata oneSignature,
        Fairness.SignedRoot calldata other,
        bytes calldata otherSignature
    ) external {
        Batch storage batch = batches[table][first];
        Fairness.Round memory spot = _round(table, number);
        _lose(batch, first, number);
        bytes32 said = Fairness.rootDigest(spot, one);
        if (oneSignature.length != 0) _signed(said, oneSignature, batch.signer);
        else if (said != rounds[table][number].anchored) revert AnotherRoot(number);
        bytes32 contradicted = Fairness.rootDigest(spot, other);
        _signed(contradicted, otherSignature, batch.signer);
        if (said == contradicted) revert NoContradiction();
        _forfeit(spot, batch.maxLiability);
    }

    /// @notice After the claim window of a batch's last round, all that is still locked for it is free again.
    function release(string calldata table, uint64 first) external {
        Batch storage batch = batches[table][first];
        if (batch.count == 0) revert NoSuchBatch();
        uint64 over = _revealBy(batch, batch.count - 1) + claimWindow;
        if (block.timestamp < over) revert DeadlineAhead(over);
        uint256 amount = batch.held;
        if (amount == 0) revert AlreadyReleased();
        _unlock(batch, amount);
        emit BatchReleased(table, first, amount);
    }

    /// @notice Publish the root over the seeds of `count` pairs; commitments of pairs are numbered from 0.
    /// @param kind The beacon that activates these pairs once this is final.
    function commitPairs(uint64 number, bytes32 root, uint16 count, uint8 kind) external onlyKeeper {
        if (paused) revert IsPaused();
        if (kind != DRAND && kind != BLOCK) revert BadKind(kind);
        if (count == 0 || count > MOST_PAIRS) revert BadCount(count);
        if (root == bytes32(0)) revert BadRoot();
        if (number != nextPairs) revert IndexGap(nextPairs, number);
        nextPairs = number + 1;
        Pairs storage made = pairs[number];
        (made.root, made.count, made.kind) = (root, count, kind);
        emit PairsCommitted(number, root, count, kind);
    }

    /// @notice Show the seed of one pair and its proof, when it is played no more; anybody may who has it.
    function revealPair(
        uint64 number,
        uint16 place,
        string calldata account,
        uint64 epoch,
        bytes32 seed,
        bytes32[] calldata proof
    ) external {
        Pairs storage made = pairs[number];
        if (!_isAccount(bytes(account))) revert BadAccount();
        if (made.count == 0) revert NoSuchBatch();
        if (place >= made.count) revert NoSuchPair(place);
        if (_has(made.revealed, place)) revert AlreadyRevealed(place);
        bytes32 hidden = Fairness.pairCommit(chain, account, epoch, seed);
        if (!Fairness.proves(made.root, hidden, place, made.count, proof)) revert SeedRefused(place);
        made.revealed |= uint256(1) << place;
        emit PairRevealed(number, place, account, epoch, seed);
    }

    /// @notice Add to the bond.
    function fund() external payable {
        if (msg.value == 0) revert NothingToMove();
        emit BondFunded(msg.sender, msg.value);
    }

    /// @notice The owner takes from the free part of the bond.
    function withdraw(uint256 amount) external onlyOwner {
        if (amount == 0) revert NothingToMove();
        if (free() < amount) revert BondTooSmall(free(), amount);
        emit BondWithdrawn(msg.sender, amount);
        _pay(msg.sender, amount);
    }

    /// @notice Stop or resume new commits; what is committed goes its way all the same.
    function setPaused(bool paused_) external onlyOwner {
        paused = paused_;
        emit PauseSet(paused_);
    }

    /// @notice Name the only address that may commit and anchor.
    function setKeeper(address keeper_) external onlyOwner {
        _setKeeper(keeper_);
    }

    /// @notice Name who signs the roots of bets, for batches from now on; a batch keeps its own.
    function setSigner(address signer_) external onlyOwner {
        _setSigner(signer_);
    }

    /// @notice One batch of a table by its first round; its count is 0 when there is none.
    function batchAt(string calldata table, uint64 first) external view returns (Batch memory) {
        return batches[table][first];
    }

    /// @notice The digest of what is fixed for a round, zero when nothing is, and what was claimed of it.
    function roundAt(string calldata table, uint64 number) external view returns (Round memory) {
        return rounds[table][number];
    }

    /// @notice Whether a bet of a round was paid.
    function claimed(string calldata table, uint64 number, uint32 position) external view returns (bool) {
        return _has(marks[table][number][position >> 8], position & 255);
    }

    /// @notice One commitment of pairs by its number; its count is 0 when there is none.
    function pairsAt(uint64 number) external view returns (Pairs memory) {
        return pairs[number];
    }

    /// @notice Settings and standing of the bond in one call.
    function standing() external view returns (Standing memory) {
        return Standing({
            owner: owner,
            keeper: keeper,
            signer: signer,
            paused: paused,
            claimWindow: claimWindow,
            balance: address(this).balance,
            locked: locked,
            free: free()
        });
    }

    /// @notice What no round can claim.
    function free() public view returns (uint256) {
        return address(this).balance - locked;
    }

    function _setKeeper(address keeper_) private {
        if (keeper_ == address(0)) revert BadSetting();
        keeper = keeper_;
        emit KeeperSet(keeper_);
    }

    function _setSigner(address signer_) private {
        if (signer_ == address(0)) revert BadSetting();
        signer = signer_;
        emit SignerSet(signer_);
    }

    /// @dev Rounds are numbered without a gap, and a batch begins ahead and not before the last one ends.
    function _follow(Table storage table, uint64 first, uint32 count, Schedule calldata schedule) private {
        (uint64 next, uint64 ends) = (table.next, table.ends);
        if (first != next) revert IndexGap(next, first);
        if (schedule.opens <= block.timestamp) revert LateCommit(schedule.opens);
        if (schedule.opens > block.timestamp + FARTHEST || schedule.period > LONGEST_WINDOW) revert BadSchedule();
        if (schedule.lead >= schedule.period) revert BadSchedule();
        if (schedule.revealWindow < SHORTEST_WINDOW || schedule.revealWindow > LONGEST_WINDOW) revert BadSchedule();
        uint64 end = schedule.opens + uint64(schedule.period) * count;
        if (end > block.timestamp + FARTHEST) revert BadSchedule();
        if (schedule.opens < ends) revert Overlap(ends, schedule.opens);
        (table.next, table.ends) = (first + count, end);
    }

    /// @dev Takes down what was signed for one round, from its close until its seed is due.
    function _fix(
        Batch storage batch,
        uint64 first,
        Fairness.Round memory spot,
        Fairness.SignedRoot memory signedRoot
    ) private {
        uint64 place = _place(batch, first, spot.number);
        uint64 deadline = _revealBy(batch, place);
        uint64 closes = deadline - batch.revealWindow;
        if (block.timestamp < closes) revert RoundOpen(closes);
        if (block.timestamp >= deadline) revert DeadlinePassed(deadline);
        if (signedRoot.count > MOST_BETS) revert BadCount(signedRoot.count);
        if ((signedRoot.count == 0) != (signedRoot.root == bytes32(0))) revert BadRoot();
        if (signedRoot.liability > (signedRoot.count == 0 ? 0 : batch.maxLiability)) {
            revert BadLiability(signedRoot.liability);
        }
        Round storage kept = rounds[spot.table][spot.number];
        if (kept.anchored != bytes32(0)) revert AlreadyAnchored(spot.number);
        kept.anchored = Fairness.rootDigest(spot, signedRoot);
    }

    /// @dev A round can be claimed once its seed is overdue, and for as long as the window says.
    function _claimable(Batch storage batch, uint64 first, uint64 number) private view {
        uint64 place = _place(batch, first, number);
        if (_has(batch.revealed, place)) revert AlreadyRevealed(number);
        uint64 due = _revealBy(batch, place);
        if (block.timestamp < due) revert DeadlineAhead(due);
        if (block.timestamp >= due + claimWindow) revert DeadlinePassed(due + claimWindow);
    }

    /// @dev The root must be the one that is fixed; the first signed one that is claimed by becomes that.
    function _hear(
        Batch storage batch,
        Fairness.Round memory spot,
        Fairness.SignedRoot calldata signedRoot,
        bytes calldata signature
    ) private {
        bytes32 digest = Fairness.rootDigest(spot, signedRoot);
        Round storage kept = rounds[spot.table][spot.number];
        if (kept.anchored == digest) return;
        if (kept.anchored != bytes32(0)) revert AnotherRoot(spot.number);
        if (signedRoot.count > MOST_BETS) revert BadCount(signedRoot.count);
        _signed(digest, signature, batch.signer);
        kept.anchored = digest;
        (bytes32[] memory roots, uint32[] memory counts) = (new bytes32[](1), new uint32[](1));
        uint128[] memory liabilities = new uint128[](1);
        (roots[0], counts[0], liabilities[0]) = (signedRoot.root, signedRoot.count, signedRoot.liability);
        emit RootsAnchored(spot.table, spot.number, roots, counts, liabilities);
    }

    /// @dev Marks a bet as paid, before it is, and takes what it gets out of what is locked.
    function _take(Batch storage batch, Fairness.Round memory spot, Fairness.RoundBet calldata bet)
        private
        returns (uint256 amount)
    {
        mapping(uint256 => uint256) storage words = marks[spot.table][spot.number];
        (uint256 word, uint256 place) = (bet.position >> 8, bet.position & 255);
        if (_has(words[word], place)) revert AlreadyClaimed(bet.position);
        if (bet.liability == 0) revert NothingToMove();
        Round storage kept = rounds[spot.table][spot.number];
        uint128 left = batch.maxLiability - kept.paid;
        if (left == 0) revert NothingLeft(spot.number);
        uint128 share = bet.liability < left ? bet.liability : left;
        words[word] |= uint256(1) << place;
        kept.paid += share;
        _unlock(batch, share);
        return share;
    }

    /// @dev Takes a round's deposit out of what is locked, once.
    function _lose(Batch storage batch, uint64 first, uint64 number) private {
        uint64 place = _place(batch, first, number);
        if (_has(batch.slashed, place)) revert AlreadySlashed(number);
        if (batch.held == 0) revert AlreadyReleased();
        batch.slashed |= uint256(1) << place;
        _unlock(batch, batch.maxLiability);
    }

    /// @dev A part of the deposit goes to who showed the contradiction, the rest to nobody.
    function _forfeit(Fairness.Round memory spot, uint256 deposit) private {
        uint256 reward = deposit / REWARD_PART;
        emit BondSlashed(spot.table, spot.number, msg.sender, reward, deposit - reward);
        _pay(msg.sender, reward);
        _pay(address(0), deposit - reward);
    }

    function _signed(bytes32 digest, bytes calldata signature, address who) private pure {
        address found = Fairness.signerOf(digest, signature);
        if (found == address(0)) revert BadSignature();
        if (found != who) revert WrongSigner(found);
    }

    function _unlock(Batch storage batch, uint256 amount) private {
        batch.held -= amount;
        locked -= amount;
    }

    function _pay(address to, uint256 amount) private {
        if (amount == 0) return;
        (bool ok,) = to.call{value: amount}("");
        if (!ok) revert PaymentFailed(to, amount);
    }

    function _round(string calldata table, uint64 number) private view returns (Fairness.Round memory) {
        return Fairness.Round(chain, address(this), table, number);
    }

    /// @dev Where a round stands in its batch.
    function _place(Batch storage batch, uint64 first, uint64 number) private view returns (uint64) {
        if (batch.count == 0) revert NoSuchBatch();
        if (number < first || number - first >= batch.count) revert NoSuchRound(number);
        return number - first;
    }

    /// @dev From this second on the round's seed is too late.
    function _revealBy(Batch storage batch, uint64 place) private view returns (uint64) {
        return batch.opens + (place + 1) * uint64(batch.period) - batch.lead + batch.revealWindow;
    }

    function _has(uint256 bits, uint256 place) private pure returns (bool) {
        return bits >> place & 1 == 1;
    }

    /// @dev 1 to 32 of a-z, 0-9 and the dash.
    function _isName(bytes calldata text) private pure returns (bool) {
        if (text.length == 0 || text.length > 32) return false;
        for (uint256 i = 0; i < text.length; ++i) {
            bytes1 letter = text[i];
            bool fits = (letter >= "a" && letter <= "z") || (letter >= "0" && letter <= "9") || letter == "-";
            if (!fits) return false;
        }
        return true;
    }

    /// @dev 1 to 160 visible ASCII characters.
    function _isAccount(bytes calldata text) private pure returns (bool) {
        if (text.length == 0 || text.length > 160) return false;
        for (uint256 i = 0; i < text.length; ++i) {
            if (text[i] < "!" || text[i] > "~") return false;
        }
        return true;
    }
}
