"""Cohorts and their returns by the same events, where a word for each contact holds the periods that it was seen in.

The loop goes over rows in the order of contacts; what its arguments mean stands in core.kernels.folding. Periods have
numbers from 0 on; 0 is whatever lies before the periods asked for, so a contact that began there has a cohort as well,
which nobody reads. The word of a contact has a bit for each period, the bit `own` for coming again in the cohort's own
period, and above them all the number of its cohort; 0: it has not begun. Rows that stand at the same instant as the
row of their contact before them say nothing new and are left out, so no instant is read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.kernels.compiled import compiled
from core.kernels.contact_order import Low, Rows, Starts
from core.kernels.folding import Mask, places_taking_part
from core.kernels.returns_in_order import period_pieces

Words = NDArray[np.uint64]
#: Periods with a bit of their own; six bits above them are the cohort's.
MOST_PERIODS = 57
_COHORT_SHIFT = 58
#: A contact that never counts: every bit is set already.
NOT_COUNTED = (1 << _COHORT_SHIFT) - 1
#: Counters that neighbouring rows take in turn, so that none waits for the other.
_LANES = 4


@dataclass(frozen=True, slots=True)
class RowPeriods:
    """The period of a row of a window, by its piece of `2 ** shift` rows: `pieces[row >> shift]` (uint64) holds a row
    in its lower half, and the periods below that row and from it on in 16 bits each above."""

    shift: int
    pieces: Words


def row_periods(period_rows: NDArray[np.int64], row_count: int) -> RowPeriods:
    """`period_rows[p]` is the first row of the window in the period that is counted as p + 1, or a later one; the last
    entry is behind all."""
    found = period_pieces(period_rows, row_count)
    changes = found.changes.astype(np.uint64)
    before, after = (found.before + 1).astype(np.uint64), (found.after + 1).astype(np.uint64)
    return RowPeriods(found.shift, changes | before << np.uint64(32) | after << np.uint64(48))


def new_bit_counts(periods: int) -> NDArray[np.int64]:
    """What mark_bits counts in: the sum of the rows, by cohort and bit."""
    return np.zeros((_LANES, periods * (periods + 1)), np.int64)


@compiled
def begin_members(members: Words, first_contact: int, held: Words) -> None:
    """The words of contacts from `first_contact` (a multiple of 64) on, before any row: members can begin, others never
    count."""
    for i in range(0, len(held), 64):
        word = members[(first_contact + i) >> 6]
        if word == np.uint64(0xFFFFFFFFFFFFFFFF):
            held[i : i + 64] = np.uint64(0)
            continue
        for bit in range(min(64, len(held) - i)):
            outside = ((word >> np.uint64(bit)) & np.uint64(1)) ^ np.uint64(1)
            held[i + bit] = outside * np.uint64(0x03FFFFFFFFFFFFFF)


@compiled
def mark_bits(
    starts: Starts,
    low: Low,
    rows: Rows,
    first_block: int,
    after_block: int,
    first_row: int,
    row_count: int,
    mask: Mask,
    repeated: Mask,
    shift: int,
    pieces: Words,
    own: int,
    held: Words,
    counts: NDArray[np.int64],
) -> None:
    """Begin each contact with its first row, and add 1 to the entry `cohort * (own + 1) + bit` of `counts` for each bit
    of `held` that a row is the first to set: the period's, or `own` where it comes again in the period that it began
    in. Runs that are marked one after the other follow each other in time, without an instant in common. `own` is the
    number of periods, at most MOST_PERIODS; `repeated` has an entry for each place, or none at all."""
    masked = len(mask) > 0
    repeats = len(repeated) > 0
    origin = np.uint32(first_row)
    span = np.uint32(row_count)
    plain = not masked and not repeats and first_row == 0 and row_count == len(rows)
    by = np.uint32(shift)
    ours = np.uint64(own)
    stride = np.uint64(own + 1)
    one = np.uint64(1)
    for block in range(first_block, min(after_block, len(starts) - 1)):
        at = np.uint64((block - first_block) * 256)
        if plain:
            for place in range(np.uint64(starts[block]), np.uint64(starts[block + 1])):
                row = rows[place]
                slot = at + np.uint64(low[place])
                piece = pieces[row >> by]
                period = (piece >> np.uint64(48 if row >= np.uint32(piece) else 32)) & np.uint64(0xFFFF)
                old = held[slot]
                # A branch, and a good one: without it, each row would wait for the word that the one before it wrote.
                begins = old == np.uint64(0)
                cohort = period if begins else old >> np.uint64(58)
                bit = ours if (cohort == period) & (not begins) else period
                held[slot] = old | (one << bit) | (cohort << np.uint64(58))
                counts[place & np.uint64(3), cohort * stride + bit] += np.int64((~old >> bit) & one)
        else:
            for place in range(np.uint64(starts[block]), np.uint64(starts[block + 1])):
                # No branch: one that is guessed wrong costs more than the rest of a row.
                row = np.uint32(rows[place] - origin)
                inside = np.uint32(row < span)
                row *= inside
                if masked:
                    inside &= np.uint32(mask[row])
                if repeats:
                    inside &= np.uint32(not repeated[place])
                slot = at + np.uint64(low[place])
                piece = pieces[row >> by]
                period = (piece >> np.uint64(48 if row >= np.uint32(piece) else 32)) & np.uint64(0xFFFF)
                old = held[slot]
                begins = old == np.uint64(0)
                cohort = period if begins else old >> np.uint64(58)
                bit = ours if (cohort == period) & (not begins) else period
                taken = np.uint64(inside)
                held[slot] = old | ((one << bit) | (cohort << np.uint64(58))) * taken
                counts[place & np.uint64(3), cohort * stride + bit] += np.int64((~old >> bit) & taken)


def plain_begin_members(members: Words, first_contact: int, held: Words) -> None:
    """begin_members in NumPy."""
    bits = np.unpackbits(members.view(np.uint8), bitorder="little")[first_contact : first_contact + len(held)]
    held[:] = np.where(bits == 1, np.uint64(0), np.uint64(NOT_COUNTED))


def plain_mark_bits(
    starts: Starts,
    low: Low,
    rows: Rows,
    first_block: int,
    after_block: int,
    first_row: int,
    row_count: int,
    mask: Mask,
    repeated: Mask,
    shift: int,
    pieces: Words,
    own: int,
    held: Words,
    counts: NDArray[np.int64],
) -> None:
    """mark_bits row by row; it counts all in the first row of `counts`."""
    slots, places = places_taking_part(starts, low, rows, first_block, after_block, first_row, row_count, mask)
    for slot, place in zip(slots.tolist(), places.tolist(), strict=True):
        if len(repeated) and repeated[place]:
            continue
        row = int(rows[place]) - first_row
        piece, old = int(pieces[row >> shift]), int(held[slot])
        period = piece >> 48 if row >= piece & 0xFFFF_FFFF else (piece >> 32) & 0xFFFF
        cohort = old >> _COHORT_SHIFT if old else period
        bit = own if old and cohort == period else period
        counts[0, cohort * (own + 1) + bit] += not (old >> bit) & 1
        held[slot] = old | 1 << bit | cohort << _COHORT_SHIFT
