"""Rows of members before (or after) which another row of the same contact lies near in time, exactly.

A set of contacts is words (bit i of word w is contact 64 w + i); `before[w]` (uint32) is the number of members in the
words before w, so that each member has a rank. Rows and others are ascending in time. With `sign` 1 a row at t looks
back and finds others at u with `t - within <= u < t`; with `sign` -1 it looks ahead, `t <= u <= t + within`; `touching`
1 or 0 decides whether u = t counts.

One sweep in the order of time (backwards for -1) keeps the last other of each member. Both sides are taken in pieces of
256 others without a branch that depends on data: rows first look at what earlier pieces left; only where a contact has
others in the row's own piece are they compared one by one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.kernels.compiled import compiled

Contacts = NDArray[np.uint32]
Times = NDArray[np.int64]
Words = NDArray[np.uint64]
Flags = NDArray[np.uint8]


@compiled
def mark_near(
    contacts: Contacts,
    times: Times,
    other_contacts: Contacts,
    other_times: Times,
    words: Words,
    before: NDArray[np.uint32],
    members: int,
    sign: int,
    within: int,
    touching: int,
    near: Flags,
) -> None:
    """Set `near` (one per row) to 1 where some other of the row's contact is near; leave the rest. The contacts of all
    rows are members, `members` in number; others may be anyone. No time is beyond 2**61 from 0, `within` is at most
    2**62."""
    n = len(contacts)
    others = len(other_contacts)
    last = np.full(members, -(2**63), np.int64)
    ranks = np.empty(n, np.uint32)
    for i in range(n):
        contact = contacts[i]
        below = words[contact >> np.uint32(6)] & ((np.uint64(1) << np.uint64(contact & np.uint32(63))) - np.uint64(1))
        # The number of bits, by halves: sums of 2, 4 and 8 bits, then all bytes at once.
        below -= (below >> np.uint64(1)) & np.uint64(0x5555555555555555)
        below = (below & np.uint64(0x3333333333333333)) + ((below >> np.uint64(2)) & np.uint64(0x3333333333333333))
        below = (below + (below >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
        below = (below * np.uint64(0x0101010101010101)) >> np.uint64(56)
        ranks[i] = np.uint32(np.uint64(before[contact >> np.uint32(6)]) + below)
    chosen = np.empty(257, np.uint32)
    chosen_ranks = np.empty(257, np.uint32)
    next_row = 0
    for start in range(0, others, 256):
        # Unsigned numbers as indices: a signed one is checked for being negative each time.
        stop = min(start + 256, others)
        low = np.uint64(start if sign > 0 else others - stop)
        high = np.uint64(stop if sign > 0 else others - start)
        count = np.uint64(0)
        for i in range(low, high):
            contact = other_contacts[i]
            chosen[count] = np.uint32(i)
            count += (words[contact >> np.uint32(6)] >> np.uint64(contact & np.uint32(63))) & np.uint64(1)
        first_key = other_times[low] if sign > 0 else -other_times[high - np.uint64(1)]
        last_key = other_times[high - np.uint64(1)] if sign > 0 else -other_times[low]
        # Rows that no other of later pieces concerns.
        first_row = next_row
        while next_row < n:
            row = np.uint64(next_row if sign > 0 else n - 1 - next_row)
            key = sign * times[row]
            if key + touching > last_key:
                break
            near[row] |= np.uint8(last[ranks[row]] >= key - within)
            next_row += 1
        for k in range(count):
            j = np.uint64(k) if sign > 0 else count - np.uint64(1) - np.uint64(k)
            at_row = np.uint64(chosen[j])
            contact = other_contacts[at_row]
            below = words[contact >> np.uint32(6)] & (
                (np.uint64(1) << np.uint64(contact & np.uint32(63))) - np.uint64(1)
            )
            below -= (below >> np.uint64(1)) & np.uint64(0x5555555555555555)
            below = (below & np.uint64(0x3333333333333333)) + ((below >> np.uint64(2)) & np.uint64(0x3333333333333333))
            below = (below + (below >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
            below = (below * np.uint64(0x0101010101010101)) >> np.uint64(56)
            rank = np.uint32(np.uint64(before[contact >> np.uint32(6)]) + below)
            chosen_ranks[j] = rank
            last[rank] = sign * other_times[at_row]
        for step in range(first_row, next_row):
            row = np.uint64(step if sign > 0 else n - 1 - step)
            rank = ranks[row]
            if near[row] == 0 and last[rank] >= first_key:
                key = sign * times[row]
                for k in range(count):
                    if chosen_ranks[k] == rank:
                        at = sign * other_times[np.uint64(chosen[k])]
                        if at < key + touching and at >= key - within:
                            near[row] = np.uint8(1)
                            break
    for step in range(next_row, n):
        row = np.uint64(step if sign > 0 else n - 1 - step)
        near[row] |= np.uint8(last[ranks[row]] >= sign * times[row] - within)


def plain_mark_near(
    contacts: Contacts,
    times: Times,
    other_contacts: Contacts,
    other_times: Times,
    words: Words,
    before: NDArray[np.uint32],
    members: int,
    sign: int,
    within: int,
    touching: int,
    near: Flags,
) -> None:
    """mark_near in NumPy, comparing every row with every other of its contact."""
    for row in range(len(contacts)):
        key = sign * int(times[row])
        keys = sign * other_times[other_contacts == contacts[row]]
        near[row] |= np.uint8(((keys < key + touching) & (keys >= key - within)).any())
