"""Sums and extremes of many contacts, folded over rows in the order of contacts (core.kernels.contact_order).

Results stand in dense arrays over the contacts of the blocks `first_block` to `after_block`: contact c has the entry
`c - 256 * first_block`. Contacts ascend, so the results are written in order, and a row costs a few nanoseconds however
many contacts there are. A row takes part if `row - first_row`, as uint32, is below `row_count`, and if `mask` (one
entry per row from `first_row` on; none at all: everyone) is true there. `codes` of sums and extremes stand in the order
of `rows`, all of them, so that nothing is read out of order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.kernels.compiled import compiled
from core.kernels.contact_order import Low, Rows, Starts, plain_contacts_of

Mask = NDArray[np.bool_]
Counts = NDArray[np.uint32]
Values = NDArray[np.int64]


@compiled
def fold_sums(
    starts: Starts,
    low: Low,
    rows: Rows,
    first_block: int,
    after_block: int,
    first_row: int,
    row_count: int,
    mask: Mask,
    codes: NDArray[Any],
    base: int,
    factor: int,
    totals: Values,
    counts: Counts,
) -> None:
    """Add `base + factor * code` of each row to `totals`, and 1 to `counts`. No total may leave int64."""
    masked = len(mask) > 0
    origin = np.uint32(first_row)
    span = np.uint32(row_count)
    chosen = np.empty(1024, np.uint32)
    for block in range(first_block, min(after_block, len(starts) - 1)):
        at = np.uint32((block - first_block) * 256)
        for piece in range(starts[block], starts[block + 1], 1024):
            # Chosen without a branch: one that is guessed wrong costs more than the rest of a row.
            count = np.uint64(0)
            for place in range(piece, min(int(starts[block + 1]), piece + 1024)):
                chosen[count] = np.uint32(place)
                count += np.uint64(np.uint32(rows[place] - origin) < span)
            if masked:
                for i in range(count):
                    place_of = chosen[i]
                    slot = at + np.uint32(low[place_of])
                    taken = np.int64(mask[np.uint32(rows[place_of] - origin)])
                    totals[slot] += taken * (base + factor * np.int64(codes[place_of]))
                    counts[slot] += np.uint32(taken)
            else:
                for i in range(count):
                    place_of = chosen[i]
                    slot = at + np.uint32(low[place_of])
                    totals[slot] += base + factor * np.int64(codes[place_of])
                    counts[slot] += np.uint32(1)


@compiled
def fold_totals(
    starts: Starts,
    low: Low,
    rows: Rows,
    first_block: int,
    after_block: int,
    first_row: int,
    row_count: int,
    codes: NDArray[Any],
    base: int,
    factor: int,
    totals: Values,
) -> None:
    """fold_sums where there is no mask and nobody asks for counts."""
    origin = np.uint32(first_row)
    span = np.uint32(row_count)
    for block in range(first_block, min(after_block, len(starts) - 1)):
        # Arrays of the block alone, so that their indices count up from 0, and one way through it: either of both
        # undone makes this twice as slow.
        at = (block - first_block) * 256
        block_totals = totals[at : at + 256]
        block_low = low[starts[block] : starts[block + 1]]
        block_rows = rows[starts[block] : starts[block + 1]]
        block_codes = codes[starts[block] : starts[block + 1]]
        for i in range(len(block_low)):
            taken = np.int64(np.uint32(block_rows[i] - origin) < span)
            block_totals[block_low[i]] += taken * (base + factor * np.int64(block_codes[i]))


@compiled
def fold_counts(
    starts: Starts,
    low: Low,
    rows: Rows,
    first_block: int,
    after_block: int,
    first_row: int,
    row_count: int,
    counts: Counts,
) -> None:
    """Add 1 to `counts` for each row, without a mask."""
    origin = np.uint32(first_row)
    span = np.uint32(row_count)
    for block in range(first_block, min(after_block, len(starts) - 1)):
        at = (block - first_block) * 256
        block_counts = counts[at : at + 256]
        block_low = low[starts[block] : starts[block + 1]]
        block_rows = rows[starts[block] : starts[block + 1]]
        for i in range(len(block_low)):
            block_counts[block_low[i]] += np.uint32(np.uint32(block_rows[i] - origin) < span)


@compiled
def fold_extremes(
    starts: Starts,
    low: Low,
    rows: Rows,
    first_block: int,
    after_block: int,
    first_row: int,
    row_count: int,
    mask: Mask,
    codes: NDArray[Any],
    base: int,
    factor: int,
    sign: int,
    best: Values,
    counts: Counts,
) -> None:
    """Make `best` the larger (`sign` 1) or smaller (-1) of itself and of `base + factor * code` of each row where
    `counts` is above 0, else that value; add 1 to `counts`."""
    masked = len(mask) > 0
    origin = np.uint32(first_row)
    span = np.uint32(row_count)
    chosen = np.empty(1024, np.uint32)
    for block in range(first_block, min(after_block, len(starts) - 1)):
        at = np.uint32((block - first_block) * 256)
        for piece in range(starts[block], starts[block + 1], 1024):
            count = np.uint64(0)
            for place in range(piece, min(int(starts[block + 1]), piece + 1024)):
                chosen[count] = np.uint32(place)
                count += np.uint64(np.uint32(rows[place] - origin) < span)
            for i in range(count):
                place_of = chosen[i]
                if masked and not mask[np.uint32(rows[place_of] - origin)]:
                    continue
                slot = at + np.uint32(low[place_of])
                value = base + factor * np.int64(codes[place_of])
                old = best[slot]
                better = (value > old) if sign > 0 else (value < old)
                best[slot] = value if better or counts[slot] == np.uint32(0) else old
                counts[slot] += np.uint32(1)


def plain_fold_sums(
    starts: Starts,
    low: Low,
    rows: Rows,
    first_block: int,
    after_block: int,
    first_row: int,
    row_count: int,
    mask: Mask,
    codes: NDArray[Any],
    base: int,
    factor: int,
    totals: Values,
    counts: Counts,
) -> None:
    """fold_sums in NumPy."""
    slots, places = places_taking_part(starts, low, rows, first_block, after_block, first_row, row_count, mask)
    np.add.at(totals, slots, base + factor * codes[places].astype(np.int64))
    np.add.at(counts, slots, np.uint32(1))


def plain_fold_totals(
    starts: Starts,
    low: Low,
    rows: Rows,
    first_block: int,
    after_block: int,
    first_row: int,
    row_count: int,
    codes: NDArray[Any],
    base: int,
    factor: int,
    totals: Values,
) -> None:
    """fold_totals in NumPy."""
    where = (starts, low, rows, first_block, after_block, first_row, row_count)
    slots, places = places_taking_part(*where, np.zeros(0, np.bool_))
    np.add.at(totals, slots, base + factor * codes[places].astype(np.int64))


def plain_fold_counts(
    starts: Starts,
    low: Low,
    rows: Rows,
    first_block: int,
    after_block: int,
    first_row: int,
    row_count: int,
    counts: Counts,
) -> None:
    """fold_counts in NumPy."""
    where = (starts, low, rows, first_block, after_block, first_row, row_count)
    np.add.at(counts, places_taking_part(*where, np.zeros(0, np.bool_))[0], np.uint32(1))


def plain_fold_extremes(
    starts: Starts,
    low: Low,
    rows: Rows,
    first_block: int,
    after_block: int,
    first_row: int,
    row_count: int,
    mask: Mask,
    codes: NDArray[Any],
    base: int,
    factor: int,
    sign: int,
    best: Values,
    counts: Counts,
) -> None:
    """fold_extremes in NumPy."""
    slots, places = places_taking_part(starts, low, rows, first_block, after_block, first_row, row_count, mask)
    values = base + factor * codes[places].astype(np.int64)
    fresh = slots[counts[slots] == 0]
    best[fresh] = -(2**63) if sign > 0 else 2**63 - 1
    (np.maximum if sign > 0 else np.minimum).at(best, slots, values)
    np.add.at(counts, slots, np.uint32(1))


def places_taking_part(
    starts: Starts,
    low: Low,
    rows: Rows,
    first_block: int,
    after_block: int,
    first_row: int,
    row_count: int,
    mask: Mask,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The entry of each row that takes part, and its place in the order."""
    after = min(after_block, len(starts) - 1)
    if after <= first_block:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    here = slice(int(starts[first_block]), int(starts[after]))
    slots = plain_contacts_of(starts, low)[here].astype(np.int64) - 256 * first_block
    near = rows[here].astype(np.int64) - first_row
    inside = (near >= 0) & (near < row_count)
    if len(mask):
        inside[inside] = mask[near[inside]]
    return slots[inside], np.arange(here.start, here.stop)[inside]
