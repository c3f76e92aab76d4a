"""Which orders a file has told so far: their rows must stand together, and what comes later cannot be added."""

from __future__ import annotations

from array import array

#: Why rows are refused whose order the file told before.
ORDER_SCATTERED = "ORDER_SCATTERED"

_LEAST_PLACES = 1 << 12


class OrdersSeen:
    """A set of texts that keeps 64 bits of each: a file may have ten million orders. Of a million orders two are taken
    for one with a chance of one in ten million."""

    def __init__(self) -> None:
        self._places = array("Q", bytes(8 * _LEAST_PLACES))
        self._count = 0

    def add(self, text: str) -> bool:
        """Add a text; whether it is new."""
        # An empty place is 0, so no text is.
        if not _put(self._places, hash(text) & 0xFFFF_FFFF_FFFF_FFFF or 1):
            return False
        self._count += 1
        if 2 * self._count > len(self._places):
            before, self._places = self._places, array("Q", bytes(16 * len(self._places)))
            for one in before:
                if one:
                    _put(self._places, one)
        return True


def _put(places: array[int], one: int) -> bool:
    mask = len(places) - 1
    place = one & mask
    while (found := places[place]) != one:
        if not found:
            places[place] = one
            return True
        place = place + 1 & mask
    return False
