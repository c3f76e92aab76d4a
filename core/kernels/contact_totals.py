"""What a whole run says of each of its contacts: the last row, how many rows, and the sum of their codes.

The run is read in the order of contacts (core.kernels.contact_order); so do contacts stand in what is made of it: those
of block b from `begins[b]` to `begins[b + 1]`, each with the last eight bits of its number.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.kernels.compiled import compiled
from core.kernels.contact_order import Low, Rows, Starts, plain_contacts_of
from core.kernels.folding import Counts, Values


@compiled
def total_by_contact(
    starts: Starts,
    low: Low,
    rows: Rows,
    codes: NDArray[Any],
    begins: Starts,
    contacts: Low,
    last: Rows,
    counts: Counts,
    sums: Values,
) -> int:
    """Fill `begins` (as long as `starts`) and one entry of the others for each contact; how many contacts is returned.
    `codes` (none at all: no sums) stand in the order of `rows`; a sum that leaves int64 wraps."""
    valued = len(codes) > 0
    place = -1
    for block in range(len(starts) - 1):
        begins[block] = np.uint32(place + 1)
        held = np.int64(-1)
        for i in range(np.uint64(starts[block]), np.uint64(starts[block + 1])):
            if np.int64(low[i]) != held:
                held = np.int64(low[i])
                place += 1
                contacts[place] = low[i]
                counts[place] = np.uint32(0)
                sums[place] = 0
            last[place] = rows[i]
            counts[place] += np.uint32(1)
            if valued:
                sums[place] += np.int64(codes[i])
    begins[len(starts) - 1] = np.uint32(place + 1)
    return place + 1


@compiled
def fold_totals(
    begins: Starts,
    contacts: Low,
    last_rows: Rows,
    row_counts: Counts,
    code_sums: Values,
    first_block: int,
    after_block: int,
    first_key: int,
    base: int,
    factor: int,
    last: NDArray[np.uint32],
    counts: Counts,
    totals: Values,
) -> None:
    """What core.kernels.rfm_grid.fold_ranked does with all rows of the run, whose values are `base + factor * code`."""
    key_of_first = np.uint32(first_key)
    for block in range(first_block, min(after_block, len(begins) - 1)):
        at = np.uint64((block - first_block) * 256)
        for i in range(np.uint64(begins[block]), np.uint64(begins[block + 1])):
            slot = at + np.uint64(contacts[i])
            last[slot] = last_rows[i] + key_of_first
            counts[slot] += row_counts[i]
            totals[slot] += base * np.int64(row_counts[i]) + factor * code_sums[i]


def plain_total_by_contact(
    starts: Starts,
    low: Low,
    rows: Rows,
    codes: NDArray[Any],
    begins: Starts,
    contacts: Low,
    last: Rows,
    counts: Counts,
    sums: Values,
) -> int:
    """total_by_contact in NumPy."""
    held, places, sizes = np.unique(plain_contacts_of(starts, low), return_inverse=True, return_counts=True)
    n = len(held)
    begins[:] = np.searchsorted(held >> np.uint32(8), np.arange(len(starts)), "left")
    contacts[:n], counts[:n], sums[:n] = held & np.uint32(255), sizes, 0
    last[places] = rows
    if len(codes):
        np.add.at(sums, places, codes.astype(np.int64))
    return n


def plain_fold_totals(
    begins: Starts,
    contacts: Low,
    last_rows: Rows,
    row_counts: Counts,
    code_sums: Values,
    first_block: int,
    after_block: int,
    first_key: int,
    base: int,
    factor: int,
    last: NDArray[np.uint32],
    counts: Counts,
    totals: Values,
) -> None:
    """fold_totals in NumPy."""
    slots = plain_contacts_of(begins, contacts).astype(np.int64) - 256 * first_block
    here = (slots >= 0) & (slots < 256 * (after_block - first_block))
    last[slots[here]] = last_rows[here] + np.uint32(first_key)
    counts[slots[here]] += row_counts[here]
    totals[slots[here]] += base * row_counts[here].astype(np.int64) + factor * code_sums[here]
