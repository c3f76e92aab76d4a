"""Picking the events that a condition speaks of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.events.columns import MACHINE
from core.index.event_run import EventRun
from core.index.root import Root
from core.index.table import Selection
from core.kernels.ranges import expand_ranges
from core.query.ast import EventSelection, FilterTree, Window, Zone
from core.query.domain import EventDomain
from core.query.execute_context import Context
from core.query.filters import matching
from core.query.windows import zone_of


@dataclass(frozen=True, slots=True)
class Picked:
    """Events of one run: `rows` (a slice where all of it were picked) and the contact of each. `type_name` is the
    run's type."""

    type_name: str
    run: EventRun
    rows: Selection
    contacts: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.contacts)

    def domain(self) -> EventDomain:
        """The picked events as rows of a filter."""
        return EventDomain(self.run, self.rows, self.contacts)

    def only(self, mask: NDArray[np.bool_]) -> Picked:
        """The events where `mask` is true."""
        if mask.all():
            return self
        rows = np.flatnonzero(mask)
        kept = rows + self.rows.start if isinstance(self.rows, slice) else self.rows[rows]
        return Picked(self.type_name, self.run, kept, self.contacts[rows])

    def row_numbers(self) -> NDArray[np.int64]:
        """`rows` as numbers."""
        if isinstance(self.rows, slice):
            return np.arange(self.rows.start, self.rows.stop, dtype=np.int64)
        return self.rows


def matching_types(names: Sequence[str], root: Root) -> tuple[str, ...]:
    """The event types that were seen and are named, directly or by a prefix (a trailing `*`)."""
    prefixes = tuple(name[:-1] for name in names if name.endswith("*"))
    return tuple(name for name in root.events if name in names or name.startswith(prefixes))


def pick(events: EventSelection, context: Context) -> list[Picked]:
    """The events of a selection: filter and window hold, made by humans, at or before as_of, of contacts that take
    part. One entry per run that has any."""
    return pick_in(matching_types(events.names, context.root), events.filter, events.window, context)


def pick_in(types: Sequence[str], tree: FilterTree, window: Window | None, context: Context) -> list[Picked]:
    """The same for types that are named outright."""
    found = []
    for candidate in _in_window(types, window, context):
        picked = candidate
        if tree and len(picked):
            picked = picked.only(matching(tree, picked.domain(), context))
        if len(picked):
            found.append(picked)
    return found


def _in_window(types: Sequence[str], window: Window | None, context: Context) -> Iterator[Picked]:
    if context.rows == 0:
        return
    interval = context.interval(window)
    until = min(interval.until, context.as_of_us + 1)
    if interval.start >= until:
        return
    for type_name in types:
        for run in context.root.events[type_name]:
            picked = _rows_between(type_name, run, interval.start, until, context)
            if len(picked) == 0:
                continue
            if run.has_machine:
                picked = picked.only((run.flags[picked.rows] & MACHINE) == 0)
            if zone_of(window) is Zone.CONTACT and len(picked):
                times = run.occurred_at_us[picked.rows]
                picked = picked.only(context.in_window(window, times, picked.contacts, dates=False))
            yield picked


def _rows_between(type_name: str, run: EventRun, start_us: int, until_us: int, context: Context) -> Picked:
    """By time where all contacts take part, by contact where few do; the cheaper of both otherwise."""
    inside = run.between(start_us, until_us)
    candidates = context.candidates
    if candidates is None or inside.stop == inside.start:
        return Picked(type_name, run, inside, run.contacts[inside])
    if len(candidates) < inside.stop - inside.start:
        starts, stops = run.of_contacts(candidates)
        if int((stops - starts).sum()) < inside.stop - inside.start:
            places, _ = expand_ranges(starts, stops)
            rows = run.contact_rows()[places]
            rows = rows[(rows >= inside.start) & (rows < inside.stop)]
            rows.sort()
            return Picked(type_name, run, rows, run.contacts[rows])
    contacts = run.contacts[inside]
    return Picked(type_name, run, inside, contacts).only(context.takes_part(contacts))
