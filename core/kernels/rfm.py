"""Last instant, number and sum of events of many contacts in one pass, and the cells that these values lie in.

The pass goes over rows in the order of contacts; what its arguments mean stands in core.kernels.folding.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.kernels.compiled import compiled
from core.kernels.contact_order import Low, Rows, Starts
from core.kernels.folding import Counts, Mask, Values, places_taking_part

Times = NDArray[np.int64]


@compiled
def fold_last_count_sum(
    starts: Starts,
    low: Low,
    rows: Rows,
    first_block: int,
    after_block: int,
    first_row: int,
    row_count: int,
    mask: Mask,
    times: Times,
    codes: NDArray[Any],
    base: int,
    factor: int,
    last: Values,
    counts: Counts,
    totals: Values,
) -> None:
    """Raise `last` to the largest of `times`, add 1 to `counts` and `base + factor * code` to `totals` for each row.
    `times` and `codes` (none at all: no sums) stand in the order of `rows`, all of them."""
    masked = len(mask) > 0
    valued = len(codes) > 0
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
            if valued:
                for i in range(count):
                    totals[at + np.uint32(low[chosen[i]])] += base + factor * np.int64(codes[chosen[i]])
            for i in range(count):
                slot = at + np.uint32(low[chosen[i]])
                counts[slot] += np.uint32(1)
                last[slot] = max(last[slot], times[chosen[i]])


@compiled
def take_present(
    first_contact: int,
    last: Values,
    counts: Counts,
    totals: Values,
    out: int,
    contacts: NDArray[np.uint32],
    all_last: Values,
    all_counts: Values,
    all_totals: Values,
) -> int:
    """Append the entries with a count to the four arrays from `out` on, which have room for all; where the next one
    goes is returned. Entry i is contact `first_contact + i`."""
    held = np.empty(2048, np.int64)
    place = out
    for start in range(0, len(counts), 2048):
        count = np.uint64(0)
        for i in range(start, min(len(counts), start + 2048)):
            held[count] = i
            count += np.uint64(counts[i] > np.uint32(0))
        for j in range(count):
            i = held[j]
            contacts[place] = np.uint32(first_contact + i)
            all_last[place] = last[i]
            all_counts[place] = np.int64(counts[i])
            all_totals[place] = totals[i]
            place += 1
    return place


@compiled
def all_within(contacts: NDArray[np.uint32], words: NDArray[np.uint64]) -> bool:
    """Whether each of `contacts` is in the set `words`."""
    for start in range(0, len(contacts), 4096):
        held = np.uint64(1)
        for i in range(start, min(len(contacts), start + 4096)):
            held &= words[contacts[i] >> np.uint32(6)] >> np.uint64(contacts[i] & np.uint32(63))
        if held == np.uint64(0):
            return False
    return True


@compiled
def cells_of_values(
    recency: Values,
    frequency: Values,
    monetary: Values,
    recency_above: Values,
    frequency_above: Values,
    monetary_above: Values,
    cells: NDArray[np.uint16],
) -> None:
    """The cell of each contact: how many thresholds of an axis its value exceeds are the digits of the cell's number,
    recency first; an axis has as many digits as thresholds and one more."""
    frequency_bins = np.uint16(len(frequency_above) + 1)
    monetary_bins = np.uint16(len(monetary_above) + 1)
    for start in range(0, len(cells), 2048):
        here = cells[start : start + 2048]
        some = recency[start : start + 2048]
        here[:] = np.uint16(0)
        for bound in recency_above:
            for i in range(len(here)):
                here[i] += np.uint16(some[i] > bound)
        for i in range(len(here)):
            here[i] *= frequency_bins
        some = frequency[start : start + 2048]
        for bound in frequency_above:
            for i in range(len(here)):
                here[i] += np.uint16(some[i] > bound)
        for i in range(len(here)):
            here[i] *= monetary_bins
        some = monetary[start : start + 2048]
        for bound in monetary_above:
            for i in range(len(here)):
                here[i] += np.uint16(some[i] > bound)


def plain_fold_last_count_sum(
    starts: Starts,
    low: Low,
    rows: Rows,
    first_block: int,
    after_block: int,
    first_row: int,
    row_count: int,
    mask: Mask,
    times: Times,
    codes: NDArray[Any],
    base: int,
    factor: int,
    last: Values,
    counts: Counts,
    totals: Values,
) -> None:
    """fold_last_count_sum in NumPy."""
    slots, places = places_taking_part(starts, low, rows, first_block, after_block, first_row, row_count, mask)
    np.maximum.at(last, slots, times[places])
    np.add.at(counts, slots, np.uint32(1))
    if len(codes):
        np.add.at(totals, slots, base + factor * codes[places].astype(np.int64))


def plain_take_present(
    first_contact: int,
    last: Values,
    counts: Counts,
    totals: Values,
    out: int,
    contacts: NDArray[np.uint32],
    all_last: Values,
    all_counts: Values,
    all_totals: Values,
) -> int:
    """take_present in NumPy."""
    held = np.flatnonzero(counts)
    here = slice(out, out + len(held))
    contacts[here] = held + first_contact
    all_last[here], all_counts[here], all_totals[here] = last[held], counts[held], totals[held]
    return out + len(held)


def plain_cells_of_values(
    recency: Values,
    frequency: Values,
    monetary: Values,
    recency_above: Values,
    frequency_above: Values,
    monetary_above: Values,
    cells: NDArray[np.uint16],
) -> None:
    """cells_of_values in NumPy; monetary values and thresholds may be Python integers (dtype object)."""
    whole = np.searchsorted(recency_above, recency, "left")
    whole = whole * (len(frequency_above) + 1) + np.searchsorted(frequency_above, frequency, "left")
    cells[:] = whole * (len(monetary_above) + 1) + np.searchsorted(monetary_above, monetary, "left")


def plain_all_within(contacts: NDArray[np.uint32], words: NDArray[np.uint64]) -> bool:
    """all_within in NumPy."""
    return bool((words[contacts >> np.uint32(6)] >> (contacts & np.uint32(63)).astype(np.uint64) & np.uint64(1)).all())
