"""Solana addresses: 32 bytes, written in base58."""

from __future__ import annotations

from functools import lru_cache

from solders.pubkey import Pubkey

from chains.errors import BadAddress

LENGTH = 32
LARGEST = 2**64 - 1
"""The largest amount that a transfer can name."""
ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
DIGITS = {letter: value for value, letter in enumerate(ALPHABET)}
CHUNK = 10
"""58^10 still fits 64 bits, so ten letters cost one step of long arithmetic."""


def parse(text: str) -> bytes:
    """The bytes of an address."""
    try:
        return bytes(Pubkey.from_string(text))
    except (ValueError, TypeError) as error:
        raise BadAddress(f"{text!r} is no Solana address") from error


def canonical(text: str) -> str:
    """The one way we write this address."""
    return write(parse(text))


def is_valid(text: str) -> bool:
    try:
        parse(text)
    except BadAddress:
        return False
    return True


@lru_cache(maxsize=1 << 16)
def write(address: bytes) -> str:
    """The text of 32 bytes."""
    return str(Pubkey(address))


@lru_cache(maxsize=4096)
def derived(program: str, *seeds: bytes) -> str:
    """The program derived address of these seeds."""
    found, _bump = Pubkey.find_program_address(list(seeds), Pubkey(parse(program)))
    return str(found)


def event_authority(program: str) -> str:
    """The account that signs Anchor's `emit_cpi!` events of a program."""
    return derived(program, b"__event_authority")


def lost(address: bytes) -> bool:
    """Whether nobody could ever move what is sent there: the system program."""
    return not any(address)


def of_program(program: str) -> set[str]:
    """The addresses that a program of ours itself holds."""
    house, vault = derived(program, b"house"), derived(program, b"vault")
    return {program, house, vault, event_authority(program)}


def from_base58(text: str) -> bytes:
    """Bytes of any length from base58, such as instruction data."""
    number = 0
    for start in range(0, len(text), CHUNK):
        piece = text[start : start + CHUNK]
        value = 0
        for letter in piece:
            digit = DIGITS.get(letter)
            if digit is None:
                raise BadAddress(f"{letter!r} is no letter of base58")
            value = value * 58 + digit
        number = number * int(58 ** len(piece)) + value
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def to_base58(data: bytes) -> str:
    """Bytes of any length as base58."""
    number = int.from_bytes(data, "big")
    letters = []
    while number:
        number, digit = divmod(number, 58)
        letters.append(ALPHABET[digit])
    zeros = len(data) - len(data.lstrip(b"\0"))
    return "1" * zeros + "".join(reversed(letters))
