"""Whose sum over several runs lies in a range, in one go: a thread that begins its share once waits for no other.

Asked for run after run and chunk after chunk (core.kernels.folding), two threads took nearly as long as one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.kernels.bits import plain_words_between
from core.kernels.compiled import compiled
from core.kernels.contact_order import Low, Rows, Starts
from core.kernels.folding import plain_fold_totals

#: Runs of one pass; who has fewer fills up with empty ones, so that the kernel has one form for each dtype of codes.
MOST_RUNS = 8
#: Contacts that are added up at once: 128 blocks of 256, whose sums take 256 KiB.
AT_ONCE = 32_768


@compiled
def sums_between(
    starts: tuple[Starts, ...],
    low: tuple[Low, ...],
    rows: tuple[Rows, ...],
    codes: tuple[NDArray[Any], ...],
    windows: NDArray[np.int64],
    first_block: int,
    after_block: int,
    least: int,
    most: int,
    totals: NDArray[np.int64],
    words: NDArray[np.uint64],
) -> None:
    """Write which contacts of the blocks `first_block` to `after_block` have `least <= sum <= most` to their `words`
    (of all contacts). There are MOST_RUNS orders by contact with codes in that order; row r of `windows` says of run r:
    first row, number of rows, base and factor, as fold_totals takes them. `totals` is room for whole blocks. No sum may
    leave int64."""
    at_once = len(totals) >> 8
    for first in range(first_block, after_block, at_once):
        after = min(after_block, first + at_once)
        totals[:] = 0
        for run in range(len(windows)):
            run_starts = starts[run]
            run_low = low[run]
            run_rows = rows[run]
            run_codes = codes[run]
            origin = np.uint32(windows[run, 0])
            span = np.uint32(windows[run, 1])
            base = windows[run, 2]
            factor = windows[run, 3]
            for block in range(first, min(after, len(run_starts) - 1)):
                at = (block - first) * 256
                block_totals = totals[at : at + 256]
                block_low = run_low[run_starts[block] : run_starts[block + 1]]
                block_rows = run_rows[run_starts[block] : run_starts[block + 1]]
                block_codes = run_codes[run_starts[block] : run_starts[block + 1]]
                for i in range(len(block_low)):
                    taken = np.int64(np.uint32(block_rows[i] - origin) < span)
                    block_totals[block_low[i]] += taken * (base + factor * np.int64(block_codes[i]))
        for word in range(first * 4, min(after * 4, len(words))):
            at = (word - first * 4) * 64
            values = totals[at : at + 64]
            bits = np.uint64(0)
            for j in range(64):
                bits |= np.uint64((values[j] >= least) & (values[j] <= most)) << np.uint64(j)
            words[word] = bits


def plain_sums_between(
    starts: tuple[Starts, ...],
    low: tuple[Low, ...],
    rows: tuple[Rows, ...],
    codes: tuple[NDArray[Any], ...],
    windows: NDArray[np.int64],
    first_block: int,
    after_block: int,
    least: int,
    most: int,
    totals: NDArray[np.int64],
    words: NDArray[np.uint64],
) -> None:
    """sums_between in NumPy; all blocks at once, whatever room `totals` is."""
    sums = np.zeros(256 * (after_block - first_block), np.int64)
    for run, (first_row, row_count, base, factor) in enumerate(windows.tolist()):
        where = (starts[run], low[run], rows[run], first_block, after_block, first_row, row_count)
        plain_fold_totals(*where, codes[run], base, factor, sums)
    here = words[4 * first_block : 4 * after_block]
    plain_words_between(sums[: 64 * len(here)], least, most, here)
