"""Ranks and cells of a whole population's recency, frequency and monetary value, in as few bytes as they need.

A contact's recency is a key that ascends with the instant of its last event; values that ranks are looked for in are
counted by their upper bits while they are made, so that only those near a rank are ever compared.
"""

from __future__ import annotations

from math import frexp
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.kernels.compiled import compiled
from core.kernels.contact_order import Low, Rows, Starts
from core.kernels.folding import Counts, Mask, Values, places_taking_part

#: Recency keys are counted by at most so many upper bits.
KEY_BITS = 12
#: Frequencies below this are counted one by one, all others together; four counters each, as most contacts share one.
NUMBER_BINS = 1 << 10
_LANES = 4
#: Sums are counted by the exponent and so many digits of the float next to them: see sum_bin.
_DIGITS = 8
SUM_BINS = 64 << _DIGITS
_SHIFT = 52 - _DIGITS
_ONE = 1023 << _DIGITS
Keys = NDArray[Any]


def sum_bin(above_least: int) -> int:
    """Where take_ranked counts a sum that is so much (0 to 2**63 - 2) above the least possible one; it ascends."""
    fraction, exponent = frexp(above_least + 1)
    return ((exponent - 1) << _DIGITS) + int((2 * fraction - 1) * (1 << _DIGITS))


@compiled
def fold_ranked(
    starts: Starts,
    low: Low,
    rows: Rows,
    first_block: int,
    after_block: int,
    first_row: int,
    row_count: int,
    mask: Mask,
    first_key: int,
    codes: NDArray[Any],
    base: int,
    factor: int,
    last: NDArray[np.uint32],
    counts: Counts,
    totals: Values,
) -> None:
    """Set `last` to `first_key` and how many rows of the window lie before the contact's last one, add 1 to `counts`
    and `base + factor * code` to `totals` for each row. `codes` (none at all: no sums) stand in the order of `rows`;
    what the arguments mean stands in core.kernels.folding. Runs are folded in the order of their instants."""
    masked = len(mask) > 0
    valued = len(codes) > 0
    origin = np.uint32(first_row)
    span = np.uint32(row_count)
    key_of_first = np.uint32(first_key)
    whole = not masked and valued and first_row == 0 and row_count == len(rows)
    for block in range(first_block, min(after_block, len(starts) - 1)):
        at = np.uint64((block - first_block) * 256)
        # Unsigned numbers as indices: a signed one is checked for being negative each time.
        if whole:
            for place in range(np.uint64(starts[block]), np.uint64(starts[block + 1])):
                slot = at + np.uint64(low[place])
                last[slot] = rows[place] + key_of_first
                counts[slot] += np.uint32(1)
                totals[slot] += base + factor * np.int64(codes[place])
            continue
        for place in range(np.uint64(starts[block]), np.uint64(starts[block + 1])):
            # No branch: one that is guessed wrong costs more than the rest of a row.
            row = np.uint32(rows[place] - origin)
            inside = np.uint32(row < span)
            if masked:
                inside &= np.uint32(mask[row * inside])
            slot = at + np.uint64(low[place])
            counts[slot] += inside
            last[slot] = row + key_of_first if inside else last[slot]
            if valued:
                totals[slot] += np.int64(inside) * (base + factor * np.int64(codes[place]))


@compiled
def take_ranked(
    first_contact: int,
    members: NDArray[np.uint64],
    last: Keys,
    counts: Counts,
    totals: Values,
    out: int,
    keys: Keys,
    numbers: NDArray[np.uint32],
    sums: Values,
    least_key: int,
    key_shift: int,
    key_counts: NDArray[np.int64],
    number_counts: NDArray[np.int64],
    least_sum: int,
    sum_counts: NDArray[np.int64],
) -> int:
    """Append the entries with a count, of contacts in the words `members`, to `keys`, `numbers` and `sums` from `out`
    on, and count them: keys by `(key - least_key) >> key_shift`, numbers (those of NUMBER_BINS - 1 and more together)
    in the four rows of `number_counts`, sums by sum_bin. Entry i is contact `first_contact + i`; `first_contact` is a
    multiple of 64. Where the next entry goes is returned."""
    held = np.empty(2049, np.uint32)
    near = np.empty(2048, np.float64)
    bits = near.view(np.int64)
    most = np.uint32(number_counts.shape[1] - 1)
    everyone = np.uint64(0xFFFFFFFFFFFFFFFF)
    place = np.uint64(out)
    for start in range(0, len(counts), 2048):
        count = np.uint64(0)
        for some in range(start, min(len(counts), start + 2048), 64):
            word = members[(first_contact + some) >> 6]
            first, after = np.uint64(some), np.uint64(min(len(counts), some + 64))
            if word == everyone:
                for i in range(first, after):
                    held[count] = np.uint32(i)
                    count += np.uint64(counts[i] > np.uint32(0))
            elif word:
                for i in range(first, after):
                    held[count] = np.uint32(i)
                    count += (word >> (i & np.uint64(63))) & np.uint64(counts[i] > np.uint32(0))
        # A loop for each column: together they are more than the processor can look ahead.
        for j in range(count):
            i = held[j]
            keys[place + j] = last[i]
            numbers[place + j] = counts[i]
            sums[place + j] = totals[i]
        for j in range(count):
            near[j] = np.float64(sums[place + j] - least_sum + 1)
        for j in range(count):
            key_counts[(np.int64(keys[place + j]) - least_key) >> key_shift] += 1
        for j in range(count):
            number_counts[j & np.uint64(3), min(numbers[place + j], most)] += 1
        for j in range(count):
            sum_counts[(bits[j] >> _SHIFT) - _ONE] += 1
        place += count
    return int(place)


@compiled
def collect_between(values: Keys, least: Keys, widths: Keys, collected: Keys) -> int:
    """Copy the values that lie at most `widths[k]` above `least[k]` for some k to the front of `collected`, in their
    order; how many is returned. All are unsigned of one type, signed numbers by their bits. `collected` has room for
    one more than these."""
    place = np.uint64(0)
    flags = np.empty(1024, np.uint8)
    for start in range(0, len(values), 1024):
        some = values[start : start + 1024]
        n = len(some)
        flags[:n] = np.uint8(0)
        for k in range(len(least)):
            low, width = least[k], widths[k]
            for i in range(n):
                # Below the least the difference wraps, and is larger than any width.
                flags[i] |= np.uint8((some[i] - low) <= width)
        for i in range(np.uint64(n)):
            collected[place] = some[i]
            place += np.uint64(flags[i])
    return int(place)


@compiled
def count_cells(
    keys: Keys,
    numbers: NDArray[np.uint32],
    sums: Values,
    keys_above: Keys,
    numbers_above: NDArray[np.uint32],
    sums_above: Values,
    cells: NDArray[np.int64],
) -> None:
    """Add the contacts to the cells (four rows: any) that core.kernels.rfm.cells_of_values would place them in."""
    number_bins = np.uint16(len(numbers_above) + 1)
    sum_bins = np.uint16(len(sums_above) + 1)
    here = np.empty(2048, np.uint16)
    for start in range(0, len(keys), 2048):
        some_keys = keys[start : start + 2048]
        some_numbers = numbers[start : start + 2048]
        some_sums = sums[start : start + 2048]
        n = len(some_keys)
        here[:n] = np.uint16(0)
        for bound in keys_above:
            for i in range(n):
                here[i] += np.uint16(some_keys[i] > bound)
        for i in range(n):
            here[i] *= number_bins
        for bound in numbers_above:
            for i in range(n):
                here[i] += np.uint16(some_numbers[i] > bound)
        for i in range(n):
            here[i] *= sum_bins
        for bound in sums_above:
            for i in range(n):
                here[i] += np.uint16(some_sums[i] > bound)
        for i in range(n):
            cells[i & 3, here[i]] += 1


def new_number_counts() -> NDArray[np.int64]:
    """What take_ranked counts numbers in."""
    return np.zeros((_LANES, NUMBER_BINS), np.int64)


def new_cells(count: int) -> NDArray[np.int64]:
    """What count_cells counts in: the sum of the rows is the number of contacts in each cell."""
    return np.zeros((_LANES, count), np.int64)


def plain_fold_ranked(
    starts: Starts,
    low: Low,
    rows: Rows,
    first_block: int,
    after_block: int,
    first_row: int,
    row_count: int,
    mask: Mask,
    first_key: int,
    codes: NDArray[Any],
    base: int,
    factor: int,
    last: NDArray[np.uint32],
    counts: Counts,
    totals: Values,
) -> None:
    """fold_ranked in NumPy."""
    slots, places = places_taking_part(starts, low, rows, first_block, after_block, first_row, row_count, mask)
    # Rows of a contact ascend, and of several assignments to one entry the last one stays.
    last[slots] = rows[places].astype(np.int64) - first_row + first_key
    np.add.at(counts, slots, np.uint32(1))
    if len(codes):
        np.add.at(totals, slots, base + factor * codes[places].astype(np.int64))


def plain_take_ranked(
    first_contact: int,
    members: NDArray[np.uint64],
    last: Keys,
    counts: Counts,
    totals: Values,
    out: int,
    keys: Keys,
    numbers: NDArray[np.uint32],
    sums: Values,
    least_key: int,
    key_shift: int,
    key_counts: NDArray[np.int64],
    number_counts: NDArray[np.int64],
    least_sum: int,
    sum_counts: NDArray[np.int64],
) -> int:
    """take_ranked in NumPy; it counts all numbers in the first row."""
    member = np.unpackbits(members.view(np.uint8), bitorder="little")[first_contact : first_contact + len(counts)]
    held = np.flatnonzero((counts > 0) & (member == 1))
    end = out + len(held)
    keys[out:end], numbers[out:end], sums[out:end] = last[held], counts[held], totals[held]
    np.add.at(key_counts, (last[held].astype(np.int64) - least_key) >> key_shift, 1)
    np.add.at(number_counts[0], np.minimum(counts[held], number_counts.shape[1] - 1), 1)
    bins = [sum_bin(total - least_sum) for total in totals[held].tolist()]
    np.add.at(sum_counts, np.array(bins, np.int64), 1)
    return end


def plain_collect_between(values: Keys, least: Keys, widths: Keys, collected: Keys) -> int:
    """collect_between in NumPy."""
    inside = ((values[:, None] - least) <= widths).any(axis=1)
    found = values[inside]
    collected[: len(found)] = found
    return len(found)
