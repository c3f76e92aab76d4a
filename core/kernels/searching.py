"""Binary search in many sorted pieces of one array at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.kernels.compiled import compiled

Numbers = NDArray[np.int64]


@compiled
def search_pieces(values: Numbers, starts: Numbers, stops: Numbers, wanted: Numbers, after: bool) -> Numbers:
    """For each i the first place in `[starts[i], stops[i])`, where `values` ascend, with a value >= `wanted[i]` (with
    `after`: > it); `stops[i]` where there is none."""
    places = np.empty(len(starts), np.int64)
    for i in range(len(starts)):
        left = starts[i]
        right = stops[i]
        sought = wanted[i]
        while left < right:
            middle = (left + right) >> 1
            value = values[middle]
            if value < sought or (after and value == sought):
                left = middle + 1
            else:
                right = middle
        places[i] = left
    return places


def plain_search_pieces(values: Numbers, starts: Numbers, stops: Numbers, wanted: Numbers, after: bool) -> Numbers:
    """search_pieces by NumPy's search, piece after piece."""
    found = np.empty(len(starts), np.int64)
    for i, (start, stop) in enumerate(zip(starts.tolist(), stops.tolist(), strict=True)):
        found[i] = start + np.searchsorted(values[start:stop], wanted[i], "right" if after else "left")
    return found
