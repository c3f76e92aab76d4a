"""One bit for each contact that readers pin, as words of a set."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.index.contact_set import ContactSet

#: A write of more rows than this goes through one byte a contact.
_MANY = 4096


class BitColumn:
    """The writer's side; readers get sets. A bit that was never set is 0."""

    def __init__(self) -> None:
        self._words = np.zeros(0, np.uint64)
        self._pinned: ContactSet | None = None

    def set(self, rows: NDArray[np.integer], bits: NDArray[np.bool_]) -> None:
        """Write unique `rows`, any order."""
        changed = self.get(rows) != bits
        rows, bits = rows[changed], bits[changed]
        if len(rows) == 0:
            return
        self._own((int(rows.max()) >> 6) + 1)
        if len(rows) > _MANY:
            whole = np.unpackbits(self._words.view(np.uint8), bitorder="little")
            whole[rows] = bits
            self._words = np.packbits(whole, bitorder="little").view(np.uint64)
            return
        places = (rows >> 6).astype(np.intp)
        masks = np.uint64(1) << (rows & 63).astype(np.uint64)
        np.bitwise_and.at(self._words, places, ~masks)
        np.bitwise_or.at(self._words, places[bits], masks[bits])

    def get(self, rows: NDArray[np.integer]) -> NDArray[np.bool_]:
        """The bits of `rows`."""
        return ContactSet(self._words, None).has(rows)

    def clear(self, rows: NDArray[np.integer]) -> None:
        """Write 0 at unique `rows`."""
        self.set(rows, np.zeros(len(rows), np.bool_))

    def freeze(self) -> ContactSet:
        """The rows whose bit is 1, pinned; the same object until something is written."""
        if self._pinned is None:
            self._pinned = ContactSet(self._words, None)
        return self._pinned

    def load(self, members: ContactSet) -> None:
        """Put back what a snapshot kept."""
        self._words = members.words().copy()
        self._pinned = None

    def _own(self, words: int) -> None:
        """Make the words writable and at least so many."""
        if words > len(self._words):
            grown = np.zeros(max(words, len(self._words) + len(self._words) // 8), np.uint64)
            grown[: len(self._words)] = self._words
            self._words = grown
        elif self._pinned is not None:
            self._words = self._words.copy()
        self._pinned = None
