"""RFM grids of a whole population straight from the order by contact: ranks and cells without a value by contact kept.

Both halves of the contacts are folded at the same time. Where the runs of events follow each other in time, a contact's
recency is the number of events until its last one, which ascends with its instant; else it is the instant itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any
from weakref import finalize

import numpy as np
from numpy.typing import NDArray

from core.index.contact_order import BLOCK
from core.index.contact_set import ContactSet
from core.index.contact_totals import ContactTotals
from core.index.packing import Packed
from core.kernels.contact_totals import fold_totals
from core.kernels.rfm import fold_last_count_sum
from core.kernels.rfm_grid import (
    KEY_BITS,
    NUMBER_BINS,
    SUM_BINS,
    collect_between,
    count_cells,
    fold_ranked,
    new_cells,
    new_number_counts,
    sum_bin,
    take_ranked,
)
from core.kernels.threads import in_parallel
from core.query.ast import EventSelection
from core.query.execute_context import Context
from core.query.leaves.rfm_fold import block_ranges, columns_of, folding_passes, most_contacts
from core.query.rows.event_pass import RunPass
from core.query.windows import GREATEST, LEAST

#: Blocks of contacts folded at once: 65,536 contacts, whose values stay in the second cache.
_BLOCKS = 256
#: Shorter runs are merged away soon: what they say of each contact is not worth keeping.
_LONG = 1 << 17
_EVERYONE = np.zeros(0, np.bool_)


class _Room:
    """Memory for the values of so many contacts. Fresh memory costs more than what is written to it, so some is kept
    for the next question."""

    def __init__(self, contacts: int) -> None:
        self.keys, self.sums = np.empty(contacts, np.int64), np.empty(contacts, np.int64)
        self.numbers = np.empty(contacts, np.uint32)


#: Rooms that nobody uses: one for each thread of a question at most, 20 bytes a contact with events.
_spare: list[_Room] = []
_MOST_SPARE = 2


def _room(contacts: int) -> _Room:
    try:
        found = _spare.pop()
    except IndexError:
        return _Room(contacts)
    return found if len(found.sums) >= contacts else _Room(contacts)


def _give_back(rooms: list[_Room]) -> None:
    _spare.extend(rooms[: max(0, _MOST_SPARE - len(_spare))])


@dataclass(frozen=True, slots=True)
class _Part:
    """Some contacts with events: recency `keys` (uint32 or int64), `numbers` of events (uint32) and `sums` (int64), in
    the order of contacts, and how often each bin of them occurs."""

    keys: NDArray[Any]
    numbers: NDArray[np.uint32]
    sums: NDArray[np.int64]
    key_counts: NDArray[np.int64]
    number_counts: NDArray[np.int64]
    sum_counts: NDArray[np.int64]


@dataclass(frozen=True, slots=True, weakref_slot=True)
class RankedValues:
    """Recency, frequency and monetary value of the contacts of a population that have a matching event. `times`: the
    instants of each run's events where a recency key is 1 and how many events lie before; None: it is the instant."""

    parts: tuple[_Part, ...]
    times: tuple[NDArray[np.int64], ...] | None
    least_key: int
    key_shift: int
    least_sum: int

    def __len__(self) -> int:
        return sum(len(part.keys) for part in self.parts)

    def recency_at(self, places: tuple[int, ...]) -> tuple[int, ...]:
        """The instants that stand at `places` (counted from 0) of all recencies in ascending order."""
        counts = sum((part.key_counts for part in self.parts), np.zeros(1, np.int64))
        width = 1 << self.key_shift

        def ends(number: int) -> tuple[int, int]:
            first = self.least_key + number * width
            return first, first + width - 1

        keys = _at_places([part.keys for part in self.parts], counts, places, ends)
        return keys if self.times is None else tuple(_instant(self.times, key - 1) for key in keys)

    def frequency_at(self, places: tuple[int, ...]) -> tuple[int, ...]:
        """The same of frequencies."""
        counts = sum((part.number_counts for part in self.parts), np.zeros(1, np.int64))

        def ends(number: int) -> tuple[int, int]:
            return number, number if number < NUMBER_BINS - 1 else np.iinfo(np.uint32).max

        return _at_places([part.numbers for part in self.parts], counts, places, ends)

    def monetary_at(self, places: tuple[int, ...]) -> tuple[int, ...]:
        """The same of monetary values."""
        counts = sum((part.sum_counts for part in self.parts), np.zeros(1, np.int64))

        def ends(number: int) -> tuple[int, int]:
            return self.least_sum + _first_in_bin(number), self.least_sum + _first_in_bin(number + 1) - 1

        return _at_places([part.sums for part in self.parts], counts, places, ends)

    def cells(self, recency: Sequence[int], frequency: Sequence[int], monetary: Sequence[int]) -> NDArray[np.int64]:
        """How many contacts exceed so many thresholds of each axis; the three numbers are the digits of a place, int64.
        Thresholds ascend; recency ones are instants."""
        keys, numbers, sums = self._key_bounds(recency), _numbers(frequency), _instants(monetary)
        cell_count = (len(recency) + 1) * (len(frequency) + 1) * (len(monetary) + 1)

        def count(part: _Part) -> NDArray[np.int64]:
            found = new_cells(cell_count)
            count_cells(part.keys, part.numbers, part.sums, keys, numbers, sums, found)
            return np.asarray(found.sum(axis=0), np.int64)

        found = in_parallel([partial(count, part) for part in self.parts])
        return sum(found, np.zeros(cell_count, np.int64))

    def _key_bounds(self, recency: Sequence[int]) -> NDArray[Any]:
        """The largest key at or before each instant."""
        instants = _instants(recency)
        if self.times is None:
            return instants
        until = sum((times.searchsorted(instants, "right") for times in self.times), np.zeros(len(instants), np.int64))
        return until.astype(np.uint32)


def ranked_values(
    events: EventSelection, value_path: str | None, members: ContactSet, context: Context
) -> RankedValues | None:
    """The values of `members` as of as_of; None where they have to be found in the general way."""
    found = folding_passes(events, context)
    columns = None if found is None else columns_of(found, value_path)
    if found is None or columns is None:
        return None
    rows = sum(map(len, found))
    windows = tuple(one.run.occurred_at_us[one.rows] for one in found)
    following = rows < np.iinfo(np.uint32).max and all(before[-1] <= after[0] for before, after in pairwise(windows))
    least, largest = 1, rows
    if not following:
        least, largest = min(int(one[0]) for one in windows), max(int(one[-1]) for one in windows)
        for one in found:
            # Made here: two threads that miss it would make it twice.
            one.run.times_by_contact()
    values, scale = columns
    contact_count = context.root.contact_count
    masks = [_EVERYONE if mask is None else mask for mask in (one.whole_mask() for one in found)]
    fold = _Fold(
        found,
        masks,
        values,
        [_totals(one, mask, value_path) if following else None for one, mask in zip(found, masks, strict=True)],
        scale,
        members.words(_padded(contact_count) >> 6),
        following,
        least,
        max(0, (largest - least).bit_length() - KEY_BITS),
        min([0, *(packed.limits()[0] * scale * rows for packed in values)]),
    )
    ranges = block_ranges(found, contact_count, _BLOCKS)
    rooms = [_room(most_contacts(found, *blocks)) for blocks in ranges]
    calls = [partial(fold.part, *blocks, room) for blocks, room in zip(ranges, rooms, strict=True)]
    result = RankedValues(
        tuple(in_parallel(calls)), windows if following else None, least, fold.key_shift, fold.least_sum
    )
    finalize(result, _give_back, rooms).atexit = False
    return result


def _totals(one: RunPass, mask: NDArray[np.bool_], value_path: str | None) -> ContactTotals | None:
    """What a long run says of each contact, where all of its events take part."""
    if len(mask) or len(one) < len(one.run) or len(one) < _LONG:
        return None
    columns = () if value_path is None else one.run.params.columns[value_path]
    return one.run.contact_totals(value_path, columns[0] if columns else None)


def _padded(contact_count: int) -> int:
    """So many contacts rounded up to whole steps of a fold."""
    return -(-contact_count // (BLOCK * _BLOCKS)) * BLOCK * _BLOCKS


@dataclass(frozen=True, slots=True)
class _Fold:
    passes: list[RunPass]
    masks: list[NDArray[np.bool_]]
    values: list[Packed]
    #: Of runs that take part as a whole.
    totals: list[ContactTotals | None]
    scale: int
    members: NDArray[np.uint64]
    #: Whether the passes follow each other in time.
    following: bool
    least_key: int
    key_shift: int
    least_sum: int

    def part(self, first_block: int, after_block: int, room: _Room) -> _Part:
        """The contacts of these blocks, in `room`."""
        size = BLOCK * _BLOCKS
        dtype: type[np.uint32 | np.int64] = np.uint32 if self.following else np.int64
        last, counts, totals = np.empty(size, dtype), np.empty(size, np.uint32), np.empty(size, np.int64)
        # The same memory holds keys of either type.
        keys, numbers, sums = room.keys.view(dtype), room.numbers, room.sums
        bins = np.zeros(1 << KEY_BITS, np.int64), new_number_counts(), np.zeros(SUM_BINS, np.int64)
        place = 0
        for block in range(first_block, after_block, _BLOCKS):
            if not self.following:
                # Else the last row is not compared with what stands here, and read of contacts with a count only.
                last.fill(LEAST)
            counts.fill(0)
            totals.fill(0)
            first_key = 1
            for number, one in enumerate(self.passes):
                self._add(number, block, first_key, last, counts, totals)
                first_key += len(one)
            place = take_ranked(
                block * BLOCK,
                self.members,
                last,
                counts,
                totals,
                place,
                keys,
                numbers,
                sums,
                self.least_key,
                self.key_shift,
                bins[0],
                bins[1],
                self.least_sum,
                bins[2],
            )
        return _Part(keys[:place], numbers[:place], sums[:place], bins[0], bins[1].sum(axis=0), bins[2])

    def _add(
        self,
        number: int,
        block: int,
        first_key: int,
        last: NDArray[Any],
        counts: NDArray[np.uint32],
        totals: NDArray[np.int64],
    ) -> None:
        one, mask, packed, known = self.passes[number], self.masks[number], self.values[number], self.totals[number]
        base, factor = packed.base * self.scale, packed.factor * self.scale
        if known is not None:
            entries = (known.starts, known.low, known.rows, known.counts, known.sums)
            fold_totals(*entries, block, block + _BLOCKS, first_key, base, factor, last, counts, totals)
            return
        order = one.run.contact_order()
        where = (order.starts, order.low, order.rows, block, block + _BLOCKS, one.rows.start, len(one), mask)
        value = (packed.codes, base, factor)
        if self.following:
            fold_ranked(*where, first_key, *value, last, counts, totals)
        else:
            fold_last_count_sum(*where, one.run.times_by_contact(), *value, last, counts, totals)


def _at_places(
    parts: Sequence[NDArray[Any]],
    counts: NDArray[np.int64],
    places: tuple[int, ...],
    ends: Callable[[int], tuple[int, int]],
) -> tuple[int, ...]:
    """What stands at `places` of the values of all parts in order; `counts` by bin, a bin's values lie between the two
    of `ends`. Only values of bins that a place lies in are looked at."""
    until = np.cumsum(counts)
    bins = np.searchsorted(until, np.array(places, np.int64), "right").tolist()
    intervals = {number: ends(number) for number in bins}
    several = sorted(number for number, (first, last) in intervals.items() if first < last)
    starts: dict[int, int] = {}
    near: NDArray[Any] = np.zeros(0, np.int64)
    if several:
        near = _collected(parts, counts, [intervals[number] for number in several], several)
        ends_of_several = np.cumsum(counts[several])
        starts = dict(zip(several, (ends_of_several - counts[several]).tolist(), strict=True))
    found = []
    for place, number in zip(places, bins, strict=True):
        rank = place - int(until[number] - counts[number])
        found.append(int(near[starts[number] + rank]) if number in starts else intervals[number][0])
    return tuple(found)


def _collected(
    parts: Sequence[NDArray[Any]], counts: NDArray[np.int64], intervals: list[tuple[int, int]], bins: list[int]
) -> NDArray[Any]:
    """All values of the intervals, ascending."""
    dtype = parts[0].dtype
    top = int(np.iinfo(dtype).max)
    least = np.array([min(first, top) for first, _ in intervals], dtype)
    largest = np.array([min(last, top) for _, last in intervals], dtype)
    room = int(counts[bins].sum()) + 1
    unsigned = np.dtype(f"u{dtype.itemsize}")
    origins, widths = least.view(unsigned), (largest.view(unsigned) - least.view(unsigned))

    def collect(values: NDArray[Any]) -> NDArray[Any]:
        collected = np.empty(min(room, len(values) + 1), dtype)
        count = collect_between(values.view(unsigned), origins, widths, collected.view(unsigned))
        return collected[:count]

    near = np.concatenate(in_parallel([partial(collect, values) for values in parts]))
    near.sort()
    return near


def _first_in_bin(number: int) -> int:
    """The smallest sum above the least that sum_bin puts into this bin or a later one."""
    low, high = 0, 2**63 - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if sum_bin(middle) >= number else (middle + 1, high)
    return low


def _instant(windows: tuple[NDArray[np.int64], ...], place: int) -> int:
    """The instant of the event at `place` of all windows, one after the other."""
    for times in windows:
        if place < len(times):
            return int(times[place])
        place -= len(times)
    raise IndexError(place)


def _instants(bounds: Sequence[int]) -> NDArray[np.int64]:
    """Thresholds of values of 64 bits; none lies beyond the ends."""
    return np.array([min(max(bound, LEAST), GREATEST) for bound in bounds], np.int64)


def _numbers(bounds: Sequence[int]) -> NDArray[np.uint32]:
    """Thresholds of numbers of 1 and more."""
    return np.array([min(max(bound, 0), np.iinfo(np.uint32).max) for bound in bounds], np.uint32)
