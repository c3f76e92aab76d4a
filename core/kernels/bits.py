"""Sets of contacts as words (bit i of word w is contact 64 w + i), made from rows in one pass.

Each function exists twice with one signature: compiled, and plain NumPy (`plain_...`), which tests hold equal. The
compiled form is 3 to 8 times faster, because nothing is written between choosing a row and setting its bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.kernels.compiled import compiled

Words = NDArray[np.uint64]
Contacts = NDArray[np.uint32]
Mask = NDArray[np.bool_]


def words_for(contact_count: int) -> Words:
    """No contact, with room for the numbers below `contact_count`."""
    return np.zeros((contact_count + 63) >> 6, np.uint64)


@compiled
def set_bits(contacts: Contacts, words: Words) -> None:
    """Add `contacts` (any order, repeats allowed, each within `words`)."""
    for i in range(len(contacts)):
        contact = contacts[i]
        words[contact >> np.uint32(6)] |= np.uint64(1) << np.uint64(contact & np.uint32(63))


@compiled
def set_bits_where(mask: Mask, contacts: Contacts, words: Words) -> None:
    """Add the contacts of the rows where `mask` is true."""
    whole = len(mask) & ~63
    for start in range(0, whole, 64):
        taken = mask[start : start + 64]
        some = contacts[start : start + 64]
        # Many rows are asked at once for a bit each; a branch a row that is guessed wrong costs more than all of it.
        bits = np.uint64(0)
        for j in range(64):
            bits |= np.uint64(taken[j]) << np.uint64(j)
        if bits == np.uint64(0xFFFFFFFFFFFFFFFF):
            for j in range(64):
                contact = some[j]
                words[contact >> np.uint32(6)] |= np.uint64(1) << np.uint64(contact & np.uint32(63))
            continue
        while bits != np.uint64(0):
            # The bits below the lowest one, counted: see numbers_of.
            below = (bits - np.uint64(1)) & ~bits
            below -= (below >> np.uint64(1)) & np.uint64(0x5555555555555555)
            below = (below & np.uint64(0x3333333333333333)) + ((below >> np.uint64(2)) & np.uint64(0x3333333333333333))
            below = (below + (below >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
            contact = some[(below * np.uint64(0x0101010101010101)) >> np.uint64(56)]
            words[contact >> np.uint32(6)] |= np.uint64(1) << np.uint64(contact & np.uint32(63))
            bits &= bits - np.uint64(1)
    for i in range(whole, len(mask)):
        contact = contacts[i]
        words[contact >> np.uint32(6)] |= np.uint64(mask[i]) << np.uint64(contact & np.uint32(63))


@compiled
def set_bits_between(codes: NDArray[Any], low: Any, high: Any, contacts: Contacts, words: Words) -> None:
    """Add the contacts of the rows with `low <= code <= high`; both bounds are of the dtype of `codes`."""
    whole = len(codes) & ~63
    for start in range(0, whole, 64):
        values = codes[start : start + 64]
        some = contacts[start : start + 64]
        bits = np.uint64(0)
        for j in range(64):
            bits |= np.uint64((values[j] >= low) & (values[j] <= high)) << np.uint64(j)
        if bits == np.uint64(0xFFFFFFFFFFFFFFFF):
            for j in range(64):
                contact = some[j]
                words[contact >> np.uint32(6)] |= np.uint64(1) << np.uint64(contact & np.uint32(63))
            continue
        while bits != np.uint64(0):
            # The bits below the lowest one, counted: see numbers_of.
            below = (bits - np.uint64(1)) & ~bits
            below -= (below >> np.uint64(1)) & np.uint64(0x5555555555555555)
            below = (below & np.uint64(0x3333333333333333)) + ((below >> np.uint64(2)) & np.uint64(0x3333333333333333))
            below = (below + (below >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
            contact = some[(below * np.uint64(0x0101010101010101)) >> np.uint64(56)]
            words[contact >> np.uint32(6)] |= np.uint64(1) << np.uint64(contact & np.uint32(63))
            bits &= bits - np.uint64(1)
    for i in range(whole, len(codes)):
        contact = contacts[i]
        inside = np.uint64((codes[i] >= low) & (codes[i] <= high))
        words[contact >> np.uint32(6)] |= inside << np.uint64(contact & np.uint32(63))


@compiled
def numbers_of(words: Words, numbers: Contacts) -> None:
    """Write the members, ascending, to `numbers`, which has one entry for each."""
    count = np.uint64(0)
    for w in range(len(words)):
        bits = words[w]
        base = np.uint32(w) << np.uint32(6)
        while bits != np.uint64(0):
            # The bits below the lowest one, counted by halves: sums of 2, 4 and 8 bits, then all bytes at once.
            below = (bits - np.uint64(1)) & ~bits
            below -= (below >> np.uint64(1)) & np.uint64(0x5555555555555555)
            below = (below & np.uint64(0x3333333333333333)) + ((below >> np.uint64(2)) & np.uint64(0x3333333333333333))
            below = (below + (below >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
            numbers[count] = base + np.uint32((below * np.uint64(0x0101010101010101)) >> np.uint64(56))
            count += np.uint64(1)
            bits &= bits - np.uint64(1)


@compiled
def count_bits(words: Words) -> int:
    """The number of members."""
    total = np.uint64(0)
    for w in range(len(words)):
        # Bits of a word: the compiler knows this form.
        bits = words[w]
        bits -= (bits >> np.uint64(1)) & np.uint64(0x5555555555555555)
        bits = (bits & np.uint64(0x3333333333333333)) + ((bits >> np.uint64(2)) & np.uint64(0x3333333333333333))
        bits = (bits + (bits >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
        total += (bits * np.uint64(0x0101010101010101)) >> np.uint64(56)
    return int(total)


@compiled
def words_between(values: NDArray[Any], low: Any, high: Any, words: Words) -> None:
    """Which of 64 values a word lie in `[low, high]`; `values` has 64 entries for each of `words`, which are
    overwritten. The bounds are of the dtype of `values`."""
    for w in range(len(words)):
        bits = np.uint64(0)
        for j in range(64):
            value = values[w * 64 + j]
            bits |= np.uint64((value >= low) & (value <= high)) << np.uint64(j)
        words[w] = bits


@compiled
def present_words_between(values: NDArray[Any], counts: NDArray[np.uint32], low: Any, high: Any, words: Words) -> None:
    """The same, only where `counts` (one per value) is above 0."""
    for w in range(len(words)):
        bits = np.uint64(0)
        for j in range(64):
            value = values[w * 64 + j]
            inside = (value >= low) & (value <= high) & (counts[w * 64 + j] > np.uint32(0))
            bits |= np.uint64(inside) << np.uint64(j)
        words[w] = bits


@compiled
def mean_words_between(
    totals: NDArray[np.int64], counts: NDArray[np.uint32], scale: int, low: int, high: int, words: Words
) -> None:
    """Where `counts` is above 0 and `total * scale / count`, rounded half to even, lies in `[low, high]`.

    Nothing is divided: a mean rounds into the range where it is above `low - 1/2` and below `high + 1/2`, the halves
    included where the bound is even. `2 * |total| * scale` and `(2 * |bound| + 1) * count` must be below 2**63.
    """
    least = 2 * low - 1
    most = 2 * high + 1
    low_even = np.int64((low & 1) == 0)
    high_even = np.int64((high & 1) == 0)
    for w in range(len(words)):
        bits = np.uint64(0)
        for j in range(64):
            count = np.int64(counts[w * 64 + j])
            doubled = totals[w * 64 + j] * scale * 2
            inside = (doubled + low_even > least * count) & (doubled - high_even < most * count) & (count > 0)
            bits |= np.uint64(inside) << np.uint64(j)
        words[w] = bits


def plain_set_bits(contacts: Contacts, words: Words) -> None:
    """set_bits in NumPy."""
    np.bitwise_or.at(words, contacts >> np.uint32(6), np.uint64(1) << (contacts & np.uint32(63)).astype(np.uint64))


def plain_set_bits_where(mask: Mask, contacts: Contacts, words: Words) -> None:
    """set_bits_where in NumPy."""
    plain_set_bits(contacts[mask], words)


def plain_set_bits_between(codes: NDArray[Any], low: Any, high: Any, contacts: Contacts, words: Words) -> None:
    """set_bits_between in NumPy."""
    plain_set_bits(contacts[(codes >= low) & (codes <= high)], words)


def plain_numbers_of(words: Words, numbers: Contacts) -> None:
    """numbers_of in NumPy."""
    numbers[:] = np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little"))


def plain_count_bits(words: Words) -> int:
    """count_bits in NumPy."""
    return int(np.bitwise_count(words).sum(dtype=np.int64))


def plain_words_between(values: NDArray[Any], low: Any, high: Any, words: Words) -> None:
    """words_between in NumPy."""
    _pack((values >= low) & (values <= high), words)


def plain_present_words_between(
    values: NDArray[Any], counts: NDArray[np.uint32], low: Any, high: Any, words: Words
) -> None:
    """present_words_between in NumPy."""
    _pack((values >= low) & (values <= high) & (counts > 0), words)


def plain_mean_words_between(
    totals: NDArray[np.int64], counts: NDArray[np.uint32], scale: int, low: int, high: int, words: Words
) -> None:
    """mean_words_between in NumPy, by division."""
    wide = totals * scale
    divisors = np.maximum(counts.astype(np.int64), 1)
    means = wide // divisors
    doubled = (wide - means * divisors) * 2
    means += (doubled > divisors) | ((doubled == divisors) & (means % 2 == 1))
    _pack((means >= low) & (means <= high) & (counts > 0), words)


def _pack(mask: Mask, words: Words) -> None:
    words[:] = np.packbits(mask, bitorder="little").view(np.uint64)
