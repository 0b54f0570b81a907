"""Hash trees over lines of a log, as RFC 6962 has them: a root, and proofs that a line is under it.

Leaves and nodes hash apart, and a tree of any size splits at the largest power of two below it, so
that every implementation of that RFC can check our proofs.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256


def leaf(line: bytes) -> bytes:
    return sha256(b"\x00" + line).digest()


def node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """The root over leaves. Raises `ValueError` when there is none."""
    if not leaves:
        raise ValueError("a tree over nothing")
    level = list(leaves)
    while len(level) > 1:
        # What is left over at an odd end goes up as it is: the same tree as splitting from above.
        odd = level[-1:] if len(level) % 2 else []
        level = [node(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)] + odd
    return level[0]


def proof(leaves: Sequence[bytes], position: int) -> list[bytes]:
    """The siblings of a leaf, from below. Raises `IndexError`."""
    if not 0 <= position < len(leaves):
        raise IndexError(f"there is no leaf {position} of {len(leaves)}")
    if len(leaves) == 1:
        return []
    half = 1 << (len(leaves) - 1).bit_length() - 1
    if position < half:
        return [*proof(leaves[:half], position), root(leaves[half:])]
    return [*proof(leaves[half:], position - half), root(leaves[:half])]


def proved(
    line: bytes, *, position: int, count: int, siblings: Sequence[bytes], under: bytes
) -> bool:
    """Whether the line stands at a position among `count` under a root."""
    if not 0 <= position < count:
        return False
    found, last = leaf(line), count - 1
    for sibling in siblings:
        if not last:
            return False
        if position % 2 or position == last:
            found = node(sibling, found)
            while not position % 2 and position:
                position, last = position >> 1, last >> 1
        else:
            found = node(found, sibling)
        position, last = position >> 1, last >> 1
    return not last and found == under
