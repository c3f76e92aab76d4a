"""Where numbers stand in an ascending column that holds them, and whether they are in a set of words."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.kernels.compiled import compiled

Contacts = NDArray[np.uint32]

#: Fewer are found by binary search as quickly as by the way below.
_FEW = 64


@compiled
def fill_drawers(column: Contacts, shift: int, starts: NDArray[np.uint32]) -> None:
    """Sort an ascending column into drawers `(c - column[0]) >> shift`: `starts`, one more than there are drawers,
    become how many of the column come before each, and all of them."""
    origin, by = column[0], np.uint32(shift)
    drawer = np.uint32(0)
    for place in range(len(column)):
        mine = (column[place] - origin) >> by
        while drawer <= mine:
            starts[drawer] = place
            drawer += np.uint32(1)
    while drawer < len(starts):
        starts[drawer] = len(column)
        drawer += np.uint32(1)


@compiled
def find_places(column: Contacts, shift: int, starts: NDArray[np.uint32], wanted: Contacts, places: Contacts) -> None:
    """`places[i]` becomes the place of `wanted[i]` in the ascending, distinct `column`, which holds it; `shift` and
    `starts` are those of its drawers."""
    origin, by = column[0], np.uint32(shift)
    for i in range(len(wanted)):
        number = wanted[i]
        mine = (number - origin) >> by
        first, after = starts[mine], starts[mine + np.uint32(1)]
        while after - first > np.uint32(8):
            middle = (first + after) >> np.uint32(1)
            if column[middle] <= number:
                first = middle
            else:
                after = middle
        while column[first] < number:
            first += np.uint32(1)
        places[i] = first


@compiled
def bits_of(words: NDArray[np.uint64], numbers: Contacts, found: NDArray[np.bool_]) -> None:
    """Whether each of `numbers` is in the set; those beyond its words are not."""
    end = np.uint64(len(words)) << np.uint64(6)
    for i in range(len(numbers)):
        number = np.uint64(numbers[i])
        if number < end:
            found[i] = (words[number >> np.uint64(6)] >> (number & np.uint64(63))) & np.uint64(1) != np.uint64(0)
        else:
            found[i] = False


class Places:
    """Finds numbers in an ascending, distinct column. It is sorted into as many drawers as it is long, so that each is
    found at once; a binary search among thousands misses the processor's guesses ten times a number."""

    def __init__(self, column: Contacts) -> None:
        self._column = column
        self._shift = 0
        self._starts: NDArray[np.uint32] | None = None

    def of(self, wanted: Contacts) -> NDArray[np.integer]:
        """The place of each of `wanted`, in any order; the column holds them all."""
        if len(self._column) < _FEW or len(wanted) < _FEW:
            return np.searchsorted(self._column, wanted)
        if self._starts is None:
            span = int(self._column[-1]) - int(self._column[0])
            self._shift = max(0, span.bit_length() - len(self._column).bit_length())
            starts = np.empty((span >> self._shift) + 2, np.uint32)
            fill_drawers(self._column, self._shift, starts)
            self._starts = starts
        places = np.empty(len(wanted), np.uint32)
        find_places(self._column, self._shift, self._starts, wanted, places)
        return places


def plain_bits_of(words: NDArray[np.uint64], numbers: Contacts, found: NDArray[np.bool_]) -> None:
    """bits_of in NumPy."""
    mask = np.unpackbits(words.view(np.uint8), bitorder="little").view(np.bool_)
    inside = numbers < len(mask)
    found[:] = False
    found[inside] = mask[numbers[inside]]
