"""Who did anything in a block of rows: for questions about windows that hold millions of events."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.events.columns import MACHINE
from core.kernels.bits import set_bits, set_bits_where, words_for

#: Rows of a block. 5 M contacts take 625 KB a block, 1.2 bytes an event, and the two ends of a window that no block
#: covers cost half a millisecond at the most.
ROWS = 1 << 19
#: The number of the block of all rows.
_WHOLE = -1


class BlockWords:
    """For each full block of the rows of a run, and for all of its rows, the contacts of its events, those of machines
    left out, as words (core.kernels.bits); made when they are first needed, at 0.4 ms a block."""

    def __init__(self, contacts: NDArray[np.uint32], flags: NDArray[np.uint8] | None) -> None:
        """`flags` None: no event was made by a machine."""
        self._contacts = contacts
        self._flags = flags
        self._word_count = 0
        self._made: dict[int, NDArray[np.uint64]] = {}

    @property
    def nbytes(self) -> int:
        """What the blocks made so far occupy."""
        return sum(words.nbytes for words in list(self._made.values()))

    def add_rows(self, first: int, after: int, words: NDArray[np.uint64]) -> None:
        """Add to `words` who has an event among the rows `first` to `after`."""
        if first == 0 and after == len(self._contacts) >= ROWS // 4:
            made = self._block(_WHOLE)
            words[: len(made)] |= made
            return
        first_block, after_block = -(-first // ROWS), after // ROWS
        if first_block >= after_block:
            self._set(first, after, words)
            return
        for block in range(first_block, after_block):
            made = self._block(block)
            words[: len(made)] |= made
        self._set(first, first_block * ROWS, words)
        self._set(after_block * ROWS, after, words)

    def moved(self, before: NDArray[np.uint32], contacts: NDArray[np.uint32]) -> BlockWords:
        """The same after some of the contacts, which were `before`, became `contacts`."""
        result = BlockWords(contacts, self._flags)
        for block, words in list(self._made.items()):
            rows = slice(*_rows_of(block, len(contacts)))
            if np.array_equal(before[rows], contacts[rows]):
                result._made[block] = words
        return result

    def _block(self, block: int) -> NDArray[np.uint64]:
        made = self._made.get(block)
        if made is None:
            if self._word_count == 0:
                self._word_count = (int(self._contacts.max()) >> 6) + 1
            made = words_for(64 * self._word_count)
            self._set(*_rows_of(block, len(self._contacts)), made)
            self._made[block] = made
        return made

    def _set(self, first: int, after: int, words: NDArray[np.uint64]) -> None:
        rows = slice(first, after)
        if self._flags is None:
            set_bits(self._contacts[rows], words)
        else:
            set_bits_where((self._flags[rows] & MACHINE) == 0, self._contacts[rows], words)


def _rows_of(block: int, count: int) -> tuple[int, int]:
    """The first row of a block and the one after its last, in a run of `count` rows."""
    return (0, count) if block == _WHOLE else (block * ROWS, (block + 1) * ROWS)
