"""Pairs: one seed of the house and one of a player, for many bets, told apart by their nonce."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from hashlib import sha256

from games.fairness.encoding import check_chain, check_size, check_unsigned, check_words, tag, u64

SEED = 32
CLIENT_SEED = range(1, 65)
MAX_BETS = 65_536  # with one seed: its receipts fit one Merkle tree


def check_client_seed(client_seed: bytes) -> None:
    """Raises `ValueError` unless it is 1..64 bytes of UTF-8."""
    if len(client_seed) not in CLIENT_SEED:
        raise ValueError(f"a client seed has 1..64 bytes, not {len(client_seed)}")
    try:
        client_seed.decode()
    except UnicodeDecodeError:
        raise ValueError(f"a client seed is UTF-8, not {client_seed.hex()}") from None


def check_nonce(nonce: int) -> None:
    """Raises `ValueError` beyond the bets that one seed may serve."""
    if not 0 <= nonce < MAX_BETS:
        raise ValueError(f"one seed serves the nonces 0..{MAX_BETS - 1}, not {nonce}")


def hash_params(params: bytes) -> bytes:
    """What an outcome and a receipt know of an encoded choice."""
    return sha256(params).digest()


@dataclass(frozen=True, slots=True)
class Pair:
    """One epoch of an account: the next one is this one plus 1, and begins at nonce 0."""

    chain: bytes  # CAIP-2 of where it is committed
    account: bytes
    epoch: int

    def __post_init__(self) -> None:
        check_chain(self.chain)
        check_words("an account", self.account)
        check_unsigned("an epoch", self.epoch)

    def commit(self, seed: bytes) -> bytes:
        """S_e, published before the player chooses a seed."""
        check_size("a seed", seed, SEED)
        return sha256(tag(b"pair-commit", self.chain, self.account, u64(self.epoch), seed)).digest()

    def outcome(
        self,
        *,
        seed: bytes,
        client_seed: bytes,
        activation: bytes,
        nonce: int,
        game: bytes,
        params: bytes,
    ) -> bytes:
        """HMAC-SHA256 under the seed.

        `activation` is the hash of a beacon that came after the commitment was final: a house that
        knows the client seed beforehand gains nothing by it.
        """
        check_size("a seed", seed, SEED)
        check_client_seed(client_seed)
        check_size("an activation beacon's hash", activation, 32)
        check_nonce(nonce)
        check_words("a game", game)
        message = tag(
            b"pair-out",
            self.chain,
            self.account,
            u64(self.epoch),
            client_seed,
            activation,
            u64(nonce),
            game,
            hash_params(params),
        )
        return hmac.digest(seed, message, sha256)
