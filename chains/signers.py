"""The house's signatures under secp256k1: of roots of bets, and of what it accepts."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from coincurve import PrivateKey

from chains.errors import ChainError
from chains.evm.address import keccak256


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs, by the 20-byte address that contracts of every chain know it by.

    Equal digests give equal signatures (RFC 6979).
    """

    address: bytes
    _secret: PrivateKey = field(repr=False, compare=False)

    def __call__(self, digest: bytes) -> bytes:
        """65 bytes over 32: r, s, and 27 or 28, with the low s of the two."""
        made = self._secret.sign_recoverable(digest, hasher=None)
        return made[:64] + bytes([made[64] + 27])


class NoSigner(ChainError):
    """What is set as the key that signs is none."""


@lru_cache(maxsize=8)
def signer(key: str) -> Signer:
    """The signer of a key: 32 bytes in hex. Raises `NoSigner`."""
    try:
        raw = bytes.fromhex(key.removeprefix("0x"))
        if len(raw) != 32:
            raise ValueError(f"a key has 32 bytes, not {len(raw)}")
        secret = PrivateKey(raw)
    except ValueError:  # its text may hold the key
        raise NoSigner("FAIRHOUSE_SIGNER_KEY is no key of 32 bytes in hex") from None
    point = secret.public_key.format(compressed=False)
    return Signer(keccak256(point[1:])[12:], secret)
