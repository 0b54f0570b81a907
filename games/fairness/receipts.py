"""Receipts: what the house signs for each bet of a pair, each holding on to the one before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from games.fairness.encoding import check_size, check_unsigned, check_words, tag, u64, u256
from games.fairness.pairs import Pair, check_client_seed, check_nonce


class BrokenReceipts(ValueError):
    """Receipts that do not follow one another; `at` is the place in the row, from 0."""

    def __init__(self, at: int, reason: str) -> None:
        super().__init__(f"receipt {at}: {reason}")
        self.at = at


class NonceReused(BrokenReceipts):
    """A nonce that an earlier receipt has already used."""


class NonceSkipped(BrokenReceipts):
    """A nonce further on than the next one."""


class LinkBroken(BrokenReceipts):
    """A receipt that holds on to another one than the one before it."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """One accepted bet of a pair, said and signed before it is settled; `at` in unix ms."""

    pair: Pair
    nonce: int
    client_seed: bytes
    activation: bytes  # the hash of the activation beacon
    asset: bytes
    game: bytes
    params_hash: bytes
    stake: int
    at: int
    previous: bytes  # the digest of the receipt before; the pair's commitment at nonce 0

    def __post_init__(self) -> None:
        check_nonce(self.nonce)
        check_client_seed(self.client_seed)
        check_size("an activation beacon's hash", self.activation, 32)
        check_words("an asset", self.asset)
        check_words("a game", self.game)
        check_size("a hash of params", self.params_hash, 32)
        check_unsigned("a stake", self.stake, bits=256)
        check_unsigned("a time", self.at)
        check_size("a link", self.previous, 32)

    @property
    def digest(self) -> bytes:
        """What the house signs, and what the next receipt holds on to."""
        return sha256(
            tag(
                b"pair-receipt",
                self.pair.chain,
                self.pair.account,
                u64(self.pair.epoch),
                u64(self.nonce),
                self.client_seed,
                self.activation,
                self.asset,
                self.game,
                self.params_hash,
                u256(self.stake),
                u64(self.at),
                self.previous,
            )
        ).digest()


def check_receipts(
    receipts: Sequence[Receipt], *, previous: bytes, first: int = 0, count: int | None = None
) -> bytes:
    """The digest of the last of a pair's receipts, which begin at the nonce `first`.

    `previous` is what the first one holds on to: the pair's commitment at nonce 0. `count` is how
    many bets the house says it took with the seed. Raises `NonceReused`, `NonceSkipped` or
    `LinkBroken`; `BrokenReceipts` itself for another pair or another count.
    """
    last = previous
    for at, receipt in enumerate(receipts):
        nonce = first + at
        if receipt.pair != receipts[0].pair:
            raise BrokenReceipts(at, f"{receipt.pair} is not {receipts[0].pair}")
        if receipt.nonce < nonce:
            raise NonceReused(at, f"nonce {receipt.nonce} came before")
        if receipt.nonce > nonce:
            raise NonceSkipped(at, f"nonce {nonce} is missing before {receipt.nonce}")
        if receipt.previous != last:
            raise LinkBroken(at, f"it holds on to {receipt.previous.hex()}, not {last.hex()}")
        last = receipt.digest
    if count is not None and count != first + len(receipts):
        taken = first + len(receipts)
        raise BrokenReceipts(len(receipts), f"{count} bets were taken, and {taken} have a receipt")
    return last
