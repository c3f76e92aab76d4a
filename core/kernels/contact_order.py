"""Rows ordered by contact: made, merged and searched.

The order of `n` rows is three arrays. Contacts are cut into blocks of 256: `starts[b]` to `starts[b + 1]` (uint32, one
entry more than there are blocks) are the places of block b; at each place stand the contact's last eight bits (`low`,
uint8) and the row (`rows`, uint32), ascending by (contact, row). So a row costs 5 bytes, whatever the contacts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.kernels.compiled import compiled
from core.kernels.ranges import expand_ranges

Starts = NDArray[np.uint32]
Low = NDArray[np.uint8]
Rows = NDArray[np.uint32]


@compiled
def order_by_contact(contacts: NDArray[np.uint32], starts: Starts, low: Low, rows: Rows) -> None:
    """Fill `low`, `rows` and `starts` (given as zeros, large enough for the largest contact): a stable counting sort by
    block, then by contact within each."""
    blocks = len(starts) - 1
    for i in range(len(contacts)):
        starts[(contacts[i] >> np.uint32(8)) + np.uint32(1)] += np.uint32(1)
    for b in range(blocks):
        starts[b + 1] += starts[b]
    free = starts[:blocks].copy()
    for i in range(len(contacts)):
        block = contacts[i] >> np.uint32(8)
        place = free[block]
        free[block] = place + np.uint32(1)
        rows[place] = np.uint32(i)
        low[place] = np.uint8(contacts[i] & np.uint32(255))
    some_rows = np.empty(1024, np.uint32)
    some_low = np.empty(1024, np.uint8)
    ends = np.empty(257, np.uint32)
    for b in range(blocks):
        first = starts[b]
        count = starts[b + 1] - first
        if count > len(some_rows):
            some_rows = np.empty(2 * count, np.uint32)
            some_low = np.empty(2 * count, np.uint8)
        ends[:] = np.uint32(0)
        for i in range(count):
            some_rows[i] = rows[first + i]
            some_low[i] = low[first + i]
            ends[np.uint32(some_low[i]) + np.uint32(1)] += np.uint32(1)
        for c in range(256):
            ends[c + 1] += ends[c]
        for i in range(count):
            place = ends[some_low[i]]
            ends[some_low[i]] = place + np.uint32(1)
            rows[first + place] = some_rows[i]
            low[first + place] = some_low[i]


@compiled
def merge_orders(
    a_starts: Starts,
    a_low: Low,
    a_rows: Rows,
    b_starts: Starts,
    b_low: Low,
    b_rows: Rows,
    starts: Starts,
    low: Low,
    rows: Rows,
) -> None:
    """Fill `starts`, `low` and `rows` (as long as a's and b's together) with the union; no row stands in both. `starts`
    has as many entries as the longer of both."""
    place = np.uint32(0)
    for b in range(len(starts) - 1):
        starts[b] = place
        i = np.uint32(0)
        i_end = np.uint32(0)
        j = np.uint32(0)
        j_end = np.uint32(0)
        if b < len(a_starts) - 1:
            i = a_starts[b]
            i_end = a_starts[b + 1]
        if b < len(b_starts) - 1:
            j = b_starts[b]
            j_end = b_starts[b + 1]
        while i < i_end or j < j_end:
            from_a = j >= j_end
            if i < i_end and j < j_end:
                from_a = a_low[i] < b_low[j] or (a_low[i] == b_low[j] and a_rows[i] < b_rows[j])
            if from_a:
                low[place] = a_low[i]
                rows[place] = a_rows[i]
                i += np.uint32(1)
            else:
                low[place] = b_low[j]
                rows[place] = b_rows[j]
                j += np.uint32(1)
            place += np.uint32(1)
    starts[len(starts) - 1] = place


@compiled
def places_of_contacts(
    starts: Starts,
    low: Low,
    contacts: NDArray[np.uint32],
    first_places: NDArray[np.int64],
    after_places: NDArray[np.int64],
) -> None:
    """Where the rows of each of `contacts` begin and end, by binary search in its block; empty for others."""
    blocks = len(starts) - 1
    for k in range(len(contacts)):
        block = np.int64(contacts[k] >> np.uint32(8))
        if block >= blocks:
            first_places[k] = 0
            after_places[k] = 0
            continue
        wanted = np.int64(contacts[k] & np.uint32(255))
        for side in range(2):
            left = np.int64(starts[block])
            right = np.int64(starts[block + 1])
            bound = wanted + side
            while left < right:
                middle = (left + right) >> 1
                if np.int64(low[middle]) < bound:
                    left = middle + 1
                else:
                    right = middle
            if side == 0:
                first_places[k] = left
            else:
                after_places[k] = left


@compiled
def rows_of_contacts(
    starts: Starts, low: Low, rows: Rows, contacts: NDArray[np.uint32], first_row: int, after_row: int, most: int
) -> tuple[NDArray[np.int64], bool]:
    """The rows from `first_row` to `after_row` of each of `contacts`, contact after contact, ascending within one; and
    True. Where the contacts have more than `most` rows in all: no rows, and False."""
    blocks = len(starts) - 1
    ends = np.empty((len(contacts), 2), np.int64)
    total = 0
    for k in range(len(contacts)):
        block = np.int64(contacts[k] >> np.uint32(8))
        wanted = np.int64(contacts[k] & np.uint32(255))
        for side in range(2):
            left = np.int64(starts[block]) if block < blocks else np.int64(0)
            right = np.int64(starts[block + 1]) if block < blocks else np.int64(0)
            while left < right:
                middle = (left + right) >> 1
                if np.int64(low[middle]) < wanted + side:
                    left = middle + 1
                else:
                    right = middle
            ends[k, side] = left
        total += ends[k, 1] - ends[k, 0]
    if total > most:
        return np.empty(0, np.int64), False
    found = np.empty(total, np.int64)
    count = 0
    for k in range(len(contacts)):
        for place in range(ends[k, 0], ends[k, 1]):
            row = np.int64(rows[place])
            if row >= first_row and row < after_row:
                found[count] = row
                count += 1
    return found[:count], True


def plain_rows_of_contacts(
    starts: Starts, low: Low, rows: Rows, contacts: NDArray[np.uint32], first_row: int, after_row: int, most: int
) -> tuple[NDArray[np.int64], bool]:
    """rows_of_contacts in NumPy."""
    first, after = np.empty(len(contacts), np.int64), np.empty(len(contacts), np.int64)
    plain_places_of_contacts(starts, low, contacts, first, after)
    if int((after - first).sum()) > most:
        return np.empty(0, np.int64), False
    places, _ = expand_ranges(first, after)
    found = rows[places].astype(np.int64)
    return found[(found >= first_row) & (found < after_row)], True


def plain_order_by_contact(contacts: NDArray[np.uint32], starts: Starts, low: Low, rows: Rows) -> None:
    """order_by_contact in NumPy."""
    rows[:] = np.argsort(contacts, kind="stable")
    low[:] = contacts[rows] & np.uint32(255)
    starts[:] = np.searchsorted(contacts[rows] >> np.uint32(8), np.arange(len(starts)), "left")


def plain_merge_orders(
    a_starts: Starts,
    a_low: Low,
    a_rows: Rows,
    b_starts: Starts,
    b_low: Low,
    b_rows: Rows,
    starts: Starts,
    low: Low,
    rows: Rows,
) -> None:
    """merge_orders in NumPy."""
    contacts = np.concatenate((plain_contacts_of(a_starts, a_low), plain_contacts_of(b_starts, b_low)))
    both = np.concatenate((a_rows, b_rows))
    order = np.lexsort((both, contacts))
    rows[:] = both[order]
    low[:] = contacts[order] & np.uint32(255)
    starts[:] = np.searchsorted(contacts[order] >> np.uint32(8), np.arange(len(starts)), "left")


def plain_places_of_contacts(
    starts: Starts,
    low: Low,
    contacts: NDArray[np.uint32],
    first_places: NDArray[np.int64],
    after_places: NDArray[np.int64],
) -> None:
    """places_of_contacts in NumPy; an absent contact beyond the blocks has the empty range at 0."""
    held = plain_contacts_of(starts, low)
    inside = (contacts >> np.uint32(8)) < len(starts) - 1
    first_places[:] = np.where(inside, np.searchsorted(held, contacts, "left"), 0)
    after_places[:] = np.where(inside, np.searchsorted(held, contacts, "right"), 0)


def plain_contacts_of(starts: Starts, low: Low) -> NDArray[np.uint32]:
    """The contact at every place of an order."""
    blocks = np.repeat(np.arange(len(starts) - 1, dtype=np.uint32), starts[1:] - starts[:-1])
    return (blocks << np.uint32(8)) | low
