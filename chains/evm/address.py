"""EVM addresses: 20 bytes, written as lowercase hex after 0x."""

from __future__ import annotations

import re

from Crypto.Hash import keccak

from chains.errors import BadAddress

LENGTH = 20
LARGEST = 2**256 - 1
"""The largest amount that a transfer can name."""
PRECOMPILED = 0xFFFF
SHAPE = re.compile(r"0x[0-9a-fA-F]{40}")


def parse(text: str) -> bytes:
    """The bytes of an address; a mixed-case one must carry the right checksum (EIP-55)."""
    if not isinstance(text, str) or not SHAPE.fullmatch(text):
        raise BadAddress(f"{text!r} is no EVM address")
    digits = text[2:]
    if digits not in (digits.lower(), digits.upper()) and checksummed(text) != text:
        raise BadAddress(f"{text!r} has a wrong checksum")
    return bytes.fromhex(digits)


def canonical(text: str) -> str:
    """The one way we write this address."""
    return write(parse(text))


def is_valid(text: str) -> bool:
    try:
        parse(text)
    except BadAddress:
        return False
    return True


def write(address: bytes) -> str:
    """The text of 20 bytes."""
    return "0x" + address.hex()


def checksummed(text: str) -> str:
    """The address in the mixed case of EIP-55, for people."""
    digits = text[2:].lower()
    marks = keccak256(digits.encode()).hex()
    return "0x" + "".join(
        letter.upper() if int(mark, 16) >= 8 else letter
        for letter, mark in zip(digits, marks, strict=False)
    )


def keccak256(data: bytes) -> bytes:
    return bytes(keccak.new(digest_bits=256, data=data).digest())


def lost(address: bytes) -> bool:
    """Whether nobody could ever move what is sent there: zero, and precompiled contracts."""
    return int.from_bytes(address, "big") <= PRECOMPILED


def of_program(program: str) -> set[str]:
    """The addresses that a contract itself holds."""
    return {program}
