"""Steps: what a verifier looked at, what had to be there, and what was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

OK, FAILED, UNCHECKED = "ok", "failed", "unchecked"
OFFLINE = "not checkable offline"

# The 20-byte address that made a signature r || s || v over a digest, or None.
Recover = Callable[[bytes, bytes], bytes | None]
# Whether drand's quicknet made this signature for a round of this number.
Drand = Callable[[int, bytes], bool]

# secp256k1's order: a signature with an s above half of it has a twin, and is refused.
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


@dataclass(frozen=True, slots=True)
class Step:
    """`status` is ok, failed, or unchecked where the verifier lacks what it takes."""

    name: str
    expected: str
    found: str
    status: str


def compared(name: str, expected: str, found: str) -> Step:
    return Step(name, expected, found, OK if expected == found else FAILED)


def judged(name: str, expected: str, found: str, *, held: bool) -> Step:
    return Step(name, expected, found, OK if held else FAILED)


def unchecked(name: str, expected: str, why: str = OFFLINE) -> Step:
    return Step(name, expected, why, UNCHECKED)


def signed(
    name: str, *, digest: bytes, signature: bytes, signer: bytes, recover: Recover | None
) -> Step:
    """Whether the signer made this signature, in its one accepted form."""
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    if signature[64] not in (27, 28) or not 0 < r < ORDER or not 0 < s <= ORDER // 2:
        return judged(name, signer.hex(), "no signature with v of 27 or 28 and low s", held=False)
    if recover is None:
        return unchecked(name, signer.hex())
    made = recover(digest, signature)
    return compared(name, signer.hex(), made.hex() if made else "a signature of nobody")
