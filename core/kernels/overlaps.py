"""How many members each two of many sets share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from core.kernels.compiled import compiled
from core.kernels.threads import in_parallel, parts_for

#: Words of each set that are compared with those of all others before the next ones: 2 KiB, so that those of twenty
#: sets stay in the first cache.
_PIECE = 256
#: Words of each set that are copied at once.
_BESIDE = 4_096
#: Fewer words against words do not pay for a thread.
_LEAST = 1 << 21


@compiled
def count_shared(words: NDArray[np.uint64], piece: int, shared: NDArray[np.int64]) -> None:
    """Add to `shared[i, j]`, for i <= j, the members that rows i and j of `words` have in common; `piece` words are
    compared with all others at once."""
    sets, length = words.shape
    for start in range(0, length, piece):
        end = min(length, start + piece)
        for i in range(sets):
            # Each row as an array of its own: only then does the compiler count many words at once (14 times faster).
            one = words[i, start:end]
            for j in range(i, sets):
                other = words[j, start:end]
                total = np.uint64(0)
                for w in range(len(one)):
                    # Bits of a word: the compiler knows this form.
                    bits = one[w] & other[w]
                    bits -= (bits >> np.uint64(1)) & np.uint64(0x5555555555555555)
                    bits = (bits & np.uint64(0x3333333333333333)) + (
                        (bits >> np.uint64(2)) & np.uint64(0x3333333333333333)
                    )
                    bits = (bits + (bits >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
                    total += (bits * np.uint64(0x0101010101010101)) >> np.uint64(56)
                shared[i, j] += np.int64(total)


def shared_members(sets: Sequence[NDArray[np.uint64]]) -> NDArray[np.int64]:
    """The matrix of how many members each two sets share; int64, symmetric. Words that a set is short of are empty."""
    length = max(map(len, sets), default=0)
    ends = np.linspace(0, length, parts_for(len(sets) ** 2 * length, _LEAST) + 1).astype(np.int64).tolist()
    parts = in_parallel([partial(_count, sets, first, after) for first, after in pairwise(ends)])
    shared = sum(parts, np.zeros((len(sets), len(sets)), np.int64))
    return shared + np.triu(shared, 1).T


def _count(sets: Sequence[NDArray[np.uint64]], first: int, after: int) -> NDArray[np.int64]:
    """What each two of these words share, i <= j."""
    shared = np.zeros((len(sets), len(sets)), np.int64)
    # Copied side by side in pieces: fresh memory for all words costs more than what is written to it.
    beside = np.empty((len(sets), min(_BESIDE, after - first)), np.uint64)
    for start in range(first, after, _BESIDE):
        count = min(_BESIDE, after - start)
        for row, words in zip(beside, sets, strict=True):
            here = words[start : start + count]
            row[: len(here)] = here
            row[len(here) : count] = 0
        count_shared(beside[:, :count], _PIECE, shared)
    return shared


def plain_shared_members(sets: Sequence[NDArray[np.uint64]]) -> NDArray[np.int64]:
    """shared_members in NumPy."""
    length = max(map(len, sets), default=0)
    words = np.array([np.append(one, np.zeros(length - len(one), np.uint64)) for one in sets], np.uint64)
    shared = np.zeros((len(words), len(words)), np.int64)
    for i in range(len(words)):
        shared[i] = np.bitwise_count(words & words[i]).sum(axis=1, dtype=np.int64)
    return shared
