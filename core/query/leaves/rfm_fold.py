"""RFM values folded in the order of contacts, where columns allow it; rows/event_fold.py does the same with sums."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.index.contact_order import BLOCK
from core.index.packing import Packed
from core.kernels.rfm import fold_last_count_sum, take_present
from core.kernels.threads import in_parallel, parts_for
from core.query.ast import EventSelection
from core.query.execute_context import Context
from core.query.rows.event_pass import RunPass, passes
from core.schema import DECIMAL_SCALE, Kind

#: Blocks of contacts folded at once: 32,768 contacts, whose values stay in the second cache.
_BLOCKS = 128
#: A window with fewer than one row for so many rows of its runs is cheaper to collect than to fold.
_SPARSE = 32
_SAFE = 2**62
#: A part of fewer rows does not pay for a thread.
_LEAST_ROWS = 1 << 17
_EVERYONE = np.zeros(0, np.bool_)
_NO_VALUES = Packed(np.zeros(0, np.uint8))

Folded = tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.int64], NDArray[Any]]


def folded_values(events: EventSelection, value_path: str | None, context: Context) -> Folded | None:
    """Contacts with events, ascending, with the last instant, the number and the sum in units of 1e-4; None where the
    general way has to be gone: the values are no plain column of numbers, or a sum might leave int64."""
    found = folding_passes(events, context)
    columns = None if found is None else columns_of(found, value_path)
    if found is None or columns is None:
        return None
    return _fold(found, *columns, context.root.contact_count)


def folding_passes(events: EventSelection, context: Context) -> list[RunPass] | None:
    """The passes over the events; None where they have to be picked one by one, or are so few that it is cheaper."""
    found = passes(events, context)
    if found is None or sum(map(len, found)) * _SPARSE < sum(len(one.run) for one in found):
        return None
    return found


def columns_of(found: list[RunPass], value_path: str | None) -> tuple[list[Packed], int] | None:
    """The values of each pass in the order by contact (no codes where no path is named), and what one of them is in
    units; None where they are no plain column of numbers, or a sum of them might leave int64."""
    if value_path is None:
        return [_NO_VALUES] * len(found), 1
    kinds, values = set[Kind](), []
    for one in found:
        columns = one.run.params.columns.get(value_path, ())
        if len(columns) != 1 or columns[0].rows is not None:
            return None
        kinds.add(columns[0].kind)
        values.append(one.run.values_by_contact(value_path, columns[0]))
    if not kinds:
        return values, 1
    if len(kinds) > 1 or not kinds <= {Kind.INTEGER, Kind.DECIMAL}:
        return None
    scale = DECIMAL_SCALE if Kind.INTEGER in kinds else 1
    rows = sum(map(len, found))
    for ends in (Packed.limits, Packed.bounds):
        # Looking at every value is worth it only where the width of the codes does not tell enough.
        if max(abs(end) for packed in values for end in ends(packed)) * scale * rows < _SAFE:
            return values, scale
    return None


def block_ranges(found: list[RunPass], contact_count: int, step: int) -> list[tuple[int, int]]:
    """All blocks of contacts as ranges that are worth folding at the same time, whole steps each but the last, with
    about as much to do: active contacts may stand close together."""
    # Orders are made here: two threads that miss one would make it twice.
    starts = [one.run.contact_order().starts for one in found]
    blocks = (contact_count + BLOCK - 1) // BLOCK
    steps = -(-blocks // step)
    threads = parts_for(sum(map(len, found)), _LEAST_ROWS)
    # Going over a contact takes about half of what an event does.
    edges = np.arange(steps + 1) * step
    work = edges * (BLOCK // 2)
    for one in starts:
        work = work + one[np.minimum(edges, len(one) - 1)]
    inner = [int(np.searchsorted(work, int(work[-1]) * number // threads)) for number in range(1, threads)]
    return list(pairwise(sorted({0, *(min(end * step, blocks) for end in inner), blocks})))


def most_contacts(found: list[RunPass], first_block: int, after_block: int) -> int:
    """No more contacts than this have events in these blocks."""
    rows = 0
    for one in found:
        starts = one.run.contact_order().starts
        first, after = (int(starts[min(block, len(starts) - 1)]) for block in (first_block, after_block))
        rows += min(after - first, len(one))
    return min(rows, (after_block - first_block) * BLOCK)


def _fold(found: list[RunPass], values: list[Packed], scale: int, contact_count: int) -> Folded:
    for one in found:
        one.run.times_by_contact()
    masks = [_EVERYONE if mask is None else mask for mask in (one.whole_mask() for one in found)]
    ranges = block_ranges(found, contact_count, _BLOCKS)
    rooms = [most_contacts(found, *blocks) for blocks in ranges]
    out = _Out(sum(rooms))
    calls, room_before = [], 0
    for (first, after), room in zip(ranges, rooms, strict=True):
        calls.append(partial(_fold_part, found, values, scale, masks, first, after, out, room_before))
        room_before += room
    place = room_before = 0
    for end, room in zip(in_parallel(calls), rooms, strict=True):
        # What stands behind unused room moves up.
        out.move(room_before, end, place)
        place += end - room_before
        room_before += room
    return out.contacts[:place], out.recency[:place], out.frequency[:place], out.monetary[:place]


class _Out:
    """Room for the values of so many contacts."""

    def __init__(self, room: int) -> None:
        self.contacts = np.empty(room, np.uint32)
        self.recency, self.frequency, self.monetary = (np.empty(room, np.int64) for _ in range(3))

    def move(self, first: int, after: int, to: int) -> None:
        """Move the entries `first` to `after` to `to`."""
        if first == to:
            return
        for values in (self.contacts, self.recency, self.frequency, self.monetary):
            values[to : to + after - first] = values[first:after]


def _fold_part(
    found: list[RunPass],
    values: list[Packed],
    scale: int,
    masks: list[NDArray[np.bool_]],
    first_block: int,
    after_block: int,
    out: _Out,
    place: int,
) -> int:
    """The contacts of these blocks, from `place` on; where the next one would go."""
    size = BLOCK * _BLOCKS
    last, counts, totals = np.empty(size, np.int64), np.empty(size, np.uint32), np.empty(size, np.int64)
    for first in range(first_block, after_block, _BLOCKS):
        last.fill(np.iinfo(np.int64).min)
        counts.fill(0)
        totals.fill(0)
        for one, packed, mask in zip(found, values, masks, strict=True):
            order, rows = one.run.contact_order(), one.rows
            fold_last_count_sum(
                order.starts,
                order.low,
                order.rows,
                first,
                first + _BLOCKS,
                rows.start,
                len(one),
                mask,
                one.run.times_by_contact(),
                packed.codes,
                packed.base * scale,
                packed.factor * scale,
                last,
                counts,
                totals,
            )
        place = take_present(
            first * BLOCK, last, counts, totals, place, out.contacts, out.recency, out.frequency, out.monetary
        )
    return place
