"""Merkle trees as RFC 6962, section 2.1, has them: roots, and proofs that a leaf is in a tree."""

import hashlib
from collections.abc import Sequence

EMPTY_ROOT = hashlib.sha256(b"").digest()


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The root over leaf hashes (32 bytes each) in order."""
    return _levels(leaves)[-1][0] if leaves else EMPTY_ROOT


def audit_path(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """The hashes that lead from one leaf to the root, nearest first (section 2.1.1)."""
    if not 0 <= index < len(leaves):
        raise ValueError(f"leaf {index} is not one of {len(leaves)}")
    path = []
    for level in _levels(leaves)[:-1]:
        sibling = index ^ 1
        if sibling < len(level):
            path.append(level[sibling])
        index //= 2
    return tuple(path)


def root_from_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root that a leaf and its path imply (RFC 9162, section 2.1.3.2); None when they cannot fit."""
    if not 0 <= index < size:
        return None
    node, last = leaf, size - 1
    remaining = list(path)
    while last > 0:
        if index % 2 == 1 or index < last:
            if not remaining:
                return None
            sibling = remaining.pop(0)
            node = _parent(sibling, node) if index % 2 == 1 else _parent(node, sibling)
        # A rightmost node without a sibling is carried up as it is.
        index, last = index // 2, last // 2
    return None if remaining else node


def _levels(leaves: Sequence[bytes]) -> list[list[bytes]]:
    """All levels from the leaves up. Carrying a last odd node up gives the very tree of the RFC."""
    levels = [list(leaves)]
    while len(levels[-1]) > 1:
        below = levels[-1]
        above = [_parent(below[at], below[at + 1]) for at in range(0, len(below) - 1, 2)]
        if len(below) % 2:
            above.append(below[-1])
        levels.append(above)
    return levels


def _parent(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()
