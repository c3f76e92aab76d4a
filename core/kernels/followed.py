"""Rows of contacts in a set that another row of the contact may follow in time, by a coarse calendar.

A set of contacts is words (bit i of word w is contact 64 w + i); `before[w]` (uint32) is the number of members in the
words before w, so that each member has a rank. Time from `start_us` on is cut into 64 pieces of `2**shift`
microseconds, and the calendar of a member (uint64, by rank) has a bit for each piece in which it has a row.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.kernels.compiled import compiled

Contacts = NDArray[np.uint32]
Times = NDArray[np.int64]
Words = NDArray[np.uint64]


@compiled
def mark_calendars(
    contacts: Contacts,
    times: Times,
    words: Words,
    before: NDArray[np.uint32],
    start_us: int,
    shift: int,
    calendars: Words,
) -> None:
    """Set the bits of the rows; all contacts are members, all times lie in the 64 pieces."""
    for i in range(len(contacts)):
        contact = contacts[i]
        word = words[contact >> np.uint32(6)]
        below = word & ((np.uint64(1) << np.uint64(contact & np.uint32(63))) - np.uint64(1))
        # The number of bits, by halves: sums of 2, 4 and 8 bits, then all bytes at once.
        below -= (below >> np.uint64(1)) & np.uint64(0x5555555555555555)
        below = (below & np.uint64(0x3333333333333333)) + ((below >> np.uint64(2)) & np.uint64(0x3333333333333333))
        below = (below + (below >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
        rank = np.uint64(before[contact >> np.uint32(6)]) + ((below * np.uint64(0x0101010101010101)) >> np.uint64(56))
        calendars[rank] |= np.uint64(1) << np.uint64((times[i] - start_us) >> shift)


@compiled
def rows_followed(
    contacts: Contacts,
    times: Times,
    words: Words,
    before: NDArray[np.uint32],
    start_us: int,
    shift: int,
    within: int,
    calendars: Words,
    rows: NDArray[np.uint32],
) -> int:
    """Write the rows of members whose calendar has a piece from that of the row's time to that of `within` later to the
    front of `rows` (one entry more than there are contacts), ascending; their number. Times lie in the 64 pieces."""
    count = np.uint64(0)
    members = np.empty(1024, np.uint32)
    for start in range(0, len(contacts), 1024):
        # Members are chosen without a branch: one that is guessed wrong costs more than all that is done for a row.
        chosen = np.uint64(0)
        for i in range(start, min(len(contacts), start + 1024)):
            contact = contacts[i]
            members[chosen] = np.uint32(i)
            chosen += (words[contact >> np.uint32(6)] >> np.uint64(contact & np.uint32(63))) & np.uint64(1)
        for j in range(chosen):
            i = members[j]
            contact = contacts[i]
            below = words[contact >> np.uint32(6)] & (
                (np.uint64(1) << np.uint64(contact & np.uint32(63))) - np.uint64(1)
            )
            below -= (below >> np.uint64(1)) & np.uint64(0x5555555555555555)
            below = (below & np.uint64(0x3333333333333333)) + ((below >> np.uint64(2)) & np.uint64(0x3333333333333333))
            below = (below + (below >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
            below = (below * np.uint64(0x0101010101010101)) >> np.uint64(56)
            calendar = calendars[np.uint64(before[contact >> np.uint32(6)]) + below]
            since = times[i] - start_us
            first = since >> shift
            last = min((since + within) >> shift, 63)
            inside = (calendar >> np.uint64(first)) & (~np.uint64(0) >> np.uint64(63 - (last - first)))
            rows[count] = i
            count += np.uint64(inside != np.uint64(0))
    return int(count)


def plain_mark_calendars(
    contacts: Contacts,
    times: Times,
    words: Words,
    before: NDArray[np.uint32],
    start_us: int,
    shift: int,
    calendars: Words,
) -> None:
    """mark_calendars in NumPy."""
    pieces = ((times - start_us) >> shift).astype(np.uint64)
    np.bitwise_or.at(calendars, _ranks(contacts, words, before), np.uint64(1) << pieces)


def plain_rows_followed(
    contacts: Contacts,
    times: Times,
    words: Words,
    before: NDArray[np.uint32],
    start_us: int,
    shift: int,
    within: int,
    calendars: Words,
    rows: NDArray[np.uint32],
) -> int:
    """rows_followed in NumPy."""
    inside = (words[contacts >> np.uint32(6)] >> (contacts & np.uint32(63)).astype(np.uint64)) & np.uint64(1)
    members = np.flatnonzero(inside)
    own = calendars[_ranks(contacts[members], words, before)]
    since = times[members] - start_us
    first, last = since >> shift, np.minimum((since + within) >> shift, 63)
    pieces = np.arange(64)
    wanted = (pieces >= first[:, None]) & (pieces <= last[:, None])
    held = ((own[:, None] >> pieces.astype(np.uint64)) & np.uint64(1)) != 0
    found = members[(wanted & held).any(axis=1)]
    rows[: len(found)] = found
    return len(found)


def _ranks(contacts: Contacts, words: Words, before: NDArray[np.uint32]) -> NDArray[np.int64]:
    """The rank of each of `contacts`, all of them members."""
    places = contacts >> np.uint32(6)
    below = words[places] & ((np.uint64(1) << (contacts & np.uint32(63)).astype(np.uint64)) - np.uint64(1))
    ranks: NDArray[np.int64] = before[places].astype(np.int64) + np.bitwise_count(below)
    return ranks
