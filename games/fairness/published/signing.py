"""Signing for the vectors: secp256k1 in whole numbers, slow, and only for keys that are public."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

# SEC 2, section 2.4.1.
P = 2**256 - 2**32 - 977
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
G = (
    0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
    0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
)
Point = tuple[int, int] | None


def add(one: Point, two: Point) -> Point:
    if one is None or two is None:
        return one or two
    (x, y), (u, v) = one, two
    if x == u and (y + v) % P == 0:
        return None
    slope = (3 * x * x * pow(2 * y, -1, P) if one == two else (v - y) * pow(u - x, -1, P)) % P
    across = (slope * slope - x - u) % P
    return across, (slope * (x - across) - y) % P


def doubled(point: Point) -> Iterator[Point]:
    """The point, twice the point, four times, up to 2^255 times."""
    for _ in range(256):
        yield point
        point = add(point, point)


POWERS = tuple(doubled(G))


def times(number: int) -> Point:
    """The generator so many times."""
    total: Point = None
    for bit, power in enumerate(POWERS):
        if number >> bit & 1:
            total = add(total, power)
    return total


def sign(key: int, digest: bytes) -> bytes:
    """r || s || v with a low s and v of 27 or 28, always the same for the same key and digest."""
    secret = int.from_bytes(sha256(key.to_bytes(32, "big") + digest).digest(), "big") % N
    point = times(secret)
    assert point is not None
    r = point[0] % N
    s = pow(secret, -1, N) * (int.from_bytes(digest, "big") + r * key) % N
    odd = point[1] & 1
    s, odd = (N - s, odd ^ 1) if s > N // 2 else (s, odd)
    return r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([27 + odd])
