"""Encoding: length-prefixed fields under a name, so that no two meanings share their bytes."""

from __future__ import annotations

import re

SCHEME = b"cgf/v1/"
MAX_FIELD = 0xFFFF
CAIP2 = re.compile(rb"[-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,32}")
WORDS = re.compile(rb"[!-~]{1,160}")
ADDRESS_SIZES = {b"eip155": (20,), b"solana": (32,)}


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


def check_unsigned(name: str, number: int, *, bits: int = 64) -> None:
    """Raises `ValueError` unless the number fits."""
    if not 0 <= number < 1 << bits:
        raise ValueError(f"{name} is within 0..2^{bits}-1, not {number}")


def check_size(name: str, field: bytes, *sizes: int) -> None:
    """Raises `ValueError` unless the field has one of the sizes."""
    if len(field) not in sizes:
        raise ValueError(f"{name} has {' or '.join(map(str, sizes))} bytes, not {len(field)}")


def check_words(name: str, field: bytes) -> None:
    """Raises `ValueError` unless the field is 1..160 visible ASCII characters."""
    if not WORDS.fullmatch(field):
        raise ValueError(f"{name} is 1..160 visible ASCII characters, not {field[:40]!r}")


def check_chain(chain: bytes) -> None:
    """Raises `ValueError` unless it is a CAIP-2 name."""
    if not CAIP2.fullmatch(chain):
        raise ValueError(f"a chain is named by CAIP-2, such as eip155:1, not {chain[:40]!r}")


def address_sizes(chain: bytes) -> tuple[int, ...]:
    """How many bytes a raw address of this chain may have."""
    return ADDRESS_SIZES.get(chain.split(b":")[0], (20, 32))
