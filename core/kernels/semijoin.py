"""Rows of contacts that are in a set."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.kernels.compiled import compiled

Contacts = NDArray[np.uint32]
Words = NDArray[np.uint64]


@compiled
def rows_in_words(contacts: Contacts, words: Words, rows: NDArray[np.uint32]) -> int:
    """Write the rows whose contact is in `words` (bit i of word w is contact 64 w + i) to the front of `rows`, which
    has one entry more than there are contacts, ascending; their number."""
    count = np.uint64(0)
    for i in range(len(contacts)):
        contact = contacts[i]
        rows[count] = np.uint32(i)
        count += (words[contact >> np.uint32(6)] >> np.uint64(contact & np.uint32(63))) & np.uint64(1)
    return int(count)


@compiled
def keep_members(contacts: Contacts, words: Words, kept: Contacts) -> int:
    """The same for the contacts themselves: write those in `words` to the front of `kept`, in their order."""
    count = np.uint64(0)
    for i in range(len(contacts)):
        contact = contacts[i]
        kept[count] = contact
        count += (words[contact >> np.uint32(6)] >> np.uint64(contact & np.uint32(63))) & np.uint64(1)
    return int(count)


def plain_rows_in_words(contacts: Contacts, words: Words, rows: NDArray[np.uint32]) -> int:
    """rows_in_words in NumPy."""
    inside = (words[contacts >> np.uint32(6)] >> (contacts & np.uint32(63)).astype(np.uint64)) & np.uint64(1)
    found = np.flatnonzero(inside)
    rows[: len(found)] = found
    return len(found)


def plain_keep_members(contacts: Contacts, words: Words, kept: Contacts) -> int:
    """keep_members in NumPy."""
    rows = np.empty(len(contacts) + 1, np.uint32)
    count = plain_rows_in_words(contacts, words, rows)
    kept[:count] = contacts[rows[:count]]
    return count
