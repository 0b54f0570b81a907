"""The signer of a house: what it says about bets, anybody can hold against it."""

from __future__ import annotations

from coincurve import PrivateKey

from chains.evm.address import keccak256


class Signer:
    """Signs digests with a key in hex: r, s and 27 or 28, with the low s of the two.

    `address` is what contracts and proofs know it by, 20 bytes. Raises `ValueError` for no key.
    """

    def __init__(self, key: str) -> None:
        self._secret = PrivateKey(bytes.fromhex(key.removeprefix("0x")))
        self.address = keccak256(self._secret.public_key.format(compressed=False)[1:])[12:]

    def __call__(self, digest: bytes) -> bytes:
        made = self._secret.sign_recoverable(digest, hasher=None)
        return made[:64] + bytes([made[64] + 27])
