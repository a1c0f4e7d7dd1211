"""The tree over the trail's entries (RFC 9162, part 2): roots, proofs of being in it, proofs that it only grew. Pure.

`Hashes` gives the hash of a complete subtree: 2**height leaves beginning at a multiple of that. Who stores the nodes
answers it from them; nothing here reads more than a few of them, however long the log is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

EMPTY = hashlib.sha256(b"").digest()
Hashes = Callable[[int, int], bytes]
"""(height, first leaf) → hash of the complete subtree that begins there."""


def leaf_hash(data: bytes) -> bytes:
    """The hash of an entry's bytes."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of what stands over two subtrees."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def fold(hashes: Sequence[bytes]) -> bytes:
    """The hash over a complete subtree's nodes of one height; there are a power of two of them."""
    level = list(hashes)
    while len(level) > 1:
        level = [node_hash(level[i], level[i + 1]) for i in range(0, len(level), 2)]
    return level[0]


def root(hashes: Hashes, size: int) -> bytes:
    """The root of the tree of the first `size` leaves."""
    return _hash_of(hashes, 0, size) if size else EMPTY


def inclusion(hashes: Hashes, index: int, size: int) -> list[bytes]:
    """The path that proves leaf `index` to be in the tree of `size` leaves, from the leaf up (RFC 9162, 2.1.3.1)."""
    path: list[bytes] = []
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            path.append(_hash_of(hashes, middle, end))
            end = middle
        else:
            path.append(_hash_of(hashes, begin, middle))
            begin = middle
    return path[::-1]


def consistency(hashes: Hashes, first: int, second: int) -> list[bytes]:
    """The proof that the tree of `first` leaves is the beginning of that of `second` (RFC 9162, 2.1.4.1)."""
    if first in (0, second):
        return []
    path: list[bytes] = []
    begin, end, whole = 0, second, True
    while first != end:
        middle = begin + _split(end - begin)
        if first <= middle:
            path.append(_hash_of(hashes, middle, end))
            end = middle
        else:
            path.append(_hash_of(hashes, begin, middle))
            begin, whole = middle, False
    if not whole:
        path.append(_hash_of(hashes, begin, end))
    return path[::-1]


def _hash_of(hashes: Hashes, begin: int, end: int) -> bytes:
    """The hash over leaves `begin` to `end`; `begin` is a multiple of the power of two that covers them."""
    count = end - begin
    if count & (count - 1) == 0:
        return hashes(count.bit_length() - 1, begin)
    middle = begin + _split(count)
    return node_hash(_hash_of(hashes, begin, middle), _hash_of(hashes, middle, end))


def _split(count: int) -> int:
    """The largest power of two below `count`."""
    return 1 << ((count - 1).bit_length() - 1)
