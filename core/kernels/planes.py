"""Functions of codes worked out on the words of their bits, piece by piece, so that nothing between leaves the cache.

`planes[p, b]` are words `PIECE * p` to `PIECE * (p + 1) - 1` of bit b of all codes: pieces of all bits lie beside each
other, so that memory is read in one stream, which takes two thirds of the time of one stream a bit.

A step (bit, low, high) gives result `low` where the bit is 0, and result `high` where it is 1. Results 0 and 1 are
nothing and everything, result 2 + s is that of step s; a step needs earlier results only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.kernels.compiled import compiled

Words = NDArray[np.uint64]

#: Words of a piece: 2 KiB, so that a dozen results stay in the first cache.
PIECE = 256


@compiled
def join_planes(planes: Words, steps: NDArray[np.int64], words: Words) -> None:
    """Write the result of the last of `steps` (a row of three numbers each, at least one row) to `words`, which has
    whole pieces, as many as `planes`."""
    count = len(steps)
    piece = planes.shape[2]
    # The last result goes to `words` itself.
    results = np.zeros((count + 1, piece), np.uint64)
    results[1] = np.uint64(0xFFFFFFFFFFFFFFFF)
    for p in range(len(planes)):
        for s in range(count):
            plane = planes[p, steps[s, 0]]
            low = results[steps[s, 1]]
            high = results[steps[s, 2]]
            result = words[p * piece : (p + 1) * piece] if s == count - 1 else results[s + 2]
            for w in range(len(result)):
                result[w] = ((low[w] ^ high[w]) & plane[w]) ^ low[w]


def plain_join_planes(planes: Words, steps: NDArray[np.int64], words: Words) -> None:
    """join_planes in NumPy."""
    whole = planes.transpose(1, 0, 2).reshape(planes.shape[1], -1)
    results = [np.zeros_like(words), ~np.zeros_like(words)]
    for bit, low, high in steps.tolist():
        results.append(((results[low] ^ results[high]) & whole[bit]) ^ results[low])
    words[:] = results[-1]
