"""Two neighbouring runs as one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.index.contact_order import ContactOrder
from core.index.event_run import EventRun, in_order, join


def merge_runs(older: EventRun, newer: EventRun, serial: int) -> EventRun:
    """All events of both, sorted; every event of `older` was accepted before all of `newer`.

    Only what overlaps in time is sorted anew, usually little, as late events reach back only so far; the rest is
    copied. Where both know their order by contact, so does the result.
    """
    if len(older) == 0 or len(newer) == 0:
        return join([newer if len(older) == 0 else older], serial)
    kept = int(np.searchsorted(older.occurred_at_us, newer.occurred_at_us[0], "left"))
    mixed = int(np.searchsorted(newer.occurred_at_us, older.occurred_at_us[-1], "right"))
    middle = join((older.part(kept, len(older)), newer.part(0, mixed)), serial)
    order = middle.order()
    parts = (
        older.part(0, kept),
        middle if order is None else middle.take(order, serial),
        newer.part(mixed, len(newer)),
    )
    result = join([part for part in parts if len(part)], serial)
    if older.has_contact_order() and newer.has_contact_order():
        return result.with_contact_order(_merged_order(older, newer, kept, order))
    return result


def merge_all(runs: tuple[EventRun, ...], serial: int) -> EventRun:
    """Several neighbouring runs, oldest first, as one."""
    if len(runs) == 1:
        return join(runs, serial)
    half = len(runs) // 2
    return merge_runs(merge_all(runs[:half], serial), merge_all(runs[half:], serial), serial)


def sorted_run(run: EventRun) -> EventRun:
    """Events in log order as a run in as few bytes as they need."""
    return in_order(run).packed()


def _merged_order(older: EventRun, newer: EventRun, kept: int, order: NDArray[np.int64] | None) -> ContactOrder:
    """The orders by contact of both, their rows numbered as in the result."""
    moved = len(older) - kept
    place = np.arange(kept, len(older) + len(newer), dtype=np.uint32)
    if order is not None:
        place[order] = np.arange(kept, kept + len(order), dtype=np.uint32)
    first, second = older.contact_order(), newer.contact_order()
    rows = first.rows
    if moved:
        numbers = np.concatenate((np.arange(kept, dtype=np.uint32), place[:moved]))
        rows = numbers[rows]
    renumbered = ContactOrder(first.starts, first.low, rows)
    return renumbered.merged(ContactOrder(second.starts, second.low, place[moved:][second.rows]))
