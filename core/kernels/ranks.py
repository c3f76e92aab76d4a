"""Which value stands at given places of the ascending order, without sorting all of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.kernels.compiled import compiled

Values = NDArray[np.int64]
#: Upper bits that values are counted by; 16,384 counters stay in the cache.
_BITS = 14
_BINS = 1 << _BITS
#: Below so many values sorting them is quicker than counting.
_FEW = 4_096


def values_at_places(values: Values, places: tuple[int, ...]) -> tuple[int, ...]:
    """`sorted(values)[place]` for each of `places`: one pass counts values by their upper bits, one collects those that
    share them with a wanted one, and these are looked at in the same way by their lower bits."""
    if len(values) < _FEW or not places:
        return plain_values_at_places(values, places)
    least, largest = int(values.min()), int(values.max())
    shift = max(0, (largest - least).bit_length() - _BITS)
    counts = np.zeros(_BINS, np.uint32)
    count_upper_bits(values, least, shift, counts)
    ends = np.cumsum(counts, dtype=np.int64)
    bins = np.searchsorted(ends, np.array(places), "right")
    if shift == 0:
        return tuple(least + found for found in bins.tolist())
    wanted = np.unique(bins)
    # Slot 0 is for all other values: each of them goes to the same place at the end.
    starts = np.zeros(len(wanted) + 1, np.int64)
    np.cumsum(counts[wanted[:-1]], dtype=np.int64, out=starts[2:])
    starts[0] = counts[wanted].sum()
    slots = np.zeros(_BINS, np.uint16)
    slots[wanted] = np.arange(1, len(wanted) + 1)
    collected = np.empty(int(starts[0]) + 1, np.int64)
    collect_upper_bits(values, least, shift, slots, starts.copy(), collected)
    result: tuple[int, ...] = ()
    for place, number in zip(places, bins.tolist(), strict=True):
        first = int(starts[slots[number]])
        here = collected[first : first + int(counts[number])]
        rank = place - int(ends[number] - counts[number])
        result += values_at_places(here, (rank,))
    return result


def plain_values_at_places(values: Values, places: tuple[int, ...]) -> tuple[int, ...]:
    """values_at_places in NumPy; values may be Python integers (dtype object)."""
    if not places:
        return ()
    ordered = np.partition(values, sorted(set(places)))
    return tuple(int(ordered[place]) for place in places)


@compiled
def count_upper_bits(values: Values, least: int, shift: int, counts: NDArray[np.uint32]) -> None:
    """Add the number of values by `(value - least) >> shift`, as unsigned 64 bits, to `counts`."""
    origin = np.uint64(least)
    by = np.uint64(shift)
    for i in range(len(values)):
        counts[(np.uint64(values[i]) - origin) >> by] += np.uint32(1)


@compiled
def collect_upper_bits(
    values: Values, least: int, shift: int, slots: NDArray[np.uint16], places: Values, collected: Values
) -> None:
    """Put each value to the next of the `places` of its upper bits' slot; those of slot 0 to the first, always."""
    origin = np.uint64(least)
    by = np.uint64(shift)
    for i in range(len(values)):
        slot = slots[(np.uint64(values[i]) - origin) >> by]
        collected[places[slot]] = values[i]
        places[slot] += np.int64(slot > np.uint16(0))
