"""Merkle trees over committed seeds: leaves and nodes hash apart, odd places are zeros."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

MAX_LEAVES = 65_536
EMPTY = bytes(32)


def leaf(commit: bytes) -> bytes:
    return sha256(b"\x00" + commit).digest()


def node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def depth(count: int) -> int:
    """How many siblings a proof over `count` leaves has: log2 of the next power of two."""
    if not 1 <= count <= MAX_LEAVES:
        raise ValueError(f"a tree has 1..{MAX_LEAVES} leaves, not {count}")
    return (count - 1).bit_length()


@dataclass(frozen=True, slots=True)
class Tree:
    """All levels of a tree, leaves first."""

    levels: tuple[tuple[bytes, ...], ...]

    @classmethod
    def over(cls, commits: Sequence[bytes]) -> Tree:
        size = 1 << depth(len(commits))
        level = [leaf(commit) for commit in commits] + [EMPTY] * (size - len(commits))
        levels = [tuple(level)]
        while len(level) > 1:
            level = [node(level[i], level[i + 1]) for i in range(0, len(level), 2)]
            levels.append(tuple(level))
        return cls(tuple(levels))

    @property
    def root(self) -> bytes:
        return self.levels[-1][0]

    def proof(self, position: int) -> list[bytes]:
        """The siblings from the leaf up."""
        if not 0 <= position < len(self.levels[0]):
            raise IndexError(f"position {position} is outside the tree")
        return [level[(position >> height) ^ 1] for height, level in enumerate(self.levels[:-1])]


def verify(
    root: bytes, commit: bytes, *, position: int, count: int, proof: Sequence[bytes]
) -> bool:
    """Whether `commit` stands at `position` among `count` leaves under `root`."""
    if not 0 <= position < count or len(proof) != depth(count):
        return False
    return climb(commit, position=position, proof=proof) == root


def climb(commit: bytes, *, position: int, proof: Sequence[bytes]) -> bytes:
    """The root that a proof leads to, whatever it is worth."""
    found = leaf(commit)
    for height, sibling in enumerate(proof):
        right = position >> height & 1
        found = node(sibling, found) if right else node(found, sibling)
    return found
