"""The bits of a column of codes, each as words: any question about codes becomes a few operations on words.

A question is a table with one answer per code. Read as a function of the code's bits it is split by the highest bit,
and again, until a half is all true or all false; equal halves are worked out once. A range of codes takes at most two
operations a bit, one code one operation a bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.kernels.planes import PIECE, join_planes

Words = NDArray[np.uint64]

#: More steps than this (one takes 8 microseconds for 5 M bits) are too many to be found.
_MOST_STEPS = 120
_NONE, _ALL = 0, 1


@dataclass(frozen=True, slots=True)
class BitPlanes:
    """The bits of the codes of the `n` rows that fill whole words, as core.kernels.planes wants them."""

    n: int
    planes: Words

    def select(self, truth: NDArray[np.bool_]) -> Words | None:
        """The rows whose code is true, as new words; codes beyond `truth` are false. None where the table is too
        scattered for this to pay."""
        plan = _plan(truth, self.planes.shape[1])
        if plan is None:
            return None
        steps, root = plan
        if root in (_NONE, _ALL):
            return np.full(self.n >> 6, 0 if root == _NONE else 2**64 - 1, np.uint64)
        words = np.empty(PIECE * len(self.planes), np.uint64)
        join_planes(self.planes, np.array(steps, np.int64), words)
        return words[: self.n >> 6]


def bit_planes(codes: NDArray[np.unsignedinteger], count: int) -> BitPlanes:
    """The planes of `codes`, all below `count`."""
    n = len(codes) & ~63
    bits = max(count - 1, 0).bit_length()
    rows = 64 * PIECE
    planes = np.zeros((-(-n // rows), bits, 8 * PIECE), np.uint8)
    for plane, first in zip(planes, range(0, n, rows), strict=True):
        piece = codes[first : min(first + rows, n)]
        for bit in range(bits):
            packed = np.packbits(piece & piece.dtype.type(1 << bit) != 0, bitorder="little")
            plane[bit, : len(packed)] = packed
    return BitPlanes(n, planes.view(np.uint64))


def _plan(truth: NDArray[np.bool_], bits: int) -> tuple[list[tuple[int, int, int]], int] | None:
    """Steps (core.kernels.planes) and the result asked for, which is that of the last step if it is of any. None: too
    many steps."""
    table = int.from_bytes(np.packbits(truth[: 1 << bits], bitorder="little").tobytes(), "little")
    if 0 < len(truth) < 1 << bits and truth[-1]:
        # No row has these codes: any answer does, and this one leaves fewer edges.
        table |= (1 << (1 << bits)) - (1 << len(truth))
    steps: list[tuple[int, int, int]] = []
    known: dict[tuple[int, int], int] = {}

    def result(table: int, bits: int) -> int:
        if table == 0:
            return _NONE
        if table == (1 << (1 << bits)) - 1:
            return _ALL
        key = (table, bits)
        if key not in known and len(steps) <= _MOST_STEPS:
            half = 1 << (bits - 1)
            low, high = result(table & ((1 << half) - 1), bits - 1), result(table >> half, bits - 1)
            if low == high:
                known[key] = low
            else:
                steps.append((bits - 1, low, high))
                known[key] = len(steps) + 1
        return known.get(key, _NONE)

    root = result(table, bits)
    return None if len(steps) > _MOST_STEPS else (steps, root)
