"""Drand's quicknet: what makes a signature of a round its own, without any network.

A draw is a BLS signature over the number of its round, which a threshold of drand's members must
make together: nobody can choose it, and nobody outside that threshold knows it early. It is the
only possible one; and a chain that ended stays checkable, because its public key is here (scheme
bls-unchained-g1-rfc9380, drand/drand crypto/schemes.go).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

from py_arkworks_bls12381 import GT, G1Point, G2Point

from chains.beacons import Forged, check_moment

# Of the RFC; the older scheme bls-unchained-on-g1 signed under G2's, with points of the same size.
DOMAIN = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_"


@dataclass(frozen=True, slots=True)
class Chain:
    """What a drand chain is from its first round to its last; times in seconds."""

    beacon_id: str
    public_key: bytes  # a point of G2, compressed
    period: int
    genesis: int
    group_hash: bytes

    @property
    def hash(self) -> bytes:
        """The chain's name, which binds all of this (drand/drand common/chain/info.go)."""
        times = self.period.to_bytes(4, "big") + self.genesis.to_bytes(8, "big")
        named = self.public_key + self.group_hash + self.beacon_id.encode()
        return sha256(times + named).digest()

    def first_after(self, moment: float) -> int:
        """The first round strictly later than a moment; rounds count from 1."""
        since = math.floor(check_moment(moment)) - self.genesis
        if since < 0:
            raise ValueError(f"drand's {self.beacon_id} began at {self.genesis}, after {moment}")
        return since // self.period + 2

    def time(self, number: int) -> int:
        return self.genesis + (number - 1) * self.period


# From drand/drand-client lib/defaults.ts; its hash is the one that everybody names it by.
QUICKNET = Chain(
    beacon_id="quicknet",
    public_key=bytes.fromhex(
        "83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c"
        "8c4b450b6a0a6c3ac6a5776a2d1064510d1fec758c921cc22b0e17e63aaf4bcb"
        "5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8991ef5ece45a"
    ),
    period=3,
    genesis=1_692_803_367,
    group_hash=bytes.fromhex("f477d5c89f21a17c863a7f937c6a6d15859414d2be09cd448d4279af331c5d3e"),
)
# Every chain that a batch ever named, so that its rounds can be checked when it is gone.
KNOWN = {chain.hash: chain for chain in (QUICKNET,)}


def check(chain: Chain, number: int, signature: bytes) -> None:
    """Raises `Forged` unless this is the chain's signature of a round."""
    try:
        # In one way only: another way to write the point would be another randomness, its hash.
        point = G1Point.from_compressed_bytes(signature)
    except ValueError as error:
        raise Forged(f"the signature of round {number} is no point of G1") from error
    message = G1Point.hash_to_curve(sha256(number.to_bytes(8, "big")).digest(), DOMAIN)
    if not GT.pairing_check([point, message], [-G2Point(), key(chain.public_key)]):
        raise Forged(f"the signature of round {number} is not of drand's {chain.beacon_id}")


@lru_cache(maxsize=8)
def key(public_key: bytes) -> G2Point:
    return G2Point.from_compressed_bytes(public_key)
