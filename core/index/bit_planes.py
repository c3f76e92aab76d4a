"""The bits of a column of codes, each as words: any question about codes becomes a few operations on words.

A question is a table with one answer per code. Read as a function of the code's bits it is split by the highest bit,
and again, until a half is all true or all false; equal halves are worked out once. A range of codes takes at most two
operations a bit, one code one operation a bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]

#: More steps than this (an operation on 5 M bits takes 25 microseconds) cost as much as looking up each code.
_MOST_STEPS = 120
#: Codes are split in pieces that stay in the cache.
_PIECE = 65_536
_NONE, _ALL = 0, 1


@dataclass(frozen=True, slots=True)
class BitPlanes:
    """`planes[b]` bit i: bit b of the code of row i, for the `n` rows that fill whole words."""

    n: int
    planes: tuple[Words, ...]

    def select(self, truth: NDArray[np.bool_]) -> Words | None:
        """The rows whose code is true, as new words; codes beyond `truth` are false. None where the table is too
        scattered for this to pay."""
        plan = _plan(truth, len(self.planes))
        if plan is None:
            return None
        steps, root = plan
        if root in (_NONE, _ALL):
            return np.full(self.n >> 6, 0 if root == _NONE else 2**64 - 1, np.uint64)
        return _run(self.planes, steps, root)


def bit_planes(codes: NDArray[np.unsignedinteger], count: int) -> BitPlanes:
    """The planes of `codes`, all below `count`."""
    n = len(codes) & ~63
    bits = max(count - 1, 0).bit_length()
    planes = tuple(np.empty(n >> 3, np.uint8) for _ in range(bits))
    for first in range(0, n, _PIECE):
        piece = codes[first : min(first + _PIECE, n)]
        for bit, plane in enumerate(planes):
            packed = np.packbits(piece & piece.dtype.type(1 << bit) != 0, bitorder="little")
            plane[first >> 3 : (first >> 3) + len(packed)] = packed
    return BitPlanes(n, tuple(plane.view(np.uint64) for plane in planes))


def _plan(truth: NDArray[np.bool_], bits: int) -> tuple[list[tuple[int, int, int]], int] | None:
    """Steps (bit, result where it is 0, result where it is 1), each after those that it needs, and the last result;
    results 0 and 1 are nothing and everything, result 2 + s is that of step s. None: too many steps."""
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


def _run(planes: tuple[Words, ...], steps: list[tuple[int, int, int]], root: int) -> Words:
    """The words of the last result. A result that no later step needs is overwritten: new memory costs more than the
    operation."""
    uses = [0] * (len(steps) + 2)
    for _, low, high in steps:
        uses[low] += 1
        uses[high] += 1
    uses[root] += 1
    scratch = np.empty_like(planes[0])
    made: list[Words] = [scratch, scratch]
    for bit, low, high in steps:
        plane = planes[bit]
        uses[low] -= 1
        uses[high] -= 1
        if low > _ALL and high > _ALL:
            # (low ^ high) & plane ^ low: high where the bit is 1.
            np.bitwise_xor(made[low], made[high], out=scratch)
            np.bitwise_and(scratch, plane, out=scratch)
            made.append(np.bitwise_xor(scratch, made[low], out=made[low] if uses[low] == 0 else None))
        elif low <= _ALL and high <= _ALL:
            made.append(plane.copy() if high == _ALL else ~plane)
        else:
            other = max(low, high)
            out = made[other] if uses[other] == 0 else None
            # (0, x): x & p. (1, x): x | ~p. (x, 0): x & ~p. (x, 1): x | p.
            side = np.invert(plane, out=scratch) if low == _ALL or high == _NONE else plane
            join = np.bitwise_and if _NONE in (low, high) else np.bitwise_or
            made.append(join(made[other], side, out=out))
    return made[root]
