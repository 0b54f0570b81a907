"""Scheduled rounds: a committed seed, the root of all bets and a later beacon, one outcome."""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from games.fairness import merkle
from games.fairness.encoding import (
    address_sizes,
    check_chain,
    check_size,
    check_unsigned,
    check_words,
    tag,
    u64,
    u256,
)

SEED = 32
TABLE = re.compile(rb"[a-z0-9-]{1,32}")
NUMBERED = re.compile(rb"-[0-9]+$")
MAX_ROUNDS = 256  # in one batch
NO_BETS = bytes(32)

DRAND, BLOCK, NONE = b"drand", b"block", b"none"
KINDS = (DRAND, BLOCK, NONE)
AFTER_CLOSE = 2  # seconds that lie at least between the last bet and the beacon

# drand quicknet, from drand/drand-client lib/defaults.ts: scheme bls-unchained-g1-rfc9380.
QUICKNET = bytes.fromhex("52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971")
QUICKNET_GENESIS = 1_692_803_367
QUICKNET_PERIOD = 3


@dataclass(frozen=True, slots=True)
class Round:
    """One round of one table; `program` is the raw address of the bond's contract."""

    chain: bytes  # CAIP-2, such as b"eip155:31337"
    program: bytes
    table: bytes  # such as b"numbers" or b"numbers-2"
    number: int  # counted from 0 at each table, without a gap

    def __post_init__(self) -> None:
        check_chain(self.chain)
        check_size("a program of this chain", self.program, *address_sizes(self.chain))
        if not TABLE.fullmatch(self.table):
            raise ValueError(f"a table is named by 1..32 of a-z, 0-9 and -, not {self.table!r}")
        check_unsigned("a round", self.number)

    def commit(self, seed: bytes) -> bytes:
        """C_n, the leaf of a batch's tree; one seed for one round."""
        check_size("a seed", seed, SEED)
        return sha256(tag(b"round-commit", self.chain, self.table, u64(self.number), seed)).digest()

    def outcome(self, *, seed: bytes, bets_root: bytes, beacon: bytes) -> bytes:
        """HMAC-SHA256 under the seed; `beacon` is the hash of one, not its randomness."""
        check_size("a seed", seed, SEED)
        check_size("a root of bets", bets_root, 32)
        check_size("a beacon's hash", beacon, 32)
        message = tag(b"round-out", self.chain, self.table, u64(self.number), bets_root, beacon)
        return hmac.digest(seed, message, sha256)


def game_of(table: bytes) -> bytes:
    """The game played at a table: `numbers` at `numbers` and at `numbers-2`."""
    return NUMBERED.sub(b"", table)


@dataclass(frozen=True, slots=True)
class Schedule:
    """What a batch of rounds declares on chain before the first one opens; times in unix s."""

    first: int
    count: int
    opens: int  # when the first round of the batch opens
    period: int
    lead: int  # betting closes so long before the next round opens
    reveal_window: int
    kind: bytes  # of beacon
    max_liability: int  # of one round, in the smallest unit of the chain's coin
    signer: bytes  # who signs the roots of bets: a 20-byte address on every chain

    def __post_init__(self) -> None:
        for name in ("first", "opens", "period", "lead", "reveal_window"):
            check_unsigned(name, getattr(self, name))
        check_unsigned("max_liability", self.max_liability, bits=256)
        if not 1 <= self.count <= MAX_ROUNDS:
            raise ValueError(f"a batch has 1..{MAX_ROUNDS} rounds, not {self.count}")
        check_unsigned("the batch's last round", self.first + self.count - 1)
        if not self.lead < self.period:
            raise ValueError(f"betting closes after it opens: lead {self.lead} of {self.period} s")
        if self.reveal_window == 0:
            raise ValueError("a reveal needs a window of at least one second")
        check_unsigned("the end of the batch", self.reveal_by(self.first + self.count - 1))
        if self.kind not in KINDS:
            raise ValueError(f"a beacon is drand, block or none, not {self.kind!r}")
        check_size("a signer", self.signer, 20)

    def __contains__(self, number: int) -> bool:
        return self.first <= number < self.first + self.count

    def opens_at(self, number: int) -> int:
        return self.opens + (number - self.first) * self.period

    def closes_at(self, number: int) -> int:
        return self.opens_at(number) + self.period - self.lead

    def reveal_by(self, number: int) -> int:
        return self.closes_at(number) + self.reveal_window


def details(*, account: bytes, asset: bytes, game: bytes, params: bytes) -> bytes:
    """D, what a bet is about beyond what the bond must know; `params` is the encoded choice."""
    check_words("an account", account)
    check_words("an asset", asset)
    check_words("a game", game)
    return sha256(tag(b"bet-details", account, asset, game, params)).digest()


@dataclass(frozen=True, slots=True)
class RoundBet:
    """A bet as the bond knows it; amounts in the smallest unit of the asset and of the coin."""

    round: Round
    position: int  # the order of acceptance, from 0
    bet_id: bytes
    payee: bytes  # a raw address of the chain, zeros when the bettor has none
    stake: int
    liability: int  # the most it can win beyond its stake, in the bond's coin
    details: bytes

    def __post_init__(self) -> None:
        check_unsigned("a position", self.position)
        check_size("a bet's id", self.bet_id, 32)
        check_size("a payee", self.payee, len(self.round.program))
        check_unsigned("a stake", self.stake, bits=256)
        check_unsigned("a liability", self.liability, bits=256)
        check_size("a bet's details", self.details, 32)

    @property
    def leaf(self) -> bytes:
        return sha256(
            tag(
                b"round-bet",
                self.round.chain,
                self.round.program,
                self.round.table,
                u64(self.round.number),
                u64(self.position),
                self.bet_id,
                self.payee,
                u256(self.stake),
                u256(self.liability),
                self.details,
            )
        ).digest()


def bets_root(leaves: Sequence[bytes]) -> bytes:
    """B_n over the leaves in their order; 32 zero bytes for a round without bets."""
    return merkle.Tree.over(leaves).root if leaves else NO_BETS


@dataclass(frozen=True, slots=True)
class SignedRoot:
    """What the house signs at a round's close: these bets, so many, so much at stake for it."""

    round: Round
    root: bytes
    count: int
    liability: int

    def __post_init__(self) -> None:
        check_size("a root of bets", self.root, 32)
        check_unsigned("a count of bets", self.count)
        check_unsigned("a liability", self.liability, bits=256)
        if (self.count == 0) != (self.root == NO_BETS):
            raise ValueError("a round without bets, and no other, has a root of zeros")
        if self.count == 0 and self.liability:
            raise ValueError("a round without bets has no liability")

    @property
    def digest(self) -> bytes:
        """What secp256k1 signs as it is, without any prefix."""
        return sha256(
            tag(
                b"bets-root",
                self.round.chain,
                self.round.program,
                self.round.table,
                u64(self.round.number),
                self.root,
                u64(self.count),
                u256(self.liability),
            )
        ).digest()


@dataclass(frozen=True, slots=True)
class BetReceipt:
    """What the house signs when it accepts a bet: this leaf, at this place of this round."""

    round: Round
    position: int
    leaf: bytes

    def __post_init__(self) -> None:
        check_unsigned("a position", self.position)
        check_size("a leaf", self.leaf, 32)

    @property
    def digest(self) -> bytes:
        """What secp256k1 signs as it is, without any prefix, with the key of the batch's signer."""
        return sha256(
            tag(
                b"round-accept",
                self.round.chain,
                self.round.program,
                self.round.table,
                u64(self.round.number),
                u64(self.position),
                self.leaf,
            )
        ).digest()

    def left_out(
        self, root: SignedRoot, *, leaf: bytes | None = None, proof: Sequence[bytes] = ()
    ) -> bool:
        """Whether a root that was signed for this round shows that the bet is not in it.

        It has no such place, or `proof` leads from another `leaf` at this place to it.
        """
        if root.round != self.round:
            return False
        if self.position >= root.count:
            return True
        if leaf is None or leaf == self.leaf or root.count > merkle.MAX_LEAVES:
            return False
        place = self.position
        return merkle.verify(root.root, leaf, position=place, count=root.count, proof=proof)


@dataclass(frozen=True, slots=True)
class Beacon:
    """Chance that nobody knew while betting was open: a round of drand, or the hash of a block."""

    kind: bytes
    chain_hash: bytes  # drand's own, or of_chain(caip2) of the chain whose block it is
    round: int  # drand's round, or the block's number
    randomness: bytes

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"a beacon is drand, block or none, not {self.kind!r}")
        check_size("a beacon's chain hash", self.chain_hash, 32)
        check_unsigned("a beacon's round", self.round)
        check_size("a beacon's randomness", self.randomness, 32)
        if self.kind == NONE and (any(self.chain_hash + self.randomness) or self.round):
            raise ValueError("a beacon of kind none is zeros throughout")

    @property
    def hash(self) -> bytes:
        return sha256(
            tag(b"beacon", self.kind, self.chain_hash, u64(self.round), self.randomness)
        ).digest()


NO_BEACON = Beacon(NONE, bytes(32), 0, bytes(32))


def of_chain(caip2: bytes) -> bytes:
    """The chain hash of a beacon of kind `block`."""
    check_chain(caip2)
    return sha256(caip2).digest()


def drand_round(closes_at: int) -> int:
    """The first round of quicknet strictly later than two seconds after closing."""
    since = closes_at + AFTER_CLOSE - QUICKNET_GENESIS
    if since < 0:
        raise ValueError(f"quicknet began at {QUICKNET_GENESIS}, after {closes_at}")
    return since // QUICKNET_PERIOD + 2


def drand_time(number: int) -> int:
    """When a round of quicknet is due, in unix seconds; its first round has the number 1."""
    if number < 1:
        raise ValueError(f"rounds of drand count from 1, not {number}")
    return QUICKNET_GENESIS + (number - 1) * QUICKNET_PERIOD
