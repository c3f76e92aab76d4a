"""When a contact did something first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from core.index.contact_set import ContactSet
from core.kernels.grouping import extreme_by_contact
from core.query.ast import Absolute, Compare, EventCount, EventSelection, Literal
from core.query.execute_context import Context
from core.query.leaves.leaf_events import event_count_leaf
from core.query.leaves.leaf_result import LeafResult
from core.query.rows.selecting import pick
from core.query.windows import LEAST, Interval
from core.schema import Instant

_DID = (Literal(1),)


def first_instants(events: EventSelection, context: Context) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Contacts that have a selected event at or before as_of, ascending, and the instant of the earliest of each."""
    found = pick(events, context)
    owners = np.concatenate([np.zeros(0, np.uint32), *(picked.contacts for picked in found)])
    times = np.concatenate([np.zeros(0, np.int64), *(picked.run.occurred_at_us[picked.rows] for picked in found)])
    return extreme_by_contact(owners, times, context.root.contact_count, largest=False)


def first_within(events: EventSelection, interval: Interval, context: Context) -> LeafResult:
    """Contacts whose earliest selected event lies in the interval: those with one inside and none before. `events`
    have no window of their own."""
    if interval.start >= interval.until:
        return LeafResult(ContactSet.empty())
    inside = _did(events, max(interval.start, LEAST + 1), interval.until, context)
    if interval.start <= LEAST:
        return inside
    return LeafResult(inside.found - _did(events, None, interval.start, context).found)


def _did(events: EventSelection, start_us: int | None, until_us: int, context: Context) -> LeafResult:
    start = None if start_us is None else Literal(Instant(start_us))
    window = Absolute(start, Literal(Instant(until_us)))
    return event_count_leaf(EventCount(replace(events, window=window), Compare.GE, _DID), context)
