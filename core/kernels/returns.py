"""Who came first when, and in which later periods they came again: the loops behind cohorts.

They go over rows in the order of contacts; what their arguments mean stands in core.kernels.folding. Periods are
numbered from 0 and ascend in time, so those of a run's rows ascend, too: `period_rows[p]` is the first row of the
window (counted from its first) in period p or later, and the last entry is behind the last period.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.kernels.compiled import compiled
from core.kernels.contact_order import Low, Rows, Starts
from core.kernels.folding import Mask, Values, places_taking_part

Times = NDArray[np.int64]
#: Rows for which `period_of` is asked once: see period_table.
TABLE_SHIFT = 10


def period_table(period_rows: NDArray[np.int64], row_count: int) -> NDArray[np.int64]:
    """The period of every 1,024th row of a window, -1 before period 0: where the search for a row's period begins."""
    starts = np.arange(0, row_count + 1, 1 << TABLE_SHIFT)
    return (np.searchsorted(period_rows, starts, "right") - 1).astype(np.int64)


@compiled
def fold_first(
    starts: Starts,
    low: Low,
    rows: Rows,
    first_block: int,
    after_block: int,
    first_row: int,
    row_count: int,
    mask: Mask,
    times: Times,
    first: Values,
) -> None:
    """Lower `first` to the smallest of `times` of each contact; they stand in the order of `rows`, all of them."""
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
                kept = np.uint64(0)
                for i in range(count):
                    chosen[kept] = chosen[i]
                    kept += np.uint64(mask[np.uint32(rows[chosen[i]] - origin)])
                count = kept
            for i in range(count):
                slot = at + np.uint32(low[chosen[i]])
                first[slot] = min(first[slot], times[chosen[i]])


@compiled
def mark_returns(
    starts: Starts,
    low: Low,
    rows: Rows,
    first_block: int,
    after_block: int,
    first_row: int,
    row_count: int,
    mask: Mask,
    times: Times,
    period_rows: NDArray[np.int64],
    table: NDArray[np.int64],
    first: Values,
    cohorts: NDArray[np.int32],
    width: int,
    words: NDArray[np.uint64],
    counts: NDArray[np.int64],
) -> None:
    """Set bit `period - cohort` in the `width` words of each contact that has a cohort (0 or more) for each of its rows
    strictly after `first`; `times` as above. A bit that was not set adds 1 to `counts[cohort, bit]`. Periods behind the
    last one, and bits that `counts` has no column for, count nothing."""
    masked = len(mask) > 0
    origin = np.uint32(first_row)
    span = np.uint32(row_count)
    last_period = len(period_rows) - 2
    columns = counts.shape[1]
    for block in range(first_block, min(after_block, len(starts) - 1)):
        at = (block - first_block) * 256
        for place in range(starts[block], starts[block + 1]):
            row = np.uint32(rows[place] - origin)
            slot = at + int(low[place])
            if row >= span or cohorts[slot] < 0:
                continue
            if masked and not mask[row]:
                continue
            period = int(table[row >> np.uint32(10)])
            while period <= last_period and period_rows[period + 1] <= np.int64(row):
                period += 1
            offset = period - int(cohorts[slot])
            if offset < 0 or period > last_period or offset >= columns:
                continue
            if offset == 0 and times[place] <= first[slot]:
                continue
            word = words[slot * width + (offset >> 6)]
            by = np.uint64(offset & 63)
            counts[cohorts[slot], offset] += np.int64(np.uint64(1) ^ ((word >> by) & np.uint64(1)))
            words[slot * width + (offset >> 6)] = word | (np.uint64(1) << by)


@compiled
def cohorts_of(
    first: Values,
    first_contact: int,
    members: NDArray[np.uint64],
    bounds: NDArray[np.int64],
    cohort_count: int,
    cohorts: NDArray[np.int32],
    sizes: Values,
) -> None:
    """The cohort of each contact: p where `bounds[p] <= first < bounds[p + 1]` and p is below `cohort_count`, else -1;
    1 is added to its entry of `sizes`. Entry i is contact `first_contact + i`; who is not in the words `members` has
    none."""
    start = bounds[0]
    end = bounds[cohort_count]
    by_length = np.float64(cohort_count) / max(1.0, np.float64(end - start))
    held = np.empty(2048, np.int64)
    cohorts[:] = -1
    for piece in range(0, len(first), 2048):
        # Who has a cohort is chosen without a branch, as nobody can guess it.
        count = np.uint64(0)
        for i in range(piece, min(len(first), piece + 2048)):
            contact = first_contact + i
            member = (members[contact >> 6] >> np.uint64(contact & 63)) & np.uint64(1)
            held[count] = i
            count += member & np.uint64((first[i] >= start) & (first[i] < end))
        for j in range(count):
            i = held[j]
            time = first[i]
            # Periods are about equally long: the first guess is right, or next to it.
            period = min(int(np.float64(time - start) * by_length), cohort_count - 1)
            while bounds[period] > time:
                period -= 1
            while bounds[period + 1] <= time:
                period += 1
            cohorts[i] = period
            sizes[period] += 1


def plain_fold_first(
    starts: Starts,
    low: Low,
    rows: Rows,
    first_block: int,
    after_block: int,
    first_row: int,
    row_count: int,
    mask: Mask,
    times: Times,
    first: Values,
) -> None:
    """fold_first in NumPy."""
    slots, places = places_taking_part(starts, low, rows, first_block, after_block, first_row, row_count, mask)
    np.minimum.at(first, slots, times[places])


def plain_mark_returns(
    starts: Starts,
    low: Low,
    rows: Rows,
    first_block: int,
    after_block: int,
    first_row: int,
    row_count: int,
    mask: Mask,
    times: Times,
    period_rows: NDArray[np.int64],
    table: NDArray[np.int64],
    first: Values,
    cohorts: NDArray[np.int32],
    width: int,
    words: NDArray[np.uint64],
    counts: NDArray[np.int64],
) -> None:
    """mark_returns in NumPy; it needs no table."""
    slots, places = places_taking_part(starts, low, rows, first_block, after_block, first_row, row_count, mask)
    periods = np.searchsorted(period_rows, rows[places].astype(np.int64) - first_row, "right") - 1
    inside = (cohorts[slots] >= 0) & (periods < len(period_rows) - 1) & (times[places] > first[slots])
    slots, offsets = slots[inside], periods[inside] - cohorts[slots[inside]]
    shown = (offsets >= 0) & (offsets < counts.shape[1])
    bits = np.unique(slots[shown] * (64 * width) + offsets[shown])
    bits = bits[(words[bits >> 6] >> (bits & 63).astype(np.uint64)) & np.uint64(1) == 0]
    np.bitwise_or.at(words, bits >> 6, np.uint64(1) << (bits & 63).astype(np.uint64))
    np.add.at(counts, (cohorts[bits // (64 * width)], bits % (64 * width)), 1)


def plain_cohorts_of(
    first: Values,
    first_contact: int,
    members: NDArray[np.uint64],
    bounds: NDArray[np.int64],
    cohort_count: int,
    cohorts: NDArray[np.int32],
    sizes: Values,
) -> None:
    """cohorts_of in NumPy."""
    held = np.unpackbits(members.view(np.uint8), bitorder="little")[first_contact : first_contact + len(first)]
    found = np.searchsorted(bounds, first, "right") - 1
    cohorts[:] = np.where((found >= 0) & (found < cohort_count) & (held == 1), found, -1)
    np.add.at(sizes, cohorts[cohorts >= 0], 1)
