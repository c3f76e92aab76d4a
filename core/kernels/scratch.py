"""Memory that a pass writes and nobody keeps: fresh memory costs more than what is written to it, so some is kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

#: Pieces that nobody uses: one for each thread of a question.
_spare: list[NDArray[np.uint32]] = []
_MOST_SPARE = 2
#: Larger ones (32 MB) are not kept.
_LARGEST = 1 << 23


@contextmanager
def scratch(length: int) -> Iterator[NDArray[np.uint32]]:
    """An array of `length` uint32 of any values; whoever leaves the block may no longer use it."""
    try:
        memory = _spare.pop()
    except IndexError:
        memory = np.empty(length, np.uint32)
    if len(memory) < length:
        # Somewhat more, so that the next question, which asks for nearly as much, finds enough.
        memory = np.empty(length + length // 8, np.uint32)
    try:
        yield memory[:length]
    finally:
        if len(memory) <= _LARGEST and len(_spare) < _MOST_SPARE:
            _spare.append(memory)
