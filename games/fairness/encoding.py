"""Encoding: length-prefixed fields under a name, so that no two meanings share their bytes."""

from __future__ import annotations

SCHEME = b"cgf/v1/"
MAX_FIELD = 0xFFFF


def tag(name: bytes, *fields: bytes) -> bytes:
    """`cgf/v1/<name> 00`, then each field behind its length as two bytes, big-endian."""
    parts = [SCHEME, name, b"\0"]
    for field in fields:
        if len(field) > MAX_FIELD:
            raise ValueError(f"a field holds at most {MAX_FIELD} bytes, not {len(field)}")
        parts += [len(field).to_bytes(2, "big"), field]
    return b"".join(parts)


def u64(number: int) -> bytes:
    """Eight bytes, big-endian. Raises `OverflowError` outside 0..2^64-1."""
    return number.to_bytes(8, "big")


def u256(number: int) -> bytes:
    """Thirty-two bytes, big-endian. Raises `OverflowError` outside 0..2^256-1."""
    return number.to_bytes(32, "big")
