"""How many members a set has, and how many of them are in two other sets, in one pass over the words."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.kernels.compiled import compiled

Words = NDArray[np.uint64]


@compiled
def count_within(words: Words, one: Words, other: Words, counts: NDArray[np.int64]) -> None:
    """Three sets of equally many words: `counts` (int64, three) become the members of `words`, those of them in `one`,
    and those of them in `other`."""
    total, in_one, in_other = np.uint64(0), np.uint64(0), np.uint64(0)
    for w in range(len(words)):
        # Bits of a word, three times: the compiler knows this form.
        bits = words[w]
        bits -= (bits >> np.uint64(1)) & np.uint64(0x5555555555555555)
        bits = (bits & np.uint64(0x3333333333333333)) + ((bits >> np.uint64(2)) & np.uint64(0x3333333333333333))
        bits = (bits + (bits >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
        total += (bits * np.uint64(0x0101010101010101)) >> np.uint64(56)
        bits = words[w] & one[w]
        bits -= (bits >> np.uint64(1)) & np.uint64(0x5555555555555555)
        bits = (bits & np.uint64(0x3333333333333333)) + ((bits >> np.uint64(2)) & np.uint64(0x3333333333333333))
        bits = (bits + (bits >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
        in_one += (bits * np.uint64(0x0101010101010101)) >> np.uint64(56)
        bits = words[w] & other[w]
        bits -= (bits >> np.uint64(1)) & np.uint64(0x5555555555555555)
        bits = (bits & np.uint64(0x3333333333333333)) + ((bits >> np.uint64(2)) & np.uint64(0x3333333333333333))
        bits = (bits + (bits >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
        in_other += (bits * np.uint64(0x0101010101010101)) >> np.uint64(56)
    counts[0], counts[1], counts[2] = np.int64(total), np.int64(in_one), np.int64(in_other)


def plain_count_within(words: Words, one: Words, other: Words, counts: NDArray[np.int64]) -> None:
    """count_within in NumPy."""
    counts[:] = [np.bitwise_count(part).sum(dtype=np.int64) for part in (words, words & one, words & other)]
