"""Cohorts and their returns by the same events in one pass, where every contact's events come in order of time.

The loop goes over rows in the order of contacts; what its arguments mean stands in core.kernels.folding and in
core.kernels.returns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.kernels.compiled import compiled
from core.kernels.contact_order import Low, Rows, Starts
from core.kernels.folding import Mask, Values, places_taking_part
from core.kernels.returns import Times

#: The cohort of a contact that has had no event so far; -1: it began before period 0.
NOT_BEGUN = -2
_MOST_SHIFT = 12
#: Counters for what does not count; neighbouring rows take different ones, so that none waits for the other.
_LOST = 8

Numbers = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class PeriodPieces:
    """The period of a row of a window: that of its piece of `2 ** shift` rows, which is `before[piece]` below the row
    `changes[piece]` and `after[piece]` from there on; -1 before period 0, int32 all."""

    shift: int
    before: Numbers
    changes: Numbers
    after: Numbers


def period_pieces(period_rows: NDArray[np.int64], row_count: int) -> PeriodPieces:
    """The largest pieces in which the period changes at most once; `period_rows` as in core.kernels.returns."""
    changes = np.unique(period_rows[(period_rows > 0) & (period_rows < row_count)])
    shift = _MOST_SHIFT
    while shift and (np.diff(changes >> shift) == 0).any():
        shift -= 1
    firsts = np.arange(0, row_count, 1 << shift)
    before = np.searchsorted(period_rows, firsts, "right") - 1
    lasts = np.minimum(firsts + (1 << shift), row_count) - 1
    after = np.searchsorted(period_rows, lasts, "right") - 1
    rows = np.full(len(firsts), np.iinfo(np.int32).max, np.int32)
    rows[changes >> shift] = changes
    return PeriodPieces(shift, before.astype(np.int32), rows, after.astype(np.int32))


def new_counts(cohort_count: int, columns: int) -> NDArray[np.int64]:
    """What mark_in_order counts in: the matrix row by row, then what does not count."""
    return np.zeros(cohort_count * columns + _LOST, np.int64)


@compiled
def mark_in_order(
    starts: Starts,
    low: Low,
    rows: Rows,
    first_block: int,
    after_block: int,
    first_row: int,
    row_count: int,
    mask: Mask,
    times: Times,
    shift: int,
    before: Numbers,
    changes: Numbers,
    after: Numbers,
    last_period: int,
    members: NDArray[np.uint64],
    columns: int,
    first: Values,
    cohorts: Numbers,
    seen: Numbers,
    sizes: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> None:
    """Begin each contact with its first row: `cohorts` (NOT_BEGUN before) is that row's period, and it adds 1 to its
    entry of `sizes`, which has one for each cohort and _LOST more. For each period in which a later row is strictly
    after `first`, add 1 to the entry of `counts` for (cohort, period - cohort). Only contacts in the words `members`,
    cohorts that have a size, `columns` periods of each and periods up to `last_period` count. Runs that are marked one
    after the other follow each other in time; `seen` (the last period that counted) and `first` need no values at the
    beginning. `shift` to `after` are the PeriodPieces."""
    masked = len(mask) > 0
    origin = np.uint32(first_row)
    span = np.uint32(row_count)
    by = np.uint32(shift)
    cohort_count = np.int32(len(sizes) - 8)
    lost = np.int64(cohort_count) * columns
    for block in range(first_block, min(after_block, len(starts) - 1)):
        at = (block - first_block) * 256
        word_at = block * 4
        for place in range(starts[block], starts[block + 1]):
            row = np.uint32(rows[place] - origin)
            if row >= span or (masked and not mask[row]):
                continue
            # No other branch: nobody can guess who comes again.
            lower = np.int64(low[place])
            slot = at + lower
            piece = row >> by
            period = after[piece] if np.int32(row) >= changes[piece] else before[piece]
            time = times[place]
            begins = cohorts[slot] == np.int32(-2)
            cohort = period if begins else cohorts[slot]
            began = time if begins else first[slot]
            last_seen = np.int32(period - 1) if begins else seen[slot]
            returns = (period > last_seen) & (time > began)
            cohorts[slot] = cohort
            first[slot] = began
            seen[slot] = period if returns else last_seen
            member = (members[word_at + (lower >> 6)] >> np.uint64(lower & 63)) & np.uint64(1)
            shown = (member != np.uint64(0)) & (cohort >= np.int32(0)) & (cohort < cohort_count)
            nowhere = place & 7
            sizes[np.int64(cohort) if shown & begins else np.int64(cohort_count) + nowhere] += 1
            offset = np.int64(period) - np.int64(cohort)
            counted = shown & returns & (offset < columns) & (period <= last_period)
            counts[np.int64(cohort) * columns + offset if counted else lost + nowhere] += 1


def plain_mark_in_order(
    starts: Starts,
    low: Low,
    rows: Rows,
    first_block: int,
    after_block: int,
    first_row: int,
    row_count: int,
    mask: Mask,
    times: Times,
    shift: int,
    before: Numbers,
    changes: Numbers,
    after: Numbers,
    last_period: int,
    members: NDArray[np.uint64],
    columns: int,
    first: Values,
    cohorts: Numbers,
    seen: Numbers,
    sizes: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> None:
    """mark_in_order row by row; what does not count is left alone."""
    held = np.unpackbits(members.view(np.uint8), bitorder="little")
    slots, places = places_taking_part(starts, low, rows, first_block, after_block, first_row, row_count, mask)
    cohort_count = len(sizes) - _LOST
    for slot, place in zip(slots.tolist(), places.tolist(), strict=True):
        row, time = int(rows[place]) - first_row, int(times[place])
        piece = row >> shift
        period = int(after[piece] if row >= changes[piece] else before[piece])
        member = bool(held[first_block * 256 + slot])
        if cohorts[slot] == NOT_BEGUN:
            cohorts[slot], first[slot], seen[slot] = period, time, period - 1
            if member and 0 <= period < cohort_count:
                sizes[period] += 1
        elif period > seen[slot] and time > first[slot]:
            seen[slot] = period
            cohort = int(cohorts[slot])
            shown = member and 0 <= cohort < cohort_count
            if shown and period - cohort < columns and period <= last_period:
                counts[cohort * columns + period - cohort] += 1
